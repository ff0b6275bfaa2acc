"""What the clock calls. Each task calls one verb; every one may run twice, or at the same time elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError

from tracking import alert_watch, credits, loop_watch, retention, runs, speed_watch
from tracking.alerts import deliver, outbox
from tracking.audit import SYSTEM, Actor
from tracking.checkpoints import store
from tracking.demo import team as demo_team
from tracking.errors import Unavailable
from tracking.gateway import kept_responses
from tracking.ingest import reprice as repricing
from tracking.ledger import reconcile as reconciling
from tracking.ledger import seal, sweep
from tracking.models import Team, User
from tracking.queue import claims
from tracking.queue.engine import engine
from tracking.steering import approvals, clearing
from tracking.usage import fold


def ask(task: Any, *args: Any) -> None:
    """Have a worker do ``task`` soon. Raises Unavailable when the broker is away."""
    try:
        task.delay(*args)
    except OperationalError as error:
        raise Unavailable("The queue is away, so nothing was begun. Try again in a moment.") from error


@shared_task
def fold_usage() -> None:
    fold.fold_and_tidy()


@shared_task
def close_idle_runs() -> None:
    runs.close_idle()


@shared_task
def keep_partitions() -> None:
    retention.make_partitions()
    retention.drop_old()


@shared_task
def clear_kept_answers() -> None:
    retention.clear_kept_answers()


@shared_task
def clear_checkpoints() -> None:
    store.clear_old()
    clearing.clear_old()


@shared_task
def look_for_jobs() -> None:
    engine.wake()


@shared_task
def forget_workers() -> None:
    claims.forget_workers()


@shared_task
def expire_approvals() -> None:
    approvals.expire()


@shared_task
def deliver_alerts() -> None:
    deliver.deliver()


@shared_task
def watch_rules() -> None:
    alert_watch.watch()


@shared_task
def clear_alerts() -> None:
    outbox.clear()


@shared_task
def clear_kept_responses() -> None:
    kept_responses.clear()


@shared_task
def sweep_holds() -> None:
    sweep.sweep()


@shared_task
def clear_holds() -> None:
    sweep.clear()


@shared_task
def seal_entries() -> None:
    seal.seal(settings.LIMITS["entries_sealed_at_once"])


@shared_task
def reconcile() -> None:
    reconciling.reconcile()


@shared_task
def reconcile_everything() -> None:
    reconciling.reconcile_everything()


@shared_task
def watch_loops() -> None:
    loop_watch.watch()


@shared_task
def watch_speed() -> None:
    speed_watch.watch()


@shared_task
def refill_credits() -> None:
    credits.refill_due()


@shared_task
def fill_demo(team_id: int) -> None:
    """Does nothing when the team was removed meanwhile."""
    for team in Team.objects.filter(pk=team_id, is_demo=True):
        demo_team.fill(team, settings.WFLO_PUBLIC_URL, actor=SYSTEM)


@shared_task
def reprice(team_id: int, model: str, since: str, user_id: int) -> None:
    """Charge past calls again, for a person. Run twice it changes nothing the second time."""
    for team in Team.objects.filter(pk=team_id):
        actor = Actor.of(User.objects.get(pk=user_id))
        repricing.reprice(team, model, datetime.fromisoformat(since), actor)
