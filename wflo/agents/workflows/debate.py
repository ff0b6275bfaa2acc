"""Several argue, each knowing what was said; a judge decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import agrees
from wflo.agents.workflows.workflow import Named, Turns, Workflow, need, need_named

JUDGE = "judge"


@dataclass(slots=True, kw_only=True)
class DebateConfig:
    """``require_consensus``: after each round all are asked whether they agree; when all do, the debate is over."""

    max_rounds: int = 3
    require_consensus: bool = False
    judge_decides: bool = True


class DebateWorkflow(Workflow):
    name = "debate"

    def __init__(
        self,
        participants: Sequence[Named],
        judge: Executor | None = None,
        config: DebateConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.participants = list(participants)
        self.judge = judge
        self.config = config or DebateConfig()

    def _check(self) -> None:
        need_named(self.participants, "participants", least=2)
        need(self.config.max_rounds >= 1, "max_rounds", "must be at least 1")
        need(JUDGE not in [name for name, _ in self.participants], "participants", f'"{JUDGE}" is the judge\'s name')

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        said: list[str] = []
        has_agreed, rounds = False, 0
        for round in range(1, self.config.max_rounds + 1):
            rounds = round
            for name, executor in self.participants:
                argument = await turn.ask(
                    name, executor, self._prompt(name, given, said), round=round, participant=name
                )
                turn.interactions[-1]["argument"] = argument
                said.append(f"{name}: {argument}")
            if self.config.require_consensus and await self._agreed(turn, given, said, round):
                has_agreed = True
                break
        metadata: dict[str, Any] = {"participants": [name for name, _ in self.participants], "judge_used": False}
        if self.config.require_consensus:
            metadata["consensus_reached"] = has_agreed
        if self.judge is not None and self.config.judge_decides:
            metadata["judge_used"] = True
            prompt = f"You judge a debate.\n\nThe question:\n{given}\n\nWhat was said:\n{_joined(said)}\n\nDecide, and say why."
            return await turn.ask(JUDGE, self.judge, prompt, stage="judgment"), rounds, metadata
        return _joined(said[-len(self.participants) :]), rounds, metadata

    def _prompt(self, name: str, given: str, said: Sequence[str]) -> str:
        before = f"\n\nWhat was said so far:\n{_joined(said)}\n\nAnswer the others' points." if said else ""
        return f"You are {name} in a debate.\n\nThe question:\n{given}{before}\n\nMake your argument."

    async def _agreed(self, turn: Turns, given: str, said: Sequence[str], round: int) -> bool:
        prompt = f"The question:\n{given}\n\nWhat was said:\n{_joined(said)}\n\nDo all agree by now? Answer yes or no."
        answers = await turn.all(
            turn.try_ask(name, executor, prompt, round=round, participant=name, stage="agreement")
            for name, executor in self.participants
        )
        return all(answer is not None and agrees(answer) for answer in answers)


def _joined(said: Sequence[str]) -> str:
    return "\n\n".join(said)
