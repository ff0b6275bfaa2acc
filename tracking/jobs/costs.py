"""What jobs came to, from their calls as they are billed. Unknown costs are left out of sums and counted beside them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from tracking.models import Job, JobCall, Team
from tracking.sql import statements


@dataclass(frozen=True, slots=True)
class Summary:
    """``client_usd`` is what the customer pays, ``provider_usd`` what the providers take; both of calls with a price."""

    calls: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    provider_usd: Decimal = Decimal(0)
    client_usd: Decimal = Decimal(0)
    unpriced: int = 0
    latency_ms: int = 0  # the mean
    retries: int = 0  # calls beyond the first of the same purpose

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cost_status(self) -> str:
        if not self.unpriced:
            return "known"
        return "unknown" if self.unpriced == self.calls - self.failed else "partial"


def calls_of(job: Job) -> list[JobCall]:
    """The first first."""
    return list(JobCall.objects.filter(team=job.team_id, job_id=job.id).order_by("created_at", "id"))


def summary_of(job: Job) -> Summary:
    return summaries(job.team_id, [job.id]).get(job.id, Summary())


def summaries(team_id: int, job_ids: list[UUID]) -> dict[UUID, Summary]:
    """Of the team's jobs that have made a call."""
    rows = _rows("summaries", {"team": team_id, "jobs": job_ids})
    return {row[0]: Summary(*row[1:]) for row in rows}


@dataclass(frozen=True, slots=True)
class Line:
    """Jobs of one kind in a time: a type, a team, a day."""

    key: str
    jobs: int
    completed: int
    failed: int
    calls: int
    tokens: int
    client_usd: Decimal
    provider_usd: Decimal


BY = ("job_type", "team", "day")


def lines(teams: list[Team], by: str, start: datetime, end: datetime) -> list[Line]:
    """Jobs begun from ``start`` to before ``end``, by one of BY; a team by its slug, a day (UTC) in ISO form."""
    assert by in BY
    parameters = {"teams": [team.pk for team in teams], "start": start, "end": end, "by": by}
    return [Line(*row) for row in _rows("lines", parameters)]


def models(teams: list[Team], start: datetime, end: datetime) -> list[tuple[str, int, int, Decimal]]:
    """(model, calls, tokens, USD for the customer) of jobs begun in the time, the dearest first."""
    return _rows("models", {"teams": [team.pk for team in teams], "start": start, "end": end})


def _rows(name: str, parameters: dict[str, Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statements("jobs")[name], parameters)
        return list(cursor.fetchall())
