"""A tool as a run has it, and what it is told of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db import close_old_connections

from tracking.models import Team
from wflo.agents import Tool

T = TypeVar("T")
Undo = Callable[[dict[str, Any], str], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """``effect``: read, or write where it changes the world; ``undo(arguments, result)`` takes that back and says what it did.

    ``risk``: low, medium, high or critical where a person is asked before it runs, "" where nobody is.
    """

    tool: Tool
    effect: str
    undo: Undo | None = None
    risk: str = ""
    source: str  # builtin, python, mcp
    description: str


@dataclass(slots=True, kw_only=True)
class ToolContext:
    """Whose tools they are. ``hand_off(member, task)`` has another agent do something and gives its answer.

    ``close()`` when the run is over: servers of tools are told that nobody comes again.
    """

    team: Team
    job_id: str = ""
    run: str = ""
    agent: str = ""
    hand_off: Callable[[str, str], Awaitable[str]] | None = None
    members: Sequence[str] = ()
    closing: list[Callable[[], Any]] = field(default_factory=list)

    async def close(self) -> None:
        """Never raises."""
        waiting, self.closing = self.closing, []
        await asyncio.gather(*(asyncio.to_thread(one) for one in waiting), return_exceptions=True)


async def in_thread(work: Callable[[], T]) -> T:
    """Django's queries from an event loop."""

    def done() -> T:
        try:
            return work()
        finally:
            close_old_connections()

    return await asyncio.to_thread(done)
