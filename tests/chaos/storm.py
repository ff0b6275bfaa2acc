"""Two hundred clients, whole and streamed, patient and not; each call is named by its end user, so it can be followed
from its answer to the ledger and to the provider's bill."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import httpx

AGENTS, RUNS = 10, 40
# The provider's scripts and how often each is called.
MODELS = {
    "echo": 10,
    "echo-slow": 4,
    "echo-drip": 4,
    "echo-flaky": 2,
    "echo-fail500": 1,
    "echo-cut": 1,
    "echo-nousage": 1,
}
WORDS = ("parcel", "river", "stone", "lamp", "winter", "ticket", "engine", "garden", "letter", "copper")


@dataclass(slots=True)
class Storm:
    """``statuses`` of answers; "broken" where the connection was lost, "left" where the client went away."""

    url: str
    key: str
    seed: int
    clients: int
    statuses: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)  # calls whose whole answer came
    _number: int = 0

    async def blow(self, until: float) -> None:
        limits = httpx.Limits(max_connections=self.clients, max_keepalive_connections=self.clients)
        async with httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, limits=limits, timeout=20
        ) as client:
            await asyncio.gather(*(self._client(client, place, until) for place in range(self.clients)))

    async def _client(self, client: httpx.AsyncClient, place: int, until: float) -> None:
        rng = random.Random(self.seed * 1000 + place)
        while time.monotonic() < until:
            self._number += 1
            await self._call(client, rng, f"call-{self._number}")
            await asyncio.sleep(rng.uniform(0, 1.5))

    async def _call(self, client: httpx.AsyncClient, rng: random.Random, name: str) -> None:
        is_stream = rng.random() < 0.4
        body: dict[str, Any] = {
            "model": rng.choices(list(MODELS), list(MODELS.values()))[0],
            "messages": [{"role": "user", "content": f"{name} " + " ".join(rng.choices(WORDS, k=rng.randint(3, 12)))}],
            "max_tokens": rng.randint(20, 60),
            "stream": is_stream,
            "user": name,
        }
        if rng.random() < 0.2:
            body["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
        headers = {
            "x-wflo-agent": f"a-{rng.randrange(AGENTS)}",
            "x-wflo-run-id": f"r-{rng.randrange(RUNS)}-{self.seed}",
        }
        try:
            if is_stream:
                await self._stream(client, rng, body, headers, name)
            else:
                answer = await client.post("/v1/chat/completions", json=body, headers=headers)
                self._count(name, answer.status_code)
        except httpx.HTTPError:
            self.statuses["broken"] += 1

    async def _stream(
        self, client: httpx.AsyncClient, rng: random.Random, body: dict[str, Any], headers: dict[str, str], name: str
    ) -> None:
        leaves_after = rng.randint(1, 4) if rng.random() < 0.15 else None
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            pieces = 0
            async for _ in answer.aiter_bytes():
                pieces += 1
                if pieces == leaves_after and answer.status_code == 200:
                    self.statuses["left"] += 1
                    return
            self._count(name, answer.status_code)

    def _count(self, name: str, status: int) -> None:
        self.statuses[str(status)] += 1
        if status == 200:
            self.answered.add(name)
