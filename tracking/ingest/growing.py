"""Long runs: what a batch can change of a run that holds thousands of spans, found without loading them all.

A verdict of ``counting`` rests on few spans: those above it; calls nested in one another; calls with one response id;
model calls side by side under one parent. So the spans are loaded whose verdict a batch can change, with everything
those verdicts rest on, and the others enter as sums that PostgreSQL makes. What is stored after each batch is what
deriving it from all rows would give. Where that much cannot be known from a part, or the part is a large one, all rows
are loaded after all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tracking.codes import KIND_CODES
from tracking.ingest.counting import ACCOUNTING, BARRIERS, CALLS, SAME_START_NS, is_same_call
from tracking.ingest.run_state import RunState
from tracking.ingest.shares import EMBEDDING, LLM, MODEL_KINDS, TOOL, Rest, Totals, seen_in
from tracking.ingest.span_row import READ_COLUMNS, SpanRow, row_from
from tracking.sql import statements

LIGHT_FROM = 2_000  # a run of more stored spans than this is loaded in part
LOADED_SHARE = 0.25  # of a run's spans: where more are needed, loading all is no slower

_OF_RUN = "team_id = %(team)s AND day = %(day)s AND trace_id = %(trace)s"
_BELOW_OR_SAME = (
    "(parent_id = ANY(%(parents)s::bigint[])"
    " OR response_key = ANY(%(keys)s::bigint[]) AND kind = ANY(%(calls)s::smallint[]))"
)
_CALLS = frozenset(KIND_CODES[kind] for kind in CALLS)
_BARRIERS = frozenset(KIND_CODES[kind] for kind in BARRIERS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BESIDE = timedelta(microseconds=SAME_START_NS // 1000)

# The fence keeps it to one look into the primary key for each run, whatever the planner believes of a partition.
_ROWS_OF_RUNS = f"""
SELECT w.place, s.*
FROM unnest(%(teams)s::bigint[], %(days)s::date[], %(traces)s::uuid[]) WITH ORDINALITY AS w(team, run_day, trace, place)
CROSS JOIN LATERAL (
  SELECT {READ_COLUMNS} FROM tracking_span
  WHERE team_id = w.team AND day = w.run_day AND day = ANY(%(days)s::date[]) AND trace_id = w.trace OFFSET 0
) AS s
"""

Cursor = psycopg.Cursor[Any]


class _NeedsAll(Exception):
    """What a batch changes cannot be told from a part of the run, or the part would be a large one."""


def load(
    cursor: Cursor, states: Sequence[RunState], spans_of: Callable[[RunState], Iterable[int]] | None = None
) -> None:
    """Load the runs' rows, or of long ones only their ``spans_of``; note what they contribute."""
    whole = []
    for state in states:
        state.is_partial = spans_of is not None and state.span_count > LIGHT_FROM
        if spans_of is not None and state.is_partial:
            cursor.execute(statements("ingest")["plan_for_long_runs"])
            rows = _read(cursor, state, "span_id = ANY(%(spans)s::bigint[])", spans=list(spans_of(state)))
            state.rows = {row.span_id: row for row in rows}
        else:
            whole.append(state)
    if whole:
        _load_whole(cursor, whole)
    for state in states:
        state.remember()


def _load_whole(cursor: Cursor, states: Sequence[RunState]) -> None:
    """All their rows in one trip: a gateway's calls come one by one, for many runs at once."""
    parameters = {
        "teams": [state.team_id for state in states],
        "days": [state.day for state in states],
        "traces": [state.trace_id for state in states],
    }
    # Planned each time, with the days in hand: so it looks at their partitions only.
    cursor.execute(_ROWS_OF_RUNS, parameters, prepare=False)
    for state in states:
        state.rows = {}
    for place, *columns in cursor.fetchall():
        row = row_from(columns)
        states[place - 1].rows[row.span_id] = row


def complete(cursor: Cursor, state: RunState) -> None:
    """Once a batch is among the rows of a run loaded in part: load what else its verdicts take, and sum up the rest."""
    if not state.is_partial:
        return
    touched = state.fresh | state.changed
    state.rows = {span_id: row for span_id, row in state.rows.items() if span_id in touched}
    try:
        if state.dims != state.dims_before:
            raise _NeedsAll  # all its rows move to another user, environment or key
        reach = _Reach(cursor, state, room=int(state.span_count * LOADED_SHARE))
        reach.find()
        state.rest = _rest(cursor, state)
        if not state.rest.has_known_call and (state.rest.has_sums or _has_sums(state.rows.values())):
            raise _NeedsAll  # whether sums stand in for calls is a question to the whole run
        state.context = {i for i, row in state.rows.items() if row.kind in _CALLS} - reach.calls
    except _NeedsAll:
        state.rest = None
        for row in _read(cursor, state):
            state.rows.setdefault(row.span_id, row)
    state.remember_late()


# --- the part a batch can change --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Reach:
    """Outwards from the spans a batch brought, until nothing more can change."""

    cursor: Cursor
    state: RunState
    room: int  # rows that may still be loaded
    calls: set[int] = field(default_factory=set)  # whose counting may change, and all it rests on
    named: set[int] = field(default_factory=set)  # whose agent may have changed: so may that of those below
    inside: set[int] = field(default_factory=set)  # one of the calls, or between one and what may nest in it
    visit: set[int] = field(default_factory=set)  # what is below these is still to be looked at
    below: dict[int, list[int]] = field(default_factory=dict)  # stored spans by parent, as far as looked up
    keys: set[int] = field(default_factory=set)  # response ids of the calls
    keys_read: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)  # parents that never came
    times: dict[int, tuple[int, int]] = field(default_factory=dict)  # of calls under a parent, as far as looked up
    is_told_otherwise: bool | None = None  # model calls come in several conventions

    def find(self) -> None:
        """Load it among the state's rows. Raises _NeedsAll."""
        touched = list(self.state.rows.values())
        self.climb(touched)
        for row in touched:
            self.touch(row)
        self.spread()
        while self.look_beside():
            self.spread()
        _refuse_circles(self.state.rows)

    def touch(self, row: SpanRow) -> None:
        old = self.state.told_before.get(row.span_id)
        if old is not None and (old.parent_id, old.kind) != (row.parent_id, row.kind):
            raise _NeedsAll
        if old is None or old.own_agent != row.own_agent:
            self.named.add(row.span_id)
            self.visit.add(row.span_id)
        if row.kind in _CALLS:
            self.include(row)
            if old is not None and old.response_key is not None:
                self.keys.add(old.response_key)
        elif old is None and row.kind not in _BARRIERS:
            outer = self.enclosing(row)
            if outer is not None and outer.kind in _CALLS:  # it may join what is below it to a call above
                self.include(outer)
                self.enter(row)

    def include(self, row: SpanRow) -> None:
        """Take in a call, with those around it that may be the same one."""
        inner: SpanRow | None = row
        while inner is not None and inner.span_id not in self.calls:
            self.calls.add(inner.span_id)
            self.enter(inner)
            if inner.response_key is not None:
                self.keys.add(inner.response_key)
            outer = self.enclosing(inner)
            inner = outer if outer is not None and self.may_be_one(outer, inner) else None

    def enter(self, row: SpanRow) -> None:
        if row.span_id not in self.inside:
            self.inside.add(row.span_id)
            self.visit.add(row.span_id)

    def enclosing(self, row: SpanRow) -> SpanRow | None:
        """The nearest call or barrier above."""
        rows, passed, at = self.state.rows, {row.span_id}, row.parent_id
        while at is not None and at in rows and at not in passed:
            if rows[at].kind in _BARRIERS:
                return rows[at]
            passed.add(at)
            at = rows[at].parent_id
        return None

    def may_be_one(self, outer: SpanRow, inner: SpanRow) -> bool:
        """Whether nested calls are, or before this batch were, one call told twice."""
        if outer.kind != inner.kind:
            return False
        old = self.state.told_before
        return outer.span_id in old or inner.span_id in old or is_same_call(outer.facts, inner.facts)

    def spread(self) -> None:
        """Follow what is below, and calls with the same response id, to the end."""
        rows = self.state.rows
        while self.visit or self.keys - self.keys_read:
            visit, self.visit = self.visit, set()
            keys = self.keys - self.keys_read
            self.keys_read |= keys
            parents = visit - self.below.keys()
            self.below |= {span_id: [] for span_id in parents}
            same = []
            if parents or keys:
                for found in self.read(_BELOW_OR_SAME, parents=list(parents), keys=list(keys), calls=list(_CALLS)):
                    if found.parent_id in parents:
                        self.below[found.parent_id].append(found.span_id)
                    if found.response_key in keys and found.kind in _CALLS:
                        same.append(rows[found.span_id])
            self.climb(same)
            for row in same:
                self.include(row)
            for span_id in visit:
                self.descend(rows[span_id])

    def descend(self, row: SpanRow) -> None:
        outer = row if row.kind in _BARRIERS else self.enclosing(row)
        for below in self.below[row.span_id]:
            inner = self.state.rows[below]
            if row.span_id in self.named and not inner.own_agent and below not in self.named:
                self.named.add(below)
                self.visit.add(below)
            if row.span_id in self.inside and outer is not None:
                if inner.kind not in _BARRIERS:
                    self.enter(inner)
                elif inner.kind in _CALLS and self.may_be_one(outer, inner):
                    self.include(inner)

    def look_beside(self) -> bool:
        """Take in model calls under the same parents in the same times; whether any had to be looked for.

        Reports of one call overlap, or nearly, so calls apart in time from all of these have nothing to do with them.
        """
        calls = [row for span_id in self.calls if (row := self.state.rows[span_id]).kind in MODEL_KINDS]
        if not calls or not self.are_told_otherwise(calls):
            return False
        times: dict[int, tuple[int, int]] = {}
        for row in calls:
            end = max(row.started_us, row.ended_us or row.started_us)
            low, high = times.get(row.parent_id or 0, (row.started_us, end))
            times[row.parent_id or 0] = min(low, row.started_us), max(high, end)
        wider = {parent: span for parent, span in times.items() if self.times.get(parent) != span}
        if not wider:
            return False
        self.times |= wider
        parameters = {
            "parents": list(wider),
            "lows": [_moment(low) - _BESIDE for low, _ in wider.values()],
            "highs": [_moment(high) + _BESIDE for _, high in wider.values()],
            "kinds": list(MODEL_KINDS),
            "limit": self.room + len(self.state.rows) + 1,
        }
        spans = self.ask("beside", parameters)
        self.load(spans)
        beside = [row for span_id in spans if (row := self.state.rows[span_id]).kind in MODEL_KINDS]
        self.climb(beside)
        for row in beside:
            self.include(row)
        return True

    def are_told_otherwise(self, calls: list[SpanRow]) -> bool:
        old = self.state.told_before
        conventions = {row.convention for row in calls}
        conventions |= {old[row.span_id].convention for row in calls if row.span_id in old}
        if len(conventions) > 1:
            self.is_told_otherwise = True
        elif self.is_told_otherwise is None:
            parameters = {"kinds": list(MODEL_KINDS), "convention": conventions.pop()}
            self.is_told_otherwise = bool(self.ask("is_told_otherwise", parameters)[0])
        return self.is_told_otherwise

    # --- loading ---

    def climb(self, rows: Iterable[SpanRow]) -> None:
        """Load everything above ``rows``."""
        loaded = self.state.rows
        parents = {row.parent_id for row in rows if row.parent_id is not None}
        wanted = parents - loaded.keys() - self.missing
        if not wanted:
            return
        above = self.ask("above", {"spans": list(wanted), "limit": self.room + len(loaded) + len(wanted) + 1})
        self.load(above)
        self.missing |= wanted - loaded.keys()

    def load(self, spans: list[int]) -> None:
        wanted = [span_id for span_id in spans if span_id not in self.state.rows]
        if wanted:
            self.read("span_id = ANY(%(spans)s::bigint[])", spans=wanted)

    def read(self, where: str, **parameters: Any) -> list[SpanRow]:
        """Load rows that are not there yet; all that were found, as stored."""
        rows = self.state.rows
        found = list(_read(self.cursor, self.state, where, limit=self.room + len(rows) + 1, **parameters))
        before = len(rows)
        for row in found:
            rows.setdefault(row.span_id, row)
        self.room -= len(rows) - before
        if self.room < 0:
            raise _NeedsAll
        return found

    def ask(self, name: str, parameters: dict[str, Any]) -> list[Any]:
        self.cursor.execute(statements("ingest")[name], {**_run(self.state), **parameters})
        found = [columns[0] for columns in self.cursor.fetchall()]
        if len(found) >= parameters.get("limit", len(found) + 1):
            raise _NeedsAll
        return found


def _refuse_circles(rows: dict[int, SpanRow]) -> None:
    """Raises _NeedsAll: where a circle of parents is cut depends on everything below it. One's own parent is none."""
    good: set[int] = set()
    for first in rows:
        path: set[int] = set()
        at: int | None = first
        while at is not None and at in rows and at not in good:
            if at in path:
                raise _NeedsAll
            path.add(at)
            at = None if rows[at].parent_id == at else rows[at].parent_id
        good |= path


# --- the rest ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Group:
    """Spans of a run in one place of the usage tables: columns of ``rest_of_run``."""

    started_us: int
    agent: str | None
    model: str | None
    provider: str | None
    tool_name: str | None
    kind: int
    counted: bool
    is_aggregate: bool
    spans: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_units: int
    priced_calls: int
    unpriced_calls: int
    estimated_calls: int
    has_known: bool
    has_sums: bool
    first: datetime
    first_root: datetime | None
    first_open: datetime | None
    first_real: datetime | None
    first_broken: datetime | None
    last_end: datetime | None


def _rest(cursor: Cursor, state: RunState) -> Rest:
    loaded = list(state.rows.keys() - state.fresh)
    parameters = {**_run(state), "loaded": loaded, "accounting": ACCOUNTING}
    cursor.execute(statements("ingest")["rest_of_run"], parameters)
    groups = [_Group(*columns) for columns in cursor.fetchall()]
    if state.dims_before is None or not groups and not state.rows:
        raise _NeedsAll
    firsts: list[list[datetime | None]] = [
        [g.first for g in groups],
        [g.first for g in groups if g.agent],
        [g.first_root for g in groups],
        [g.first_open for g in groups],
        [g.first_real for g in groups],
        [g.first_broken for g in groups],
    ]
    moments = {min(times) for many in firsts if (times := [t for t in many if t is not None])}
    last = max((g.last_end for g in groups if g.last_end is not None), default=None)
    where = "(started_at = ANY(%(moments)s) OR ended_at = %(last)s) AND NOT span_id = ANY(%(loaded)s::bigint[])"
    landmarks = _read(cursor, state, where, moments=list(moments), last=last, loaded=loaded)
    return Rest(
        totals=_totals(groups),
        seen=seen_in(groups, state.dims_before),
        landmarks=list(landmarks),
        has_known_call=any(g.kind == LLM and g.counted and g.has_known for g in groups),
        has_sums=any(g.kind not in _CALLS and g.has_sums for g in groups),
    )


def _totals(groups: Iterable[_Group]) -> Totals:
    t = Totals()
    cost = 0
    for g in groups:
        t.span_count += g.spans
        t.errors += g.errors
        if g.agent:
            t.agents.add(g.agent)
        if not g.counted:
            continue
        t.llm_calls += g.spans if g.kind == LLM else 0
        t.tool_calls += g.spans if g.kind == TOOL else 0
        if g.kind == EMBEDDING:
            t.embedding_tokens += g.input_tokens + g.output_tokens
        else:
            t.input_tokens += g.input_tokens
            t.output_tokens += g.output_tokens
            t.cached_tokens += g.cached_tokens
            t.cache_write_tokens += g.cache_write_tokens
            t.reasoning_tokens += g.reasoning_tokens
        if g.model and (g.kind in MODEL_KINDS or g.is_aggregate):
            t.models.add(g.model)
        cost += g.cost_units
        t.priced_calls += g.priced_calls
        t.unpriced_calls += g.unpriced_calls
        t.estimated_calls += g.estimated_calls
    t.cost_units = cost
    return t


def _has_sums(rows: Iterable[SpanRow]) -> bool:
    return any(row.kind not in _CALLS and row.has_usage for row in rows)


def _read(
    cursor: Cursor, state: RunState, where: str = "true", *, limit: int | None = None, **parameters: Any
) -> Iterator[SpanRow]:
    cursor.execute(
        f"SELECT {READ_COLUMNS} FROM tracking_span WHERE {_OF_RUN} AND {where} LIMIT %(limit)s",
        {**_run(state), **parameters, "limit": limit},
    )
    return map(row_from, cursor.fetchall())


def _run(state: RunState) -> dict[str, Any]:
    return {"team": state.team_id, "day": state.day, "trace": state.trace_id}


def _moment(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)
