"""Spans of a run in reading order: all of a small run, and of a large one the order and the rows that are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.core import signing
from django.db import connection

from tracking.codes import COST_STATUSES, COST_UNKNOWN, KIND_CODES, KINDS, STATUSES, span_hex
from tracking.errors import Invalid
from tracking.reports.run_filters import pattern_of
from tracking.reports.runs import RunRow
from tracking.reports.span_tree import COST_SCALE, Node, Place, ids_of, key_of, ordered
from wflo.spans import Kind
from wflo.usage import Usage

ONE_READ_SPANS_MAX = 500  # a run of up to so many is read whole; of a larger one only what is shown
FOUND_MAX = 500
_SALT = "tracking.reports.spans"
_STEPS = frozenset({KIND_CODES[Kind.LLM], KIND_CODES[Kind.TOOL], KIND_CODES[Kind.EMBEDDING]})

COLUMNS: tuple[str, ...] = (
    "day",
    "trace_id",
    "span_id",
    "parent_id",
    "kind",
    "status",
    "convention",
    "name",
    "agent",
    "tool_name",
    "model",
    "requested_model",
    "provider",
    "started_at",
    "ended_at",
    "first_token_ms",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "usage_detail",
    "is_aggregate",
    "is_declaration",
    "counted",
    "cost_usd",
    "reported_cost_usd",
    "cost_status",
    "finish_reason",
    "purpose",
    "attempt",
    "error",
    "chunk",
    "chunk_position",
)
SELECT = f"SELECT {', '.join(COLUMNS)} FROM tracking_span"
_DETAIL = COLUMNS.index("usage_detail")


@dataclass(frozen=True, slots=True)
class ReadSpan:
    """One span of the narrow table; fields as its columns."""

    day: date
    trace_id: UUID
    span_id: int
    parent_id: int | None
    kind_code: int
    status_code: int
    convention: str
    name: str
    agent: str | None
    tool_name: str | None
    model: str | None
    requested_model: str | None
    provider: str | None
    started_at: datetime
    ended_at: datetime | None
    first_token_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_detail: dict[str, Any] | None
    is_aggregate: bool
    is_declaration: bool
    counted: bool
    cost_usd: Decimal | None
    reported_cost_usd: Decimal | None
    cost_code: int
    finish_reason: str | None
    purpose: str | None
    attempt: int | None
    error: str | None
    chunk: int
    chunk_position: int

    @property
    def id(self) -> str:
        return span_hex(self.span_id)

    @property
    def parent(self) -> str | None:
        return None if self.parent_id is None else span_hex(self.parent_id)

    @property
    def kind(self) -> Kind:
        return KINDS[self.kind_code]

    @property
    def status(self) -> str:
        return STATUSES[self.status_code]

    @property
    def cost_status(self) -> str:
        return COST_STATUSES[self.cost_code]

    @property
    def duration_ms(self) -> float | None:
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds() * 1000

    @property
    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            **(self.usage_detail or {}),
        )


def read_row(row: Sequence[Any]) -> ReadSpan:
    detail = row[_DETAIL]
    if isinstance(detail, str | bytes):
        row = [*row]
        row[_DETAIL] = orjson.loads(detail)
    return ReadSpan(*row)


@dataclass(frozen=True, slots=True)
class Tree:
    """A run's (or several linked runs') spans in reading order. ``rows`` holds at least those of ``shown``."""

    places: list[Place]
    runs: list[RunRow]
    rows: dict[int, ReadSpan]

    def row(self, place: Place) -> ReadSpan:
        return self.rows[place.node.key]

    def index_of(self, key: int) -> int | None:
        return next((index for index, place in enumerate(self.places) if place.node.key == key), None)


def tree(team_id: int, runs: Sequence[RunRow]) -> Tree:
    """The order of all spans of ``runs``. Of a large tree no row is read yet: see ``load``."""
    merged = list(runs)
    if sum(run.span_count for run in merged) <= ONE_READ_SPANS_MAX:
        found = _spans_of(team_id, merged)
        traces = {run.trace_id: place for place, run in enumerate(merged)}
        rows = {key_of(traces[span.trace_id], span.span_id): span for span in found}
        return Tree(ordered(_node(traces[span.trace_id], span) for span in found), merged, rows)
    return Tree(ordered(_skeleton(team_id, merged)), merged, {})


def load(team_id: int, whole: Tree, places: Iterable[Place]) -> None:
    """Read the rows of ``places`` that are not there yet."""
    missing: dict[int, list[int]] = {}
    for place in places:
        trace_place, span_id = ids_of(place.node.key)
        if place.node.key not in whole.rows:
            missing.setdefault(trace_place, []).append(span_id)
    with connection.cursor() as db:
        for trace_place, ids in missing.items():
            run = whole.runs[trace_place]
            db.execute(
                f"{SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s AND span_id = ANY(%s)",
                [team_id, run.day, run.trace_id, ids],
            )
            whole.rows.update((key_of(trace_place, span.span_id), span) for span in map(read_row, db.fetchall()))


def _spans_of(team_id: int, runs: Sequence[RunRow]) -> list[ReadSpan]:
    if len(runs) == 1:
        condition = "day = %s AND trace_id = %s"
        values: list[Any] = [runs[0].day, runs[0].trace_id]
    else:
        condition = "day = ANY(%s) AND trace_id = ANY(%s)"
        values = [sorted({run.day for run in runs}), [run.trace_id for run in runs]]
    with connection.cursor() as db:
        db.execute(f"{SELECT} WHERE team_id = %s AND {condition}", [team_id, *values])
        return [read_row(row) for row in db.fetchall()]


def _node(trace_place: int, span: ReadSpan) -> Node:
    return Node(
        key_of(trace_place, span.span_id),
        None if span.parent_id is None else key_of(trace_place, span.parent_id),
        _us(span.started_at),
        None if span.ended_at is None else _us(span.ended_at),
        int(span.cost_usd.scaleb(COST_SCALE)) if span.counted and span.cost_usd is not None else None,
        span.counted and span.cost_code == COST_UNKNOWN,
        span.counted and span.kind_code in _STEPS,
    )


def _us(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def _skeleton(team_id: int, runs: Sequence[RunRow]) -> list[Node]:
    """Nodes of all spans, made in the shape PostgreSQL sends them. A float holds a microsecond of our century."""
    nodes: list[Node] = []
    with connection.cursor() as db:
        for place, run in enumerate(runs):
            db.execute(
                "SELECT span_id, parent_id, (date_part('epoch', started_at) * 1000000)::bigint,"
                " (date_part('epoch', ended_at) * 1000000)::bigint,"
                f" CASE WHEN counted THEN (cost_usd * 10000000000)::{_units_type(run)} END,"
                " counted AND cost_status = %s, counted AND kind = ANY(%s)"
                " FROM tracking_span WHERE team_id = %s AND day = %s AND trace_id = %s",
                [COST_UNKNOWN, list(_STEPS), team_id, run.day, run.trace_id],
            )
            if place == 0:
                nodes += map(Node._make, db.fetchall())
            else:
                nodes += [
                    Node(key_of(place, span_id), None if parent is None else key_of(place, parent), *rest)
                    for span_id, parent, *rest in db.fetchall()
                ]
    return nodes


def _units_type(run: RunRow) -> str:
    """bigint holds 922 million dollars in units of 1e-10; a run that cost more is summed in numeric."""
    return "bigint" if run.cost_usd is None or run.cost_usd < 900_000_000 else "numeric(30)"


@dataclass(frozen=True, slots=True)
class SpanPage:
    spans: list[tuple[Place, ReadSpan]]
    next_cursor: str | None


def page(team_id: int, whole: Tree, *, limit: int, cursor: str | None = None) -> SpanPage:
    """``limit`` spans in reading order from the one after the cursor's. Raises Invalid for a cursor not given here."""
    start = 0
    if cursor:
        try:
            key = int(signing.loads(cursor[:500], salt=_SALT))
        except (signing.BadSignature, ValueError, UnicodeError):
            raise Invalid("This cursor is not one this server gave.", field="cursor") from None
        index = whole.index_of(key)
        if index is None:
            raise Invalid("The span this cursor continues after is gone.", field="cursor")
        start = index + 1
    places = whole.places[start : start + limit]
    load(team_id, whole, places)
    has_more = start + limit < len(whole.places)
    following = signing.dumps(places[-1].node.key, salt=_SALT) if has_more else None
    return SpanPage([(place, whole.row(place)) for place in places if place.node.key in whole.rows], following)


def find_in_run(team_id: int, runs: Sequence[RunRow], text: str) -> list[int]:
    """Keys of the spans whose name, agent, tool, model or error holds ``text``; at most FOUND_MAX."""
    pattern = f"%{pattern_of(text.strip().strip('*'))}%"
    traces = {run.trace_id: place for place, run in enumerate(runs)}
    columns = ("name", "agent", "tool_name", "model", "error")
    with connection.cursor() as db:
        db.execute(
            "SELECT trace_id, span_id FROM tracking_span WHERE team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s)"
            f" AND ({' OR '.join(f'{column} ILIKE %s' for column in columns)}) LIMIT %s",
            [team_id, sorted({run.day for run in runs}), list(traces), *[pattern] * len(columns), FOUND_MAX],
        )
        return [key_of(traces[trace_id], span_id) for trace_id, span_id in db.fetchall()]
