"""One after the other: what a stage says is what the next is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wflo.agents.workflows.workflow import Named, Turns, Workflow, need_named


class PipelineWorkflow(Workflow):
    name = "pipeline"

    def __init__(self, stages: Sequence[Named], **more: Any) -> None:
        super().__init__(**more)
        self.stages = list(stages)

    def _check(self) -> None:
        need_named(self.stages, "stages")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        said = given
        for name, executor in self.stages:
            said = await turn.ask(name, executor, said, stage=name)
        return said, len(self.stages), {"stages": [name for name, _ in self.stages]}
