"""The gateway's doors: small ASGI callables, one a dialect. Read, call, answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings

from tracking import keys
from tracking.errors import GuardRefused, Unavailable, WfloServerError
from tracking.gateway import (
    answer_cache,
    answers,
    asked,
    call,
    finish,
    guard,
    http_provider,
    kept_answers,
    kept_responses,
    loop_guard,
    pool,
    rate_limits,
    request_body,
)
from tracking.gateway.call import Answered, Begun
from tracking.gateway.dialects import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Dialect
from tracking.gateway.kept_answers import Kept
from tracking.gateway.sending import SSE_TYPE, send_stream
from tracking.ingest import body
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import JSON, InFlight, Receive, Scope, Send, Stream
from tracking.keys import Caller

SCOPE = "gateway"
_JSON = b"application/json"

_log = logging.getLogger(__name__)
_in_flight = InFlight(settings.LIMITS["bodies_in_flight_bytes"])


async def chat_completions(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/chat/completions."""
    await _call(scope, receive, send, CHAT)


async def completions(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/completions."""
    await _call(scope, receive, send, COMPLETIONS)


async def embeddings(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/embeddings."""
    await _call(scope, receive, send, EMBEDDINGS)


async def responses(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/responses."""
    await _call(scope, receive, send, RESPONSES)


async def messages(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/messages."""
    await _call(scope, receive, send, MESSAGES)


async def close() -> None:
    """Settle and record what goes on, then hang up. For the end of the process."""
    await finish.drain()
    await http_provider.close()
    await rate_limits.close()
    await pool.close()


async def _call(scope: Scope, receive: Receive, send: Send, dialect: Dialect) -> None:
    stream = Stream(receive)
    try:
        wanted = await read(scope, stream, dialect)
        kept = await kept_answers.claim(wanted)
        made = await _made(wanted) if kept is None else None
        if isinstance(made, Kept):
            await kept_answers.keep(wanted, made.headers, made.body)
            kept, made = made, None
    except Exception as error:
        if not stream.is_ended and isinstance(error, WfloServerError):
            await stream.finish(error)
        await refuse(send, dialect, error)
        return
    if isinstance(made, Begun):
        await _stream(receive, send, made)
    elif made is not None:
        content, headers = _body(made), _headers(made)
        await answer_cache.keep(wanted, made)
        await kept_answers.keep(wanted, headers, content)
        await send_bytes(send, 200, _JSON, content, headers)
    elif kept is not None:
        await send_bytes(send, kept.status, SSE_TYPE if wanted.is_stream else _JSON, kept.body, kept.headers)


async def _made(wanted: asked.Asked) -> Answered | Begun | Kept:
    """The call's whole answer, its stream's beginning, or what the same question was answered with."""
    try:
        found = await answer_cache.find(wanted)
        if found is not None:
            return found
        guard.look_at_prompt(wanted)
        await kept_responses.recall(wanted)
        if wanted.is_stream:
            return await call.begin(wanted)
        return guard.look_at_answer(wanted, await call.complete(wanted))
    except GuardRefused as error:
        error.call_id = str(wanted.id)
        finish.refused(wanted, error)
        kept_answers.give_up(wanted)
        raise
    except BaseException:
        kept_answers.give_up(wanted)
        raise


async def read(scope: Scope, stream: Stream, dialect: Dialect) -> asked.Asked:
    """The key is judged before a byte of the body is read."""
    if scope["method"] != "POST":
        raise MethodNotAllowed
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    caller = await caller_of(headers)
    envelope = body.envelope(headers, accepts=JSON)
    with _in_flight.hold() as hold:
        raw = await body.read(stream, envelope, hold, limit=settings.LIMITS["body_bytes"])
    found = asked.read(dialect, caller, headers, request_body.parsed(raw), raw)
    found.guard = guard.of(found, headers)
    return found


async def caller_of(headers: Mapping[bytes, bytes]) -> Caller:
    secret = keys.secret_of(
        headers.get(b"authorization", b"").decode("latin-1"), headers.get(b"x-api-key", b"").decode("latin-1")
    )
    return await keys.acaller_for(secret, scope=SCOPE)


def _headers(answered: Answered) -> list[tuple[bytes, bytes]]:
    begun = answered.begun
    found = _named(begun)
    if answered.bill.usd is not None:
        found.append((b"x-agentwall-cost", f"{answered.bill.usd:f}".encode()))
        found.append((b"x-wflo-cost-usd", f"{answered.bill.usd:f}".encode()))
    return found


def _named(begun: Begun) -> list[tuple[bytes, bytes]]:
    run = begun.asked.run.encode("utf-8", "replace")
    step = b"%d" % max(begun.held.steps, 1)
    found = [
        (b"x-agentwall-run-id", run),
        (b"x-agentwall-step", step),
        (b"x-wflo-run-id", run),
        (b"x-wflo-call-id", str(begun.asked.id).encode()),
        (b"x-wflo-model", begun.route.model.encode("utf-8", "replace")),
    ]
    found += begun.asked.rate_headers
    if begun.asked.cache_place is not None:
        found.append(answer_cache.MISS)
    free = _remaining(begun)
    if free is not None:
        found.append((b"x-wflo-budget-remaining-usd", f"{free:f}".encode()))
    return found


def _remaining(begun: Begun) -> Decimal | None:
    """What the tightest budget in money has left while this call's hold stands; None where there is none."""
    budget = begun.held.answer.budget
    if budget is None or budget.free_usd is None:
        return None
    return max(budget.free_usd - begun.held.answer.held_usd, Decimal(0))


def _body(answered: Answered) -> bytes:
    """The provider's bytes, with what Wflo knows of the call put in before the last brace."""
    begun, text = answered.begun, answered.body.rstrip()
    known = {
        "run_id": begun.asked.run,
        "step": max(begun.held.steps, 1),
        "cost_usd": _number(answered.bill.usd),
        "total_run_cost": _number(answered.run_cost_usd),
        "total_run_steps": max(begun.held.steps, 1),
        "overhead_ms": round(begun.overhead_ms, 3),
        "provider": begun.route.provider,
        "cost_status": "estimated"
        if answered.bill.is_estimated
        else "unknown"
        if answered.bill.usd is None
        else "known",
        "is_cut": begun.held.is_cut,
        "budget_remaining": _number(_remaining(begun)),
    }
    warning = loop_guard.warning(begun.asked.judged)
    known["loop_detected"] = warning is not None
    if warning is not None:
        known["warning"] = warning
    comma = b"" if text == b"{}" else b","
    return text[:-1] + comma + b'"agentwall":' + orjson.dumps(known) + b"}"


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


async def _stream(receive: Receive, send: Send, begun: Begun) -> None:
    wanted, headers = begun.asked, _named(begun)
    tape, place = kept_answers.tape(wanted), answer_cache.record(begun)
    tapes = [found for found in (tape, place.tape if place is not None else None) if found is not None]

    async def pieces(gone: asyncio.Event) -> AsyncGenerator[bytes, None]:
        told = guard.pieces_of(begun, call.relay(begun, gone))
        try:
            async for data in told:
                for each in tapes:
                    each.add(data)
                yield data
        finally:
            await told.aclose()

    has_stayed = False
    try:
        has_stayed = await send_stream(receive, send, headers, pieces)
    finally:
        is_whole = has_stayed and not (begun.course.error or begun.course.notes)
        kept_answers.keep_tape(wanted, tape, headers, is_whole=is_whole)


async def refuse(send: Send, dialect: Dialect, error: Exception) -> None:
    known = error if isinstance(error, WfloServerError) else Unavailable()
    if known is not error:
        _log.error("a call failed", exc_info=error)
    content = dialect.error_body(answers.error_of(known))
    await send_bytes(send, known.status, _JSON, orjson.dumps(content, default=str), answers.headers_of(known))
