"""After a call: what it cost, settled and recorded, behind the client's back; and leases kept alive meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.conf import settings

from tracking import ids
from tracking.errors import BudgetExceeded, LoopDetected, Refused, RunKilled, Unavailable
from tracking.gateway import pool, tokens, waiting
from tracking.gateway.admit import Held
from tracking.gateway.asked import Asked
from tracking.gateway.dialects.dialect import Seen
from tracking.gateway.loop_guard import Stored, Turn
from tracking.gateway.routing import Route
from tracking.gateway.together import Together
from tracking.ingest import writer
from tracking.ingest.batch import Batch, Receipt
from tracking.ingest.counting import GATEWAY
from tracking.ledger import verbs
from tracking.ledger.calls import OF_THE_CALL
from tracking.ledger.verbs import Commit, Statement
from tracking.sql import statements
from wflo.pricing import Cost
from wflo.spans import Kind, Span, Status
from wflo.usage import Usage

TRIES, WAIT_SECONDS = 8, 0.25
RECORD_SECONDS = 0.05  # from one writing of records to the next

log = logging.getLogger(__name__)
_tasks: set[asyncio.Task[Any]] = set()
_live: dict[UUID, int] = {}  # holds of this process's calls -> team
_renewing: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Bill:
    """What a call came to. ``usage`` is what it was reckoned from, ``is_estimated`` when the provider did not say."""

    usage: Usage
    cost: Cost
    usd: Decimal | None
    is_estimated: bool
    hold_id: UUID


async def bill(asked: Asked, route: Route, held: Held, seen: Seen) -> Bill:
    """From the provider's own counts; else from a count of the text, in a thread, never above what was held."""
    if seen.is_usage_bad:
        usage = Usage(input_tokens=held.ceiling.base_tokens, output_tokens=held.answer.output_tokens * asked.choices)
        return Bill(usage, held.priced.cost(usage), held.answer.held_usd, True, held.id)
    if seen.usage is not None:
        cost = held.priced.cost(seen.usage)
        return Bill(seen.usage, cost, cost.total, cost.total is None and held.priced.rates is not None, held.id)
    usage = await asyncio.to_thread(_counted, asked, route, held, seen)
    cost = held.priced.cost(usage)
    usd = cost.total
    if usd is not None and held.answer.budget is not None:
        usd = min(usd, held.answer.held_usd)
    return Bill(usage, cost, usd, True, held.id)


def _counted(asked: Asked, route: Route, held: Held, seen: Seen) -> Usage:
    said = 0 if asked.dialect.is_embedding else tokens.estimate(seen.text, seen.pieces)
    if seen.prompt_usage is not None:
        return replace(seen.prompt_usage, output_tokens=said)
    counted = tokens.count(asked.dialect.counted(asked.body), provider=route.provider, model=route.name)
    return Usage(input_tokens=min(counted + asked.kept_tokens, held.ceiling.base_tokens), output_tokens=said)


async def dispatched(asked: Asked, held: Held) -> bool:
    """Note that the call goes out; False when its hold is gone. Raises Unavailable."""
    return await _outgoing.do((asked.caller.team_id, held.id))


async def _dispatch(calls: list[tuple[int, UUID]]) -> list[bool]:
    there = await pool.do(verbs.dispatch([team for team, _ in calls], [id for _, id in calls]))
    return [id in there for _, id in calls]


_outgoing = Together(_dispatch)


class Settled(NamedTuple):
    """What a settled call's run has cost by then, with this call, and whether its memory has the turn now; no cost where
    it has no run."""

    run_cost_usd: Decimal | None
    turn: Stored


def settle(asked: Asked, held: Held, owed: Bill, turn: Turn | None = None) -> asyncio.Future[Settled | None]:
    """Free the hold and spend what it cost, tried again while PostgreSQL is away; its lease covers the worst. The turn is
    stored in the same trip, if the run's memory has not moved on meanwhile.

    The future is None where it is not known what became of it.
    """
    found = owed.usage
    total = (found.input_tokens or 0) + (found.output_tokens or 0)
    entry = held.priced.entry
    detail: dict[str, Any] = {
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cached_tokens": found.cached_tokens,
        "price": None if entry is None else {"id": entry.price_id, "model": entry.model},
        "rates": {line.bucket: str(line.usd_per_token) for line in owed.cost.lines},
    }
    call = {
        "team": asked.caller.team_id, "run": held.call.run, "id": held.id, "usd": owed.usd, "tokens": total,
        "is_estimated": owed.is_estimated, "detail": detail,
    }  # fmt: skip
    if turn is not None:
        call |= {"version": turn.version, "state": orjson.Fragment(turn.state())}
    told: asyncio.Future[Settled | None] = asyncio.get_running_loop().create_future()
    behind(_settled(held.id, call, told))
    return told


async def _settled(id: UUID, call: dict[str, Any], told: asyncio.Future[Settled | None]) -> None:
    async def on_disk() -> None:
        found = await _settling.do(call)
        if not told.done():
            told.set_result(found)
        await _flushing.do(None)

    try:
        await _done(id, on_disk)
    finally:
        if not told.done():
            told.set_result(None)


async def _settle(calls: list[dict[str, Any]]) -> list[Settled]:
    parameters = {"calls": orjson.dumps(calls, default=str).decode(), "commit": None}
    return await pool.do(Statement(statements("gateway")["finish"], parameters, _read_settled, Commit.LATER))


def _read_settled(rows: list[tuple[Any, ...]]) -> list[Settled]:
    return [Settled(cost, Stored(*turn)) for cost, *turn in rows]


async def _flush(waiting: list[None]) -> list[None]:
    await pool.do(Statement(statements("ledger")["flush"], {}, len))
    return waiting


_settling, _flushing = Together(_settle), Together(_flush)


def release(asked: Asked, held: Held) -> None:
    """Nothing was spent."""
    behind(_done(held.id, lambda: pool.do(verbs.release(asked.caller.team_id, held.id))))


async def _done(id: UUID, work: Callable[[], Awaitable[Any]]) -> None:
    try:
        for attempt in range(TRIES):
            try:
                await work()
                return
            except Unavailable:
                await asyncio.sleep(WAIT_SECONDS * 2**attempt)
        log.error("a call could not be settled; its hold expires as an estimate")
    finally:
        _live.pop(id, None)
        waiting.freed()


def behind(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Do it while the client has its answer already; ``drain`` waits for all of it."""
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _tasks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("after a call: %s", task.exception(), exc_info=task.exception())


async def drain() -> None:
    """Wait for what goes on behind answered calls. For the end of the process."""
    while _tasks:
        await asyncio.wait(list(_tasks), timeout=10)


def refused(asked: Asked, error: Refused) -> None:
    """Note a call that is not made, for whoever asks why."""
    budget_id = error.details.get("budget_id") if error.code == BudgetExceeded.code else None
    is_teams = budget_id not in (None, str(OF_THE_CALL))  # of what a caller allows itself nobody else is told
    window = error.details.get("starts_at") or ""
    call = {
        "team": asked.caller.team_id, "id": asked.id, "code": error.code, "status": error.status,
        "message": error.message, "details": error.details, "key": asked.caller.key_id or "", "run": asked.run,
        "agent": asked.agent, "user": asked.user, "model": asked.model,
        "dedupe_key": f"budget:{budget_id}:refused:{window}" if is_teams else "",
    }  # fmt: skip
    behind(_refusing.do(call))
    if budget_id or error.code in (LoopDetected.code, RunKilled.code):
        mark_run(asked, is_loop=error.code == LoopDetected.code, is_broke=bool(budget_id))


async def _refuse(calls: list[dict[str, Any]]) -> list[None]:
    """A client that does not heed Retry-After costs a row a call, and no commit a call."""
    parameters = {"calls": orjson.dumps(calls, default=str).decode()}
    await pool.do(Statement(statements("gateway")["refuse"], parameters, len))
    await asyncio.sleep(RECORD_SECONDS)
    return [None] * len(calls)


_refusing = Together(_refuse)


def mark_run(asked: Asked, *, is_loop: bool = False, is_broke: bool = False) -> None:
    """For the pages: what happened to a run, once its row is there."""
    if asked.is_named:
        parameters = {
            "team": asked.caller.team_id, "run": asked.root, "trace": asked.trace_id, "is_loop": is_loop,
            "is_broke": is_broke,
        }  # fmt: skip
        behind(_marked(Statement(statements("gateway")["mark_run"], parameters, len)))


async def _marked(statement: Statement[int]) -> None:
    for _ in range(TRIES):
        if await pool.do(statement):
            return
        await asyncio.sleep(WAIT_SECONDS)


# --- leases -------------------------------------------------------------------------------------------------------------


def keep_alive(asked: Asked, held: Held) -> None:
    """From now until it is settled or released, the hold's lease is renewed."""
    global _renewing
    _live[held.id] = asked.caller.team_id
    if _renewing is None or _renewing.done():
        _renewing = asyncio.get_running_loop().create_task(_renew())


async def _renew() -> None:
    lease_ms = settings.LIMITS["hold_lease_ms"]
    while True:
        await asyncio.sleep(lease_ms / 4000)
        if not _live:
            continue
        ids = list(_live)
        try:
            await pool.do(verbs.renew([_live.get(id, 0) for id in ids], ids, lease_ms=lease_ms))
        except Unavailable:
            log.warning("leases could not be renewed; they are tried again")


# --- the record ---------------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Course:
    """How an attempt went, for its span."""

    started_ns: int
    first_ns: int | None = None
    attempt: int = 0
    error: str = ""
    notes: tuple[str, ...] = ()


def record(asked: Asked, route: Route, seen: Seen, owed: Bill | None, course: Course) -> None:
    """Hand the attempt's span to the writer; its usage and cost are those of the bill."""
    span = _span(asked, route, seen, owed, course)
    hold = None if owed is None else owed.hold_id
    batch = Batch(
        caller=asked.caller, spans=[span], received_ns=time.time_ns(), received=1, origin="gateway", hold=hold
    )
    behind(_written(batch))


def note_cached(asked: Asked, model: str) -> None:
    """A step of the run that was answered from the cache: no call, and no cost."""
    now = time.time_ns()
    span = Span(
        trace_id=asked.trace_id, span_id=ids.span_id(), parent_id=asked.parent_id, run_id=asked.run,
        name=asked.purpose or f"cached {asked.model}", kind=Kind.CHAIN, convention=GATEWAY, scope="wflo", started_ns=now,
        ended_ns=now, status=Status.OK, agent=asked.agent or None, purpose=asked.purpose or None,
        session_id=asked.session or None, user_id=asked.user or None, metadata=asked.metadata or None,
    )  # fmt: skip
    span.attributes = {
        "wflo.cache.hit": True, "gen_ai.request.model": asked.model, "gen_ai.response.model": model,
        "wflo.call.id": str(asked.id),
    }  # fmt: skip
    batch = Batch(caller=asked.caller, spans=[span], received_ns=now, received=1, origin="gateway")
    behind(_written(batch))


async def _written(batch: Batch) -> None:
    for attempt in range(TRIES):
        try:
            await _recording.do(batch)
        except Unavailable:
            await asyncio.sleep(WAIT_SECONDS * 2**attempt)
        else:
            return
    log.error("the span of a call could not be written")


async def _write(batches: list[Batch]) -> list[Receipt]:
    """At once, and then not again for a moment: a transaction of many costs little more than one of a single span."""
    receipts = await asyncio.gather(*(writer.submit(batch) for batch in batches))
    await asyncio.sleep(RECORD_SECONDS)
    return receipts


_recording = Together(_write)


def _span(asked: Asked, route: Route, seen: Seen, owed: Bill | None, course: Course) -> Span:
    usage = None if owed is None else owed.usage
    operation = "embeddings" if asked.dialect.is_embedding else "chat"
    span = Span(
        trace_id=asked.trace_id,
        span_id=ids.span_id(),
        parent_id=asked.parent_id,
        run_id=asked.run,
        name=asked.purpose or f"{operation} {asked.model}",
        kind=Kind.EMBEDDING if asked.dialect.is_embedding else Kind.LLM,
        convention=GATEWAY,
        scope="wflo",
        started_ns=course.started_ns,
        ended_ns=time.time_ns(),
        status=Status.ERROR if course.error else Status.OK,
        error=course.error or None,
        agent=asked.agent or None,
        model=seen.model or route.name,
        requested_model=asked.model,
        provider=route.provider,
        usage=usage,
        response_id=seen.response_id or None,
        finish_reason=seen.finish_reason or None,
        first_token_ms=None if course.first_ns is None else (course.first_ns - course.started_ns) / 1e6,
        purpose=asked.purpose or None,
        attempt=course.attempt + 1 if course.attempt or course.error else None,
        session_id=asked.session or None,
        user_id=asked.user or None,
        metadata=asked.metadata or None,
        notes=(*course.notes, *asked.guarded),
    )
    span.attributes = _attributes(asked, route, seen, operation)
    return span


def _attributes(asked: Asked, route: Route, seen: Seen, operation: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": route.provider,
        "gen_ai.request.model": asked.model,
        "gen_ai.response.model": seen.model or route.name,
        "wflo.deployment": route.id,
        "wflo.call.id": str(asked.id),
        "wflo.dialect": asked.dialect.name,
    }
    if asked.is_stream:
        found["gen_ai.request.stream"] = True
    prompt = asked.dialect.prompt(asked.body)
    if prompt is not None:
        found["gen_ai.input.messages"] = _text(prompt)
    if seen.message is not None:
        found["gen_ai.output.messages"] = _text(seen.message)
    if asked.body.get("tools"):
        found["gen_ai.tool.definitions"] = _text(asked.body["tools"])
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
