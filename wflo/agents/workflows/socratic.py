"""Questions and answers that lead on; at the end what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_one_of

MODES = {
    "peer": "You explore the topic with someone who knows as much as you do. Ask the question that would take you both furthest.",
    "teacher_student": "You teach. Ask the question that lets the student find the next step alone; do not tell the answer.",
}


@dataclass(slots=True, kw_only=True)
class SocraticConfig:
    max_exchanges: int = 5
    mode: str = "peer"
    synthesis_at_end: bool = True


class SocraticWorkflow(Workflow):
    name = "socratic"

    def __init__(
        self, questioner: Executor, responder: Executor, config: SocraticConfig | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.questioner = questioner
        self.responder = responder
        self.config = config or SocraticConfig()

    def _check(self) -> None:
        need(self.config.max_exchanges >= 1, "max_exchanges", "must be at least 1")
        need_one_of(self.config.mode, tuple(MODES), "mode")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        said: list[str] = []
        answer = ""
        for exchange in range(1, self.config.max_exchanges + 1):
            asked = f"{MODES[self.config.mode]}\n\nThe topic:\n{given}{_so_far(said)}\n\nAsk one question, and nothing else."
            question = await turn.ask("questioner", self.questioner, asked, exchange=exchange)
            prompt = f"The topic:\n{given}{_so_far(said)}\n\nAnswer: {question}"
            answer = await turn.ask("responder", self.responder, prompt, exchange=exchange)
            said += [f"Question: {question}", f"Answer: {answer}"]
        metadata = {
            "mode": self.config.mode,
            "exchanges": self.config.max_exchanges,
            "synthesized": self.config.synthesis_at_end,
        }
        if self.config.synthesis_at_end:
            prompt = f"The topic:\n{given}{_so_far(said)}\n\nSay what was found out, as one text."
            answer = await turn.ask("responder", self.responder, prompt, stage="synthesis")
        return answer, self.config.max_exchanges, metadata


def _so_far(said: Sequence[str]) -> str:
    return "\n\nSo far:\n" + "\n".join(said) if said else ""
