"""What is killed and when, all of it drawn from the seed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import redis

from tests.journeys.house import House
from wflo_site.processes import wait_until

BACK_SECONDS = 60
FAULTS = ("web", "web", "web", "worker", "postgres", "postgres serving", "postgres restart", "redis", "redis flushed")


@dataclass(slots=True)
class Faults:
    """``done``: what happened, in order. ``also``: what else may fall; a "child" is of the worker ``forking``."""

    house: House
    seed: int
    also: tuple[str, ...] = ()
    forking: psutil.Process | None = None
    done: list[str] = field(default_factory=list)

    async def fall(self, until: float) -> None:
        """Every two to five seconds one; the last leaves time to come back."""
        rng = random.Random(self.seed)
        while True:
            await asyncio.sleep(rng.uniform(2, 5))
            if time.monotonic() > until - 2:
                return
            what = rng.choice(FAULTS + self.also)
            if await asyncio.to_thread(self._fall, what, rng):
                self.done.append(what)

    def _fall(self, what: str, rng: random.Random) -> bool:
        """False when there is nothing of the kind just now."""
        found = {
            "web": lambda: self.house.web_processes()[1:],
            "worker": lambda: _one(self.house.running.child("worker")),
            "beat": lambda: _one(self.house.running.child("beat")),
            "child": lambda: [] if self.forking is None else self.forking.children(),
            "postgres": lambda: self.house.postgres()[:1],
            "postgres serving": lambda: self.house.postgres()[1:],
            "postgres restart": lambda: self.house.postgres()[:1],
            "redis": self._redis,
        }
        if what == "redis flushed":
            return self._flushed()
        processes: list[psutil.Process] = _alive(found[what])
        if not processes:
            return False
        how = rng.choice([signal.SIGINT, signal.SIGQUIT]) if what == "postgres restart" else signal.SIGKILL
        try:
            rng.choice(processes).send_signal(how)
        except psutil.Error:
            return False
        if what.startswith("postgres"):  # the next fault meets a house that stands again
            wait_until(self.house.is_served, seconds=BACK_SECONDS)
        return True

    def _redis(self) -> list[psutil.Process]:
        return [one for one in self.house.running.everything() if "valkey" in one.name()]

    def _flushed(self) -> bool:
        try:
            with redis.Redis.from_url(self.house.redis_url) as client:
                client.flushall()
        except redis.RedisError:
            return False
        return True


def _one(process: psutil.Process | None) -> list[psutil.Process]:
    return [] if process is None else [process]


def _alive(find: Callable[[], list[psutil.Process]]) -> list[psutil.Process]:
    try:
        return find()
    except psutil.Error:
        return []
