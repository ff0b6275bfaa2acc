"""Two runs side by side, for programs. The scope "read" is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Schema
from pydantic import Field

from tracking.errors import Invalid, NotFound, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.reading_json import money, run_json, write
from tracking.reading_schemas import CostStatus, Cursor, Money, RunInList, SpanCostStatus, SpanKind
from tracking.reports import compare, step_words
from tracking.reports.compare import Comparison, Row
from tracking.reports.run import find_run
from tracking.reports.run_steps import RunSteps, Spent, Step
from tracking.reports.runs import page_rows

router = Router(auth=ApiKeyAuth(Scope.READ), tags=["Comparing"])

How = Literal["shared", "same", "changed", "only_a", "only_b"]


class RunsAsked(Schema):
    a: str = Field(description="the run's id, external id or trace id")
    b: str = Field(description="the run it is compared with")


class CompareQuery(RunsAsked):
    only: Literal["differences"] | None = Field(
        None, description="differences: leave out steps that are the same or shared"
    )
    limit: int | None = Field(None, ge=1, description="steps of a page: 50, at most 500")
    cursor: str | None = Field(None, max_length=20)


class SpentShown(Schema):
    cost_usd: Money
    cost_status: CostStatus
    unpriced_calls: int
    tokens: int
    steps: int
    duration_ms: float | None = Field(description="null where steps of several runs are summed")


class CameFrom(Schema):
    run_id: UUID
    steps: int = Field(description="of it that were reused")
    checkpoint: int | None = Field(description="the version gone back to")


class Side(Schema):
    run: RunInList
    own: SpentShown = Field(description="what this run paid")
    reused: SpentShown = Field(description="what the runs it goes on from paid for the steps it has of them: $0 here")
    whole: SpentShown
    came_from: list[CameFrom] = Field(description="the nearest first")


class VerdictShown(Schema):
    code: str = Field(
        description="of b beside a: cheaper, dearer, same_cost, unknown_cost, faster, slower, fewer_tokens, more_tokens, other_tools,"
        " other_models, same_answer, other_answer, other_end"
    )
    amount: float | None = Field(description="USD, ms or tokens")
    only_a: list[str]
    only_b: list[str]


class StepSide(Schema):
    trace_id: str
    span_id: str
    run_id: UUID = Field(description="the run that made and paid for it")
    is_reused: bool
    kind: SpanKind
    name: str
    agent: str | None
    model: str | None
    tool_name: str | None
    status: Literal["ok", "error", "unset"]
    started_at: datetime
    duration_ms: float | None
    tokens: int
    cost_usd: Money
    cost_status: SpanCostStatus
    elapsed_ms: float = Field(description="since the run's beginning; what it reuses took its time too")


class SoFar(Schema):
    a: SpentShown
    b: SpentShown
    difference_usd: Money


class StepPair(Schema):
    number: int
    how: How
    differs: list[str] = Field(description="kind, tool, agent, model, asked, answered, status")
    a: StepSide | None
    b: StepSide | None
    difference_usd: Money = Field(description="b's cost less a's")
    so_far: SoFar


class Compared(Schema):
    a: Side
    b: Side
    shared: SpentShown = Field(description="steps that both have: paid once, counted once in `together`")
    together: SpentShown
    difference_usd: Money = Field(description="what b took more than a, from where they part")
    verdicts: list[VerdictShown]
    first_divergence: int | None
    compared_by: Literal["words", "tokens"] = Field(
        description="tokens: the runs are too long to read all that was said"
    )
    is_exact: bool = Field(description="false: too long to compare each step with each; aligned by what occurs once")
    is_cut: bool = Field(description="true: a run has more steps than are compared")
    step_count: int
    steps: list[StepPair]
    next_cursor: Cursor


class LineShown(Schema):
    kind: Literal["add", "del", "", "gap"]
    text: str


class ChangeShown(Schema):
    path: str
    change: Literal["added", "removed", "changed", "appended"]
    before: Any
    after: Any


class PartShown(Schema):
    name: Literal["asked", "calls", "answered"]
    is_same: bool
    text: str = Field(description="where both are the same, or only one has it")
    lines: list[LineShown] = Field(description="what two texts differ in")
    changes: list[ChangeShown] = Field(description="what two JSON values differ in")
    is_cut: bool


class StepCompared(StepPair):
    parts: list[PartShown]


@router.get("/compare", response=Compared, summary="Two runs side by side")
def compare_runs(request: HttpRequest, query: Query[CompareQuery]) -> HttpResponse:
    team_id = _team_id(request)
    found = _compared(team_id, query)
    limit, after = page_rows(query.limit), _after(query.cursor)
    rows = [row for row in found.rows[after:] if row.is_different or query.only is None]
    shown = rows[:limit] if found.is_by_words else compare.by_words(team_id, rows[:limit])
    return _answer(
        {
            "a": _side(found.a),
            "b": _side(found.b),
            "shared": _sum(found.shared),
            "together": _sum(found.together),
            "difference_usd": money(found.difference_usd),
            "verdicts": [
                {"code": one.code, "amount": one.amount, "only_a": one.a, "only_b": one.b} for one in found.verdicts
            ],
            "first_divergence": found.divergence,
            "compared_by": "words" if found.is_by_words else "tokens",
            "is_exact": found.is_exact,
            "is_cut": found.is_cut,
            "step_count": len(found.rows),
            "steps": [_pair(row) for row in shown],
            "next_cursor": str(rows[limit - 1].number) if len(rows) > limit else None,
        }
    )


@router.get("/compare/{number}", response=StepCompared, summary="Two steps of them, with what their words differ in")
def compare_steps(request: HttpRequest, number: Annotated[int, Path(ge=1)], query: Query[RunsAsked]) -> HttpResponse:
    team_id = _team_id(request)
    found = _compared(team_id, query)
    if number > len(found.rows):
        raise NotFound(f"They have {len(found.rows)} steps side by side.")
    row = found.rows[number - 1]
    if not found.is_by_words:
        row = compare.by_words(team_id, [row])[0]
    parts = [
        {
            "name": part.name,
            "is_same": part.is_same,
            "text": part.text,
            "lines": [{"kind": line.kind, "text": line.text} for line in part.lines],
            "changes": part.changes,
            "is_cut": part.is_cut,
        }
        for part in step_words.side_by_side(team_id, row.a, row.b)
    ]
    return _answer({**_pair(row), "parts": parts})


def _compared(team_id: int, asked: RunsAsked) -> Comparison:
    """Raises NotFound naming the one that is not there."""
    runs = []
    for side, reference in (("a", asked.a), ("b", asked.b)):
        try:
            runs.append(find_run(team_id, reference).run)
        except NotFound:
            raise NotFound(f"This team has no run {side}: its id, external id or trace id.", field=side) from None
    return compare.compare(team_id, *runs)


def _after(cursor: str | None) -> int:
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise Invalid("A cursor is what the page before gave as next_cursor.", field="cursor")
    return int(cursor)


def _side(side: RunSteps) -> dict[str, Any]:
    return {
        "run": run_json(side.run),
        "own": _sum(side.own, has_time=True),
        "reused": _sum(side.reused, has_time=True),
        "whole": _sum(side.whole, has_time=True),
        "came_from": [
            {"run_id": one.run.id, "steps": one.steps, "checkpoint": one.checkpoint} for one in side.came_from
        ],
    }


def _sum(sum: Spent, *, has_time: bool = False) -> dict[str, Any]:
    return {
        "cost_usd": money(sum.cost_usd),
        "cost_status": sum.cost_status,
        "unpriced_calls": sum.unpriced_calls,
        "tokens": sum.tokens,
        "steps": sum.steps,
        "duration_ms": sum.ms if has_time else None,
    }


def _pair(row: Row) -> dict[str, Any]:
    return {
        "number": row.number,
        "how": row.how,
        "differs": row.differs,
        "a": None if row.a is None else _step(row.a),
        "b": None if row.b is None else _step(row.b),
        "difference_usd": money(row.difference_usd),
        "so_far": {
            "a": _sum(row.so_far_a, has_time=True),
            "b": _sum(row.so_far_b, has_time=True),
            "difference_usd": money(row.difference_so_far_usd),
        },
    }


def _step(step: Step) -> dict[str, Any]:
    span = step.span
    return {
        "trace_id": span.trace_id.hex,
        "span_id": span.id,
        "run_id": step.run,
        "is_reused": step.is_reused,
        "kind": span.kind,
        "name": span.name,
        "agent": span.agent,
        "model": step.model,
        "tool_name": span.tool_name,
        "status": span.status,
        "started_at": span.started_at,
        "duration_ms": span.duration_ms,
        "tokens": step.tokens,
        "cost_usd": money(step.span.cost_usd),
        "cost_status": span.cost_status,
        "elapsed_ms": step.elapsed_ms,
    }


def _team_id(request: HttpRequest) -> int:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller.team_id


def _answer(value: dict[str, Any]) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json")
