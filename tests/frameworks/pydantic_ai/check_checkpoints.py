"""Checkpoints of an agent's turns, and going on from them without having a turn twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai import DeferredToolRequests, DeferredToolResults, RunContext, Tool

from tests.frameworks.pydantic_ai.agents import TASK, Desk, go
from tests.frameworks.sights import Bill, Wflo, until
from wflo import WfloWorkflow
from wflo.errors import CheckpointError
from wflo.states import decode


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_a_checkpoint_follows_each_turn_and_a_tool_that_was_called_is_not_called_again(
    wflo: Wflo, desk: Desk, bill: Bill
) -> None:
    flow = WfloWorkflow("editor")
    first = go(flow.execute(desk.editor, TASK))
    kept = wflo.checkpoints(flow.execution_id)
    assert [(one["name"], one["agent"]) for one in kept] == [("editor", "editor")] * 2
    back, paid = flow.rollback_to_checkpoint(1), len(bill.lines())
    assert [one["kind"] for one in back["messages"]] == ["request", "response", "request"]
    second = go(flow.execute(desk.editor, back))
    assert (second.output, desk.looked_up, len(bill.lines()) - paid) == (first.output, ["x"], 1)
    assert [one.parts for one in second.all_messages()[:3]] == [one.parts for one in first.all_messages()[:3]]


def test_a_state_of_another_process_goes_on_with_an_agent_like_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("editor")
    go(flow.execute(desk.editor, TASK))
    state = decode(wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/1")["state"])
    paid, later = len(bill.lines()), WfloWorkflow("editor")
    result = go(later.execute(Desk(str(desk.client.base_url)).editor, state))
    assert (result.output, len(bill.lines()) - paid) == ("x is fine", 1)
    with pytest.raises(CheckpointError, match="cannot be read"):
        go(later.execute(desk.editor, {"messages": [{"kind": "riddle"}]}))


def test_an_agent_may_be_told_something_as_it_goes_on(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("writer")
    go(flow.execute(desk.writer, TASK))
    back = flow.rollback_to_last_checkpoint()
    assert go(flow.execute(desk.writer, {**back, "user_prompt": "barn owls"})).output.split() == ["barn", "owls"]


def test_those_that_a_tool_asks_have_no_checkpoints_of_their_own(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.chief, TASK))
    assert [one["name"] for one in flow.list_checkpoints()] == ["chief", "chief"]
    back, paid = flow.rollback_to_checkpoint(1), len(bill.lines())
    go(flow.execute(desk.chief, back))
    assert [line["model"] for line in bill.lines()[paid:]] == ["tools"]
    quiet = WfloWorkflow("quiet", enable_checkpointing=False)
    go(quiet.execute(desk.writer, TASK))
    assert quiet.list_checkpoints() == []


def test_an_agent_whose_money_ended_goes_back_by_itself_where_it_may(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    long = desk.agent("editor", "walk2", tools=[desk.look_up])
    flow = WfloWorkflow("desk", budget_usd="0.00002", rollback_on_budget=True)
    with pytest.raises(flow.BudgetExceededError):
        go(flow.execute(long, TASK))
    assert len(bill.lines()) == 2
    assert [one["kind"] for one in flow.restored_state["messages"]] == ["request", "response", "request"]
    flow.budget_usd = None
    assert go(flow.execute(long, flow.restored_state)).output
    assert (len(bill.lines()), len(desk.looked_up)) == (4, 2), "the first turn is not had again"


def test_an_agent_goes_on_when_a_page_asks_it_to(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""
    seen: list[str] = []

    async def ask(own: RunContext[dict[str, str]], q: str) -> str:
        """Ask."""
        nonlocal first
        seen.append(own.deps["name"])
        if len(seen) == 2:
            first = flow.execution_id
            await asyncio.to_thread(until, lambda: len(wflo.checkpoints(first)) == 1)
            changed = {"model": "echo", "instructions": "Be brief."}
            wflo.post(f"/api/v1/runs/{first}/rollback", {"checkpoint": 1, "reason": "x", "overrides": changed})
            assert await asyncio.to_thread(until, lambda: flow.run.control.get("rollback"))
        return "asked"

    asks = desk.agent("asks", "walk2", tools=[ask], deps_type=dict)
    result = go(flow.execute(asks, {"user_prompt": TASK, "deps": {"name": "ada"}}))
    assert seen == ["ada", "ada"]
    assert [line["model"] for line in bill.lines()] == ["walk2", "walk2", "echo"]
    assert result.output
    assert result.all_messages()[-2].instructions == "Be brief."
    assert flow.execution_id != first
    assert wflo.run(flow.execution_id)["parent_run_id"] == wflo.run(first)["id"]


def test_somebody_is_asked_before_a_tool_is_called(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    tool: Tool[Any] = Tool(desk.look_up, requires_approval=True)
    asked, flow = (
        desk.agent("editor", "tool", tools=[tool], output_type=[str, DeferredToolRequests]),
        WfloWorkflow("asks"),
    )
    result = go(flow.execute(asked, TASK))
    assert (len(result.output.approvals), desk.looked_up, flow.list_checkpoints()) == (1, [], [])
    answers = DeferredToolResults(approvals={result.output.approvals[0].tool_call_id: True})
    paid = bill.cost_usd()
    later = {"message_history": result.all_messages(), "deferred_tool_results": answers}
    assert go(flow.execute(asked, later)).output == "x is fine"
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd() - paid}
    (called,) = wflo.spans(flow.execution_id, "tool")
    assert (called["name"], called["status"], desk.looked_up) == ("look_up", "ok", ["x"])
