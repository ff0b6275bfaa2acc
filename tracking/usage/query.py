"""Usage of a range: one statement over folded rows and the deltas not folded yet.

Whole UTC days come from day rows, the hours at the edges of the range from hour rows (added, or taken off the day again
where those are fewer), and everything newer from deltas. The range is widened to whole hours; the answer says which
range it is of. The slice with the fewest rows that can answer is read, so the cost grows with the groups shown, not with
the spans stored. Only a question that crosses users with another column is answered from the spans themselves, and
costs what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Any

from django.db import connection

from tracking.codes import KIND_CODES, KINDS
from tracking.errors import Invalid
from tracking.sql import statements
from tracking.usage import slices
from tracking.usage.latency import percentiles
from tracking.usage.stretches import HOUR, Stretch, stretches
from wflo.spans import Kind

# How a question's words stand in the tables.
COLUMNS: dict[str, str] = {
    "agent": "agent",
    "model": "model",
    "provider": "provider",
    "tool": "tool",
    "kind": "kind",
    "user": "user_id",
    "key": "key_id",
    "environment": "environment",
}
_TIMES = {"day": "date_trunc('day', period, 'UTC')", "hour": "period"}
_WITHOUT_RUNS = (slices.CUBE, None)
GROUPS: tuple[str, ...] = (*COLUMNS, "team", *_TIMES)
_SUMS = (
    "runs", "spans", "llm_calls", "tool_calls", "errors", "input_tokens", "output_tokens", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens", "embedding_tokens", "cost_usd", "unpriced_calls", "estimated_calls",
    "latency",
)  # fmt: skip
_COST = _SUMS.index("cost_usd")
_ADDED = tuple(name for name in _SUMS if name not in ("runs", "cost_usd"))
ORDERS: tuple[str, ...] = (*_SUMS[:-1], "total_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """Sums of one group. ``runs`` is None where the question crosses columns that runs are not counted by.

    ``cost_usd`` is None when every call of the group has an unknown price; with ``unpriced_calls`` above 0 it is the
    known part. ``latency`` is the packed histogram of all spans' durations (tracking.usage.latency).
    """

    key: dict[str, Any]
    runs: int | None
    spans: int
    llm_calls: int
    tool_calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    embedding_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int
    estimated_calls: int
    latency: int

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def p50_ms(self) -> float | None:
        return self.percentiles_ms(0.5)[0]

    @property
    def p95_ms(self) -> float | None:
        return self.percentiles_ms(0.95)[0]

    def percentiles_ms(self, *shares: float) -> tuple[float | None, ...]:
        return percentiles(self.latency, *shares)


@dataclass(frozen=True, slots=True)
class UsageTable:
    """``rows`` in the order asked for; ``totals`` over all of them and those beyond the limit."""

    rows: list[UsageRow]
    totals: UsageRow
    start: datetime
    end: datetime


def usage(
    team_ids: Sequence[int],
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str] = (),
    filters: Mapping[str, Sequence[str | None]] | None = None,
    order: str = "cost_usd",
    limit: int | None = None,
) -> UsageTable:
    """Usage of ``team_ids`` from ``start`` to ``end`` (UTC), grouped by words of ``GROUPS``.

    ``filters``: word -> values it may have; None is "none" (an unattributed agent). With a group "hour" or "day" the
    rows come in the order of time, else by ``order``, largest first. Raises Invalid naming the field.
    """
    filters = filters or {}
    asked = _Asked(team_ids, *_checked(start, end, group_by, filters, order), tuple(group_by), filters)
    rows, runs = _table(asked, order, with_total=True)
    if not group_by:
        totals = rows[0]
    elif rows and asked.slice is not None:
        totals = _sum(rows, runs)
    else:  # the spans themselves may be gone sooner than what is known of them
        totals = _table(asked.whole, order)[0][0]
    return UsageTable(rows[:limit], totals, asked.start, asked.end)


def usage_rows(
    team_ids: Sequence[int],
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str],
    filters: Mapping[str, Sequence[str | None]] | None = None,
    order: str = "cost_usd",
) -> list[UsageRow]:
    """The rows of ``usage`` alone, for those who need no totals."""
    filters = filters or {}
    asked = _Asked(team_ids, *_checked(start, end, group_by, filters, order), tuple(group_by), filters)
    return _table(asked, order)[0]


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question; its range is of whole hours, UTC."""

    team_ids: Sequence[int]
    start: datetime
    end: datetime
    group_by: tuple[str, ...]
    filters: Mapping[str, Sequence[str | None]]

    @property
    def slice(self) -> int | None:
        return slices.smallest_slice(frozenset(COLUMNS[w] for w in (*self.group_by, *self.filters) if w in COLUMNS))

    @property
    def has_runs(self) -> bool:
        """Whether runs are counted. One seen with two of the values asked for would count twice: then they are not."""
        counts_once = all(len(values) == 1 or word in self.group_by for word, values in self.filters.items())
        return counts_once and self.slice not in _WITHOUT_RUNS

    @property
    def whole(self) -> _Asked:
        return replace(self, group_by=())


def _table(asked: _Asked, order: str, *, with_total: bool = False) -> tuple[list[UsageRow], int | None]:
    """The rows, and how many runs they are of together: no sum of theirs, for a run is in many rows."""
    counts_runs = with_total and bool(asked.group_by) and asked.slice is not None and asked.whole.has_runs
    found = _rows(asked, counts_runs=counts_runs)
    has_runs = asked.has_runs
    table = [_row(asked.group_by, row, has_runs=has_runs) for row in found]
    if not set(asked.group_by) & set(_TIMES):
        table.sort(key=lambda row: (_sort_value(row, order), tuple(map(str, row.key.values()))), reverse=True)
    return table, int(found[0][-1]) if found and counts_runs else None


def _sum(rows: Sequence[UsageRow], runs: int | None) -> UsageRow:
    columns = zip(*map(attrgetter(*_ADDED), rows), strict=True)
    sums: dict[str, int] = dict(zip(_ADDED, map(sum, columns), strict=True))
    return _with_cost({}, runs, sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0)), sums)


def _checked(
    start: datetime, end: datetime, group_by: Sequence[str], filters: Mapping[str, Sequence[str | None]], order: str
) -> tuple[datetime, datetime]:
    """The range in whole hours. Raises Invalid naming the field."""
    for word in group_by:
        if word not in GROUPS:
            raise Invalid(f'"{word}" is no group; there are {", ".join(GROUPS)}', field="group_by")
    for word, values in filters.items():
        if word not in COLUMNS:
            raise Invalid(f'"{word}" is no filter; there are {", ".join(COLUMNS)}', field=word)
        if any("\0" in (value or "") for value in values):
            raise Invalid("a name has no NUL in it", field=word)
    if order not in ORDERS:
        raise Invalid(f'"{order}" is no order; there are {", ".join(ORDERS)}', field="order")
    if end < start:
        raise Invalid("the range ends before it begins", field="to")
    return whole_hours(start, end)


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The range a question is answered for, UTC."""
    start = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    floor = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return start, floor if floor == end and floor > start else floor + timedelta(hours=1)


def _expression(word: str) -> str:
    return "team_id" if word == "team" else _TIMES.get(word) or COLUMNS[word]


def _where(filters: Mapping[str, Sequence[str | None]]) -> tuple[str, dict[str, Any]]:
    terms = "".join(f" AND {COLUMNS[word]} = ANY(%({word})s)" for word in filters)
    return terms, {word: [_stored(word, value) for value in values] for word, values in filters.items()}


def _stored(word: str, value: str | None) -> Any:
    if word != "kind":
        return value or ""
    try:
        return KIND_CODES[Kind(value or "other")]
    except ValueError:
        raise Invalid(f'"{value}" is no kind; there are {", ".join(KINDS)}', field="kind") from None


def _rows(asked: _Asked, *, counts_runs: bool) -> list[tuple[Any, ...]]:
    """The groups' columns and the sums; with ``counts_runs`` also the runs of all groups together, in every row."""
    grouped = [_expression(word) for word in asked.group_by]
    where, values = _where(asked.filters)
    parts = _parts(asked)
    selected = [*grouped, *(f"coalesce(sum({name}), 0)" for name in _SUMS)]
    if counts_runs:
        whole = _sources(asked.whole, ("runs",), where, parts)
        selected.append(f"(SELECT coalesce(sum(runs), 0) FROM ({whole}) AS w)")
    sql = f"SELECT {', '.join(selected)} FROM ({_sources(asked, _SUMS, where, parts)}) AS u"
    if grouped:
        # Groups whose deltas cancelled out are gone, not zero.
        places = ", ".join(str(place + 1) for place in range(len(grouped)))
        sql += f" GROUP BY {places} HAVING sum(spans) <> 0 OR sum(runs) <> 0 ORDER BY {places}"
    values |= {"teams": list(asked.team_ids), "start": asked.start, "end": asked.end}
    for place, part in enumerate(parts):
        values |= {f"from_{place}": part.start, f"to_{place}": part.end}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def _parts(asked: _Asked) -> list[Stretch]:
    if "hour" in asked.group_by:
        return [Stretch(HOUR, asked.start, asked.end)]
    return stretches(asked.start, asked.end, datetime.now(UTC))


def _sources(asked: _Asked, sums: Sequence[str], where: str, parts: Sequence[Stretch]) -> str:
    """Rows of the groups' columns and ``sums``: a SELECT for each part of the range, and one for the deltas."""
    code = asked.slice
    if code is None:  # no slice holds these columns together: the spans themselves are summed
        return f"SELECT * FROM ({statements('usage')['spans_as_usage']}) AS s WHERE true{where}"
    columns = tuple(dict.fromkeys(_column(word) for word in asked.group_by))
    scope = f"team_id = ANY(%(teams)s) AND slice = {code:d}{where}"
    selects = []
    for place, part in enumerate(parts):
        signed = tuple(f"-{name}" for name in sums) if part.is_taken_away else tuple(sums)
        selects.append(
            f"SELECT {', '.join(columns + signed)} FROM tracking_usage WHERE {scope} AND grain = {part.grain:d}"
            f" AND period >= %(from_{place})s AND period < %(to_{place})s"
        )
    selects.append(
        f"SELECT {', '.join((*columns, *sums))} FROM tracking_usage_delta"
        f" WHERE {scope} AND period >= %(start)s AND period < %(end)s"
    )
    return " UNION ALL ".join(selects)


def _column(word: str) -> str:
    return "team_id" if word == "team" else "period" if word in _TIMES else COLUMNS[word]


def _row(group_by: Sequence[str], columns: Sequence[Any], *, has_runs: bool) -> UsageRow:
    key = {word: _shown(word, value) for word, value in zip(group_by, columns, strict=False)}
    measured = columns[len(group_by) : len(group_by) + len(_SUMS)]
    sums = dict(zip(_SUMS, map(int, measured), strict=True))
    del sums["cost_usd"]
    runs = sums.pop("runs")
    return _with_cost(key, runs if has_runs else None, Decimal(measured[_COST]), sums)


def _with_cost(key: dict[str, Any], runs: int | None, cost: Decimal, sums: dict[str, int]) -> UsageRow:
    is_unknown = not cost and sums["unpriced_calls"] > 0
    return UsageRow(key=key, runs=runs, cost_usd=None if is_unknown else cost, **sums)


def _shown(word: str, value: Any) -> Any:
    if word == "kind":
        return KINDS[value].value
    return value if word in ("team", "day", "hour") else value or None


def _sort_value(row: UsageRow, order: str) -> Any:
    value = getattr(row, order)
    return -1 if value is None else value
