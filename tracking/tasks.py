"""What the clock calls. Each task calls one verb; every one may run twice, or at the same time elsewhere."""

from __future__ import annotations

from celery import shared_task

from tracking import retention, runs
from tracking.usage import fold


@shared_task
def fold_usage() -> None:
    fold.fold_all()


@shared_task
def close_idle_runs() -> None:
    runs.close_idle()


@shared_task
def keep_partitions() -> None:
    retention.make_partitions()
    retention.drop_old()
