"""WfloWorkflow: limits, checkpoints and rollback around whatever is executed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from wflo.checkpoints import checkpoint
from wflo.context import current_run
from wflo.decorators import track_agent_cost, track_llm_call, track_tool_call
from wflo.errors import BudgetExceededError, CheckpointError, TimeBudgetExceededError
from wflo.testing import captured
from wflo.workflow import WfloAgent, WfloWorkflow, with_wflo

ANSWER = {"model": "demo/echo", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}}
COST = Decimal("0.5")


@track_llm_call(model="demo/echo")
def ask(question: str) -> Any:
    return ANSWER


class Graph:
    async def ainvoke(self, inputs: dict[str, Any]) -> dict[str, Any]:
        ask(str(inputs))
        return inputs | {"by": "graph"}


class Crew:
    def kickoff(self, inputs: dict[str, Any] | None = None) -> str:
        ask(str(inputs))
        return f"crew of {inputs}"


class Chat:
    def initiate_chat(self, message: str) -> str:
        return ask(message) and f"said {message}"


async def function(topic: str) -> str:
    ask(topic)
    return f"async {topic}"


def plain(topic: str) -> str:
    ask(topic)
    return f"sync {topic}"


class Acting:
    async def __call__(self, topic: str) -> str:
        return f"called {topic}"


@pytest.mark.parametrize(
    ("target", "inputs", "expected"),
    [
        (Graph(), {"topic": "x"}, {"topic": "x", "by": "graph"}),
        (Crew(), {"topic": "x"}, "crew of {'topic': 'x'}"),
        (Chat(), {"message": "x"}, "said x"),
        (function, {"topic": "x"}, "async x"),
        (plain, {"topic": "x"}, "sync x"),
        (lambda topic: function(topic), {"topic": "x"}, "async x"),
        (Acting(), {"topic": "x"}, "called x"),
    ],
)
def test_it_executes_what_it_is_given(target: Any, inputs: Any, expected: Any) -> None:
    flow = WfloWorkflow(budget_usd=10.00)
    with captured() as events:
        assert asyncio.run(flow.execute(target, inputs)) == expected
        assert asyncio.run(flow.wrap(target).execute(inputs)) == expected
    assert [event["kind"] for event in events if event["kind"].startswith("run.")] == ["run.start", "run.end"] * 2
    assert len({event["run_id"] for event in events}) == 2


@pytest.mark.parametrize("target", [5, "text", object(), None])
def test_what_cannot_be_executed_is_said(target: Any) -> None:
    with pytest.raises(ValueError, match="cannot be executed"):
        asyncio.run(WfloWorkflow().execute(target, {}))


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"budget_usd": -1}, "budget_usd"),
        ({"budget_usd": "much"}, "budget_usd"),
        ({"per_agent_budgets": {"a": float("nan")}}, "per_agent_budgets: a"),
        ({"max_iterations": 0}, "max_iterations"),
        ({"time_budget_seconds": -5}, "time_budget_seconds"),
    ],
)
def test_arguments_that_mean_nothing_are_named(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        WfloWorkflow(**arguments)


def test_all_arguments_of_the_original_are_taken() -> None:
    flags = ("checkpointing", "observability", "consensus", "approval_gates", "loop_detection")
    WfloWorkflow(
        "name", budget_usd=1, max_iterations=5, time_budget_seconds=3, **{f"enable_{flag}": True for flag in flags}
    )
    assert issubclass(WfloAgent, WfloWorkflow)
    for name in ("BudgetExceededError", "AgentBudgetExceededError", "CircuitOpenError", "InfiniteLoopDetectedError"):
        assert issubclass(getattr(WfloWorkflow(), name), Exception)


def test_costs_by_agent_with_and_without_await() -> None:
    research = track_agent_cost("researcher")(lambda: ask("a"))
    write = track_agent_cost("writer")(lambda: [ask("b"), ask("c")])
    flow = WfloWorkflow(budget_usd=10, per_agent_budgets={"researcher": 2, "writer": 3, "editor": 1.5})

    async def work() -> None:
        research()
        write()

    async def answers() -> list[Any]:
        return [await flow.get_cost_breakdown(), await flow.get_cost_breakdown_by_agent(), await flow.get_metrics()]

    asyncio.run(flow.execute(work))
    whole, agents, metrics = asyncio.run(answers())
    assert whole == flow.get_cost_breakdown()
    assert (whole["total_usd"], whole["remaining_usd"], whole["llm_calls"], whole["exceeded"]) == (
        3 * COST,
        Decimal("8.5"),
        3,
        False,
    )
    assert {name: row["cost_usd"] for name, row in agents.items()} == {
        "researcher": COST,
        "writer": 2 * COST,
        "editor": 0,
    }
    assert agents["editor"]["budget_usd"] == Decimal("1.5")
    assert metrics["iterations"] == 3
    assert len(flow.get_trace_id()) == 32


def test_the_budget_ends_it_and_the_error_has_the_last_checkpoint() -> None:
    flow = WfloWorkflow(budget_usd=0.7)

    async def work() -> None:
        for number in range(5):
            ask("x")
            await flow.checkpoint(f"step {number}", {"number": number})

    with pytest.raises(flow.BudgetExceededError) as over:
        asyncio.run(flow.execute(work))
    assert over.value.last_checkpoint is not None
    assert over.value.last_checkpoint["name"] == "step 0"
    context = flow.get_error_context()
    assert context["error"].startswith("BudgetExceededError")
    assert (context["iteration"], context["cost_usd"]) == (2, 2 * COST)
    assert flow.restored_state is None
    with pytest.raises(BudgetExceededError):
        flow.check_budget()


def test_rollback_on_budget_where_asked() -> None:
    flow = WfloWorkflow(budget_usd=0.7, rollback_on_budget=True)

    def work() -> None:
        ask("x")
        flow.checkpoint("first", {"draft": [1]})
        ask("x")

    with pytest.raises(BudgetExceededError):
        asyncio.run(flow.execute(work))
    assert flow.restored_state == {"draft": [1]}


def test_limits_of_calls_and_time() -> None:
    def endless() -> None:
        while True:
            ask("x")
            time.sleep(0.001)

    with pytest.raises(WfloWorkflow.InfiniteLoopDetectedError) as many:
        asyncio.run(WfloWorkflow(max_iterations=4).execute(endless))
    assert (many.value.iteration, many.value.repeated_pattern) == (4, "max_iterations")
    with pytest.raises(TimeBudgetExceededError):
        asyncio.run(WfloWorkflow(max_iterations=None, time_budget_seconds=0.05).execute(endless))


@dataclass
class State:
    notes: list[str]


def _saving() -> list[tuple[Callable[..., Any], Any]]:
    @checkpoint
    async def as_dict(state: dict[str, Any]) -> dict[str, Any]:
        return {"notes": [*state["notes"], "new"]}

    @checkpoint(name="object")
    def as_object(state: dict[str, Any]) -> State:
        return State(["new"])

    @checkpoint("value")
    def as_value(state: dict[str, Any]) -> int:
        return 5

    return [
        (as_dict, ("as_dict", {"notes": ["old", "new"]})),
        (as_object, ("object", {"notes": ["new"]})),
        (as_value, ("value", {"result": 5})),
    ]


@pytest.mark.parametrize(("step", "saved"), _saving())
def test_what_a_step_returns_is_saved(step: Callable[..., Any], saved: tuple[str, Any]) -> None:
    flow = WfloWorkflow()
    with captured() as events:
        asyncio.run(flow.execute(step, {"state": {"notes": ["old"]}}))
    (listed,) = flow.list_checkpoints()
    assert (listed["name"], listed["version"]) == (saved[0], 1)
    (told,) = [event for event in events if event["kind"] == "checkpoint"]
    assert (told["name"], told["state"]) == saved
    assert asyncio.run(_awaited(flow.rollback_to_last_checkpoint())) == saved[1]


async def _awaited(value: Any) -> Any:
    return await value


def test_a_rollback_supersedes_what_came_later() -> None:
    flow = WfloWorkflow()
    for name, number in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        flow.checkpoint(name, {"number": number})
    assert flow.rollback_to_checkpoint("a") == {"number": 3}
    assert [one["superseded"] for one in flow.list_checkpoints()] == [False, False, False, True]
    assert flow.rollback_to_last_checkpoint() == {"number": 3}
    assert flow.rollback_to_checkpoint(1) == {"number": 1}
    assert flow.checkpoint("d", {"number": 5})["version"] == 5
    assert flow.rollback_to_last_checkpoint() == {"number": 5}
    missing = flow.rollback_to_checkpoint("b")
    assert not missing
    assert asyncio.run(_awaited(missing)) is None


def test_a_saved_state_does_not_change_with_the_living_one() -> None:
    flow, state = WfloWorkflow(), {"messages": ["one"], "seen": {1, 2}}
    flow.checkpoint("start", state)
    state["messages"].append("two")  # type: ignore[attr-defined]
    assert flow.rollback_to_checkpoint("start") == {"messages": ["one"], "seen": {1, 2}}


def test_states_that_are_too_large_are_refused_and_lossy_places_listed() -> None:
    flow = WfloWorkflow()
    with pytest.raises(CheckpointError, match="more than"):
        flow.checkpoint("large", {"text": "x" * 3_000_000})
    made = flow.checkpoint("odd", {"messages": [{"client": object()}]})
    assert made["lossy_paths"] == ["state.messages[0].client"]


def test_without_checkpointing_or_observability() -> None:
    flow = WfloWorkflow(enable_checkpointing=False, enable_observability=False)

    @track_tool_call
    def work() -> Any:
        return current_run()

    with captured() as events:
        assert asyncio.run(flow.execute(work)) is flow.run
    assert events == []
    assert not flow.checkpoint("x", {})
    assert flow.list_checkpoints() == []


def test_two_lines_around_a_function() -> None:
    @with_wflo(budget_usd=1)
    async def work(topic: str) -> str:
        ask(topic)
        return topic

    assert asyncio.run(work.execute({"topic": "x"})) == "x"
    assert work.get_cost_breakdown()["total_usd"] == COST
