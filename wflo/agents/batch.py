"""Many questions at once, as many at a time as may be; what becomes of the others when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from wflo.agents import steps
from wflo.agents.client import ToolExecutionResult, complete
from wflo.agents.errors import LLMError
from wflo.agents.steps import Tally

OnError = Literal["fail_fast", "continue", "skip"]


@dataclass(slots=True, kw_only=True)
class BatchResult:
    """``results`` in the order of the questions: an answer, the error where one failed ("skip" leaves those out)."""

    results: list[ToolExecutionResult | LLMError]
    tally: Tally = field(default_factory=Tally)

    @property
    def failed(self) -> list[LLMError]:
        return [one for one in self.results if isinstance(one, LLMError)]


async def batch_complete(
    messages: Sequence[str], *, at_once: int = 8, on_error: OnError = "continue", **more: Any
) -> BatchResult:
    """``complete`` of each. ``fail_fast``: the first error ends the others and is raised; ``more``: as ``complete`` takes it."""
    if at_once < 1:
        raise ValueError("at_once must be at least 1.")
    if on_error not in ("fail_fast", "continue", "skip"):
        raise ValueError("on_error is fail_fast, continue or skip.")
    gate = asyncio.Semaphore(at_once)

    async def one(message: str) -> ToolExecutionResult | LLMError:
        async with gate:
            try:
                return await complete(message, **more)
            except LLMError as error:
                if on_error == "fail_fast":
                    raise
                return error

    with steps.counting() as tally:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(message)) for message in messages]
        except* LLMError as errors:
            raise errors.exceptions[0] from None
    found = [task.result() for task in tasks]
    return BatchResult(
        results=[one for one in found if on_error != "skip" or not isinstance(one, LLMError)], tally=tally
    )
