"""Words of an answer that is on its way, for whoever looks at the job's page. In Redis, for a minute: losing them loses nothing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import orjson
from redis.exceptions import RedisError

from tracking.gateway import rate_limits

EVERY_SECONDS = 0.25
KEPT_SECONDS = 60
CHARACTERS = 20_000  # the last ones


def key_of(team_id: int, run: str) -> str:
    return f"wflo:live:{team_id}:{run}"


@dataclass(slots=True)
class Words:
    """What the agents of a run are saying."""

    team_id: int
    run: str
    _texts: dict[str, str] = field(default_factory=dict)
    _next: float = 0.0
    _sending: asyncio.Task[None] | None = None

    def said(self, agent: str, text: str) -> None:
        self._texts[agent] = text[-CHARACTERS:]
        now = time.monotonic()
        if now >= self._next and (self._sending is None or self._sending.done()):
            self._next = now + EVERY_SECONDS
            self._sending = asyncio.get_running_loop().create_task(self._send())

    def over(self, agent: str) -> None:
        """It is in the run now."""
        self._texts.pop(agent, None)
        self._next = 0.0

    async def close(self) -> None:
        self._texts.clear()
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)
            await self._send()

    async def _send(self) -> None:
        try:
            await rate_limits.opened().set(key_of(self.team_id, self.run), orjson.dumps(self._texts), ex=KEPT_SECONDS)
        except (RedisError, OSError, TimeoutError):
            self._next = time.monotonic() + 2.0


async def words_of(team_id: int, run: str) -> dict[str, str]:
    """agent -> what it has said of its answer so far; {} when nobody is speaking, or Redis is away."""
    try:
        raw = await rate_limits.opened().get(key_of(team_id, run))
        return orjson.loads(raw) if raw else {}
    except (RedisError, OSError, TimeoutError, ValueError):
        return {}
