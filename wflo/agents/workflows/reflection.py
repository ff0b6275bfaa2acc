"""An answer, looked at and written anew, until it does not change any more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import distance
from wflo.agents.workflows.workflow import Turns, Workflow, need, need_share

_TEMPLATE = "Your answer before:\n{previous_output}\n\nYour answer now:\n{current_output}\n\nWhat is wrong or weak in it? Be specific."


@dataclass(slots=True, kw_only=True)
class ReflectionConfig:
    """``min_improvement_threshold``: stop when a round changed a smaller share of the words.

    ``reflection_prompt_template`` may have {previous_output} and {current_output}.
    """

    max_reflections: int = 3
    min_improvement_threshold: float | None = None
    reflection_prompt_template: str | None = None


class ReflectionWorkflow(Workflow):
    name = "reflection"

    def __init__(
        self,
        generator: Executor,
        reflector: Executor | None = None,
        config: ReflectionConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.generator = generator
        self.reflector = reflector or generator
        self.config = config or ReflectionConfig()

    def _check(self) -> None:
        need(self.config.max_reflections >= 1, "max_reflections", "must be at least 1")
        need_share(self.config.min_improvement_threshold, "min_improvement_threshold")
        template = self.config.reflection_prompt_template
        if template is not None:
            try:
                template.format(previous_output="", current_output="")
            except (KeyError, IndexError, ValueError) as error:
                need(
                    False,
                    "reflection_prompt_template",
                    f"may have {{previous_output}} and {{current_output}} alone ({error})",
                )

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        before = ""
        now = await turn.ask("generator", self.generator, given, reflection=0)
        done = 0
        for round in range(1, self.config.max_reflections + 1):
            template = self.config.reflection_prompt_template or _TEMPLATE
            asked = template.format(previous_output=before or "(none)", current_output=now)
            critique = await turn.ask("reflector", self.reflector, f"The task:\n{given}\n\n{asked}", reflection=round)
            prompt = f"{given}\n\nYour last answer:\n{now}\n\nWhat was said of it:\n{critique}\n\nWrite the better answer, and nothing else."
            before, now = now, await turn.ask("generator", self.generator, prompt, reflection=round)
            done = round
            threshold = self.config.min_improvement_threshold
            if threshold is not None and distance(before, now) < threshold:
                break
        return now, done, {"max_reflections": self.config.max_reflections, "reflections_completed": done}
