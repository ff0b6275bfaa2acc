"""What all workflows share: a name for each turn's bill, hooks, bounded parallel parts, and how a result is told."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar, TypeVar

from wflo.agents import steps
from wflo.agents.agent import Executor
from wflo.agents.steps import OnStep, Step, StepKind

R = TypeVar("R")

PARALLEL_MAX = 8

Interaction = dict[str, Any]
Named = tuple[str, Executor]


class ConfigError(ValueError):
    """A workflow cannot run so; ``field`` is the option to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


@dataclass(slots=True, kw_only=True)
class WorkflowResult:
    """``tokens`` and ``cost_usd`` (None: unknown) are of all calls the executors made in it."""

    final_output: str
    iterations: int
    agent_interactions: list[Interaction]
    metadata: dict[str, Any]
    tokens: dict[str, int] = field(default_factory=dict)
    cost_usd: Decimal | None = None


class Workflow(ABC):
    """``name`` is its module's. Subclasses say ``_run`` and ``_check``.

    ``on_step`` is handed every step in it: each turn of an agent, each model's answer, each tool's.
    """

    name: ClassVar[str] = ""

    def __init__(self, *, on_step: OnStep | None = None, parallel_max: int = PARALLEL_MAX) -> None:
        self.on_step = on_step
        self.parallel_max = parallel_max
        self._interactions: list[Interaction] = []

    async def execute(self, initial_input: str, context: Mapping[str, Any] | None = None) -> WorkflowResult:
        """``context`` is told with the input. Raises ConfigError naming the option, and what an executor raises.

        A workflow may be executed again, and by several at once.
        """
        self.check_config()
        return await _Execution(self).result(_with_context(initial_input, context))

    def validate_config(self) -> bool:
        """Whether it can run so; ``check_config`` says why not."""
        try:
            self.check_config()
        except ConfigError:
            return False
        return True

    def check_config(self) -> None:
        """Raises ConfigError naming the option."""
        need(self.parallel_max >= 1, "parallel_max", "must be at least 1")
        self._check()

    @abstractmethod
    def _check(self) -> None:
        """Raises ConfigError."""

    @abstractmethod
    async def _run(self, turn: Turns, given: str) -> tuple[str, int, dict[str, Any]]:
        """The final output, the iterations, the metadata."""


class _Execution:
    """One run of a workflow."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow

    async def result(self, given: str) -> WorkflowResult:
        workflow = self._workflow
        turns = Turns(workflow.name, workflow.parallel_max)
        with steps.watching(workflow.on_step), steps.counting() as tally, steps.acting_as("", workflow.name):
            output, iterations, metadata = await workflow._run(turns, given)
        return WorkflowResult(
            final_output=output, iterations=iterations, agent_interactions=turns.interactions, metadata=metadata,
            tokens=tally.tokens, cost_usd=tally.known_usd,
        )  # fmt: skip


class Turns:
    """The turns of one execution: asked in an agent's name, written down, told to the hooks."""

    def __init__(self, workflow: str, parallel_max: int) -> None:
        self.interactions: list[Interaction] = []
        self._workflow = workflow
        self._gate = asyncio.Semaphore(parallel_max)

    async def ask(self, agent: str, executor: Executor, prompt: str, **labels: Any) -> str:
        """Raises what the executor raises."""
        place = self._place(agent, prompt, labels)
        with steps.acting_as(agent):
            output = await executor.execute(prompt)
        place["output"] = output
        await self._tell(agent, output, labels)
        return output

    async def try_ask(self, agent: str, executor: Executor, prompt: str, **labels: Any) -> str | None:
        """None where it failed: what it raised is the turn's output then, and the turn is marked ``error``. What a hook raises
        ends the run."""
        place = self._place(agent, prompt, labels)
        try:
            with steps.acting_as(agent):
                output = await executor.execute(prompt)
        except Exception as error:  # whatever an executor of somebody's raises
            if steps.stops_the_run(error):
                raise
            place["output"], place["error"] = f"Error: {error}", True
            await self._tell(agent, place["output"], labels, is_error=True)
            return None
        place["output"] = output
        await self._tell(agent, output, labels)
        return output

    async def all(self, asked: Iterable[Awaitable[R]]) -> list[R]:
        """At the same time, as many as may be; the results in their order. One that raises ends the others."""

        async def gated(one: Awaitable[R]) -> R:
            async with self._gate:
                return await one

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(gated(one)) for one in asked]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # as one that was asked alone would raise
        return [task.result() for task in tasks]

    async def note(self, stage: str, **facts: Any) -> None:
        """Something the workflow did itself."""
        self.interactions.append({"stage": stage, **facts})
        await steps.tell(
            Step(kind=StepKind.STAGE, workflow=self._workflow, name=stage, number=len(self.interactions), detail=facts)
        )

    def _place(self, agent: str, prompt: str, labels: dict[str, Any]) -> Interaction:
        """Parallel turns are written down in the order in which they began."""
        place: Interaction = {**labels, "agent": agent, "input": prompt, "output": ""}
        self.interactions.append(place)
        return place

    async def _tell(self, agent: str, output: str, labels: dict[str, Any], *, is_error: bool = False) -> None:
        await steps.tell(
            Step(
                kind=StepKind.TURN, agent=agent, workflow=self._workflow, name=str(labels.get("stage", agent)),
                number=len(self.interactions), text=output, is_error=is_error, detail=labels,
            )
        )  # fmt: skip


def need(is_so: bool, field: str, message: str) -> None:
    if not is_so:
        raise ConfigError(field, message)


def need_named(executors: Sequence[Named], field: str, *, least: int = 1) -> None:
    """Pairs of a name and an executor, each name once."""
    need(len(executors) >= least, field, f"must have at least {least}")
    names = [name for name, _ in executors]
    twice = sorted({name for name in names if names.count(name) > 1})
    need(not twice, field, f'"{twice[0] if twice else ""}" is there twice: costs are charged by name')


def need_one_of(value: str, choices: Sequence[str], field: str) -> None:
    need(value in choices, field, f'"{value}" is none of {", ".join(choices)}')


def need_share(value: float | None, field: str) -> None:
    need(value is None or 0 <= value <= 1, field, "must be from 0 to 1")


def _with_context(given: str, context: Mapping[str, Any] | None) -> str:
    if not context:
        return given
    told = "\n".join(f"- {name}: {value}" for name, value in context.items())
    return f"{given}\n\nContext:\n{told}"


Judge = Callable[[str], Awaitable[str]]
