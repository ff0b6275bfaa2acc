"""Who does which job: one worker, for a lease, under a fence number that rises at each claim. The store's clock decides."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from tracking.models import AgentJob, Worker
from tracking.queue import states
from tracking.sql import statements


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is this worker's until somebody takes it over."""

    team_id: int
    job_id: UUID
    fence: int


def claim(owner: str) -> Claim | None:
    """The next job: of the team with the fewest under way, the most urgent, the oldest. None when there is none."""
    limits = settings.LIMITS
    with transaction.atomic():
        _rows("turn", {})
        rows = _rows(
            "claim",
            {
                "owner": owner[:200],
                "lease_s": limits["job_lease_seconds"],
                "team_most": limits["jobs_at_once_per_team"],
            },
        )
    return Claim(*rows[0]) if rows else None


def renew(claims: Collection[Claim]) -> dict[Claim, bool]:
    """The claims that are still good; whether somebody wants the job cancelled."""
    if not claims:
        return {}
    parameters = {
        "teams": [one.team_id for one in claims], "ids": [one.job_id for one in claims],
        "fences": [one.fence for one in claims], "lease_s": settings.LIMITS["job_lease_seconds"],
    }  # fmt: skip
    held = {(id, fence): is_cancelled for id, fence, is_cancelled in _rows("renew", parameters)}
    return {one: held[one.job_id, one.fence] for one in claims if (one.job_id, one.fence) in held}


def take_back_lost() -> int:
    """Jobs whose worker fell silent go back to the queue; one that took so many workers with it is given up. How many."""
    with transaction.atomic():
        rows = _rows("lost", {"limit": settings.LIMITS["jobs_taken_back_at_once"]})
        for team_id, job_id, losses in rows:
            if losses >= settings.LIMITS["job_losses"]:
                job = AgentJob.objects.select_related("team").get(team=team_id, id=job_id)
                states.bury(job, f"{losses} workers in a row died or fell silent while they did its next step")
    return len(rows)


def say_seen(name: str, started_at: datetime, jobs: int) -> None:
    """This worker is there, and does so many jobs."""
    _execute("seen", {"name": name, "started_at": started_at, "jobs": jobs})


def say_gone(name: str) -> None:
    Worker.objects.filter(name=name).delete()


def forget_workers() -> None:
    _execute("forget_workers", {})


def _rows(name: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")[name], parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _execute(name: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")[name], parameters)
