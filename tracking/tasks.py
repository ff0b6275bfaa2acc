"""What the clock calls. Each task calls one verb; every one may run twice, or at the same time elsewhere."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from tracking import retention, runs
from tracking.audit import SYSTEM
from tracking.demo import team as demo_team
from tracking.models import Team
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


@shared_task
def fill_demo(team_id: int) -> None:
    """Does nothing when the team was removed meanwhile."""
    for team in Team.objects.filter(pk=team_id, is_demo=True):
        demo_team.fill(team, settings.WFLO_PUBLIC_URL, actor=SYSTEM)
