"""How an agent's runs go: how many, how they ended, what one costs. Of runs the agent starts.

Read from runs, newest first, at most RUNS_READ_MAX of them, so that the answer takes the same time at any size;
``is_sample`` says when there were more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from tracking.models import Run, Team
from tracking.sql import statements

RUNS_READ_MAX = 5_000
_BUCKETS_PER_DECADE = 6
BUCKETS_MAX = 24


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Runs an agent started. Costs are of ended runs with a known cost (None when there is none); of these ``partial``
    have unpriced calls too, and count with their known part."""

    runs: int = 0
    completed: int = 0
    failed: int = 0
    running: int = 0
    priced: int = 0
    partial: int = 0
    median_usd: Decimal | None = None
    p95_usd: Decimal | None = None
    dearest_usd: Decimal | None = None
    is_sample: bool = False

    @property
    def ended(self) -> int:
        return self.runs - self.running

    @property
    def finished_share(self) -> Decimal | None:
        """Of the runs that ended, those that came to their end; None when none ended."""
        return Decimal(self.completed) / self.ended if self.ended else None


NO_RUNS = RunFacts()


def by_agent(team: Team, start: datetime, end: datetime) -> dict[str | None, RunFacts]:
    """Facts of the runs begun in the range, by the agent that started them (None: nobody was named)."""
    parameters: dict[str, Any] = {"team": team.pk, "start": start, "end": end, "limit": RUNS_READ_MAX}
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["agent_runs"], parameters)
        rows = cursor.fetchall()
    return {row[0]: replace(RunFacts(*row[1:10]), is_sample=row[10] >= RUNS_READ_MAX) for row in rows}


@dataclass(frozen=True, slots=True)
class CostBar:
    """Runs that cost from ``low_usd`` up to ``high_usd``."""

    low_usd: Decimal
    high_usd: Decimal
    runs: int


@dataclass(frozen=True, slots=True)
class CostSpread:
    """How run costs spread: bars of equal width on a log scale, and the runs that stand outside of it."""

    bars: tuple[CostBar, ...]
    free: int  # ended and cost nothing
    unpriced: int  # ended, and no call of theirs has a price
    facts: RunFacts


def spread(team: Team, agent: str | None, start: datetime, end: datetime) -> CostSpread:
    """How the costs of the runs ``agent`` started in the range spread."""
    runs = _runs_started_by(team, agent, start, end)
    rows = list(runs.values_list("status", "cost_usd", "unpriced_calls")[:RUNS_READ_MAX])
    ended = [(cost, unpriced) for status, cost, unpriced in rows if status != Run.Status.RUNNING]
    costs = sorted(cost for cost, _ in ended if cost is not None)
    statuses = [status for status, _, _ in rows]
    facts = RunFacts(
        runs=len(rows),
        completed=statuses.count(Run.Status.COMPLETED),
        failed=statuses.count(Run.Status.FAILED),
        running=statuses.count(Run.Status.RUNNING),
        priced=len(costs),
        partial=sum(1 for cost, unpriced in ended if cost is not None and unpriced),
        median_usd=_percentile(costs, 0.5),
        p95_usd=_percentile(costs, 0.95),
        dearest_usd=costs[-1] if costs else None,
        is_sample=len(rows) == RUNS_READ_MAX,
    )
    positive = [cost for cost in costs if cost > 0]
    return CostSpread(tuple(_bars(positive)), len(costs) - len(positive), len(ended) - len(costs), facts)


def latest(team: Team, agent: str | None, *, limit: int) -> list[Run]:
    """The newest runs the agent started."""
    return list(
        Run.objects.filter(team=team, entry_agent=agent, is_hidden=False).order_by("-started_at", "-id")[:limit]
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """What runs ended with, how often, and the newest that did."""

    error: str
    runs: int
    run_id: UUID
    title: str
    started_at: datetime


def failures(team: Team, agent: str | None, start: datetime, end: datetime, *, limit: int) -> list[Failure]:
    """What the runs ``agent`` started in the range failed with, most frequent first."""
    runs = _runs_started_by(team, agent, start, end).filter(status=Run.Status.FAILED)
    found: dict[str, Failure] = {}
    for error, run_id, title, started_at in runs.values_list("error", "id", Run.TITLE, "started_at")[:RUNS_READ_MAX]:
        seen = found.get(error or "")
        found[error or ""] = (
            replace(seen, runs=seen.runs + 1) if seen else Failure(error or "", 1, run_id, title, started_at)
        )
    return sorted(found.values(), key=lambda failure: (-failure.runs, failure.error))[:limit]


def _runs_started_by(team: Team, agent: str | None, start: datetime, end: datetime) -> Any:
    started = Run.objects.filter(team=team, is_hidden=False, started_at__gte=start, started_at__lt=end)
    named = started.filter(entry_agent__isnull=True) if agent is None else started.filter(entry_agent=agent)
    return named.order_by("-started_at", "-id")


def _percentile(ordered: Sequence[Decimal], share: float) -> Decimal | None:
    """As PostgreSQL's percentile_disc: a value that is there."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _bars(costs: Sequence[Decimal]) -> list[CostBar]:
    if not costs:
        return []
    places = [math.floor(math.log10(cost) * _BUCKETS_PER_DECADE) for cost in costs]
    step = max(1, math.ceil((places[-1] - places[0] + 1) / BUCKETS_MAX))
    counts: dict[int, int] = {}
    for place in places:
        counts[(place - places[0]) // step] = counts.get((place - places[0]) // step, 0) + 1
    edges = [_edge(places[0] + step * i) for i in range(max(counts) + 2)]
    return [CostBar(edges[i], edges[i + 1], counts.get(i, 0)) for i in range(max(counts) + 1)]


def _edge(place: int) -> Decimal:
    return Decimal(repr(round(10 ** (place / _BUCKETS_PER_DECADE), 12))).quantize(Decimal("1e-10"))
