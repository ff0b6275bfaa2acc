"""A manager takes a task apart, workers do the parts, the manager puts them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import lines_of
from wflo.agents.workflows.workflow import Named, Turns, Workflow, need, need_named, need_one_of

MANAGER = "manager"
SYNTHESES = {
    "summarize": "Sum up what was found as one answer.",
    "merge": "Make one text of them that keeps all they say, without repeating anything.",
    "concatenate": "",  # joined as they are: nobody is asked
}


@dataclass(slots=True, kw_only=True)
class HierarchicalConfig:
    max_subtasks: int = 5
    parallel_workers: bool = True
    synthesis_strategy: str = "summarize"


class HierarchicalWorkflow(Workflow):
    name = "hierarchical"

    def __init__(
        self, manager: Executor, workers: Sequence[Named], config: HierarchicalConfig | None = None, **more: Any
    ) -> None:
        super().__init__(**more)
        self.manager = manager
        self.workers = list(workers)
        self.config = config or HierarchicalConfig()

    def _check(self) -> None:
        need_named(self.workers, "workers")
        need(MANAGER not in [name for name, _ in self.workers], "workers", f'"{MANAGER}" is the manager\'s name')
        need(self.config.max_subtasks >= 1, "max_subtasks", "must be at least 1")
        need_one_of(self.config.synthesis_strategy, tuple(SYNTHESES), "synthesis_strategy")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        names = ", ".join(name for name, _ in self.workers)
        prompt = (
            f"You lead these workers: {names}.\n\nThe task:\n{given}\n\nTake it apart into at most {self.config.max_subtasks} subtasks"
            " that can be done without each other. Answer with a numbered list, a subtask a line."
        )
        plan = await turn.ask(MANAGER, self.manager, prompt, stage="decomposition")
        subtasks = lines_of(plan, self.config.max_subtasks) or [given]
        deals = [(subtask, *self.workers[place % len(self.workers)]) for place, subtask in enumerate(subtasks)]
        asked = [self._do(turn, given, *deal) for deal in deals]
        done = await turn.all(asked) if self.config.parallel_workers else [await one for one in asked]
        output = await self._joined(turn, given, list(zip(subtasks, done, strict=True)))
        return output, len(subtasks), {
            "subtasks_created": len(subtasks),
            "workers_used": len({name for _, name, _ in deals}),
            "parallel_execution": self.config.parallel_workers,
            "synthesis_strategy": self.config.synthesis_strategy,
        }  # fmt: skip

    async def _do(self, turn: Turns, given: str, subtask: str, name: str, worker: Executor) -> str | None:
        prompt = f"It is part of this task:\n{given}\n\nDo this part alone:\n{subtask}"
        return await turn.try_ask(name, worker, prompt, stage="execution", subtask=subtask)

    async def _joined(self, turn: Turns, given: str, parts: Sequence[tuple[str, str | None]]) -> str:
        told = "\n\n".join(
            f"{subtask}\n{said if said is not None else '(this part failed)'}" for subtask, said in parts
        )
        strategy = self.config.synthesis_strategy
        if strategy == "concatenate":
            await turn.note("synthesis", agent="workflow", output=told)
            return told
        return await turn.ask(
            MANAGER,
            self.manager,
            f"The task:\n{given}\n\nThe parts:\n{told}\n\n{SYNTHESES[strategy]}",
            stage="synthesis",
        )
