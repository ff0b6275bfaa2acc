"""The doors for machines that send: OTLP traces, logs and metrics, and our own events. Small ASGI callables.

The order of work is fixed: method, key, scope, then the body under its caps, then decoding, then the writer. 200 is said
after the commit. A sender hears 503 with a short Retry-After for whatever is not its own fault, because that is the one
answer every OpenTelemetry exporter tries again; never 500, never a redirect.
"""

from __future__ import annotations

import asyncio
import logging
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import orjson
from django.conf import settings

from tracking import keys
from tracking.checkpoints import store
from tracking.checkpoints.new import NewCheckpoint
from tracking.errors import TooLarge, Unauthenticated, Unavailable, WfloServerError
from tracking.ingest import answers, body, logs, native, otlp, writer
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.batch import Batch, Receipt, Standing
from tracking.ingest.body import JSON, PROTOBUF, Envelope, InFlight, Receive, Scope, Send, Stream
from tracking.ingest.clean import clean_all
from tracking.ingest.inflate import inflate
from tracking.ingest.normalise import normalise
from tracking.keys import Caller
from wflo.spans import Rejected, Span

INLINE_BYTES = 64 * 2**10  # larger bodies are unpacked and decoded in a thread, so that nobody waits behind them
SCOPE = "ingest"

_log = logging.getLogger(__name__)
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="wflo-decode")
_in_flight = InFlight(settings.LIMITS["bodies_in_flight_bytes"])
_OTLP = (*PROTOBUF, *JSON)


@dataclass(slots=True)
class Work:
    """What a body turned out to hold. ``places`` are the places in the request of the batch's spans."""

    batch: Batch
    places: list[int]


Read: TypeAlias = Callable[[Caller, Envelope, bytes, int], Work]


async def traces(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/traces: ExportTraceServiceRequest."""
    await _otlp(scope, receive, send, _traces_work, items="spans")


async def log_records(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/logs: contents that belong to spans; other records are answered as not kept."""
    await _otlp(scope, receive, send, _logs_work, items="log records")


async def metrics(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/metrics: read and answered, so that exporters rest content; not kept."""
    await _otlp(scope, receive, send, _metrics_work, items="metrics")


async def events(scope: Scope, receive: Receive, send: Send) -> None:
    """POST /api/v1/ingest: our own events (``native``)."""
    stream = Stream(receive)
    try:
        work = await _taken(scope, stream, _events_work, accepts=JSON, limit=settings.LIMITS["events_bytes"])
        rejected, receipt = await _write(work)
    except Exception as error:
        known = _known(error)
        await stream.finish(known)
        headers = answers.headers_of(known, is_unread=not stream.is_ended)
        await send_bytes(send, known.status, b"application/problem+json", answers.problem(known), headers)
        return
    answer = {
        "accepted": receipt.accepted,
        "known": receipt.known,
        "rejected": [_rejection(one) for one in rejected],
        "control": _control(receipt),
    }
    await send_bytes(send, 200, b"application/json", orjson.dumps(answer))


def _control(receipt: Receipt) -> dict[str, Any]:
    runs = {run.run: _standing(run) for run in receipt.controls}
    return {"runs": runs} if runs else {}


def _standing(run: Standing) -> dict[str, Any]:
    remaining = run.budget_remaining_usd
    return {
        "status": run.status,
        "kill_reason": run.kill_reason or None,
        "budget_remaining_usd": None if remaining is None else float(remaining),
        "rollback": run.rollback,
        "approvals": run.approvals,
    }


async def live(scope: Scope, receive: Receive, send: Send) -> None:
    """GET /health/live: this process answers. Says nothing of PostgreSQL; /health/ready does."""
    if scope["method"] not in ("GET", "HEAD"):
        await send_bytes(
            send, 405, b"application/problem+json", answers.problem(MethodNotAllowed()), [(b"allow", b"GET, HEAD")]
        )
        return
    await send_bytes(send, 200, b"application/json", b'{"alive":true}', [(b"cache-control", b"no-store")])


def close() -> None:
    """Finish what is being decoded and written. For the end of the process."""
    _threads.shutdown()
    writer.stop()


# --- OTLP -------------------------------------------------------------------------------------------------------------


async def _otlp(
    scope: Scope,
    receive: Receive,
    send: Send,
    read: Read,
    *,
    items: str,
) -> None:
    content_type = answers.type_for(body.media_type(dict(scope["headers"])))
    stream = Stream(receive)
    try:
        work = await _taken(scope, stream, read, accepts=_OTLP, limit=settings.LIMITS["body_bytes"])
        rejected, _ = await _write(work)
    except Exception as error:
        known = _known(error)
        await stream.finish(known)
        headers = answers.headers_of(known, is_unread=not stream.is_ended)
        await send_bytes(send, known.status, content_type, answers.otlp_error(known, content_type), headers)
        return
    await send_bytes(send, 200, content_type, answers.otlp_success(content_type, rejected, items=items))


def _traces_work(caller: Caller, envelope: Envelope, raw: bytes, received_ns: int) -> Work:
    decoded = otlp.decode_protobuf(raw) if envelope.content_type in PROTOBUF else otlp.decode_json(raw)
    received = len(decoded.spans) + len(decoded.rejected)
    bad = {one.index for one in decoded.rejected}
    places = [index for index in range(received) if index not in bad] if bad else list(range(received))
    return _work(caller, decoded.spans, places, decoded.rejected, received, received_ns, origin="otlp")


def _logs_work(caller: Caller, envelope: Envelope, raw: bytes, received_ns: int) -> Work:
    is_protobuf = envelope.content_type in PROTOBUF
    records = otlp.decode_protobuf_logs(raw) if is_protobuf else otlp.decode_json_logs(raw)
    contents, rejected = logs.by_span(records)
    batch = Batch(
        caller=caller, spans=[], received_ns=received_ns, received=len(records), rejected=rejected, logs=contents
    )
    return Work(batch, [])


def _metrics_work(caller: Caller, envelope: Envelope, raw: bytes, received_ns: int) -> Work:
    if envelope.content_type in PROTOBUF:
        otlp.decode_protobuf_metrics(raw)
    else:
        otlp.decode_json_metrics(raw)
    return Work(Batch(caller=caller, spans=[], received_ns=received_ns, received=0), [])


def _events_work(caller: Caller, envelope: Envelope, raw: bytes, received_ns: int) -> Work:
    limits = settings.LIMITS
    decoded = native.decode_events(
        raw,
        events_max=limits["events_per_request"],
        open_runs_max=limits["open_runs_per_request"],
        reasons_max=limits["drop_reasons_per_request"],
    )
    received = len(decoded.spans) + len(decoded.rejected)
    states = [one for state in decoded.states if (one := _checkpoint(caller, state)) is not None]
    work = _work(caller, decoded.spans, decoded.places, decoded.rejected, received, received_ns, origin="sdk")
    work.batch.checkpoints, work.batch.open_runs, work.batch.dropped = states, decoded.open_runs, decoded.dropped
    work.batch.parents = decoded.parents
    return work


def _checkpoint(caller: Caller, state: native.State) -> NewCheckpoint | None:
    """None for a state that cannot be kept; its step says why."""
    new = NewCheckpoint(
        team_id=caller.team_id, redaction=caller.redaction, id=state.id, run=state.run, state=state.value, name=state.name,
        agent=state.agent, step=state.step, span_id=state.span.span_id, lossy_paths=state.lossy_paths,
    )  # fmt: skip
    try:
        return store.checked(new)
    except WfloServerError as error:
        state.span.notes += (error.message,)
        return None


def _work(
    caller: Caller,
    spans: list[Span],
    places: list[int],
    rejected: list[Rejected],
    received: int,
    received_ns: int,
    *,
    origin: str,
) -> Work:
    rejected = list(rejected)
    for sift in (partial(clean_all, received_ns=received_ns), normalise):
        spans, bad = sift(spans)
        if bad:
            rejected += [_placed(one, places) for one in bad]
            out = {one.index for one in bad}
            places = [place for index, place in enumerate(places) if index not in out]
    rejected.sort(key=lambda one: one.index)
    batch = Batch(
        caller=caller, spans=spans, received_ns=received_ns, received=received, rejected=rejected, origin=origin
    )
    return Work(batch, places)


def _placed(one: Rejected, places: list[int]) -> Rejected:
    return Rejected(index=places[one.index], code=one.code, message=one.message, event_id=one.event_id)


# --- what all doors share ---------------------------------------------------------------------------------------------


async def _taken(scope: Scope, stream: Stream, read: Read, *, accepts: tuple[str, ...], limit: int) -> Work:
    """What the request holds. The key is judged before a byte of the body is read."""
    if scope["method"] != "POST":
        raise MethodNotAllowed
    headers = dict(scope["headers"])
    caller = await _caller(headers)
    envelope = body.envelope(headers, accepts=accepts)
    with _in_flight.hold() as hold:
        raw = await body.read(stream, envelope, hold, limit=limit)
        received_ns = time.time_ns()
        if envelope.coding:
            raw = await _unpacked(raw, envelope.coding, limit)
            hold.grow(len(raw))
        if len(raw) <= INLINE_BYTES:
            return read(caller, envelope, raw, received_ns)
        return await asyncio.get_running_loop().run_in_executor(_threads, read, caller, envelope, raw, received_ns)


async def _unpacked(raw: bytes, coding: str, limit: int) -> bytes:
    """Most bodies are small however they were packed; what turns out larger is unpacked again in a thread."""
    try:
        return inflate(raw, coding, limit=INLINE_BYTES)
    except TooLarge:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads, lambda: inflate(raw, coding, limit=limit))


async def _caller(headers: dict[bytes, bytes]) -> Caller:
    """The key comes as Bearer, as X-API-Key, or, from Langfuse's SDK, as one part of Basic."""
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        secret = keys.secret_of(authorization, headers.get(b"x-api-key", b"").decode("latin-1"))
        return await keys.acaller_for(secret, scope=SCOPE)
    try:
        public, _, secret = b64decode(rest.strip(), validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        raise Unauthenticated("The Basic credentials are not base64.") from None
    try:
        return await keys.acaller_for(secret, scope=SCOPE)
    except Unauthenticated:
        if not public:
            raise
    return await keys.acaller_for(public, scope=SCOPE)


async def _write(work: Work) -> tuple[list[Rejected], Receipt]:
    """Commit, and say what was not kept, by its place in the request."""
    batch = work.batch
    if not (batch.received or batch.open_runs or batch.dropped):
        return [], Receipt()
    receipt = await asyncio.shield(writer.submit(batch))  # a sender that hangs up does not undo the commit
    before = len(batch.rejected)
    late = [_placed(one, work.places) for one in receipt.rejected[before:]]
    return [*receipt.rejected[:before], *late], receipt


def _known(error: Exception) -> WfloServerError:
    """The error to answer with. What nobody foresaw is logged, and is our fault: 503, and nothing of it is told."""
    if isinstance(error, WfloServerError):
        return error
    _log.error("ingest failed", exc_info=error)
    return Unavailable()


def _rejection(one: Rejected) -> dict[str, Any]:
    out: dict[str, Any] = {"index": one.index, "code": one.code, "message": one.message}
    if one.event_id is not None:
        out["event_id"] = one.event_id
    return out
