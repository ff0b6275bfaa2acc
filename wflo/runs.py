"""Run: one execution as this process sees it. What it has used, what it may use, and what the server says of it."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from wflo import context
from wflo.bell import bell
from wflo.context import Scope
from wflo.errors import (
    AgentBudgetExceededError,
    BudgetExceededError,
    InfiniteLoopDetectedError,
    RollbackRequestedError,
    RunKilledError,
    TimeBudgetExceededError,
)
from wflo.ids import new_run_id, trace_id_of
from wflo.shelf import Shelf
from wflo.tally import Tallies


@dataclass(slots=True, weakref_slot=True, eq=False)
class Run:
    """``id`` is the caller's own name of it (the server's ``external_id``); costs and limits are kept in this process."""

    id: str = field(default_factory=new_run_id)
    name: str = ""
    budget_usd: Decimal | None = None
    agent_budgets: dict[str, Decimal] = field(default_factory=dict)
    seconds_max: float | None = None
    is_told: bool = True  # to whoever listens: else it is kept in this process
    used: Tallies = field(default_factory=Tallies)
    started: float = field(default_factory=time.monotonic)
    retries: int = 0
    circuit_trips: int = 0
    step: str = ""  # what was begun last
    agent: str = ""
    task: str = ""  # of a crew
    control: dict[str, Any] = field(default_factory=dict)  # the server's last word
    taken_rollbacks: set[str] = field(default_factory=set)
    calls_max: int | None = None  # of a model
    shelf: Shelf = field(default_factory=Shelf)
    watchers: list[Callable[[Any, Any, Any], None]] = field(default_factory=list)  # told of each span that ends
    loop: InfiniteLoopDetectedError | None = None  # that was seen, and is to be raised
    overrides: dict[str, Any] = field(default_factory=dict)  # what a rollback changes: model, instructions

    @property
    def trace_id(self) -> str:
        return trace_id_of(self.id)

    def check(self, agent: str = "") -> None:
        """Before a call is made. Raises RunKilledError, RollbackRequestedError, TimeBudgetExceededError,
        InfiniteLoopDetectedError, BudgetExceededError, AgentBudgetExceededError."""
        self.check_control()
        if self.calls_max is not None and self.used.whole.llm_calls >= self.calls_max:
            raise InfiniteLoopDetectedError(
                f"The run has called models {self.calls_max} times, the most it may (max_iterations).",
                iteration=self.calls_max,
                repeated_pattern="max_iterations",
            )
        seconds = time.monotonic() - self.started
        if self.seconds_max is not None and seconds > self.seconds_max:
            raise TimeBudgetExceededError(seconds=seconds, budget_seconds=self.seconds_max)
        spent, budget = self.used.spent_usd(), self.budget_usd
        if budget is not None and spent >= budget:
            raise BudgetExceededError(
                f"The run's budget of ${budget} is spent (${spent}), so the call was not made.",
                spent_usd=spent,
                budget_usd=budget,
            )
        own = self.agent_budgets.get(agent)
        if own is not None and self.used.spent_usd(agent) >= own:
            spent = self.used.spent_usd(agent)
            raise AgentBudgetExceededError(
                f'The budget of agent "{agent}" of ${own} is spent (${spent}), so the call was not made.',
                agent_name=agent,
                spent_usd=spent,
                budget_usd=own,
            )

    def check_control(self) -> None:
        """What the server wants of the run, and whether it was seen to go round in circles."""
        self.check_loop()
        control = self.control
        if not control:
            return
        if control.get("status") == "killed":
            raise RunKilledError(run_id=self.id, kill_reason=control.get("kill_reason") or "")
        wanted = control.get("rollback")
        if isinstance(wanted, Mapping) and wanted.get("id") not in self.taken_rollbacks:
            raise RollbackRequestedError(
                run_id=self.id,
                rollback_id=str(wanted.get("id")),
                checkpoint=wanted.get("checkpoint") or {},
                reason=wanted.get("reason") or "",
                overrides=wanted.get("overrides"),
                budget_usd=_usd(wanted.get("budget_usd")),
            )

    def check_loop(self) -> None:
        """Raises InfiniteLoopDetectedError, once for each loop that was seen."""
        found, self.loop = self.loop, None
        if found is not None:
            raise found

    def check_spent(self, agent: str, answer: Any) -> None:
        """After a call that was paid for: raises when more than a budget is spent; the answer is in the error. And when the
        run was seen to go round in circles."""
        self.check_loop()
        spent = self.used.spent_usd(agent) if agent else Decimal(0)
        own = self.agent_budgets.get(agent)
        if own is not None and spent > own:
            raise AgentBudgetExceededError(agent_name=agent, spent_usd=spent, budget_usd=own, answer=answer)
        spent = self.used.spent_usd()
        if self.budget_usd is not None and spent > self.budget_usd:
            raise BudgetExceededError(spent_usd=spent, budget_usd=self.budget_usd, answer=answer)


DECISIONS_KEPT = 1_000

_open: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
_decided: OrderedDict[str, Mapping[str, Any]] = (
    OrderedDict()
)  # questions, by their ids: {"status", "decided_by", "comment"}


def heard(control: Mapping[str, Any]) -> None:
    """What an answer of the server says of runs: ``{"runs": {id: {...}}}``."""
    for id, block in (control.get("runs") or {}).items():
        run = _open.get(id)
        if run is not None and isinstance(block, dict) and block != run.control:
            run.control = block
            bell.ring()


def told(id: str, changes: Mapping[str, Any]) -> bool:
    """Some of what the server says of a run; False: it is not open here."""
    run = _open.get(id)
    if run is None:
        return False
    heard({"runs": {id: {**run.control, **changes}}})
    return True


def decided(approval_id: str, decision: Mapping[str, Any]) -> None:
    """A question was answered, whether or not its run is open here."""
    _decided[approval_id] = decision
    while len(_decided) > DECISIONS_KEPT:
        _decided.popitem(last=False)
    bell.ring()


def decision(approval_id: str, run: Run | None) -> Mapping[str, Any] | None:
    """What was heard of a question without asking; None while it is open."""
    told = _decided.get(approval_id)
    if told is None and run is not None:
        told = (run.control.get("approvals") or {}).get(approval_id)
    is_known = isinstance(told, Mapping) and told.get("status") not in (None, "pending")
    return told if is_known else None


def open_ids() -> list[str]:
    return list(_open)


def opened(run: Run) -> None:
    _open[run.id] = run


def closed(run: Run) -> None:
    _open.pop(run.id, None)


@contextmanager
def entered(run: Run, agent: str = "", span_id: str = "") -> Iterator[Run]:
    """Make ``run`` the current one, for what is called within."""
    with context.entered(Scope(run, span_id, agent)):
        yield run


def _usd(told: Any) -> Decimal | None:
    """As the control block has it, text; None for what is none."""
    try:
        found = Decimal(str(told))
    except InvalidOperation:
        return None
    return found if found.is_finite() and found > 0 else None
