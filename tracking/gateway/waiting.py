"""Calls that wait for money others hold stand in line, one line a budget: the first looks again when a hold ends, the others
not at all. Two hundred that all looked again every moment would keep PostgreSQL from settling what they wait for.

A line is of one process; those of others are met by looking again every ``LOOK_AGAIN_SECONDS``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from uuid import UUID

LOOK_AGAIN_SECONDS = 0.05

_lines: dict[UUID, deque[asyncio.Event]] = {}


class Place:
    """One call's place; ``with`` gives it up at the end, and the next one comes forward."""

    __slots__ = ("_budget_id", "_turn", "_until")

    def __init__(self, until: float) -> None:
        self._until = until  # on the monotonic clock
        self._budget_id: UUID | None = None
        self._turn = asyncio.Event()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        line = _lines.get(self._budget_id) if self._budget_id is not None else None
        if line is None or self._budget_id is None:
            return
        was_first = line[0] is self._turn
        line.remove(self._turn)
        if not line:
            del _lines[self._budget_id]
        elif was_first:
            line[0].set()

    @property
    def may_wait(self) -> bool:
        return time.monotonic() < self._until

    async def wait(self, budget_id: UUID) -> None:
        """Until it is worth looking again, or the time is over."""
        if self._budget_id is None:
            self._budget_id = budget_id
            line = _lines.setdefault(budget_id, deque())
            line.append(self._turn)
            if line[0] is not self._turn:
                await self._called(self._until - time.monotonic())
                return
        await self._called(min(LOOK_AGAIN_SECONDS, self._until - time.monotonic()))

    async def _called(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._turn.wait()
        except TimeoutError:
            pass
        self._turn.clear()


def freed() -> None:
    """A hold of this process ended: the first of each line looks again."""
    for line in _lines.values():
        line[0].set()
