"""Requests over kept connections, with what each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sent:
    seconds: float
    spans: int
    failed: int
    took_ms: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        ordered = sorted(self.took_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    length, chunked = 0, False
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        chunked = chunked or (name.lower() == b"transfer-encoding" and b"chunked" in value.lower())
    status = int(head.split(b" ", 2)[1])
    if not chunked:
        return status, await reader.readexactly(length)
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return status, b"".join(parts)


def request(method: str, host: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def send(port: int, headers: dict[str, str], bodies: Iterable[tuple[bytes, int]], *, connections: int) -> Sent:
    """POST each body to /v1/traces, ``connections`` at a time; a 503 is sent again."""
    waiting: Iterator[tuple[bytes, int]] = iter(bodies)
    sent = Sent(0, 0, 0)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body, spans in waiting:
            raw = request("POST", f"127.0.0.1:{port}", "/v1/traces", headers, body)
            began = time.perf_counter()
            status, _ = await _ask(reader, writer, raw)
            while status == 503:
                sent.failed += 1
                await asyncio.sleep(0.5)
                status, _ = await _ask(reader, writer, raw)
            if status != 200:
                raise RuntimeError(f"/v1/traces answered {status}")
            sent.took_ms.append((time.perf_counter() - began) * 1000)
            sent.spans += spans
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    sent.seconds = time.perf_counter() - began
    return sent


async def read(port: int, path: str, headers: dict[str, str], *, times: int) -> tuple[list[float], bytes]:
    """Milliseconds of each of ``times`` GETs over one connection after one that is not counted, and the last body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    raw = request("GET", f"127.0.0.1:{port}", path, headers)
    took, answer = [], b""
    for number in range(times + 1):
        began = time.perf_counter()
        status, answer = await _ask(reader, writer, raw)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}: {answer[:300]!r}")
        if number:
            took.append((time.perf_counter() - began) * 1000)
    writer.close()
    return sorted(took), answer
