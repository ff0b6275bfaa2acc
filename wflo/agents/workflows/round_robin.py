"""Each adds to one text in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.workflows.workflow import Named, Turns, Workflow, need, need_named, need_one_of

STYLES = {
    "extend": "Go on from it with what is missing. Write your part alone.",
    "refine": "Make it better: write the whole anew.",
    "challenge": "Say what is wrong or doubtful in it, and what you would put there.",
}


@dataclass(slots=True, kw_only=True)
class RoundRobinConfig:
    max_rounds: int = 3
    contribution_style: str = "extend"
    final_synthesis: bool = True


class RoundRobinWorkflow(Workflow):
    name = "round_robin"

    def __init__(self, agents: Sequence[Named], config: RoundRobinConfig | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.agents = list(agents)
        self.config = config or RoundRobinConfig()

    def _check(self) -> None:
        need_named(self.agents, "agents")
        need(self.config.max_rounds >= 1, "max_rounds", "must be at least 1")
        need_one_of(self.config.contribution_style, tuple(STYLES), "contribution_style")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        style, text = self.config.contribution_style, ""
        for round in range(1, self.config.max_rounds + 1):
            for name, executor in self.agents:
                so_far = f"\n\nSo far:\n{text}\n\n{STYLES[style]}" if text else ""
                said = await turn.ask(name, executor, f"The task:\n{given}{so_far}", round=round)
                text = (
                    said
                    if style == "refine" or not text
                    else f"{text}\n\n{name}: {said}"
                    if style == "challenge"
                    else f"{text}\n\n{said}"
                )
        metadata = {
            "agents": [name for name, _ in self.agents], "contribution_style": style, "synthesized": self.config.final_synthesis,
        }  # fmt: skip
        if self.config.final_synthesis:
            name, executor = self.agents[0]
            prompt = f"The task:\n{given}\n\nWhat all said:\n{text}\n\nMake one text of it that answers the task."
            text = await turn.ask(name, executor, prompt, stage="synthesis")
        return text, self.config.max_rounds, metadata
