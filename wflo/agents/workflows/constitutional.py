"""An answer held against principles, and written anew until it keeps to them (Bai et al., "Constitutional AI", 2022)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wflo.agents.agent import Executor
from wflo.agents.workflows.reading import agrees, json_of
from wflo.agents.workflows.workflow import ConfigError, Turns, Workflow, need, need_one_of

SEVERITIES = ("warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class Principle:
    """A broken warning is told and blocks nothing."""

    name: str
    description: str
    severity: str = "error"


@dataclass(slots=True, kw_only=True)
class ConstitutionalConfig:
    """``require_all_pass``: errors block too; else only what is critical does."""

    principles: Sequence[Principle]
    max_revisions: int = 3
    require_all_pass: bool = True


@dataclass(slots=True)
class _Verdicts:
    """By principle: whether it is kept to, and what was said of it. What no verdict names was not kept to."""

    passed: dict[str, bool] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


class ConstitutionalWorkflow(Workflow):
    name = "constitutional"

    def __init__(
        self,
        generator: Executor,
        critic: Executor | None = None,
        config: ConstitutionalConfig | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.generator = generator
        self.critic = critic or generator
        if config is None:
            raise ConfigError("config", "must be given: it has the principles")
        self.config = config

    def _check(self) -> None:
        need(bool(self.config.principles), "principles", "must have at least 1")
        names = [one.name for one in self.config.principles]
        need(len(set(names)) == len(names), "principles", "each has a name of its own")
        for one in self.config.principles:
            need_one_of(one.severity, SEVERITIES, "severity")
        need(self.config.max_revisions >= 0, "max_revisions", "must be at least 0")

    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        answer = await turn.ask("generator", self.generator, given, revision=0, stage="generation")
        revisions = 0
        while True:
            said = await turn.ask(
                "critic", self.critic, self._question(given, answer), revision=revisions, stage="critique"
            )
            verdicts = self._read(said)
            blocking = [one for one in self.config.principles if not verdicts.passed[one.name] and self._blocks(one)]
            metadata: dict[str, Any] = {
                "principles_passed": not blocking, "principles_status": verdicts.passed, "revisions_completed": revisions,
            }  # fmt: skip
            if not blocking or revisions >= self.config.max_revisions:
                if blocking:
                    metadata["max_revisions_reached"] = True
                return answer, revisions, metadata
            revisions += 1
            broken = "\n".join(f"- {one.name} ({one.description}): {verdicts.why[one.name]}" for one in blocking)
            prompt = f"{given}\n\nYour last answer:\n{answer}\n\nIt breaks these principles:\n{broken}\n\nWrite the answer anew so that it keeps to them, and nothing else."
            answer = await turn.ask("generator", self.generator, prompt, revision=revisions, stage="revision")

    def _blocks(self, principle: Principle) -> bool:
        return principle.severity == "critical" or (principle.severity == "error" and self.config.require_all_pass)

    def _question(self, given: str, answer: str) -> str:
        told = "\n".join(f"- {one.name}: {one.description}" for one in self.config.principles)
        return (
            f"The task:\n{given}\n\nThe answer:\n{answer}\n\nPrinciples:\n{told}\n\nDoes the answer keep to each? Answer with JSON:"
            ' {"principle": {"passed": true or false, "reason": "..."}}.'
        )

    def _read(self, said: str) -> _Verdicts:
        found, verdicts = json_of(said), _Verdicts()
        for one in self.config.principles:
            told = found.get(one.name) if isinstance(found, dict) else None
            if told is None:
                line = re.search(rf"^.*(?<!\w){re.escape(one.name)}(?!\w)(.*)$", said, re.IGNORECASE | re.MULTILINE)
                told = line[1] if line else ""
            if isinstance(told, dict):
                verdicts.passed[one.name] = told.get("passed") is True
                verdicts.why[one.name] = str(told.get("reason") or "")
            else:
                verdicts.passed[one.name] = told is True or (isinstance(told, str) and agrees(told))
                verdicts.why[one.name] = told if isinstance(told, str) else ""
        return verdicts
