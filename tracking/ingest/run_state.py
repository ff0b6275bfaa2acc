"""A run in the hands of the writer: its rows before and after a batch, and what follows from them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from tracking.ingest import counting
from tracking.ingest.charge import charge
from tracking.ingest.charges import Moves
from tracking.ingest.copying import moment, money
from tracking.ingest.counting import GATEWAY
from tracking.ingest.shares import (
    Rest,
    RunDims,
    Seen,
    Totals,
    cell_of,
    measures_of,
    presence_of,
    seen_at,
    seen_in,
    totals_of,
)
from tracking.ingest.span_row import SpanRow
from tracking.ingest.story import Course, Story, course_of
from tracking.usage.deltas import Cell, Deltas, Measures

DAYS_BACK_MAX = 400  # older runs live in the oldest partition there may be
ENDED_BY_HAND = frozenset({"killed", "cancelled"})


@dataclass(slots=True, kw_only=True)
class RunState:
    """One run being written. ``rows`` are all its spans, or with ``rest`` those that a batch can change and what their
    verdicts rest on; ``before`` is what it contributed when it was read."""

    team_id: int
    trace_id: uuid.UUID
    id: uuid.UUID
    day: date
    origin: str
    is_new: bool
    status: str = "running"
    story: Story = field(default_factory=Story)
    rows: dict[int, SpanRow] = field(default_factory=dict)
    fresh: set[int] = field(default_factory=set)  # spans to insert
    changed: set[int] = field(default_factory=set)  # spans to replace
    replaced: dict[int, tuple[int, int]] = field(default_factory=dict)  # where a replaced span's payload was
    span_count: int = 0  # stored when the run was read
    is_partial: bool = False  # not all of those were loaded
    told_before: dict[int, SpanRow] = field(default_factory=dict)  # stored rows that a report was joined to
    context: set[int] = field(default_factory=set)  # calls loaded for others' sake: what they count stays
    rest: Rest | None = None
    before: dict[int, tuple[Cell, Measures]] = field(default_factory=dict)  # of rows about to change
    dims_before: RunDims | None = None
    seen_before: Seen = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)
    course: Course | None = None
    is_repriced: bool = False  # the change is one of prices
    holds: dict[int, uuid.UUID] = field(default_factory=dict)  # of new spans that came through the gateway
    moves: Moves = field(default_factory=Moves)  # what budgets are charged
    is_hidden: bool = False

    @property
    def key(self) -> tuple[int, uuid.UUID]:
        return self.team_id, self.trace_id

    @property
    def dims(self) -> RunDims:
        story = self.story
        return RunDims(self.team_id, story.key_id or "", story.environment or "", story.user_id or "", self.is_hidden)

    def remember(self) -> None:
        """Note where the stored rows count, before anything changes."""
        self.dims_before = self.dims
        self.seen_before = seen_in(self.rows.values(), self.dims_before)

    def remember_late(self) -> None:
        """The same of a run whose rows were loaded after some of them had changed."""
        if self.dims_before is None:
            return
        cells = [
            self.before[i][0] if i in self.before else cell_of(row, self.dims_before)
            for i, row in self.rows.items()
            if i not in self.fresh
        ]
        self.seen_before = seen_at(cells, self.rest.seen if self.rest else None)

    def will_change(self, row: SpanRow) -> None:
        """Note what a stored row contributes; to be called before it changes."""
        if self.dims_before is not None and row.span_id not in self.fresh and row.span_id not in self.before:
            self.before[row.span_id] = (cell_of(row, self.dims_before), measures_of(row))

    def derive(self) -> None:
        """Agent, counting and cost of every row, and the run's course and totals, from all rows."""
        rest = self.rest
        if not self.rows and rest is None:
            return
        facts = [row.facts for row in self.rows.values()]
        verdicts = counting.count(facts, has_known_call=rest is not None and rest.has_known_call)
        touched = self.fresh | self.changed
        for span_id, row in self.rows.items():
            verdict = verdicts[span_id]
            was_counted = row.counted
            counted = was_counted if span_id in self.context else verdict.counted
            if row.agent != verdict.agent or row.counted != counted:
                self.will_change(row)
                row.agent, row.counted = verdict.agent, counted
                if span_id not in touched:
                    self.changed.add(span_id)
            if span_id in touched or row.counted != was_counted:
                charge(self.team_id, row)
        landmarks = rest.landmarks if rest is not None else []
        self.course = course_of([*self.rows.values(), *landmarks])
        self.totals = totals_of(self.rows.values(), rest.totals if rest is not None else None)
        self.is_hidden = self.course.is_hidden
        if self.status not in ENDED_BY_HAND:
            self.status = self.course.status

    def contribute(self, deltas: Deltas) -> None:
        """Add what this run contributes now, less what it did before."""
        dims = self.dims
        touched = self.fresh | self.changed
        moved = self.dims_before is not None and dims != self.dims_before  # its user or environment became known
        if moved:
            for row in self.rows.values():
                self.will_change(row)
            touched |= self.before.keys()
        cells = {}
        for span_id in touched:
            row = self.rows[span_id]
            cells[span_id] = cell = cell_of(row, dims)
            measures = measures_of(row)
            old = self.before.get(span_id)
            if old is not None:
                if old == (cell, measures):
                    continue
                deltas.subtract(*old)
                self._move(row, *old, -1)
            deltas.add(cell, measures)
            self._move(row, cell, measures, 1)
        if self.changed or moved:
            seen = seen_in(self.rows.values(), dims, self.rest.seen if self.rest else None)
        else:
            seen = seen_at(cells.values(), self.seen_before)
        now = presence_of(seen, dims)
        before = presence_of(self.seen_before, self.dims_before) if self.dims_before else set()
        deltas.count_runs(now - before, 1)
        deltas.count_runs(before - now, -1)

    def _move(self, row: SpanRow, cell: Cell, measures: Measures, sign: int) -> None:
        """Of what came through the gateway only the first report is charged, and only to budgets newer than its hold."""
        if row.convention != GATEWAY or self.is_repriced:
            self.moves.note(row, cell, measures, sign)
        elif row.span_id in self.holds:
            self.moves.note(row, cell, measures, sign, self.holds[row.span_id])

    @property
    def named(self) -> str:
        """How budgets and callers name the run."""
        return self.story.external_id or self.trace_id.hex

    def columns(self) -> dict[str, Any]:
        """Every run column but team, id, trace and day, as JSON takes them."""
        story, totals = self.story, self.totals
        course = self.course or _NO_COURSE
        now_us = time.time_ns() // 1000
        return {
            "external_id": story.external_id,
            "origin": self.origin,
            "name": course.name,
            "title": story.title,
            "title_rank": story.title_rank,
            "output": story.output,
            "output_rank": story.output_rank,
            "status": self.status,
            "error": course.error,
            "started_at": moment(course.started_us or now_us),
            "ended_at": None if course.ended_us is None else moment(course.ended_us),
            "last_seen_at": moment(now_us),
            "is_idle_closed": False,
            "session_id": story.session_id,
            "user_id": story.user_id,
            "environment": story.environment,
            "release": story.release,
            "service": story.service,
            "key_id": story.key_id,
            "tags": sorted(story.tags),
            "metadata": story.metadata,
            "entry_agent": course.entry_agent,
            "agents": sorted(totals.agents),
            "model_names": sorted(totals.models),
            "span_count": totals.span_count,
            "llm_calls": totals.llm_calls,
            "tool_calls": totals.tool_calls,
            "errors": totals.errors,
            "input_tokens": totals.input_tokens,
            "output_tokens": totals.output_tokens,
            "cached_tokens": totals.cached_tokens,
            "cache_write_tokens": totals.cache_write_tokens,
            "reasoning_tokens": totals.reasoning_tokens,
            "embedding_tokens": totals.embedding_tokens,
            "cost_usd": None if totals.cost_units is None else money(totals.cost_units),
            "unpriced_calls": totals.unpriced_calls,
            "estimated_calls": totals.estimated_calls,
            "is_hidden": self.is_hidden or not totals.span_count,
            "linked_trace_ids": sorted(story.linked),
        }


_NO_COURSE = Course("", "running", None, 0, None, None, True)


def new_day(started_us: int) -> date:
    """The day a run's spans will live in: the day it began, within what partitions may hold."""
    today = datetime.now(UTC).date().toordinal()
    day = datetime.fromtimestamp(started_us / 1e6, UTC).date().toordinal()
    return date.fromordinal(max(today - DAYS_BACK_MAX, min(day, today + 1)))
