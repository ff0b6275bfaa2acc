"""A text that says more in as many words, round by round (Adams et al., "From Sparse to Dense", 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_one_of

INCREMENTS = {
    "entities": "one to three named things (people, places, numbers, terms) that are missing",
    "details": "one to three facts about what is there already that are missing",
    "examples": "one or two examples that make it concrete",
}


@dataclass(slots=True, kw_only=True)
class ChainOfDensityConfig:
    """``density_increment``: what each round adds."""

    num_iterations: int = 5
    density_increment: str = "entities"
    preserve_length: bool = True


class ChainOfDensityWorkflow(Workflow):
    name = "chain_of_density"

    def __init__(self, generator: Executor, config: ChainOfDensityConfig | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.generator = generator
        self.config = config or ChainOfDensityConfig()

    def _check(self) -> None:
        need(self.config.num_iterations >= 1, "num_iterations", "must be at least 1")
        need_one_of(self.config.density_increment, tuple(INCREMENTS), "density_increment")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        text = ""
        for round in range(1, self.config.num_iterations + 1):
            text = await turn.ask("generator", self.generator, self._prompt(given, text), iteration=round)
            turn.interactions[-1]["length"] = len(text.split())
        config = self.config
        metadata = {
            "density_increment": config.density_increment,
            "preserve_length": config.preserve_length,
            "final_length": len(text.split()),
        }
        return text, config.num_iterations, metadata

    def _prompt(self, given: str, text: str) -> str:
        if not text:
            return f"{given}\n\nWrite a first version: general, in plain words."
        length = (
            f" Keep to about {len(text.split())} words: say the rest more tightly."
            if self.config.preserve_length
            else ""
        )
        return f"The task:\n{given}\n\nThe text so far:\n{text}\n\nAdd {INCREMENTS[self.config.density_increment]}; drop nothing.{length} Write the new text, and nothing else."
