"""What happens in a run of agents, step by step: for checkpoints, budgets, traces, progress, tests.

A hook is handed each step as it ends: ``run(..., on_step=hook)`` for one run, ``with watching(hook):`` for all within. It may
be async. What a hook raises ends the run: that is how a budget stops one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from wflo.agents.model import Message
from wflo.usage import Usage


class StepKind(StrEnum):
    MODEL = "model"  # an answer came
    TOOL = "tool"  # a tool answered
    TURN = "turn"  # an agent of a workflow had its turn
    STAGE = "stage"  # a workflow moved on without asking anybody: votes counted, parts joined


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """``messages`` are those this step added to its conversation; ``number`` counts from 1 within a run."""

    kind: StepKind
    agent: str = ""
    number: int = 0
    iteration: int = 0
    workflow: str = ""
    name: str = ""  # of the model, the tool or the stage
    messages: tuple[Message, ...] = ()
    text: str = ""
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    is_error: bool = False
    detail: dict[str, Any] = field(default_factory=dict)


OnStep = Callable[[Step], Awaitable[None] | None]


@dataclass(slots=True)
class Tally:
    """What all calls within came to. ``cost_usd`` counts calls with a known price; ``unpriced_calls`` the others."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    unpriced_calls: int = 0

    def add(self, usage: Usage | None, cost_usd: Decimal | None) -> None:
        self.calls += 1
        if usage is not None:
            self.input_tokens += usage.input_tokens or 0
            self.output_tokens += usage.output_tokens or 0
        if cost_usd is None:
            self.unpriced_calls += 1
        else:
            self.cost_usd += cost_usd

    def join(self, other: Tally) -> None:
        self.calls += other.calls
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cost_usd += other.cost_usd
        self.unpriced_calls += other.unpriced_calls

    @property
    def known_usd(self) -> Decimal | None:
        """None where the price of a call is not known."""
        return None if self.unpriced_calls else self.cost_usd

    @property
    def tokens(self) -> dict[str, int]:
        total = self.input_tokens + self.output_tokens
        return {"prompt": self.input_tokens, "completion": self.output_tokens, "total": total}


_STOPS = "_wflo_stops_the_run"
_hooks: ContextVar[tuple[OnStep, ...]] = ContextVar("wflo_step_hooks", default=())
_tallies: ContextVar[tuple[Tally, ...]] = ContextVar("wflo_tallies", default=())
_agent: ContextVar[str] = ContextVar("wflo_agent", default="")
_workflow: ContextVar[str] = ContextVar("wflo_workflow", default="")
_call: ContextVar[Message | None] = ContextVar("wflo_tool_call", default=None)


@contextmanager
def watching(hook: OnStep | None) -> Iterator[None]:
    """Hand ``hook`` every step of what runs within, also in tasks begun there."""
    if hook is None:
        yield
        return
    token = _hooks.set((*_hooks.get(), hook))
    try:
        yield
    finally:
        _hooks.reset(token)


@contextmanager
def counting() -> Iterator[Tally]:
    """What the calls within come to."""
    tally = Tally()
    token = _tallies.set((*_tallies.get(), tally))
    try:
        yield tally
    finally:
        _tallies.reset(token)


@contextmanager
def acting_as(agent: str, workflow: str = "") -> Iterator[None]:
    """Calls within are ``agent``'s: its name is on their spans, and its bill."""
    tokens = [(_agent, _agent.set(agent))] if agent else []
    if workflow:
        tokens.append((_workflow, _workflow.set(workflow)))
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)


@contextmanager
def calling(call: Message) -> Iterator[None]:
    """A tool runs within, for this call of a model's answer."""
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)


def current_call() -> Message | None:
    """The call of a model's answer, the very object in it, that the tool which runs here answers; None outside of one."""
    return _call.get()


def current_agent() -> str:
    return _agent.get()


def current_workflow() -> str:
    return _workflow.get()


def counted(usage: Usage | None, cost_usd: Decimal | None) -> None:
    for tally in _tallies.get():
        tally.add(usage, cost_usd)


async def tell(step: Step, on_step: OnStep | None = None) -> None:
    """Raises what a hook raises: that ends the run, so it is marked, and nobody takes it for an agent's failure."""
    try:
        for hook in (*_hooks.get(), *(() if on_step is None else (on_step,))):
            found = hook(step)
            if inspect.isawaitable(found):
                await found
    except Exception as error:
        error.__dict__[_STOPS] = True
        raise


def stops_the_run(error: BaseException) -> bool:
    """Whether a hook raised it."""
    return _STOPS in getattr(error, "__dict__", {})


def is_watched(on_step: OnStep | None) -> bool:
    return on_step is not None or bool(_hooks.get())
