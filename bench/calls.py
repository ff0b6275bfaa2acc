"""Calls of a model over kept connections: one after the other, or many at once; whole or streamed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from bench.client import request
from bench.workload import text

PROMPT_CHARACTERS = 1_500
BODIES = 64
RUN, TURNS = b"run-00000000", 10  # a run makes so many calls

_runs = count(1)


@dataclass(slots=True)
class Called:
    """``took_ms`` and ``first_ms`` (to the first byte of the body) of answers that were 200."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    took_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    chunks: int = 0

    def at(self, share: float) -> float:
        ordered = sorted(self.took_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def first_at(self, share: float) -> float:
        ordered = sorted(self.first_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def requests(port: int, model: str, headers: dict[str, str], *, stream: bool) -> list[bytes]:
    """Whole requests whose run's name is ``RUN``, for ``call`` to put another in."""
    rng = random.Random(11)
    system = text(rng, PROMPT_CHARACTERS // 5)  # of one agent
    made = []
    for _ in range(BODIES):
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": text(rng, PROMPT_CHARACTERS * 4 // 5)},
        ]
        body = {"model": model, "messages": messages, "max_tokens": 200, "temperature": 0.2, "stream": stream}
        raw = json.dumps(body).encode()
        made.append(
            request(
                "POST",
                f"127.0.0.1:{port}",
                "/v1/chat/completions",
                {**headers, "X-Wflo-Run-Id": RUN.decode(), "Content-Type": "application/json"},
                raw,
            )
        )
    return made


async def call(
    port: int, raws: list[bytes], *, connections: int, seconds: float = 60.0, total: int | None = None
) -> Called:
    """For ``seconds``, or ``total`` calls if that is sooner; each connection makes one run's calls after another's."""
    called = Called()
    began = time.perf_counter()
    left = iter(range(total)) if total is not None else None

    async def one(place: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for turn in count():
            if time.perf_counter() - began >= seconds or (left is not None and next(left, None) is None):
                break
            if turn % TURNS == 0:
                run = b"run-%08d" % next(_runs)
            await _call(reader, writer, raws[(place + turn) % len(raws)].replace(RUN, run, 1), called)
        writer.close()

    await asyncio.gather(*(one(place) for place in range(connections)))
    called.seconds = time.perf_counter() - began
    return called


async def _call(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, raw: bytes, called: Called) -> None:
    began = time.perf_counter()
    writer.write(raw)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    called.statuses[status] += 1
    lower = head.lower()
    first = 0.0
    if b"transfer-encoding: chunked" not in lower:
        start = lower.index(b"content-length:") + 15
        await reader.readexactly(int(lower[start : lower.index(b"\r\n", start)]))
        first = time.perf_counter()
    else:
        while size := int(await reader.readline(), 16):
            data = await reader.readexactly(size + 2)
            first = first or time.perf_counter()
            called.chunks += data.count(b"data: ")
        await reader.readline()
    if status == 200:
        called.first_ms.append((first - began) * 1000)
        called.took_ms.append((time.perf_counter() - began) * 1000)
