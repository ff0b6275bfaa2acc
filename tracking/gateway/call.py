"""The guarded call: resolve the name, hold the money, call a deployment, and another if that fails; then the bill."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

import orjson
from django.conf import settings

from tracking.errors import (
    BudgetExceeded,
    LoopDetected,
    Refused,
    RunKilled,
    TeamNotActive,
    Unavailable,
    Unpriced,
    UpstreamFailed,
)
from tracking.gateway import (
    agent_breakers,
    answers,
    breakers,
    failures,
    finish,
    kept_responses,
    killed_streams,
    loop_guard,
    pool,
    provider,
    rate_limits,
)
from tracking.gateway.admit import Held, admit
from tracking.gateway.asked import Asked
from tracking.gateway.breakers import Passed
from tracking.gateway.ceiling import price_of
from tracking.gateway.dialects.dialect import Seen
from tracking.gateway.dialects.sse import TooLong
from tracking.gateway.finish import Bill, Course, Settled
from tracking.gateway.loop_guard import Turn
from tracking.gateway.provider import Upstream
from tracking.gateway.routing import Route, Routes, resolve
from tracking.keys import Caller
from tracking.ledger import verbs
from tracking.ledger.calls import Standing
from tracking.models import Team

SLACK_TOKENS = 32  # pieces of a stream are about a token each, not exactly
CLIENT_LEFT = "the client left"
DRAIN_SECONDS = 3.0  # of a stream whose reader left: its usage comes last


@dataclass(slots=True)
class Begun:
    """A call whose provider has begun to answer."""

    asked: Asked
    routes: Routes
    route: Route
    held: Held
    upstream: Upstream
    course: Course
    began_ns: int
    provider_ns: int = 0  # spent waiting for the provider
    failed: list[str] = field(default_factory=list)  # deployments that were tried before
    passed: Passed | None = None  # its circuit's leave
    on_close: Callable[[Bill, str], Awaitable[None]] | None = None  # told what a stream came to, and what went wrong

    @property
    def overhead_ms(self) -> float:
        return (time.time_ns() - self.began_ns - self.provider_ns) / 1e6


@dataclass(slots=True)
class Answered:
    """A whole answer, as the provider gave it, and what it came to."""

    begun: Begun
    body: bytes
    answer: dict[str, object]
    seen: Seen
    bill: Bill
    run_cost_usd: Decimal  # of the whole run, with this call


async def begin(asked: Asked) -> Begun:
    """Everything before the first byte of an answer. Raises the errors of ``Refused``, UpstreamFailed, Unavailable."""
    try:
        return await _begin(asked)
    except Refused as error:
        error.call_id = str(asked.id)
        finish.refused(asked, error)
        if isinstance(error, LoopDetected):
            agent_breakers.looped(asked, error)
        raise
    except UpstreamFailed as error:
        agent_breakers.failed(asked, error)
        finish.behind(loop_guard.remember(asked, loop_guard.turn(asked, asked.judged, None, None)))
        raise


async def _begin(asked: Asked) -> Begun:
    began_ns = time.time_ns()
    check_team(asked.caller)
    await agent_breakers.ask(asked)
    try:
        await rate_limits.take(asked)
        try:
            return await _answered(asked, began_ns)
        except BaseException:
            rate_limits.ended(asked)
            raise
    except UpstreamFailed:
        raise
    except BaseException:
        agent_breakers.gave_up(asked)
        raise


async def _answered(asked: Asked, began_ns: int) -> Begun:
    """By the first deployment that has room, is not given a rest, and does not fail."""
    routes = await resolve(asked.caller, asked.model)
    failed: list[str] = []
    failure: UpstreamFailed | None = None
    order = kept_responses.at_home(asked, routes.in_order())
    attempt, is_crowded = -1, False
    for route in order:
        if not await rate_limits.has_room(asked, route):
            is_crowded = True
            continue
        passed = await breakers.ask(asked, route)
        if passed is None:
            continue
        attempt += 1
        try:
            held, upstream, course = await _attempt(asked, passed, route, attempt)
        except UpstreamFailed as error:
            if not failures.is_retryable(error, on_auth=routes.fallback_on_auth):
                raise
            failure = error
            failed.append(route.model)
            if attempt + 1 >= settings.LIMITS["gateway_attempts"]:
                break
        except Unpriced:
            if failure is None:
                raise
            # what failed before says more
        else:
            took_ns = (course.first_ns or time.time_ns()) - course.started_ns
            return Begun(asked, routes, route, held, upstream, course, began_ns, took_ns, failed, passed)
    raise failure or (rate_limits.crowded(asked) if is_crowded else breakers.refuse(asked, order))


async def _attempt(asked: Asked, passed: Passed, route: Route, attempt: int) -> tuple[Held, Upstream, Course]:
    """One deployment; its circuit is told unless it answered: then whoever reads the answer tells it."""
    try:
        found = await _sent(asked, route, attempt)
    except BaseException as error:
        breakers.failed(passed, error)
        raise
    if passed.probe is not None:
        breakers.succeeded(passed)
    return found


async def _sent(asked: Asked, route: Route, attempt: int) -> tuple[Held, Upstream, Course]:
    held = await admit(asked, route, await price_of(asked.caller.team_id, route), attempt=attempt)
    finish.keep_alive(asked, held)
    if loop_guard.warning(asked.judged) is not None and attempt == 0:
        finish.behind(pool.do(loop_guard.told(asked, asked.judged)))
        finish.mark_run(asked, is_loop=True)
        if loop_guard.is_sure(asked.judged):
            agent_breakers.looped(asked, loop_guard.refuse(asked, asked.judged))
    await _dispatch(asked, held)
    course = Course(started_ns=time.time_ns(), attempt=attempt)
    timeout_s = route.timeout_seconds or settings.LIMITS["gateway_answer_seconds"]
    try:
        upstream = await provider.send(route, asked, output_tokens=held.limit_tokens, timeout_s=timeout_s)
    except BaseException as error:
        course.error = error.message if isinstance(error, UpstreamFailed) else "the call was given up"
        if isinstance(error, UpstreamFailed) and not failures.may_have_cost(error):
            finish.release(asked, held)
            finish.record(asked, route, Seen(), None, course)
        else:  # nobody knows what it cost: all that was held
            owed = await finish.bill(asked, route, held, Seen(is_usage_bad=True))
            finish.settle(asked, held, owed)
            finish.record(asked, route, Seen(), owed, course)
        raise
    course.first_ns = time.time_ns()
    return held, upstream, course


async def _dispatch(asked: Asked, held: Held) -> None:
    """Note that the call goes out. Raises Unavailable when that cannot be noted, or the hold is gone: it stays here then."""
    is_held = False
    try:
        is_held = await finish.dispatched(asked, held)
    finally:
        if not is_held:
            finish.release(asked, held)
    if not is_held:
        raise Unavailable("The store went away while the call was held for, so it was not made. Try again in a moment.")


def check_team(caller: Caller) -> None:
    status = caller.policy.status
    if status == Team.Status.SUSPENDED:
        raise TeamNotActive("The team is suspended; its administrators know why.")
    if status == Team.Status.PAUSED:
        paused = TeamNotActive("The team is paused for a while. Try again later.")
        paused.status, paused.may_retry, paused.retry_after_s = 429, True, 60.0
        raise paused


async def complete(asked: Asked) -> Answered:
    """A whole answer. Raises as ``begin`` does."""
    begun = await begin(asked)
    body = begun.upstream.body
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict):
        owed = await finish.bill(asked, begun.route, begun.held, Seen())
        _close(begun, Seen(), owed, error="the provider's answer is no JSON object")
        raise UpstreamFailed("The provider's answer is no JSON object.", provider=begun.route.provider)
    seen = asked.dialect.answered(answer)
    owed = await finish.bill(asked, begun.route, begun.held, seen)
    turn = None
    try:
        turn = loop_guard.turn(asked, asked.judged, seen, owed.usd)
    finally:  # what was answered is paid, whatever the rule makes of it
        settling = _close(begun, seen, owed, turn)
    told = await _told(begun, settling)
    await loop_guard.settled(asked, turn, None if told is None else told.turn)
    cost = None if told is None else told.run_cost_usd
    known = begun.held.run_cost_usd + (owed.usd or Decimal(0)) if cost is None else cost
    return Answered(begun, body, answer, seen, owed, known)


async def _told(begun: Begun, settling: asyncio.Future[Settled | None]) -> Settled | None:
    """How the call's run stands when all that was answered before is settled; a store that is away makes nobody wait for
    long."""
    if not begun.held.call.run:
        return None
    await asyncio.wait([settling], timeout=settings.LIMITS["gateway_store_seconds"])
    return settling.result() if settling.done() else None


def _close(
    begun: Begun,
    seen: Seen,
    owed: Bill,
    turn: Turn | None = None,
    *,
    error: str = "",
    notes: tuple[str, ...] = (),
) -> asyncio.Future[Settled | None]:
    """Settle, record and tell whoever must know; the future is ``finish.settle``'s."""
    settling = finish.settle(begun.asked, begun.held, owed, turn)
    begun.course.error, begun.course.notes = error, notes
    _tell_circuits(begun, error)
    rate_limits.ended(begun.asked, (owed.usage.input_tokens or 0) + (owed.usage.output_tokens or 0))
    finish.record(begun.asked, begun.route, seen, owed, begun.course)
    kept_responses.remember(begun.asked, begun.route, seen)
    return settling


def _tell_circuits(begun: Begun, error: str) -> None:
    """Of what was read to its end; that a probe is answered was told when it began."""
    if error == CLIENT_LEFT:
        agent_breakers.gave_up(begun.asked)
    elif error:
        agent_breakers.broke(begun.asked, error)
    else:
        agent_breakers.succeeded(begun.asked)
    if begun.passed is None:
        return
    if error and error != CLIENT_LEFT:
        breakers.broke(replace(begun.passed, probe=None), error)
    elif begun.passed.probe is None:
        breakers.succeeded(begun.passed)


# --- streams ------------------------------------------------------------------------------------------------------------


async def relay(begun: Begun, gone: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """The provider's bytes as they come, and at the end what must be said: the money ended, or the provider broke off.

    ``gone`` is set when the client has left; what the provider still says is then read for its usage, for a while.
    Whatever happens, the call is settled and recorded.
    """
    stream = _Stream(begun)
    watched = killed_streams.watch(begun.asked, stream.stop)
    try:
        async for data in stream.passed_on(gone):
            yield data
    finally:
        killed_streams.forget(watched)
        await stream.close(gone)


class _Stream:
    def __init__(self, begun: Begun) -> None:
        self.begun = begun
        self.reader = begun.asked.dialect.reader(begun.asked.body)
        self.held_tokens = self._first_held()
        self.error = ""
        self.notes: tuple[str, ...] = ()
        self.is_cut = False
        self.is_last = False  # an elastic hold that cannot grow any more
        self.kill_reason: str | None = None
        self._waiting: asyncio.Timeout | None = None  # for the provider's next piece
        self._ends_at = time.monotonic() + settings.LIMITS["gateway_stream_seconds"]

    def stop(self, reason: str) -> None:
        """The run was stopped: end here, whatever is waited for."""
        self.kill_reason = reason
        if self._waiting is not None:
            self._waiting.reschedule(0)

    def _first_held(self) -> int:
        held = self.begun.held
        return held.answer.held_tokens - held.ceiling.base_tokens

    async def passed_on(self, gone: asyncio.Event) -> AsyncGenerator[bytes, None]:
        dialect, seen = self.begun.asked.dialect, self.reader.seen
        async for data in self._pieces():
            try:
                out = self.reader.feed(data)
            except TooLong:
                self.error = "an event of the stream never ended"
                break
            if out:
                yield out
            if gone.is_set():
                return
            refusal = await self._money_ended()
            if refusal is not None:
                yield await self._cut(refusal, "the money ended")
                return
        if self.kill_reason is not None and not seen.is_complete:
            yield await self._cut(self._killed(), "the run was stopped")
            return
        if seen.error:
            self.error = self.error or seen.error
        elif not seen.is_complete or self.error:
            self.error = self.error or "the provider broke the stream off"
            failed = {
                "message": f"The answer is not whole: {self.error}.",
                "type": "upstream_error",
                "code": "upstream_error",
            }
            yield dialect.error_event(failed)
            return
        if self.begun.held.is_cut and self.reader.end().finish_reason in ("length", "max_tokens", "incomplete"):
            self.notes = ("the answer was cut to what the budget pays for",)
            yield dialect.error_event(self._refusal())
        await self._remember()
        if self.reader.held_back:
            yield self.reader.held_back

    async def _cut(self, refusal: dict[str, object], note: str) -> bytes:
        self.is_cut = True
        self.notes = (note,)
        await self.begun.upstream.close()
        return self.begun.asked.dialect.cut_event(self.reader.end(), refusal)

    def _killed(self) -> dict[str, object]:
        asked = self.begun.asked
        finish.mark_run(asked)
        words = f"The answer ends here: the run was stopped: {self.kill_reason or 'no reason given'}."
        return answers.error_of(RunKilled(words, run_id=asked.run, kill_reason=self.kill_reason))

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """Until the end, until the run is stopped, or until nothing came for too long."""
        chunks = self.begun.upstream.chunks
        assert chunks is not None
        iterator = aiter(chunks)
        while self.kill_reason is None:
            left_s = min(settings.LIMITS["gateway_idle_seconds"], self._ends_at - time.monotonic())
            try:
                async with asyncio.timeout(max(left_s, 0)) as self._waiting:
                    data = await anext(iterator)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if self.kill_reason is not None:
                    return
                self.error = "nothing came for too long"
                return
            finally:
                self._waiting = None
            yield data

    async def _money_ended(self) -> dict[str, object] | None:
        """A hold that is used up grows; where it cannot, or the provider does not keep to its cap, the stream ends."""
        held, seen = self.begun.held, self.reader.seen
        if held.answer.budget is None or seen.usage is not None:
            return None
        if not held.is_growing:
            return self._refusal() if seen.pieces > self.held_tokens * 5 // 4 + SLACK_TOKENS else None
        if seen.pieces + SLACK_TOKENS // 2 >= self.held_tokens and not self.is_last:
            await self._grow(held.ceiling.slice)
        return self._refusal() if self.is_last and seen.pieces >= self.held_tokens else None

    async def _grow(self, more: int) -> None:
        """Hold for so many tokens more, or for as many as there still is money for; then it is the last time."""
        held, asked = self.begun.held, self.begun.asked
        each_usd = held.ceiling.output_usd or Decimal(0)
        for _ in range(2):
            extend = verbs.extend(
                asked.caller.team_id,
                held.id,
                usd=each_usd * more,
                tokens=more * asked.choices,
                lease_ms=settings.LIMITS["hold_lease_ms"],
            )
            grown = await pool.do(extend)
            if grown.is_held:
                held.answer = replace(held.answer, held_usd=grown.held_usd, held_tokens=grown.held_tokens)
                self.held_tokens += more
                return
            self.is_last = True
            more = min(more, _payable(grown.budget, each_usd, asked.choices))
            if more <= 0:
                return

    def _refusal(self) -> dict[str, object]:
        budget = self.begun.held.answer.budget
        name = budget.name if budget is not None else ""
        return {
            "message": f'The answer ends here: the budget "{name}" has no more money for it.',
            "type": BudgetExceeded.code,
            "code": BudgetExceeded.code,
            "run_id": self.begun.asked.run,
            "budget": name,
            "budget_id": str(budget.id) if budget is not None else None,
        }

    async def close(self, gone: asyncio.Event) -> None:
        if gone.is_set() and not self.is_cut:
            finish.behind(self._drained())
            return
        await self._closed()

    async def _drained(self) -> None:
        """The client left: what the provider still says tells what it bills."""
        self.error = self.error or CLIENT_LEFT
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                async for data in self._pieces():
                    self.reader.feed(data)
        except (TimeoutError, TooLong):
            pass
        await self._closed()

    async def _remember(self) -> None:
        """The turn, before its end is told: whoever calls next finds it. Once."""
        asked, judged = self.begun.asked, self.begun.asked.judged
        asked.judged = None
        if judged is not None:
            seen = self.reader.end()
            cost = None if seen.usage is None else self.begun.held.priced.cost(seen.usage).total
            await loop_guard.remember(asked, loop_guard.turn(asked, judged, seen, cost))

    async def _closed(self) -> None:
        await self._remember()
        await self.begun.upstream.close()
        seen = self.reader.end()
        owed = await finish.bill(self.begun.asked, self.begun.route, self.begun.held, seen)
        _close(self.begun, seen, owed, error=self.error, notes=self.notes)
        if self.begun.on_close is not None:
            await self.begun.on_close(owed, self.error)


def _payable(budget: Standing | None, each_usd: Decimal, choices: int) -> int:
    """Output tokens of each choice that the rest of a budget pays for."""
    if budget is None:
        return 0
    found = [2**31]
    if budget.free_usd is not None and each_usd:
        found.append(int(budget.free_usd / each_usd))
    if budget.free_tokens is not None:
        found.append(budget.free_tokens // choices)
    return min(found)
