"""A stream of server-sent events on its way to a client that may leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from tracking.ingest.body import Receive, Send

SSE_TYPE = b"text/event-stream; charset=utf-8"
_HEADERS = [
    (b"content-type", SSE_TYPE),
    (b"cache-control", b"no-cache"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]

Headers = list[tuple[bytes, bytes]]


async def send_stream(
    receive: Receive, send: Send, headers: Headers, pieces_until: Callable[[asyncio.Event], AsyncGenerator[bytes, None]]
) -> bool:
    """Whether the client stayed to the end. ``pieces_until`` is handed the event that says it left, and is closed in any case."""
    gone = asyncio.Event()
    watching = asyncio.ensure_future(_left(receive, gone))
    pieces = pieces_until(gone)
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *headers]})
        async for data in pieces:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            if gone.is_set():
                break
        await send({"type": "http.response.body", "body": b""})
    except OSError:
        gone.set()  # nobody reads any more
    finally:
        watching.cancel()
        await pieces.aclose()
    return not gone.is_set()


async def _left(receive: Receive, gone: asyncio.Event) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            gone.set()
            return
