"""Work that many calls ask for at once, done in one go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from tracking.errors import Unavailable

A = TypeVar("A")
R = TypeVar("R")

MOST = 64  # of one go


class Together(Generic[A, R]):
    """Group commit for the loop of this process: who asks while a go is under way is in the next one.

    So an idle process does each at once, and the more there is to do the more a statement carries. When a go fails for
    one's sake, each is done alone; when the store is away, all hear of it.
    """

    def __init__(self, work: Callable[[list[A]], Awaitable[list[R]]]) -> None:
        self._work = work
        self._waiting: list[tuple[A, asyncio.Future[R]]] = []
        self._going: asyncio.Task[None] | None = None

    async def do(self, item: A) -> R:
        """Raises what the work raises, of this item."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._going is None or self._going.done():
            self._going = asyncio.get_running_loop().create_task(self._go())
        return await future

    async def _go(self) -> None:
        while self._waiting:
            jobs, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await self._do(jobs)

    async def _do(self, jobs: list[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            found = await self._work([item for item, _ in jobs])
        except Exception as error:
            if len(jobs) > 1 and not isinstance(error, Unavailable):
                for job in jobs:
                    await self._do([job])
                return
            for _, future in jobs:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), one in zip(jobs, found, strict=True):
            if not future.done():
                future.set_result(one)
