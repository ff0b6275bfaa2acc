"""Usage of a range: one statement over folded rows and the deltas not folded yet.

Whole UTC days inside the range come from day rows, the hours at its edges from hour rows, and everything newer from
deltas. The range is widened to whole hours; the answer says which range it is of. The slice with the fewest rows that
can answer is read, so the cost grows with the groups shown, not with the spans stored. Only a question that crosses
users with another column is answered from the spans themselves, and costs what they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from tracking.codes import KIND_CODES, KINDS
from tracking.errors import Invalid
from tracking.sql import statements
from tracking.usage import slices
from tracking.usage.latency import percentile
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
        return percentile(self.latency, 0.5)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self.latency, 0.95)


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
    rows = usage_rows(team_ids, start=start, end=end, group_by=group_by, filters=filters, order=order)
    start, end = whole_hours(start, end)
    totals = _totals(team_ids, start, end, filters) if group_by else rows[0]
    return UsageTable(rows[:limit], totals, start, end)


def usage_rows(
    team_ids: Sequence[int],
    *,
    start: datetime,
    end: datetime,
    group_by: Sequence[str],
    filters: Mapping[str, Sequence[str | None]] | None = None,
    order: str = "cost_usd",
) -> list[UsageRow]:
    """The rows of ``usage`` alone: one statement instead of two, for those who need no totals."""
    filters = filters or {}
    _check(group_by, filters, start, end, order)
    start, end = whole_hours(start, end)
    columns = frozenset(COLUMNS[g] for g in (*group_by, *filters) if g in COLUMNS)
    code = slices.smallest_slice(columns)
    where, parameters = _where(code, team_ids, start, end, filters)
    grouped = [_expression(g) for g in group_by]
    # A run seen with two of the values asked for would count twice; where it may, runs are not told.
    counts_once = all(len(values) == 1 or word in group_by for word, values in filters.items())
    rows = _rows(code, grouped, where, parameters, by_hour="hour" in group_by)
    table = [_row(group_by, row, has_runs=counts_once and code not in _WITHOUT_RUNS) for row in rows]
    if not set(group_by) & set(_TIMES):
        table.sort(key=lambda row: (_sort_value(row, order), tuple(map(str, row.key.values()))), reverse=True)
    return table


def _totals(
    team_ids: Sequence[int], start: datetime, end: datetime, filters: Mapping[str, Sequence[str | None]]
) -> UsageRow:
    code = slices.smallest_slice(frozenset(COLUMNS[word] for word in filters))
    where, parameters = _where(code, team_ids, start, end, filters)
    has_runs = code not in _WITHOUT_RUNS and all(len(values) == 1 for values in filters.values())
    return _row((), _rows(code, [], where, parameters, by_hour=False)[0], has_runs=has_runs)


def _check(
    group_by: Sequence[str], filters: Mapping[str, Sequence[str | None]], start: datetime, end: datetime, order: str
) -> None:
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


def whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The range a question is answered for, UTC."""
    start = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    floor = end.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return start, floor if floor == end and floor > start else floor + timedelta(hours=1)


def _expression(word: str) -> str:
    return "team_id" if word == "team" else _TIMES.get(word) or COLUMNS[word]


def _where(
    code: int | None,
    team_ids: Sequence[int],
    start: datetime,
    end: datetime,
    filters: Mapping[str, Sequence[str | None]],
) -> tuple[str, dict[str, Any]]:
    first_day = start if start.hour == 0 else start.replace(hour=0) + timedelta(days=1)
    parameters: dict[str, Any] = {
        "teams": list(team_ids), "slice": code, "start": start, "end": end,
        "first_day": min(first_day, end), "last_day": max(first_day, end.replace(hour=0)) if first_day < end else end,
    }  # fmt: skip
    terms = []
    for word, values in filters.items():
        terms.append(f"{COLUMNS[word]} = ANY(%({word})s)")
        parameters[word] = [_stored(word, value) for value in values]
    return "".join(f" AND {term}" for term in terms), parameters


def _stored(word: str, value: str | None) -> Any:
    if word != "kind":
        return value or ""
    try:
        return KIND_CODES[Kind(value or "other")]
    except ValueError:
        raise Invalid(f'"{value}" is no kind; there are {", ".join(KINDS)}', field="kind") from None


def _rows(
    code: int | None, grouped: list[str], where: str, parameters: dict[str, Any], *, by_hour: bool
) -> list[tuple[Any, ...]]:
    sums = ", ".join(f"coalesce(sum({name}), 0)" for name in _SUMS)
    groups = ", ".join(str(place + 1) for place in range(len(grouped)))
    sources = _sources(code, where, by_hour=by_hour)
    sql = f"SELECT {', '.join((*grouped, sums))} FROM ({' UNION ALL '.join(sources)}) AS u"
    if grouped:
        # Groups whose deltas cancelled out are gone, not zero.
        sql += f" GROUP BY {groups} HAVING sum(spans) <> 0 OR sum(runs) <> 0 ORDER BY {groups}"
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def _sources(code: int | None, where: str, *, by_hour: bool) -> list[str]:
    if code is None:  # no slice holds these columns together: the spans themselves are summed
        return [f"SELECT * FROM ({statements('usage')['spans_as_usage']}) AS s WHERE true{where}"]
    columns = ", ".join(("team_id", "period", *slices.COLUMNS[code], *_SUMS))
    scope = f"team_id = ANY(%(teams)s) AND slice = %(slice)s{where}"
    hours = f"SELECT {columns} FROM tracking_usage WHERE {scope} AND grain = 0"
    if by_hour:
        sources = [f"{hours} AND period >= %(start)s AND period < %(end)s"]
    else:
        sources = [
            f"SELECT {columns} FROM tracking_usage WHERE {scope} AND grain = 1"
            " AND period >= %(first_day)s AND period < %(last_day)s",
            f"{hours} AND period >= %(start)s AND period < %(first_day)s",
            f"{hours} AND period >= %(last_day)s AND period < %(end)s",
        ]
    sources.append(
        f"SELECT {columns} FROM tracking_usage_delta WHERE {scope} AND period >= %(start)s AND period < %(end)s"
    )
    return sources


def _row(group_by: Sequence[str], columns: Sequence[Any], *, has_runs: bool) -> UsageRow:
    key = {word: _shown(word, value) for word, value in zip(group_by, columns[: len(group_by)], strict=True)}
    values = dict(zip(_SUMS, columns[len(group_by) :], strict=True))
    cost = Decimal(values.pop("cost_usd"))
    sums = {name: int(value) for name, value in values.items()}
    is_unknown = not cost and sums["unpriced_calls"] > 0
    runs = sums.pop("runs")
    return UsageRow(
        key=key,
        runs=runs if has_runs else None,
        cost_usd=None if is_unknown else cost,
        **sums,
    )


def _shown(word: str, value: Any) -> Any:
    if word == "kind":
        return KINDS[value].value
    return value if word in ("team", "day", "hour") else value or None


def _sort_value(row: UsageRow, order: str) -> Any:
    value = getattr(row, order)
    return -1 if value is None else value
