"""A job is asked for: what is to be done, by which agent, for how much. Once for each idempotency key, within the team's caps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import IntegrityError, transaction

from tracking import audit, ids
from tracking.agents import store as agents
from tracking.agents.definition import Definition
from tracking.agents.resolve import resolve, resolved
from tracking.audit import Actor
from tracking.errors import Invalid, QuotaReached, TooLarge
from tracking.models import AgentJob, JobRun, Team
from tracking.queue import states, wake
from tracking.store_time import store_now

STEPS, MINUTES = 50, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``agent`` names a definition of the team's; else ``definition`` is one. ``run_at`` None: as soon as may be."""

    input: str
    agent: str = ""
    version: int | None = None
    definition: Mapping[str, Any] | None = None
    budget_usd: Decimal | None = None
    steps_max: int | None = None
    priority: int = 0
    run_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    idempotency_key: str = ""
    schedule_id: UUID | None = None


def submit(team: Team, wanted: Wanted, *, actor: Actor, key_id: str = "") -> tuple[AgentJob, bool]:
    """The job, and whether it is new: the same idempotency key again is the same job.

    Raises NotFound for an agent that is not there, Invalid naming the field, TooLarge, QuotaReached beyond the team's caps.
    """
    known = _known(team, wanted.idempotency_key)
    if known is not None:
        return known, False
    body, version = _defined(team, wanted)
    job = _row(team, wanted, body, version, actor, key_id)
    try:
        with transaction.atomic():
            demand_room(team)
            job.save(force_insert=True)
            JobRun.objects.create(team=team, run=job.run, job_id=job.id, number=1, created_at=job.created_at)
            after = {"agent": job.agent, "version": version, "budget_usd": job.budget_usd}
            audit.record(actor, team, "agent_job.submit", "agent_job", str(job.id), after=after)
            wake.soon()
    except IntegrityError:
        known = _known(team, wanted.idempotency_key)
        if known is None:
            raise
        return known, False
    return job, True


def _known(team: Team, key: str) -> AgentJob | None:
    if len(key) > 255 or "\0" in key:
        raise Invalid("An idempotency key has at most 255 characters.", field="idempotency_key")
    return AgentJob.objects.select_related("team").filter(team=team, idempotency_key=key).first() if key else None


def _defined(team: Team, wanted: Wanted) -> tuple[dict[str, Any], int | None]:
    """(the agent with its members, its version)."""
    if bool(wanted.agent) == (wanted.definition is not None):
        raise Invalid("Name an agent of the team, or give a definition: one of them.", field="agent")
    if wanted.agent:
        version = wanted.version or agents.find(team, wanted.agent).version
        return resolve(team, wanted.agent, version), version
    return resolved(team, Definition.read(team, wanted.definition or {})), None


def _row(team: Team, wanted: Wanted, body: dict[str, Any], version: int | None, actor: Actor, key_id: str) -> AgentJob:
    now = store_now()
    id = ids.uuid7(int(now.timestamp() * 1000))
    limits = body.get("limits") or {}
    budgets = [one for one in (wanted.budget_usd, _money(limits.get("cost_usd"))) if one is not None]
    return AgentJob(
        team=team, id=id, agent=body["name"], agent_version=version, definition=body, input=input_of(wanted.input),
        metadata=_metadata(wanted.metadata), run=str(id), budget_usd=min(budgets) if budgets else None,
        steps_max=_steps(wanted.steps_max or limits.get("steps") or STEPS), priority=states.priority_of(wanted.priority),
        run_at=_moment(wanted.run_at) or now, idempotency_key=wanted.idempotency_key, schedule_id=wanted.schedule_id,
        created_by=actor.name[:200], key_id=key_id, user_id=actor.user_id, created_at=now, changed_at=now,
    )  # fmt: skip


def demand_room(team: Team) -> None:
    """For one job more. Raises QuotaReached."""
    most = settings.LIMITS["jobs_waiting_per_team"]
    waiting = AgentJob.objects.filter(team=team).exclude(status__in=states.ENDED)[: most + 1].count()
    if waiting >= most:
        raise QuotaReached(
            f"The team has {most:,} jobs that are not done, as many as it may have. Wait for some, or cancel them."
        )


def input_of(text: str) -> str:
    most = settings.LIMITS["job_input_bytes"]
    if not text.strip():
        raise Invalid("Say what is to be done.", field="input")
    if "\0" in text:
        raise Invalid("input holds a NUL character.", field="input")
    if len(text.encode()) > most:
        raise TooLarge(f"input has more than {most:,} bytes.", field="input")
    return text


def _metadata(given: Mapping[str, Any]) -> dict[str, Any]:
    text = orjson.dumps(dict(given))
    most = settings.LIMITS["job_metadata_bytes"]
    if len(text) > most:
        raise Invalid(f"A job's metadata has at most {most:,} bytes; this has {len(text):,}.", field="metadata")
    if b"\\u0000" in text:
        raise Invalid("metadata holds a NUL character.", field="metadata")
    return dict(given)


def _steps(value: int) -> int:
    most = settings.LIMITS["job_steps"]
    if not 0 < value <= most:
        raise Invalid(f"A job does 1 to {most:,} steps.", field="max_steps")
    return value


def _moment(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    try:
        found = value.astimezone(UTC)
    except OverflowError:
        found = None
    if found is None or not 2000 < found.year < 2200:
        raise Invalid("run_at is a time from now on.", field="run_at")
    return found


def _money(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))
