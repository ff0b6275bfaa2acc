"""Jobs that wait go on when what they wait for is there: a decision, money. Looked at every few seconds, by any worker."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import transaction

from tracking.audit import SYSTEM
from tracking.errors import Conflict, NotFound
from tracking.ledger.calls import OF_THE_CALL
from tracking.models import AgentJob, Approval, Budget, DeadLetter
from tracking.queue import states
from tracking.queue.states import Status
from tracking.store_time import store_now


def resume() -> int:
    """How many go on."""
    found = list(
        AgentJob.objects.filter(status__in=(Status.WAITING_APPROVAL, Status.PAUSED_BUDGET))
        .order_by("changed_at")[: settings.LIMITS["jobs_looked_at"]]
    )  # fmt: skip
    done = 0
    for job in found:
        is_ready = _is_decided(job) if job.status == Status.WAITING_APPROVAL else _is_payable(job)
        if is_ready:
            with transaction.atomic():
                row = states.locked(job)
                if row.status == job.status:
                    states.resume(row)
                    done += 1
    return done


def take_letters() -> int:
    """Dead letters of jobs that somebody wants tried again: how many were."""
    rows = DeadLetter.objects.filter(source=DeadLetter.Source.QUEUE, status=DeadLetter.Status.RETRY_WANTED)
    done = 0
    for letter in rows.select_related("team")[: settings.LIMITS["jobs_looked_at"]]:
        with transaction.atomic():
            try:
                states.retry(letter.team, (letter.payload or {}).get("job_id"), actor=SYSTEM)
                done += 1
            except (Conflict, NotFound) as error:  # it went on another way meanwhile, or is gone
                DeadLetter.objects.filter(team=letter.team_id, id=letter.id).update(
                    status=DeadLetter.Status.DISCARDED, error=error.message[:2_000]
                )
    return done


def _is_decided(job: AgentJob) -> bool:
    now = store_now()
    pending = Approval.objects.filter(
        team=job.team_id, run=job.run, status=Approval.Status.PENDING, expires_at__gt=now, action__isnull=False
    )
    return not pending.exists()


def _is_payable(job: AgentJob) -> bool:
    """Whether the budget that could not pay is another now: larger, in a new window, gone. Once in a while it is tried anyway, for
    what others held may have come back."""
    pause, now = job.pause or {}, store_now()
    if job.changed_at < now - timedelta(seconds=settings.LIMITS["job_pause_seconds"]):
        return pause.get("budget_id") != str(OF_THE_CALL)
    if pause.get("budget_id") in (None, str(OF_THE_CALL)):
        return False
    free_at = pause.get("free_at")
    if free_at and datetime.fromisoformat(free_at) <= now:
        return True
    budget = Budget.objects.filter(pk=UUID(pause["budget_id"]), archived_at=None).first()
    if budget is None:
        return True
    if budget.mode == Budget.Mode.SOFT:
        return True
    is_raised = budget.raised_until is not None and budget.raised_until > now
    if pause.get("unit") == "tokens":
        limit: Decimal | int | None = budget.limit_tokens
        more: Decimal | int = (budget.raised_tokens or 0) if is_raised else 0
    else:
        limit, more = budget.limit_usd, (budget.raised_usd or 0) if is_raised else 0
    return limit is None or limit + more > Decimal(str(pause.get("limit") or 0))
