"""The answers of the ingest doors: OTLP's in the encoding of the request, and problem JSON for our own events.

OTLP: opentelemetry-proto ``docs/specification.md``, "OTLP/HTTP Response". Errors are google.rpc.Status, whose messages
are small enough to be written here by hand. Problems: RFC 9457.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from tracking.errors import Unavailable, WfloServerError
from tracking.ingest.body import PROTOBUF, Send
from tracking.problems import problem_json
from wflo.spans import Rejected

EXAMPLES_MAX = 5  # rejected items named in one answer
RETRY_AFTER_S_MAX = 5  # current exporters give up at once when told to wait longer than their own deadline
RETRY_AFTER_QUOTA_S = 5

_RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
_JSON = b"application/json"


class MethodNotAllowed(WfloServerError):
    """This address takes POST only."""

    code = "method_not_allowed"
    status = 405


async def send_bytes(
    send: Send, status: int, content_type: bytes, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> None:
    fixed = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": body})


def headers_of(error: WfloServerError, *, is_unread: bool = False) -> list[tuple[bytes, bytes]]:
    """What an error says in headers: when to come back, which method is right, how to sign in.

    ``is_unread``: a part of the body never came, so nothing more can be said on this connection.
    """
    headers = [(b"connection", b"close")] if is_unread else []
    if error.status == 405:
        headers.append((b"allow", b"POST"))
    elif error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="wflo"'))
    elif isinstance(error, Unavailable):
        wait_s = min(max(error.retry_after_s, 1), RETRY_AFTER_S_MAX)
        headers.append((b"retry-after", b"%d" % wait_s))
    elif error.status == 429:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_QUOTA_S))
    return headers


def type_for(content_type: str) -> bytes:
    """The content type of an answer: the request's own where it is protobuf, else JSON."""
    return content_type.encode("ascii") if content_type in PROTOBUF else _JSON


def otlp_error(error: WfloServerError, content_type: bytes) -> bytes:
    """google.rpc.Status{code, message}."""
    code = _RPC_CODES.get(error.status, 13)
    if content_type == _JSON:
        return orjson.dumps({"code": code, "message": error.message})
    return b"\x08" + _varint(code) + _text(b"\x12", error.message)


def otlp_success(content_type: bytes, rejected: Sequence[Rejected], *, items: str, total: int | None = None) -> bytes:
    """Export...ServiceResponse. Without anything rejected it is empty, as the specification wants it."""
    count = len(rejected) if total is None else total
    if not count:
        return b"{}" if content_type == _JSON else b""
    message = _examples(rejected, count, items)
    if content_type == _JSON:
        name = "rejectedLogRecords" if items == "log records" else "rejectedSpans"
        return orjson.dumps({"partialSuccess": {name: str(count), "errorMessage": message}})
    partial = b"\x08" + _varint(count) + _text(b"\x12", message)
    return b"\x0a" + _varint(len(partial)) + partial


def _examples(rejected: Sequence[Rejected], count: int, items: str) -> str:
    named = [f"{items.removesuffix('s')} {one.index}: {one.message}" for one in rejected[:EXAMPLES_MAX]]
    more = count - len(named)
    return "; ".join([*named, f"and {more} more"] if more > 0 else named)


def problem(error: WfloServerError) -> bytes:
    """RFC 9457, with our ``code`` and, where one field is wrong, its name."""
    return problem_json(error.status, error.code, error.message, field=error.field)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _text(tag: bytes, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    return tag + _varint(len(raw)) + raw
