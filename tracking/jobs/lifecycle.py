"""A job from pending to its end. An ended job never changes again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from django.conf import settings
from django.db import transaction

from tracking import alerts, credits, run_control
from tracking.audit import Actor
from tracking.errors import Invalid, JobEnded, NotFound
from tracking.jobs import costs
from tracking.jobs.costs import Summary
from tracking.models import Destination, Job, JobCall, Run, Team

Status = Job.Status
ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
ENDS = (Status.COMPLETED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Finished:
    """An ended job and what it came to."""

    job: Job
    calls: list[JobCall]
    summary: Summary
    credits_left: int | None


def create(
    team: Team, job_type: str, *, user_id: str = "", metadata: Mapping[str, Any] | None = None, task_id: str = ""
) -> Job:
    """A pending job. Raises OutOfCredits, Invalid (metadata beyond LIMITS["job_metadata_bytes"])."""
    credits.demand(team)
    now = datetime.now(UTC)
    return Job.objects.create(
        team=team, id=uuid4(), job_type=job_type, user_id=user_id, metadata=_limited(dict(metadata or {})),
        external_task_id=task_id, created_at=now, updated_at=now,
    )  # fmt: skip


def job_of(team: Team | int, job_id: object) -> Job:
    """Raises NotFound: for another team's job, and for an id that cannot be one."""
    try:
        wanted = job_id if isinstance(job_id, UUID) else UUID(str(job_id))
    except ValueError:
        wanted = None
    job = None if wanted is None else Job.objects.filter(team=team, id=wanted).first()
    if job is None:
        raise NotFound("Job not found")
    return job


def begin_call(team: Team | int, job_id: object, group: str, metadata: Mapping[str, Any] | None = None) -> Job:
    """The job, in progress from now on. Raises NotFound, JobEnded, OutOfCredits, Invalid."""
    job = job_of(team, job_id)
    _demand_open(job)
    credits.demand(job.team_id)
    with transaction.atomic():
        job = _locked(job)
        _demand_open(job)
        now = datetime.now(UTC)
        job.status, job.started_at = Status.IN_PROGRESS, job.started_at or now
        if group not in job.model_groups:
            job.model_groups = [*job.model_groups, group][: settings.LIMITS["job_model_groups"]]
        if metadata:
            job.metadata = _limited({**job.metadata, **metadata})
        job.updated_at = now
        _save(job, "status", "started_at", "model_groups", "metadata")
    return job


def put_metadata(team: Team | int, job_id: object, metadata: Mapping[str, Any]) -> Job:
    """Merge ``metadata`` into the job's. Raises NotFound, Invalid."""
    with transaction.atomic():
        job = _locked(job_of(team, job_id))
        job.metadata, job.updated_at = _limited({**job.metadata, **metadata}), datetime.now(UTC)
        _save(job, "metadata")
    return job


def complete(
    team: Team | int,
    job_id: object,
    status: str,
    *,
    error: str = "",
    metadata: Mapping[str, Any] | None = None,
    actor: Actor,
) -> Finished:
    """End a job; said again it is told again. A completed one is charged, once; a failed one costs nothing.

    Raises NotFound, Invalid, JobEnded when it ended another way.
    """
    if status not in ENDS:
        raise Invalid("status is completed or failed.", field="status")
    with transaction.atomic():
        job = _locked(job_of(team, job_id))
        if job.status in ENDED:
            if job.status != status:
                raise JobEnded(f"The job is {job.status} already, so it cannot become {status}.", job_id=str(job.id))
            return _told(job)
        now = datetime.now(UTC)
        job.status, job.completed_at, job.updated_at = Status(status), now, now
        job.error = error.replace("\0", "")[: settings.LIMITS["job_error_characters"]]
        if metadata:
            job.metadata = _limited({**job.metadata, **metadata})
        summary = costs.summary_of(job)
        if job.status == Status.COMPLETED:
            usd, tokens = summary.client_usd, summary.tokens
            job.credit_applied = credits.charge(
                job.team_id, job.id, job.job_type, client_usd=usd, tokens=tokens
            ).is_charged
        _save(job, "status", "completed_at", "error", "metadata", "credit_applied")
        _tell(job, summary)
    _end_run(job, actor)
    return _told(job)


def enter(job: Job, call: JobCall) -> None:
    """A call into its job's bill. One that ends after its job was completed is charged by itself."""
    with transaction.atomic():
        fresh = _locked(job)
        call.save(force_insert=True)
        if fresh.status == Status.COMPLETED and fresh.credit_applied:
            summary = costs.summary_of(fresh)
            credits.charge_late(
                fresh.team_id, fresh.id, fresh.job_type, client_usd=summary.client_usd, tokens=summary.tokens
            )


def _told(job: Job) -> Finished:
    account = credits.account_of(job.team_id)
    left = None if account is None or account.is_unlimited else account.left
    return Finished(job, costs.calls_of(job), costs.summary_of(job), left)


def _tell(job: Job, summary: Summary) -> None:
    event = Destination.Event.JOB_COMPLETED if job.status == Status.COMPLETED else Destination.Event.JOB_FAILED
    alerts.notify(job.team_id, event, {
        "job_id": str(job.id), "job_type": job.job_type, "status": job.status, "user_id": job.user_id or None,
        "error_message": job.error or None, "total_calls": summary.calls, "total_tokens": summary.tokens,
        "total_cost_usd": float(summary.client_usd), "credit_applied": job.credit_applied,
    })  # fmt: skip


def _end_run(job: Job, actor: Actor) -> None:
    """The job's run ends with it; one that made no call has none."""
    try:
        run_control.complete(job.team, [str(job.id)], actor=actor)
    except NotFound:
        return
    if job.status == Status.FAILED:
        failed = {"status": Run.Status.FAILED, "error": job.error or "the job failed"}
        Run.objects.filter(team=job.team_id, external_id=str(job.id)).update(**failed)


def _demand_open(job: Job) -> None:
    if job.status in ENDED:
        raise JobEnded(f"The job is {job.status}: no more calls are made in it.", job_id=str(job.id))


def _locked(job: Job) -> Job:
    return Job.objects.select_for_update(of=("self",)).select_related("team").get(team=job.team_id, id=job.id)


def _save(job: Job, *fields: str) -> None:
    job.save(update_fields=[*fields, "updated_at"])


def _limited(metadata: dict[str, Any]) -> dict[str, Any]:
    most = settings.LIMITS["job_metadata_bytes"]
    text = orjson.dumps(metadata)
    if len(text) > most:
        raise Invalid(f"A job's metadata has at most {most:,} bytes; this would be {len(text):,}.", field="metadata")
    if b"\\u0000" in text:
        raise Invalid("metadata holds a NUL character.", field="metadata")
    return metadata
