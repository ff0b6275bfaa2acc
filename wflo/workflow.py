"""WfloWorkflow: budgets, checkpoints and rollback around any callable, graph or crew, in two lines.

    flow = WfloWorkflow(budget_usd=10.00, per_agent_budgets={"researcher": 2.00, "writer": 3.00})
    result = await flow.execute(graph, {"topic": "quantum computing"})
    flow.get_cost_breakdown_by_agent()

Nothing in the framework's code changes. Answers of the ``get_`` methods are there at once and may be awaited all the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from wflo import checkpoints, context, errors, recording, targets
from wflo.context import Scope
from wflo.either import EitherDict, EitherList, either
from wflo.rollbacks import next_run
from wflo.runs import Run
from wflo.shelf import Checkpoint

Money = float | int | str | Decimal


class WfloWorkflow:
    """One execution after another under the same limits; the newest one answers the questions.

    ``budget_usd`` is what an execution may spend, ``per_agent_budgets`` what each agent may; ``max_iterations`` calls of
    models and ``time_budget_seconds`` end it too. ``rollback_on_budget``: when the money ends, go back to the last
    checkpoint by itself and give its state back; else the error has it as ``last_checkpoint``. Raises ValueError naming
    the argument that means nothing.
    """

    BudgetExceededError: ClassVar = errors.BudgetExceededError
    AgentBudgetExceededError: ClassVar = errors.AgentBudgetExceededError
    CircuitOpenError: ClassVar = errors.CircuitOpenError
    CircuitBreakerOpenError: ClassVar = errors.CircuitOpenError
    InfiniteLoopDetectedError: ClassVar = errors.InfiniteLoopDetectedError
    RetryExhaustedError: ClassVar = errors.RetryExhaustedError
    ContentionDetectedError: ClassVar = errors.ContentionDetectedError
    TimeBudgetExceededError: ClassVar = errors.TimeBudgetExceededError
    RateLimitExceededError: ClassVar = errors.RateLimitExceededError
    ApprovalRequiredError: ClassVar = errors.ApprovalRequiredError
    RunKilledError: ClassVar = errors.RunKilledError
    RollbackRequestedError: ClassVar = errors.RollbackRequestedError

    def __init__(
        self,
        name: str = "",
        *,
        budget_usd: Money | None = None,
        per_agent_budgets: Mapping[str, Money] | None = None,
        max_iterations: int | None = 100,
        time_budget_seconds: float | None = None,
        enable_checkpointing: bool = True,
        enable_observability: bool = True,
        enable_consensus: bool = True,
        enable_approval_gates: bool = True,
        enable_loop_detection: bool = True,
        rollback_on_budget: bool = False,
        execution_id: str | None = None,
        session_id: str = "",
        user_id: str = "",
        tags: tuple[str, ...] | list[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name or type(self).__name__
        self.budget_usd = _money("budget_usd", budget_usd)
        self.per_agent_budgets = {
            agent: _known(f"per_agent_budgets: {agent}", value) for agent, value in (per_agent_budgets or {}).items()
        }
        for argument, value in (("max_iterations", max_iterations), ("time_budget_seconds", time_budget_seconds)):
            if value is not None and value <= 0:
                raise ValueError(f"{argument}: more than 0, or None for no limit")
        self.max_iterations, self.time_budget_seconds = max_iterations, time_budget_seconds
        self.enable_checkpointing, self.enable_observability = enable_checkpointing, enable_observability
        self.enable_consensus, self.enable_approval_gates = enable_consensus, enable_approval_gates
        self.enable_loop_detection, self.rollback_on_budget = enable_loop_detection, rollback_on_budget
        self._facts = {
            "session_id": session_id,
            "user_id": user_id,
            "tags": list(tags),
            "metadata": dict(metadata or {}),
        }
        self._run = self._new_run(execution_id)
        self._has_run = False
        self.restored_state: Any = None  # what a rollback gave back
        self._goes_on_from = ""  # the run that was rolled back and whose place the next takes
        self.resumed_from: dict[str, Any] | None = None  # the checkpoint it is of, and its run; None before any
        self._failure: BaseException | None = None

    # --- executing --------------------------------------------------------------------------------------------------------

    async def execute(self, workflow: Any, inputs: Any = None) -> Any:
        """Run it to its end: a LangGraph graph, a CrewAI crew, an AutoGen team, an agent of openai-agents or pydantic-ai, or
        a callable (with ``**inputs``; async or not). Raises ValueError for anything else, and what the workflow raises.

        When somebody asks for a rollback meanwhile, it goes on from that checkpoint in a run of its own: with the state as
        its inputs, or as ``state`` where a callable has such a parameter.
        """
        if self._has_run:
            self._run = self._new_run(None)
        self._has_run, self._failure = True, None
        parent, self._goes_on_from = self._goes_on_from, ""
        while True:
            try:
                return await self._executed(workflow, inputs, parent)
            except errors.RollbackRequestedError as wanted:
                inputs = self._go_back(wanted, workflow, inputs)
                parent = wanted.run_id

    async def _executed(self, workflow: Any, inputs: Any, parent: str) -> Any:
        run = self._run
        if not self.enable_observability:
            with context.entered(Scope(run)):
                return await self._within(workflow, inputs)
        facts: dict[str, Any] = {name: value for name, value in self._facts.items() if value}
        recording.opened(run, input=inputs, parent_run_id=parent, **facts)
        try:
            with context.entered(Scope(run)):
                result = await self._within(workflow, inputs)
        except BaseException as error:
            self._failure = error
            recording.closed(run, error=error)
            raise
        recording.closed(run, output=result)
        return result

    async def _within(self, workflow: Any, inputs: Any) -> Any:
        try:
            integration = targets.integration_of(workflow)
            if integration is not None:
                return await integration.execute(workflow, inputs, self)
            return await targets.call(workflow, inputs)
        except errors.BudgetExceededError as error:
            last = self._run.shelf.latest()
            error.last_checkpoint = None if last is None else last.told()
            if self.rollback_on_budget and last is not None:
                self._restored(last, reason="the budget is spent")
            raise

    def _go_back(self, wanted: errors.RollbackRequestedError, workflow: Any, inputs: Any) -> Any:
        """The next run, and what it begins with."""
        self._run, state = next_run(self._run, wanted, self._new_run(None))
        self.restored_state, self.resumed_from = state, {**wanted.checkpoint, "run": wanted.run_id}
        if callable(workflow) and targets.takes(workflow, "state"):
            return {**(inputs or {}), "state": state}
        if callable(workflow) and not hasattr(workflow, "ainvoke") and not hasattr(workflow, "kickoff"):
            return inputs
        return state

    def wrap(self, workflow: Any) -> WrappedWorkflow:
        """``wrapped = flow.wrap(graph)``, then ``await wrapped.execute(inputs)``."""
        return WrappedWorkflow(self, workflow)

    def wrap_crew(self, crew: Any) -> WrappedWorkflow:
        return self.wrap(crew)

    async def execute_crew(self, crew: Any, inputs: Any = None) -> Any:
        return await self.execute(crew, inputs)

    def _new_run(self, id: str | None) -> Run:
        run = Run(
            name=self.name,
            budget_usd=self.budget_usd,
            agent_budgets=dict(self.per_agent_budgets),
            seconds_max=self.time_budget_seconds,
            calls_max=self.max_iterations,
            is_told=self.enable_observability,
        )
        if id:
            run.id = id
        return run

    # --- checkpoints ------------------------------------------------------------------------------------------------------

    def checkpoint(self, name: str, state: Any, *, agent: str = "") -> Any:
        """Save a state now; awaitable too. Raises CheckpointError for one that is too large. Without checkpointing: None."""
        if not self.enable_checkpointing:
            return either(None)
        scope = context.current()
        own = scope if scope is not None and scope.run is self._run else None
        found = checkpoints.save(self._run, name, state, agent=agent or (own.agent if own else ""), scope=own)
        return either(found.told())

    def list_checkpoints(self) -> EitherList[dict[str, Any]]:
        """``id, name, version, timestamp, agent, size_bytes, lossy_paths, superseded``; the oldest first."""
        return EitherList(one.told() for one in self._run.shelf.all())

    def rollback_to_checkpoint(self, name: str | int) -> Any:
        """The state of the newest checkpoint of that name (or version) that was not superseded; what came later is now.
        None where there is none."""
        shelf = self._run.shelf
        return self._roll_back(shelf.version(name) if isinstance(name, int) else shelf.latest(name))

    def rollback_to_last_checkpoint(self) -> Any:
        """The same for the newest of all."""
        return self._roll_back(self._run.shelf.latest())

    def _roll_back(self, to: Checkpoint | None) -> Any:
        if to is None:
            return either(None)
        return self._restored(to)

    def _restored(self, to: Checkpoint, *, reason: str = "") -> Any:
        self.restored_state = either(checkpoints.roll_back(self._run, to, reason=reason))
        self.resumed_from = {**to.told(), "run": self._run.id}
        self._goes_on_from = self._run.id
        return self.restored_state

    # --- questions --------------------------------------------------------------------------------------------------------

    def check_budget(self) -> Any:
        """True while there is money. Raises BudgetExceededError or AgentBudgetExceededError when more than a budget is spent."""
        run = self._run
        for agent in run.agent_budgets:
            run.check_spent(agent, None)
        run.check_spent("", None)
        return either(True)

    def get_cost_breakdown(self) -> EitherDict[str, Any]:
        """Money is Decimal; ``total_usd`` is of the calls whose price is known, ``unpriced_calls`` are the others."""
        return EitherDict(self._run.used.breakdown(self._run.budget_usd))

    def get_cost_breakdown_by_agent(self) -> EitherDict[str, dict[str, Any]]:
        return EitherDict(self._run.used.by_agent(self._run.agent_budgets))

    def get_metrics(self) -> EitherDict[str, Any]:
        """``iterations`` (calls of models), ``avg_iteration_time_ms``, ``retries``, ``circuit_breaker_trips``, ``duration_ms``."""
        run, calls = self._run, self._run.used.whole.llm_calls
        taken_ms = (time.monotonic() - run.started) * 1000
        return EitherDict({
            "iterations": calls,
            "avg_iteration_time_ms": run.used.whole.call_ms / calls if calls else 0.0,
            "retries": run.retries,
            "circuit_breaker_trips": run.circuit_trips,
            "duration_ms": taken_ms,
        })  # fmt: skip

    def get_error_context(self) -> EitherDict[str, Any]:
        """Where it was when it failed: ``step, agent, task, iteration, attempt, cost_usd, last_checkpoint, error``."""
        run, last = self._run, self._run.shelf.latest()
        return EitherDict({
            "step": run.step,
            "agent": run.agent or None,
            "task": run.task or None,
            "iteration": run.used.whole.llm_calls,
            "attempt": run.retries + 1,
            "cost_usd": run.used.whole.cost_usd,
            "last_checkpoint": None if last is None else last.told(),
            "error": None if self._failure is None else f"{type(self._failure).__name__}: {self._failure}",
        })  # fmt: skip

    def get_trace_id(self) -> str:
        """32 hex digits; the server finds the run by it."""
        return self._run.trace_id

    @property
    def execution_id(self) -> str:
        """The run's external id."""
        return self._run.id

    @property
    def run(self) -> Run:
        return self._run


class WfloAgent(WfloWorkflow):
    """The same, for a loop of one's own around a model."""


class WrappedWorkflow:
    """A workflow and the limits it runs under."""

    def __init__(self, flow: WfloWorkflow, target: Any) -> None:
        self.flow, self.target = flow, target

    async def execute(self, inputs: Any = None) -> Any:
        return await self.flow.execute(self.target, inputs)

    kickoff = ainvoke = execute

    def __getattr__(self, name: str) -> Any:
        return getattr(self.flow, name)


def with_wflo(target: Any = None, **options: Any) -> Any:
    """A workflow wrapped in two lines: ``wrapped = with_wflo(graph, budget_usd=10)``; also as a decorator of an async
    function, whose every call is then an execution."""
    if target is None:
        return lambda inner: with_wflo(inner, **options)
    return WfloWorkflow(**options).wrap(target)


def _known(argument: str, value: Money) -> Decimal:
    found = _money(argument, value)
    assert found is not None
    return found


def _money(argument: str, value: Money | None) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except ArithmeticError:
        amount = Decimal(-1)
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError(f"{argument}: an amount in USD from 0 up, not {value!r}")
    return amount
