"""HTTP as far as a scripted provider needs it: one request read, one answer or a stream written."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Request:
    method: str
    path: str
    head: str
    body: dict[str, Any]

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.strip().lower() == name:
                return value.strip()
        return None


async def read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next((int(x.split(":")[1]) for x in head.split("\r\n") if x.lower().startswith("content-length")), 0)
    raw = await reader.readexactly(length)
    method, path, _ = head.split(" ", 2)
    return Request(method, path, head, json.loads(raw or b"{}"))


async def send(
    writer: asyncio.StreamWriter, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> None:
    data = json.dumps(body).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n"
    writer.write(head.encode() + data)
    await writer.drain()


@dataclass(slots=True)
class Events:
    """A stream of server-sent events. ``sent``: every byte of it, as it left."""

    writer: asyncio.StreamWriter
    is_crlf: bool = False
    torn_bytes: int = 0  # sent in pieces of so many
    sent: bytearray = field(default_factory=bytearray)

    def begin(self) -> None:
        self.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def event(self, what: dict[str, Any] | str, name: str = "") -> None:
        data = what if isinstance(what, str) else json.dumps(what)
        text = (f"event: {name}\n" if name else "") + f"data: {data}\n\n"
        await self.write((text.replace("\n", "\r\n") if self.is_crlf else text).encode())

    async def write(self, data: bytes) -> None:
        self.sent += data
        step = self.torn_bytes or len(data)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await self.writer.drain()
            if self.torn_bytes:
                await asyncio.sleep(0)

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def abort(self) -> None:
        self.writer.transport.abort()
