"""A provider that answers at once, so that what is measured is what stands before it: 400 tokens in, 100 out, 100 chunks.

``python -m bench.upstream PORT``. A model whose name ends in a number waits so many milliseconds. GET /count: answers given.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvloop

CHUNKS = 100
USAGE = {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500}
_TEXT = "a quiet answer of about one hundred tokens " * 11
_FRAME: dict[str, Any] = {"id": "chatcmpl-bench", "created": 1_700_000_000, "model": "bench"}
_given = 0


def _whole() -> bytes:
    message = {"role": "assistant", "content": _TEXT}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = json.dumps({**_FRAME, "object": "chat.completion", "choices": [choice], "usage": USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def _chunk(number: int) -> bytes:
    delta = {"content": f"word{number} "} if number < CHUNKS - 1 else {}
    choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}
    return _framed({**_FRAME, "object": "chat.completion.chunk", "choices": [choice]})


def _framed(what: dict[str, Any] | None) -> bytes:
    data = b"data: " + (b"[DONE]" if what is None else json.dumps(what).encode()) + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


WHOLE = _whole()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PIECES = [_chunk(number) for number in range(CHUNKS)]
LAST = [
    _framed({**_FRAME, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}),
    _framed(None),
    b"0\r\n\r\n",
]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    global _given
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                body = b"%d" % _given
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
                continue
            lower = head.lower()
            start = lower.index(b"content-length:") + 15
            body = await reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
            _given += 1
            asked = json.loads(body)
            wait = str(asked.get("model", "")).rpartition("-")[2]
            if wait.isdigit() and int(wait):
                await asyncio.sleep(int(wait) / 1000)
            if not asked.get("stream"):
                writer.write(WHOLE)
                continue
            writer.write(HEAD)
            for piece in PIECES:
                writer.write(piece)
                await asyncio.sleep(0)  # a write each, as providers do
            writer.write(b"".join(LAST))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        print("ready", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
