"""What a run did, step by step: its calls of models, tools and the like, in the order of time.

A run that goes on from another (a rollback, a fork) has the other's steps up to the checkpoint as well. They were paid for
there, and are the same spans: ``Step.key`` tells them from others whoever has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from tracking.codes import COST_ESTIMATED, COST_UNKNOWN, KIND_CODES, span_int
from tracking.errors import NotFound
from tracking.models import Checkpoint, JobRun, JobStep, Rollback
from tracking.reports.run import find_run
from tracking.reports.runs import RunRow, cost_status
from tracking.reports.spans import SELECT, ReadSpan, read_row
from wflo.spans import Kind

Key = tuple[int, int]  # of the trace and the span; a UUID takes its time to be looked up

_CALLS = (Kind.LLM, Kind.TOOL, Kind.EMBEDDING, Kind.RERANKER)  # reported twice now and then: one of them counts
_OTHERS = (Kind.RETRIEVER, Kind.GUARDRAIL, Kind.EVALUATOR)
_SLACK = timedelta(milliseconds=5)  # a step's end and the checkpoint after it are read from clocks of their own


@dataclass(frozen=True, slots=True)
class Step:
    """``run`` is the one that made and paid for it; ``is_reused``: it is not the run asked about. ``elapsed_ms``: since the
    beginning, time before a rollback as long as it took."""

    span: ReadSpan
    run: UUID
    is_reused: bool = False
    elapsed_ms: float = 0.0

    @property
    def key(self) -> Key:
        return self.span.trace_id.int, self.span.span_id

    @property
    def model(self) -> str | None:
        return self.span.model or self.span.requested_model

    @property
    def cost_usd(self) -> Decimal | None:
        """Zero for what costs nothing; None where the price is not known."""
        if self.span.cost_usd is None and self.span.cost_status != "unknown":
            return Decimal(0)
        return self.span.cost_usd

    @property
    def tokens(self) -> int:
        if self.span.kind is Kind.EMBEDDING:
            return 0
        return (self.span.input_tokens or 0) + (self.span.output_tokens or 0)


@dataclass(frozen=True, slots=True)
class Spent:
    """Money, tokens and time of some steps. ``cost_usd`` is what is known of it, None where nothing is."""

    known_usd: Decimal | None = None
    unpriced_calls: int = 0
    estimated_calls: int = 0
    tokens: int = 0
    steps: int = 0
    ms: float = 0.0

    @property
    def cost_usd(self) -> Decimal | None:
        return self.known_usd or (None if self.unpriced_calls else Decimal(0))

    @property
    def cost_status(self) -> str:
        return cost_status(self.cost_usd, self.unpriced_calls, self.estimated_calls)

    def then(self, step: Step) -> Spent:
        """With one step more; ``ms`` is when that was over."""
        span = step.span
        return Spent(
            known_usd=self.known_usd if span.cost_usd is None else (self.known_usd or Decimal(0)) + span.cost_usd,
            unpriced_calls=self.unpriced_calls + (span.cost_code == COST_UNKNOWN),
            estimated_calls=self.estimated_calls + (span.cost_code == COST_ESTIMATED),
            tokens=self.tokens + step.tokens,
            steps=self.steps + 1,
            ms=max(self.ms, step.elapsed_ms),
        )

    def __add__(self, more: Spent) -> Spent:
        return Spent(
            known_usd=_sum([self.known_usd, more.known_usd]),
            unpriced_calls=self.unpriced_calls + more.unpriced_calls,
            estimated_calls=self.estimated_calls + more.estimated_calls,
            tokens=self.tokens + more.tokens,
            steps=self.steps + more.steps,
            ms=self.ms + more.ms,
        )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Of those that are known; None where none is."""
    known = [usd for usd in amounts if usd is not None]
    return sum(known, Decimal(0)) if known else None


@dataclass(frozen=True, slots=True)
class Came:
    """A run that this one goes on from: ``steps`` of it were reused. ``checkpoint`` is the version gone back to, where known."""

    run: RunRow
    steps: int
    checkpoint: int | None = None


@dataclass(frozen=True, slots=True)
class RunSteps:
    """``reused`` is paid by ``came_from``, the nearest first; ``is_cut``: there are more than are compared."""

    run: RunRow
    steps: list[Step]
    own: Spent
    reused: Spent
    came_from: list[Came]
    is_cut: bool = False

    @property
    def whole(self) -> Spent:
        """What it takes to get here, whoever paid."""
        return self.own + self.reused


@dataclass(frozen=True, slots=True)
class _From:
    """Up to where a run has the steps of its parent: a position among a job's steps, or a moment."""

    parent: str
    until: datetime | None = None
    position: int | None = None
    checkpoint: int | None = None


def steps_of(team_id: int, run: RunRow) -> RunSteps:
    """Reads two rows for each run it goes on from, and the spans of each; LIMITS["compare_parents"] of them at most."""
    own, is_cut = _spans(team_id, run)
    reused: list[Step] = []
    came: list[Came] = []
    seen, at = {run.id}, run
    most: int | None = None
    while len(came) < settings.LIMITS["compare_parents"]:
        origin = _origin(team_id, at)
        parent = _found(team_id, origin.parent) if origin is not None else None
        if origin is None or parent is None or parent.id in seen:
            break
        seen.add(parent.id)
        if origin.position is not None:
            most = origin.position if most is None else min(most, origin.position)
            origin = replace(origin, position=most)
        spans, is_long = _spans(team_id, parent)
        kept = _until(team_id, parent, spans, origin)
        reused = [Step(span, parent.id, is_reused=True) for span in kept] + reused
        came.append(Came(parent, len(kept), origin.checkpoint))
        at, is_cut = parent, is_cut or is_long
    return _put_together(run, reused, [Step(span, run.id) for span in own], came, is_cut)


def spent(steps: Iterable[Step]) -> Spent:
    """Of these steps; ``ms`` is when the last was over."""
    total = Spent()
    for step in steps:
        total = total.then(step)
    return total


def _put_together(run: RunRow, reused: list[Step], own: list[Step], came: list[Came], is_cut: bool) -> RunSteps:
    most = settings.LIMITS["compare_steps"]
    began = {one.run.id: one.run.started_at for one in came} | {run.id: run.started_at}
    timed: list[Step] = []
    at, before, reached = None, 0.0, 0.0
    for step in [*reused, *own]:
        if step.run != at:
            at, before = step.run, reached
        since = ((step.span.ended_at or step.span.started_at) - began[step.run]).total_seconds() * 1000
        reached = max(reached, before + since)
        timed.append(replace(step, elapsed_ms=before + since))
    total = Spent(
        known_usd=run.cost_usd,
        unpriced_calls=run.unpriced_calls,
        estimated_calls=run.estimated_calls,
        tokens=run.total_tokens,
        steps=len(own),
        ms=run.seen_ms,
    )
    earlier = spent(step for step in timed if step.is_reused)
    return RunSteps(run, timed[:most], total, earlier, came, is_cut or len(timed) > most)


# --- its own spans ----------------------------------------------------------------------------------------------------


def _spans(team_id: int, run: RunRow) -> tuple[list[ReadSpan], bool]:
    """The steps a run made itself, and whether there are more. A sum that nothing better is known for is one too."""
    most = settings.LIMITS["compare_steps"]
    with connection.cursor() as db:
        db.execute(
            f"{SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s"
            " AND (counted AND (kind = ANY(%s) OR is_aggregate) OR kind = ANY(%s) AND NOT is_aggregate)"
            " ORDER BY started_at, span_id LIMIT %s",
            [team_id, run.day, run.trace_id, _codes(_CALLS), _codes(_OTHERS), most + 1],
        )
        found = [read_row(row) for row in db.fetchall()]
    return found[:most], len(found) > most


def _codes(kinds: Sequence[Kind]) -> list[int]:
    return [KIND_CODES[kind] for kind in kinds]


# --- where it comes from ----------------------------------------------------------------------------------------------


def _origin(team_id: int, run: RunRow) -> _From | None:
    """The run it goes on from and the checkpoint it was there. None for one that begins by itself."""
    name = run.external_id or run.trace_id.hex
    job = JobRun.objects.filter(team_id=team_id, run=name).exclude(parent="").first()
    wish = None
    if job is None:
        wish = Rollback.objects.filter(team_id=team_id, new_run=name, status=Rollback.Status.TAKEN).first()
    if job is None and wish is None:
        return None
    id = job.checkpoint_id if job is not None else wish.checkpoint_id if wish is not None else None
    to = None if id is None else Checkpoint.objects.filter(team_id=team_id, id=id).first()
    version = to.version if to is not None else wish.checkpoint_version if wish is not None else None
    if job is not None:
        return _From(job.parent, position=job.from_position, checkpoint=version)
    assert wish is not None
    until = _moment(team_id, to) if to is not None else None
    return _From(wish.run, until=until, checkpoint=version)


def _moment(team_id: int, to: Checkpoint) -> datetime:
    """When its run was there: the end of the span it was saved with or after, else when it came here."""
    parent = _found(team_id, to.run)
    if parent is not None and to.span_id:
        with connection.cursor() as db:
            db.execute(
                "SELECT coalesce(ended_at, started_at) FROM tracking_span"
                " WHERE team_id = %s AND day = %s AND trace_id = %s AND span_id = %s",
                [team_id, parent.day, parent.trace_id, _number(to.span_id)],
            )
            row = db.fetchone()
        if row is not None:
            at: datetime = row[0]
            return at
    return to.created_at


def _number(span_id: str) -> int:
    try:
        return span_int(span_id)
    except ValueError:
        return 0


def _found(team_id: int, reference: str) -> RunRow | None:
    try:
        return find_run(team_id, reference).run
    except NotFound:
        return None


def _until(team_id: int, parent: RunRow, spans: list[ReadSpan], origin: _From) -> list[ReadSpan]:
    """Those of a parent's steps that its child has. Without a known moment (its checkpoint was cleared away) none."""
    until, tools = origin.until, set[int]()
    if origin.position is not None:
        until, tools = _of_job(team_id, parent.external_id or parent.trace_id.hex, origin.position)
    return [span for span in spans if span.span_id in tools or _is_over(span, until)]


def _of_job(team_id: int, run: str, position: int) -> tuple[datetime | None, set[int]]:
    """When a job's run had done so many steps, and its tools' spans until then; a model's span has a number of its own."""
    done: list[tuple[Any, ...]] = list(
        JobStep.objects.filter(team_id=team_id, run=run, position__lte=position).values_list(
            "ended_at", "kind", "span_id"
        )
    )
    moments = [ended for ended, _, _ in done if ended is not None]
    tools = {_number(span_id) for _, kind, span_id in done if kind == JobStep.Kind.TOOL and span_id}
    return max(moments, default=None), tools


def _is_over(span: ReadSpan, until: datetime | None) -> bool:
    return (
        until is not None and span.started_at <= until and span.ended_at is not None and span.ended_at <= until + _SLACK
    )


def parted(team_id: int, run: RunRow, to: Checkpoint) -> tuple[list[Step], list[Step]]:
    """The steps a run made itself, before one of its checkpoints and after it; one that is under way is after it."""
    spans, _ = _spans(team_id, run)
    until = _moment(team_id, to)
    before = [Step(span, run.id) for span in spans if _is_over(span, until)]
    return before, [Step(span, run.id) for span in spans if not _is_over(span, until)]
