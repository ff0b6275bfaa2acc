"""Think, act, look, in words: for models that have no tool calls of their own (Yao et al., "ReAct", 2022)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.tools import Tool, ToolResult, tools_of, unknown
from wflo.agents.workflows.workflow import Turns, Workflow, need

FINAL = "Final Answer:"


@dataclass(slots=True, kw_only=True)
class ReActConfig:
    """``stop_on_final_answer`` False: all steps are made, and the last final answer counts."""

    max_steps: int = 10
    stop_on_final_answer: bool = True
    thought_prefix: str = "Thought:"
    action_prefix: str = "Action:"
    observation_prefix: str = "Observation:"


class ReActWorkflow(Workflow):
    """``tools`` are what it may act with; an action is written ``name(argument)`` or ``name {"argument": value}``."""

    name = "react"

    def __init__(
        self,
        reasoner: Executor,
        config: ReActConfig | None = None,
        tools: Sequence[Callable[..., Any] | Tool] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.reasoner = reasoner
        self.config = config or ReActConfig()
        self.tools = tools_of(tools)

    def _check(self) -> None:
        need(self.config.max_steps >= 1, "max_steps", "must be at least 1")
        for name in ("thought_prefix", "action_prefix", "observation_prefix"):
            need(bool(getattr(self.config, name).strip()), name, "must not be empty")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        scratch, answer, said, steps = "", None, "", 0
        for step in range(1, self.config.max_steps + 1):
            steps = step
            said = self._own(await turn.ask("reasoner", self.reasoner, self._prompt(given, scratch), step=step))
            scratch += f"{said}\n"
            answer = self._final(said) or answer
            if answer is not None and self.config.stop_on_final_answer:
                break
            action = self._action(said)
            if action is not None:
                result = await self._act(action)
                facts = {"action": action, "output": result.text, "error": result.is_error}
                await turn.note("observation", step=step, agent="tools", **facts)
                scratch += f"{self.config.observation_prefix} {result.text}\n"
        return (
            answer if answer is not None else said,
            steps,
            {"steps_taken": steps, "final_answer_detected": answer is not None},
        )

    def _prompt(self, given: str, scratch: str) -> str:
        config = self.config
        offered = "\n".join(
            f"- {one.name}{json.dumps(list(one.parameters.get('properties', {})))}: {one.description}"
            for one in self.tools
        )
        return (
            f"Answer the question step by step.\n\nTools:\n{offered or '(none)'}\n\nWrite one step:\n{config.thought_prefix} what you think\n"
            f'{config.action_prefix} tool {{"parameter": "value"}}\nand stop; the answer will be told you after "{config.observation_prefix}".'
            f' When you know, write "{FINAL}" and the answer.\n\nQuestion: {given}\n\n{scratch}'
        )

    def _own(self, said: str) -> str:
        """Without observations the model made up for itself."""
        return said.partition(f"\n{self.config.observation_prefix}")[0].rstrip()

    def _final(self, said: str) -> str | None:
        found = re.search(re.escape(FINAL), said, re.IGNORECASE)
        return said[found.end() :].strip() if found else None

    def _action(self, said: str) -> str | None:
        found = re.search(rf"{re.escape(self.config.action_prefix)}\s*(.+)", said, re.DOTALL)
        return found[1].partition(f"\n{self.config.thought_prefix}")[0].strip() if found else None

    async def _act(self, action: str) -> ToolResult:
        name, arguments = _read_action(action)
        found = next((one for one in self.tools if one.name == name), None)
        if found is None:
            return unknown(name, self.tools, arguments)
        if isinstance(arguments, str):
            first = next(iter(found.parameters.get("properties", {})), None)
            arguments = {first: arguments} if first is not None and arguments else {}
        return await found.call(arguments)


def _read_action(action: str) -> tuple[str, dict[str, Any] | str]:
    """("search", {"q": "x"}) of ``search {"q": "x"}``; ("search", "x") of ``search("x")`` and ``search[x]``."""
    name = re.match(r"\W*([\w-]+)", action)
    if name is None:
        return action[:64], ""
    rest = action[name.end() :].strip()
    inner = re.fullmatch(r"[(\[](.*)[)\]]", rest, re.DOTALL)
    told = (inner[1] if inner else rest).strip()
    try:
        read = json.loads(told)
    except ValueError:
        return name[1], told.strip("\"'")
    return name[1], read if isinstance(read, dict) else str(read)
