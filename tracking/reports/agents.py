"""Agents: the list of them, and one agent's page: what it did, what it cost, what the money bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from tracking import pricing
from tracking.errors import NotFound
from tracking.models import Agent, Run, Team
from tracking.reports import agent_runs
from tracking.reports.agent_runs import NO_RUNS, CostSpread, Failure, RunFacts
from tracking.reports.team_day import TeamDay, team_day
from tracking.reports.usual import DAYS_MAX, usual_day
from tracking.usage.buckets import bucket_of, bucket_times
from tracking.usage.query import UsageRow, usage, usage_rows, whole_hours
from tracking.usage.spend import daily_by_agent, spend_by_agent
from wflo.usage import Usage

SPARK_DAYS = 14
AGENTS_MAX = 300
RECENT_RUNS = 8
FAILURES_SHOWN = 5
PARTS = ("model", "tool", "kind")  # what an agent's usage is split by over time
ZERO = Decimal(0)
_STEP = Decimal("1e-10")

# Buckets of a bill as a reader knows them, in the order they are shown.
BUCKETS: dict[str, str] = {
    "input": "Input",
    "cache_read": "Cached input",
    "cache_write": "Written to cache",
    "output": "Output",
    "reasoning": "Reasoning",
    "tools": "Tools",
}


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent in the list; ``name`` None is what no agent could be named for."""

    name: str | None
    colour: int | None
    row: UsageRow
    before_usd: Decimal | None
    share: Decimal | None
    days: tuple[Decimal | None, ...]
    facts: RunFacts
    month_usd: Decimal | None
    month_forecast_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class AgentList:
    lines: tuple[AgentLine, ...]
    more: int
    totals: UsageRow
    before_usd: Decimal | None
    start: datetime
    end: datetime


def agents(team: Team, *, start: datetime, end: datetime, now: datetime) -> AgentList:
    """Every agent with usage in the range, dearest first."""
    table = usage([team.pk], start=start, end=end, group_by=["agent"])
    length = table.end - table.start
    before = usage([team.pk], start=table.start - length, end=table.start, group_by=["agent"])
    earlier = {row.key["agent"]: row.cost_usd for row in before.rows}
    day = team_day(team.time_zone, now)
    months = usage_rows([team.pk], start=day.month_start, end=now, group_by=["agent"])
    month = {row.key["agent"]: row.cost_usd for row in months}
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sparks = daily_by_agent(team.pk, midnight - timedelta(days=SPARK_DAYS - 1), days=SPARK_DAYS)
    facts = agent_runs.by_agent(team, start, end)
    known = colours(team)
    lines = [
        AgentLine(
            name := row.key["agent"],
            known.get(name or ""),
            row,
            earlier.get(name, ZERO),
            _share(row.cost_usd, table.totals.cost_usd),
            tuple(spent.known_usd for spent in sparks.get(name, ())),
            facts.get(name, NO_RUNS),
            month.get(name),
            month_forecast(month.get(name), day),
        )
        for row in table.rows[:AGENTS_MAX]
    ]
    return AgentList(
        tuple(lines), max(0, len(table.rows) - AGENTS_MAX), table.totals, before.totals.cost_usd, table.start, table.end
    )


def month_forecast(so_far: Decimal | None, day: TeamDay) -> Decimal | None:
    """The month's total at the pace of its past days; None on its first day, which says too little."""
    if so_far is None:
        return None
    begun = day.now - day.month_start
    if begun < timedelta(days=1):
        return None
    return so_far * Decimal(str((_month_end(day) - day.month_start) / begun))


def _month_end(day: TeamDay) -> datetime:
    """The start of the next month, give or take the hour that clocks may be moved by."""
    middle = day.month_start + timedelta(days=15)
    days = ((middle.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
    return day.month_start + timedelta(days=days)


@dataclass(frozen=True, slots=True)
class Bought:
    """One bucket: its tokens (calls, for a price per request) and what they cost. ``share`` is of the priced cost."""

    bucket: str
    label: str
    tokens: int
    cost_usd: Decimal
    share: Decimal


@dataclass(frozen=True, slots=True)
class AgentPage:
    name: str
    colour: int
    first_seen_at: datetime
    totals: UsageRow
    before_usd: Decimal | None
    today: UsageRow
    usual_usd: Decimal | None
    month: UsageRow
    month_forecast_usd: Decimal | None
    models: tuple[UsageRow, ...]
    tools: tuple[UsageRow, ...]
    bought: tuple[Bought, ...]
    spread: CostSpread
    recent: tuple[Run, ...]
    failures: tuple[Failure, ...]
    running: int
    day: TeamDay
    start: datetime
    end: datetime


def agent(team: Team, name: str, *, start: datetime, end: datetime, now: datetime) -> AgentPage:
    """Raises NotFound for a name the team has never had a span of."""
    known = Agent.objects.filter(team=team, name=name).first()
    if known is None:
        raise NotFound(f"{team.name} has no agent named {name}.")
    only = {"agent": [name]}
    models = usage([team.pk], start=start, end=end, group_by=["agent", "model"], filters=only)
    before = usage([team.pk], start=models.start - (models.end - models.start), end=models.start, filters=only)
    day = team_day(team.time_zone, now)
    month = usage([team.pk], start=day.month_start, end=now, filters=only).totals
    return AgentPage(
        name,
        known.colour,
        known.first_seen_at,
        models.totals,
        before.totals.cost_usd if before.totals.spans else None,
        usage([team.pk], start=day.start, end=now, filters=only).totals,
        _usual_by_now(team, known, day),
        month,
        month_forecast(month.cost_usd, day),
        tuple(row for row in models.rows if row.key["model"]),
        tuple(row for row in _tools(team, name, start, end) if row.key["tool"]),
        bought(team, models.rows, end),
        agent_runs.spread(team, name, start, end),
        tuple(agent_runs.latest(team, name, limit=RECENT_RUNS)),
        tuple(agent_runs.failures(team, name, start, end, limit=FAILURES_SHOWN)),
        Run.objects.filter(team=team, entry_agent=name, status=Run.Status.RUNNING, is_hidden=False).count(),
        day,
        models.start,
        models.end,
    )


def _tools(team: Team, name: str, start: datetime, end: datetime) -> Sequence[UsageRow]:
    filters = {"agent": [name], "kind": ["tool"]}
    return usage_rows([team.pk], start=start, end=end, group_by=["tool"], filters=filters, order="tool_calls")


def _usual_by_now(team: Team, known: Agent, day: TeamDay) -> Decimal | None:
    """Its median spend by this hour on past days like today, since it was first seen."""
    starts = [day.weeks_before(weeks) for weeks in range(1, DAYS_MAX + 1)]
    windows = spend_by_agent(team.pk, starts, hours=day.hours_begun, agent=known.name).get(known.name, [])
    lived = [w for start, w in zip(starts, windows, strict=False) if w.spans or start > known.first_seen_at]
    past = usual_day([[window.cost_usd, *[ZERO] * 23] for window in lived])
    return past.median[-1] if past else None


def bought(team: Team, models: Sequence[UsageRow], at: datetime) -> tuple[Bought, ...]:
    """What the money bought, by bucket of the price list in force at ``at``.

    Usage is kept in tokens and dollars, not in dollars by bucket, so each model's real cost is shared out in
    proportion to its tokens times its rates; the sum of the shares is the real cost. Unpriced models are left out.
    """
    tokens: dict[str, int] = {}
    costs: dict[str, Fraction] = {}
    for row in models:
        if not row.cost_usd:
            continue
        lines = _lines(team, row, at)
        whole = sum((Fraction(usd) for _, _, usd in lines), Fraction(0))
        for bucket, count, usd in lines:
            tokens[bucket] = tokens.get(bucket, 0) + count
            costs[bucket] = costs.get(bucket, Fraction(0)) + Fraction(row.cost_usd) * Fraction(usd) / whole
    total = sum(costs.values(), Fraction(0))
    order = list(BUCKETS)
    ordered = sorted(costs, key=lambda bucket: (order.index(bucket) if bucket in BUCKETS else len(order), bucket))
    return tuple(
        Bought(
            bucket,
            BUCKETS.get(bucket, bucket.replace("_", " ").capitalize()),
            tokens[bucket],
            _money(costs[bucket]),
            _money(costs[bucket] / total),
        )
        for bucket in ordered
        if costs[bucket]
    )


def _lines(team: Team, row: UsageRow, at: datetime) -> list[tuple[str, int, Decimal]]:
    """A bill of all the model's calls as one; a cost without a model is that of priced tools."""
    if not row.key["model"]:
        return [("tools", row.tool_calls, Decimal(1))]
    summed = Usage(
        input_tokens=row.input_tokens or row.embedding_tokens,
        output_tokens=row.output_tokens,
        cached_tokens=row.cached_tokens,
        cache_write_tokens=row.cache_write_tokens,
        reasoning_tokens=row.reasoning_tokens,
    )
    bill = pricing.bill(team.pk, usage=summed, model=str(row.key["model"]), provider=None, at=at, is_sum=True)
    lines = [(line.bucket, line.tokens, line.usd) for line in bill.cost.lines if line.usd]
    return lines or [("input", summed.input_tokens or 0, Decimal(1))]


def _money(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_STEP)


def _share(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None


def colours(team: Team) -> dict[str, int]:
    """Every agent's colour (2..8), by name."""
    return dict(Agent.objects.filter(team=team).values_list("name", "colour"))


@dataclass(frozen=True, slots=True)
class PartsOverTime:
    """An agent's usage in buckets of ``bucket`` ("hour" or "day", at ``times``) by ``by``; rows without a part left out."""

    by: str
    bucket: str
    times: tuple[datetime, ...]
    rows: tuple[UsageRow, ...]


def over_time(team: Team, name: str, *, by: str, start: datetime, end: datetime) -> PartsOverTime:
    """``by`` is one of PARTS."""
    bucket = bucket_of(start, end)
    found = usage_rows([team.pk], start=start, end=end, group_by=["agent", by, bucket], filters={"agent": [name]})
    rows = tuple(row for row in found if row.key[by])
    return PartsOverTime(by, bucket, bucket_times(*whole_hours(start, end), bucket), rows)
