"""An executor that says what it is told to, for tests of workflows."""

from __future__ import annotations

import asyncio
from typing import Any

from wflo.agents import (
    InvalidRequestError,
    Workflow,
    WorkflowResult,
)  # fmt: skip


class Voice:
    """Says each of ``turns`` in order, then the last again: text, an exception to raise, or what a function makes of the prompt."""

    def __init__(self, *turns: Any, after_s: float = 0) -> None:
        self.turns = turns or (lambda prompt: f"({prompt})",)
        self.heard: list[str] = []
        self.after_s = after_s
        self.at_once = self.most_at_once = 0

    async def execute(self, query: str) -> str:
        self.heard.append(query)
        turn = self.turns[min(len(self.heard), len(self.turns)) - 1]
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.after_s)
            if isinstance(turn, Exception):
                raise turn
            return turn(query) if callable(turn) else turn
        finally:
            self.at_once -= 1


def run(workflow: Workflow, given: str = "the task", context: dict[str, Any] | None = None) -> WorkflowResult:
    return asyncio.run(workflow.execute(given, context))


def agents_of(result: WorkflowResult) -> list[str]:
    return [one["agent"] for one in result.agent_interactions]


FAULT = InvalidRequestError("it broke")


def voter(proposal: str, *votes: Any) -> Voice:
    """Proposes, then votes, round after round."""
    turns = [turn for vote in votes for turn in (proposal, vote)]
    return Voice(*turns)
