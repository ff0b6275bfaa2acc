"""The costs explorer: one measure, by one or two groups, over time, beside the stretch of time before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from tracking.errors import Invalid
from tracking.models import ApiKey, Team
from tracking.reports.change import NOTHING, Change, Spent, explain
from tracking.usage.buckets import bucket_of, bucket_times
from tracking.usage.query import COLUMNS, UsageRow, usage, usage_rows

GROUPS_MAX = 2
LINES_MAX = 200
SERIES_MAX = 7  # and "others"

Filters = Mapping[str, Sequence[str | None]]
Value = Decimal | float | int | None


class Measure(StrEnum):
    COST = "cost"
    TOKENS = "tokens"
    CALLS = "calls"
    RUNS = "runs"
    ERRORS = "errors"
    P95 = "p95"

    @property
    def is_sum(self) -> bool:
        """Whether parts add up to a whole; a percentile does not."""
        return self is not Measure.P95


GROUPS: tuple[str, ...] = tuple(COLUMNS)
_ORDERS = {
    Measure.COST: "cost_usd",
    Measure.TOKENS: "total_tokens",
    Measure.CALLS: "llm_calls",
    Measure.RUNS: "runs",
    Measure.ERRORS: "errors",
    Measure.P95: "spans",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One combination of the groups. ``share`` is of the whole measure; None where that says nothing. ``row`` is None
    for a combination that was there before and is gone."""

    key: tuple[str | None, ...]
    value: Value
    before: Value
    share: Decimal | None
    row: UsageRow | None

    @property
    def unpriced_calls(self) -> int:
        return self.row.unpriced_calls if self.row else 0


@dataclass(frozen=True, slots=True)
class Series:
    """One combination over time; ``key`` is None for the others together."""

    key: tuple[str | None, ...] | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Pivot:
    measure: Measure
    groups: tuple[str, ...]
    lines: tuple[Line, ...]
    lines_more: int
    total: Value
    total_before: Value
    totals: UsageRow
    times: tuple[datetime, ...]
    series: tuple[Series, ...]
    start: datetime
    end: datetime
    before_start: datetime
    is_counted: bool  # False when the measure is not kept by these groups: runs by two things at once
    change: Change | None  # why the cost changed, by the first group; None for other measures and without a before


def pivot(
    team: Team, *, measure: Measure, groups: Sequence[str], start: datetime, end: datetime, filters: Filters
) -> Pivot:
    """Raises Invalid naming what cannot be asked together."""
    if not 1 <= len(groups) <= GROUPS_MAX or len(set(groups)) < len(groups):
        raise Invalid(f"Group by one or {GROUPS_MAX} different things.", field="group_by")
    teams, order = [team.pk], _ORDERS[measure]
    now = usage(teams, start=start, end=end, group_by=groups, filters=filters, order=order)
    before_start = now.start - (now.end - now.start)
    before = usage(teams, start=before_start, end=now.start, group_by=groups, filters=filters, order=order)
    earlier = {_key(row, groups): row for row in before.rows}
    total = _value(now.totals, measure)
    lines = [_line(row, groups, measure, total, earlier.pop(_key(row, groups), None)) for row in now.rows]
    lines += [Line(key, _nothing(measure), _value(row, measure), None, None) for key, row in earlier.items()]
    lines = [line for line in lines if line.value or line.before or line.unpriced_calls]
    times, series = _over_time(teams, measure, groups, now.start, now.end, filters, [line.key for line in lines])
    return Pivot(
        measure,
        tuple(groups),
        tuple(lines[:LINES_MAX]),
        max(0, len(lines) - LINES_MAX),
        total,
        _value(before.totals, measure) if before.totals.spans else None,
        now.totals,
        times,
        series,
        now.start,
        now.end,
        before_start,
        all(_value(row, measure) is not None for row in now.rows) or measure is not Measure.RUNS,
        _explained(before.rows, now.rows, groups[0]) if measure is Measure.COST and before.totals.spans else None,
    )


def _explained(before: Sequence[UsageRow], now: Sequence[UsageRow], group: str) -> Change:
    return explain(_spent(before, group), _spent(now, group))


def _spent(rows: Sequence[UsageRow], group: str) -> dict[str, Spent]:
    """Priced calls, their tokens and dollars, by one group. Unpriced calls are left out."""
    spent: dict[str, Spent] = {}
    for row in rows:
        if row.cost_usd:
            old = spent.get(row.key[group] or "", NOTHING)
            calls = old.calls + max(0, row.llm_calls - row.unpriced_calls)
            spent[row.key[group] or ""] = Spent(calls, old.tokens + row.total_tokens, old.cost_usd + row.cost_usd)
    return spent


def _line(row: UsageRow, groups: Sequence[str], measure: Measure, total: Value, before: UsageRow | None) -> Line:
    value = _value(row, measure)
    share = None
    if measure.is_sum and value is not None and total:
        share = Decimal(value) / Decimal(total)
    return Line(_key(row, groups), value, _value(before, measure) if before else None, share, row)


def _over_time(
    teams: Sequence[int],
    measure: Measure,
    groups: Sequence[str],
    start: datetime,
    end: datetime,
    filters: Filters,
    keys: Sequence[tuple[str | None, ...]],
) -> tuple[tuple[datetime, ...], tuple[Series, ...]]:
    bucket = bucket_of(start, end)
    rows = usage_rows(teams, start=start, end=end, group_by=[*groups, bucket], filters=filters)
    times = bucket_times(start, end, bucket)
    places = {time: place for place, time in enumerate(times)}
    shown = keys if len(keys) <= SERIES_MAX + 1 else keys[:SERIES_MAX]
    values: dict[tuple[str | None, ...] | None, list[Any]] = {key: [_nothing(measure)] * len(times) for key in shown}
    for row in rows:
        key: tuple[str | None, ...] | None = _key(row, groups)
        value = _value(row, measure)
        if key not in values:
            if not measure.is_sum or not value:
                continue
            key = None
            values.setdefault(key, [0] * len(times))
        place = places[row.key[bucket]]
        values[key][place] = value if not measure.is_sum else values[key][place] + (value or 0)
    return times, tuple(Series(key, tuple(known)) for key, known in values.items())


def _nothing(measure: Measure) -> Value:
    return 0 if measure.is_sum else None


def _key(row: UsageRow, groups: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(row.key[group] for group in groups)


def _value(row: UsageRow, measure: Measure) -> Value:
    match measure:
        case Measure.COST:
            return row.cost_usd
        case Measure.TOKENS:
            return row.total_tokens
        case Measure.CALLS:
            return row.llm_calls
        case Measure.RUNS:
            return row.runs
        case Measure.ERRORS:
            return row.errors
        case Measure.P95:
            return row.p95_ms


def key_names(team: Team) -> dict[str, str]:
    """Names of the team's keys by id, revoked ones too: what they sent is still there."""
    return {str(key_id): name for key_id, name in ApiKey.objects.filter(team=team).values_list("id", "name")}
