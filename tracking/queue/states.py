"""What happens to a job from outside, and how it ends. An ended job changes no more, but that somebody takes it up again.

queued -> running -> completed, failed, cancelled
running -> queued (again later, or its worker went), waiting_approval, paused_budget, needs_review
waiting_approval, paused_budget, needs_review, failed, cancelled -> queued
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import orjson
from django.conf import settings
from django.db import transaction

from tracking import alerts, audit, run_control
from tracking.audit import SYSTEM, Actor
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import AgentJob, DeadLetter, Destination, JobRun, Run, Team
from tracking.queue import wake
from tracking.redaction import redactor
from tracking.steering import dead_letters
from tracking.store_time import store_now

Status = AgentJob.Status
ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
WAITING = frozenset({Status.WAITING_APPROVAL, Status.PAUSED_BUDGET, Status.NEEDS_REVIEW})
BACKOFF_SECONDS, BACKOFF_MAX_SECONDS = 2.0, 300.0
REASON_CHARACTERS_MAX = 2_000
_LETTERS = UUID("1b7f3c0a-92d4-4ad5-a1f0-7a0c1f9f6c11")


def job_of(team: Team | int, reference: object) -> AgentJob:
    """Raises NotFound: for another team's job, and for an id that cannot be one."""
    try:
        id = reference if isinstance(reference, UUID) else UUID(str(reference))
    except ValueError:
        id = None
    found = None if id is None else AgentJob.objects.select_related("team").filter(team=team, id=id).first()
    if found is None:
        raise NotFound(f'This team has no job "{str(reference)[:64]}".')
    return found


def job_of_run(team: Team | int, run: str) -> AgentJob | None:
    """The job that a run is of, by the run's own name."""
    row = JobRun.objects.filter(team=team, run=run).first()
    return None if row is None else AgentJob.objects.select_related("team").filter(team=team, id=row.job_id).first()


# --- by people and programs -------------------------------------------------------------------------------------------


def cancel(team: Team, job_id: object, *, reason: str, actor: Actor) -> AgentJob:
    """One that waits never starts; one that runs is given up by its worker, which hangs up on the provider. Once ended it stays.

    Raises NotFound.
    """
    with transaction.atomic():
        job = locked(job_of(team, job_id))
        if job.status in ENDED:
            return job
        job.cancel_asked_at, job.reason = store_now(), reason_of(reason) or "cancelled by hand"
        audit.record(actor, team, "agent_job.cancel", "agent_job", str(job.id), after={"reason": job.reason})
        if job.status == Status.RUNNING:
            save(job, "cancel_asked_at", "reason")
        else:
            close(job, Status.CANCELLED, reason=job.reason)
    return job


def retry(team: Team, job_id: object, *, actor: Actor) -> AgentJob:
    """Take up again what failed, was cancelled or waits: it goes on after its last step. Raises NotFound, Conflict."""
    with transaction.atomic():
        job = locked(job_of(team, job_id))
        if job.status in (Status.COMPLETED, Status.RUNNING):
            raise Conflict(f"The job is {job.status}: there is nothing to try again.", field="status")
        if job.status == Status.QUEUED:
            return job
        audit.record(actor, team, "agent_job.retry", "agent_job", str(job.id), before={"status": job.status})
        revive(job)
        letters_taken(job, actor)
    wake.soon()
    return job


def change(
    team: Team, job_id: object, *, actor: Actor, budget_usd: Decimal | None = None, priority: int | None = None
) -> AgentJob:
    """More money, or another place in the queue; one that was paused for money goes on. Raises NotFound, Invalid, Conflict."""
    with transaction.atomic():
        job = locked(job_of(team, job_id))
        if job.status in ENDED:
            raise Conflict(f"The job is {job.status}; it can be retried or rolled back, not changed.", field="status")
        before = {"budget_usd": job.budget_usd, "priority": job.priority}
        if budget_usd is not None:
            if budget_usd <= 0:
                raise Invalid("A budget is more than 0.", field="budget_usd")
            job.budget_usd = budget_usd
        if priority is not None:
            job.priority = priority_of(priority)
        after = {"budget_usd": job.budget_usd, "priority": job.priority}
        if before != after:
            audit.record(actor, team, "agent_job.change", "agent_job", str(job.id), before=before, after=after)
            save(job, "budget_usd", "priority")
        if budget_usd is not None and job.status == Status.PAUSED_BUDGET:
            revive(job)
    wake.soon()
    return job


# --- by its worker ----------------------------------------------------------------------------------------------------


def ended(job: AgentJob, status: str, *, output: Any = None, reason: str = "") -> None:
    """Its last run came to an end. ``job`` is locked."""
    job.output = output
    close(job, status, reason=reason)
    _end_run(job, status, reason)


def close(job: AgentJob, status: str, *, reason: str = "") -> None:
    job.status, job.reason, job.ended_at = status, _kept(job, reason), store_now()
    job.lease_until, job.lease_owner = None, ""
    save(job, "status", "reason", "ended_at", "lease_until", "lease_owner", "cancel_asked_at", "output")
    event = Destination.Event.JOB_COMPLETED if status == Status.COMPLETED else Destination.Event.JOB_FAILED
    if status != Status.CANCELLED:
        alerts.notify(job.team_id, event, {
            "job_id": str(job.id), "agent": job.agent, "run_id": job.run, "status": status, "error_message": job.reason or None,
        })  # fmt: skip


def waits(job: AgentJob, status: str, reason: str) -> None:
    """It goes on when somebody has decided, paid or looked. ``job`` is locked."""
    job.status, job.reason, job.lease_until, job.lease_owner = status, _kept(job, reason), None, ""
    save(job, "status", "reason", "lease_until", "lease_owner")


def pauses(job: AgentJob, reason: str, refused: Mapping[str, Any]) -> None:
    """A budget cannot pay for the next call: until it can, or is changed. ``refused``: what the refusal said. ``job`` is locked."""
    job.pause = {name: refused.get(name) for name in ("budget_id", "budget", "limit", "unit", "available", "free_at")}
    job.pause = orjson.loads(orjson.dumps(job.pause, default=str))
    waits(job, Status.PAUSED_BUDGET, reason)
    save(job, "pause")


def again(job: AgentJob, reason: str, after_s: float | None = None) -> None:
    """It failed for a moment: later again, each time after a longer rest; after so many times it is a dead letter. ``job`` is
    locked."""
    job.attempts += 1
    if job.attempts >= settings.LIMITS["job_attempts"]:
        bury(job, f"{reason} (tried {job.attempts} times)")
        return
    most = min(BACKOFF_SECONDS * 2**job.attempts, BACKOFF_MAX_SECONDS)
    seconds = max(random.uniform(most / 2, most), min(after_s or 0.0, BACKOFF_MAX_SECONDS))
    _back(job, f"{reason} It is tried again.", timedelta(seconds=seconds), "attempts")


def held(job: AgentJob, reason: str, after_s: float | None = None) -> None:
    """It goes on when nobody holds it up any more; no failure of its own, so it does not count as one. ``job`` is locked."""
    least = settings.LIMITS["job_rest_seconds"]
    seconds = min(max(after_s or 0.0, least), BACKOFF_MAX_SECONDS)
    _back(job, f"{reason} It waits, and asks again by itself.", timedelta(seconds=seconds))


def yielded(job: AgentJob) -> None:
    """Its worker ends in order: another goes on at once. ``job`` is locked."""
    _back(job, "its worker was stopped", timedelta(0))


def bury(job: AgentJob, reason: str) -> None:
    """Given up: a dead letter with a button. ``job`` is locked."""
    ended(job, Status.FAILED, reason=reason)
    letter = {
        "id": letter_id(job), "source": DeadLetter.Source.QUEUE, "name": job.agent, "run": job.run, "agent": job.agent, "error": reason,
        "attempts": max(job.attempts, job.losses, 1), "payload": {"job_id": str(job.id), "input": job.input[:10_000]},
    }  # fmt: skip
    found, is_new = dead_letters.bury(job.team, letter)
    if not is_new:
        DeadLetter.objects.filter(team=job.team_id, id=found.id).update(
            status=DeadLetter.Status.OPEN, changed_at=store_now(), error=_kept(job, reason)
        )


def resume(job: AgentJob) -> None:
    """What it waited for is there. ``job`` is locked."""
    job.status, job.reason, job.run_at, job.pause = Status.QUEUED, "", store_now(), None
    save(job, "status", "reason", "run_at", "pause")


def revive(job: AgentJob) -> None:
    """Into the queue again. ``job`` is locked."""
    job.status, job.reason, job.run_at, job.ended_at = Status.QUEUED, "", store_now(), None
    job.attempts, job.losses, job.cancel_asked_at, job.output, job.pause = 0, 0, None, None, None
    save(job, "status", "reason", "run_at", "ended_at", "attempts", "losses", "cancel_asked_at", "output", "pause")


def letters_taken(job: AgentJob, actor: Actor) -> None:
    """It goes on: its dead letter is history."""
    DeadLetter.objects.filter(team=job.team_id, id=letter_id(job), status__in=("open", "retry_wanted")).update(
        status=DeadLetter.Status.RETRIED, changed_at=store_now(), handled_by=actor.name[:200]
    )


# --- the row ----------------------------------------------------------------------------------------------------------


def locked(job: AgentJob) -> AgentJob:
    return AgentJob.objects.select_for_update(of=("self",)).select_related("team").get(team=job.team_id, id=job.id)


def save(job: AgentJob, *fields: str) -> None:
    job.changed_at = store_now()
    job.save(update_fields=[*fields, "changed_at"])


def letter_of(job: AgentJob) -> DeadLetter | None:
    """That it was given up, while nobody has answered it."""
    return DeadLetter.objects.filter(team=job.team_id, id=letter_id(job), status=DeadLetter.Status.OPEN).first()


def letter_id(job: AgentJob) -> UUID:
    return uuid5(_LETTERS, str(job.id))


def priority_of(value: int) -> int:
    if not -100 <= value <= 100:
        raise Invalid("A priority is a whole number from -100 to 100; the higher goes first.", field="priority")
    return value


def reason_of(text: str) -> str:
    return " ".join(text.replace("\0", "").split())[:REASON_CHARACTERS_MAX]


def _back(job: AgentJob, reason: str, rest: timedelta, *fields: str) -> None:
    job.status, job.reason, job.run_at = Status.QUEUED, _kept(job, reason), store_now() + rest
    job.lease_until, job.lease_owner = None, ""
    save(job, "status", "reason", "run_at", "lease_until", "lease_owner", *fields)


def _kept(job: AgentJob, reason: str) -> str:
    return redactor(job.team.redaction).words(reason.replace("\0", ""))[:REASON_CHARACTERS_MAX]


def _end_run(job: AgentJob, status: str, reason: str) -> None:
    """The run's row and its control end with it."""
    try:
        run_control.complete(job.team, [job.run], actor=SYSTEM)
    except NotFound:
        return
    told = {Status.FAILED: Run.Status.FAILED, Status.CANCELLED: Run.Status.CANCELLED}.get(Status(status))
    if told is not None:
        Run.objects.filter(team=job.team_id, external_id=job.run).update(status=told, error=job.reason[:500])
