"""The bytes of a request: read under caps and a deadline, counted against what this process may hold at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from tracking.errors import Invalid, TooLarge, Unavailable, WfloServerError
from tracking.ingest.inflate import CODINGS

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DRAIN_BYTES = 4 * 2**20  # of a refused body
DRAIN_SECONDS = 2
# granian reads a body in a thread of its own; answered while that one still waits, the connection would never close
LET_GO_SECONDS = 0.1

PROTOBUF = ("application/x-protobuf", "application/protobuf")
JSON = ("application/json",)


class UnsupportedMedia(WfloServerError):
    """The content type or coding is not one of those accepted here."""

    code = "unsupported_media_type"
    status = 415


class TooSlow(WfloServerError):
    """The body did not arrive in time."""

    code = "timeout"
    status = 408


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the headers say of the body."""

    content_type: str
    coding: str  # "" when the body is sent as it is
    length: int | None


def media_type(headers: Mapping[bytes, bytes]) -> str:
    """The content type without its parameters, lower-case; "" when none was sent."""
    return headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()


def envelope(headers: Mapping[bytes, bytes], *, accepts: tuple[str, ...]) -> Envelope:
    """Raises UnsupportedMedia for a type, charset or coding we do not read, Invalid for a length that is no number."""
    kind = media_type(headers)
    _, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    if kind not in accepts:
        raise UnsupportedMedia(f"Send Content-Type {' or '.join(accepts)}.")
    for parameter in parameters.lower().split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMedia("Send text as UTF-8.")
    coding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if coding in ("", "identity"):
        coding = ""
    elif coding not in CODINGS:
        raise UnsupportedMedia(f"Content-Encoding is one of identity, {', '.join(CODINGS)}, and only one.")
    text = headers.get(b"content-length")
    if text is not None and not text.isdigit():
        raise Invalid("Content-Length is not a number.")
    if text is not None and b"transfer-encoding" in headers:
        raise Invalid("A request has either Content-Length or Transfer-Encoding, not both.")
    return Envelope(kind, coding, None if text is None else int(text))


class Stream:
    """The messages of one request's body; knows whether the last one has come."""

    __slots__ = ("_receive", "is_ended")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.is_ended = False

    async def piece(self) -> bytes:
        """The next bytes. Raises Invalid when the client hung up in the middle."""
        message = await self._receive()
        if message["type"] != "http.request":
            self.is_ended = True
            raise Invalid("The body ended before its announced end.")
        self.is_ended = not message.get("more_body", False)
        body: bytes = message.get("body", b"")
        return body

    async def finish(self, refusal: WfloServerError) -> None:
        """Let the rest of a refused body run out, up to ``DRAIN_BYTES`` and ``DRAIN_SECONDS``: a sender still writing
        would meet a reset connection instead of the answer. Not for one that was too slow already."""
        is_cut = isinstance(refusal, TooSlow)
        if not is_cut:
            try:
                await self._run_out()
            except TimeoutError:
                is_cut = True
            except Invalid:
                return
        if is_cut:
            await asyncio.sleep(LET_GO_SECONDS)

    async def _run_out(self) -> None:
        size = 0
        async with asyncio.timeout(DRAIN_SECONDS):
            while not self.is_ended and size < DRAIN_BYTES:
                size += len(await self.piece())


class InFlight:
    """How many bytes of bodies this process holds just now. Belongs to one event loop."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def hold(self) -> Hold:
        return Hold(self)


class Hold:
    """One request's share; give it back with ``with``."""

    __slots__ = ("_size", "_whole")

    def __init__(self, whole: InFlight) -> None:
        self._whole = whole
        self._size = 0

    def grow(self, size: int) -> None:
        """Raises Unavailable, for a moment's wait, when the process holds as much as it may."""
        if self._whole.held + size > self._whole.most:
            raise Unavailable("Too many large requests at once. Nothing was kept: send it again in a moment.")
        self._whole.held += size
        self._size += size

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, *_: object) -> None:
        self._whole.held -= self._size
        self._size = 0


async def read(stream: Stream, sent: Envelope, hold: Hold, *, limit: int | None = None) -> bytes:
    """The body as sent, chunked or not.

    Raises TooLarge beyond LIMITS (``limit`` instead of body_bytes where given), TooSlow after LIMITS["body_seconds"],
    Invalid when the body was cut or its length is not what Content-Length said, Unavailable from ``hold``.
    """
    most = limit or settings.LIMITS["body_bytes"]
    if sent.coding:
        most = min(most, settings.LIMITS["body_compressed_bytes"])
    if sent.length is not None and sent.length > most:
        raise TooLarge(f"The body is larger than {most:,} bytes. Send it in smaller parts.")
    try:
        async with asyncio.timeout(settings.LIMITS["body_seconds"]):
            body = await _collect(stream, hold, most)
    except TimeoutError:
        raise TooSlow(f"The body did not arrive within {settings.LIMITS['body_seconds']} seconds.") from None
    if sent.length is not None and sent.length != len(body):
        raise Invalid(f"Content-Length says {sent.length} bytes and {len(body)} came.")
    return body


async def _collect(stream: Stream, hold: Hold, most: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while not stream.is_ended:
        piece = await stream.piece()
        if not piece:
            continue
        size += len(piece)
        if size > most:
            raise TooLarge(f"The body is larger than {most:,} bytes. Send it in smaller parts.")
        hold.grow(len(piece))
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
