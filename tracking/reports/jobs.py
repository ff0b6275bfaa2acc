"""Agent jobs: how the queue stands, what workers get done, and what a job of an agent came to before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q

from tracking.models import AgentJob, DeadLetter, JobRun, JobSchedule, Team, Worker
from tracking.sql import statements
from tracking.store_time import store_now

WORKER_SECONDS = 30  # one that was silent for so long is not at work
MINUTES, HOURS = 60, 24
HISTORY = 50  # jobs an estimate looks at
Status = AgentJob.Status
ENDED = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Of a team's queue. ``counts``: jobs by status, those that are done of the last day alone. ``per_minute``, ``per_hour``: jobs that
    ended, the oldest first. Workers are the installation's; ``letters``: dead letters that wait for somebody."""

    counts: dict[str, int]
    due: int
    later: int
    oldest_due_at: datetime | None
    workers: int
    under_way: int
    silent: int
    per_minute: tuple[int, ...]
    per_hour: tuple[int, ...]
    letters: int

    @property
    def last_hour(self) -> int:
        return sum(self.per_minute)

    @property
    def last_day(self) -> int:
        return sum(self.per_hour)

    @property
    def waiting_for_people(self) -> int:
        return sum(
            self.counts.get(status, 0)
            for status in (Status.WAITING_APPROVAL, Status.PAUSED_BUDGET, Status.NEEDS_REVIEW)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an agent's latest completed jobs came to. The money is of those whose price is all known, ``priced``; None where none is."""

    jobs: int
    priced: int
    p50_usd: Decimal | None
    p90_usd: Decimal | None
    p50_steps: int
    p90_steps: int
    p50_ms: float
    p90_ms: float


def standing(team: Team) -> Standing:
    now = store_now()
    rows = AgentJob.objects.filter(team=team)
    counts = dict(rows.exclude(status__in=ENDED).values_list("status").annotate(count=Count("id")))
    queued = rows.filter(status=Status.QUEUED)
    due = queued.filter(run_at__lte=now).aggregate(count=Count("id"), oldest=Min("run_at"))
    seen = list(Worker.objects.values_list("seen_at", "jobs"))
    alive = [jobs for seen_at, jobs in seen if seen_at > now - timedelta(seconds=WORKER_SECONDS)]
    done, minutes, hours = _ended(team, now)
    return Standing(
        counts=counts | done, due=due["count"], later=queued.filter(run_at__gt=now).count(), oldest_due_at=due["oldest"],
        workers=len(alive), under_way=sum(alive), silent=len(seen) - len(alive), per_minute=minutes, per_hour=hours,
        letters=DeadLetter.objects.filter(team=team, source=DeadLetter.Source.QUEUE, status=DeadLetter.Status.OPEN).count(),
    )  # fmt: skip


def jobs(
    team: Team, *, statuses: Sequence[str] = (), agent: str = "", limit: int = 50, before: UUID | None = None
) -> tuple[list[AgentJob], str]:
    """The latest first, and the id that gives those before; '' at the end."""
    rows = AgentJob.objects.filter(team=team).order_by("-created_at", "id")
    if statuses:
        rows = rows.filter(status__in=statuses)
    if agent:
        rows = rows.filter(agent=agent)
    if before is not None:
        at = AgentJob.objects.filter(team=team, id=before).values_list("created_at", flat=True).first()
        if at is None:
            return [], ""
        rows = rows.filter(Q(created_at__lt=at) | Q(created_at=at, id__gt=before), created_at__lte=at)
    found = list(rows[: limit + 1])
    return found[:limit], str(found[limit - 1].id) if len(found) > limit else ""


def estimate(team: Team, agent: str, version: int | None = None) -> Estimate | None:
    """From its latest completed jobs, all their runs together; forks paid for a part alone and are left out. None without any."""
    parameters: dict[str, int | str | None] = {"team": team.pk, "agent": agent, "version": version, "limit": HISTORY}
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["estimate"], parameters)
        count, priced, p50_usd, p90_usd, p50_steps, p90_steps, p50_s, p90_s = cursor.fetchone()
    if not count:
        return None
    return Estimate(
        jobs=count, priced=priced, p50_usd=_usd(p50_usd), p90_usd=_usd(p90_usd), p50_steps=round(p50_steps), p90_steps=round(p90_steps),
        p50_ms=float(p50_s) * 1000, p90_ms=float(p90_s) * 1000,
    )  # fmt: skip


def schedules(team: Team) -> list[JobSchedule]:
    return list(JobSchedule.objects.filter(team=team).order_by("name"))


def runs_of(team: Team, job: AgentJob) -> list[JobRun]:
    """Oldest first."""
    return list(JobRun.objects.filter(team=team, job_id=job.id).order_by("number"))


def _ended(team: Team, now: datetime) -> tuple[dict[str, int], tuple[int, ...], tuple[int, ...]]:
    """Of the last day: by status, by minute of its last hour, by hour."""
    counts: dict[str, int] = {}
    minutes, hours = [0] * MINUTES, [0] * HOURS
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["ended"], {"team": team.pk, "now": now})
        for status, minutes_ago, count in cursor.fetchall():
            counts[status] = counts.get(status, 0) + count
            hours[HOURS - 1 - minutes_ago // 60] += count
            if minutes_ago < MINUTES:
                minutes[MINUTES - 1 - minutes_ago] += count
    return counts, tuple(minutes), tuple(hours)


def _usd(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("1e-10"))
