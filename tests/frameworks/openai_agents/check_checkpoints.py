"""Checkpoints of agents' turns, and going on from them without having a turn twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIResponsesModel,
    RunConfig,
    RunContextWrapper,
    SessionSettings,
    SQLiteSession,
    function_tool,
)

from tests.frameworks.openai_agents.agents import TASK, Desk, go
from tests.frameworks.sights import Bill, Wflo, until
from wflo import WfloWorkflow
from wflo.errors import CheckpointError
from wflo.states import decode


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_a_checkpoint_follows_each_turn_and_the_agents_go_on_from_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    first = go(flow.execute(desk.front, TASK))
    kept = wflo.checkpoints(flow.execution_id)
    assert [(one["name"], one["agent"]) for one in kept] == [("front", "front"), ("writer", "writer")]
    assert [one["name"] for one in flow.list_checkpoints()] == ["front", "writer"]
    back = flow.rollback_to_checkpoint("front")
    assert (back["agent"], back["input"][0]["content"]) == ("writer", TASK)
    paid = len(bill.lines())
    second = go(flow.execute(desk.front, back))
    assert [line["model"] for line in bill.lines()[paid:]] == ["think"]
    assert second.final_output == first.final_output
    assert second.to_input_list()[:3] == first.to_input_list()[:3]


@pytest.mark.parametrize("kind", [None, OpenAIResponsesModel])
def test_a_tool_that_was_called_is_not_called_again(wflo: Wflo, provider_url: str, bill: Bill, kind: Any) -> None:
    desk = Desk(provider_url, kind) if kind else Desk(provider_url)
    flow = WfloWorkflow("editor")
    go(flow.execute(desk.editor, TASK))
    assert [one["name"] for one in flow.list_checkpoints()] == ["editor", "editor"]
    back, paid = flow.rollback_to_checkpoint(1), len(bill.lines())
    assert go(flow.execute(desk.editor, back)).final_output == "x is fine"
    assert (desk.looked_up, len(bill.lines()) - paid) == (["x"], 1)


def test_a_state_of_another_process_goes_on_with_agents_like_those(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.front, TASK))
    state = decode(wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/1")["state"])
    paid, later = len(bill.lines()), WfloWorkflow("desk")
    result = go(later.execute(Desk(str(desk.client.base_url)).front, state))
    assert result.last_agent.name == "writer"
    assert [line["model"] for line in bill.lines()[paid:]] == ["think"]
    with pytest.raises(CheckpointError, match='hands over to an agent "writer"'):
        go(later.execute(desk.editor, state))


def test_agents_may_be_told_something_as_they_go_on(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.front, TASK))
    back = flow.rollback_to_last_checkpoint()
    back["input"].append({"role": "user", "content": "barn owls"})
    assert go(flow.execute(desk.front, back)).final_output.split() == ["barn", "owls"]


def test_agents_whose_money_ended_go_back_by_themselves_where_they_may(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"}, rollback_on_budget=True)
    with pytest.raises(flow.AgentBudgetExceededError):
        go(flow.execute(desk.front, TASK))
    flow.per_agent_budgets.clear()
    paid = len(bill.lines())
    assert go(flow.execute(desk.front, flow.restored_state)).last_agent.name == "writer"
    assert [line["model"] for line in bill.lines()[paid:]] == ["think"]


def test_agents_go_on_when_a_page_asks_them_to(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""
    seen: list[str] = []

    @function_tool
    async def ask(own: RunContextWrapper[dict[str, str]]) -> str:
        """Ask."""
        nonlocal first
        seen.append(own.context["name"])
        if not first:
            first = flow.execution_id
            await asyncio.to_thread(until, lambda: len(wflo.checkpoints(first)) == 1)
            changed = {"model": "echo", "instructions": "Be brief."}
            wflo.post(f"/api/v1/runs/{first}/rollback", {"checkpoint": 1, "reason": "x", "overrides": changed})
            assert await asyncio.to_thread(until, lambda: flow.run.control.get("rollback"))
        return "asked"

    asks = desk.agent("asks", "walk2", tools=[ask])  # the handoff is the first of two
    front = desk.agent("front", "tools", handoffs=[asks])
    result = go(flow.execute(front, {"input": TASK, "context": {"name": "ada"}}))
    assert seen == ["ada"]
    assert [line["model"] for line in bill.lines()] == ["tools", "walk2", "echo"]
    assert (result.last_agent.name, result.last_agent.instructions) == ("asks", "Be brief.")
    assert result.context_wrapper.context == {"name": "ada"}
    assert flow.execution_id != first
    assert wflo.run(flow.execution_id)["parent_run_id"] == wflo.run(first)["id"]


def test_a_session_holds_what_the_checkpoint_has(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    session, flow = SQLiteSession("ticket-7"), WfloWorkflow("session")
    go(session.add_items([{"role": "user", "content": "before"}]))
    first = go(flow.execute(desk.front, {"input": TASK, "session": session}))
    held = go(session.get_items())
    assert held[0]["content"] == "before"
    back = flow.rollback_to_checkpoint("front")
    assert back["input"][0]["content"] == "before"
    second = go(flow.execute(desk.front, back))
    assert second.final_output == first.final_output
    assert [one.get("content") for one in go(session.get_items())] == [one.get("content") for one in held]


def test_a_session_of_which_a_part_is_told_is_left_as_it_is(
    wflo: Wflo, desk: Desk, bill: Bill, caplog: pytest.LogCaptureFixture
) -> None:
    session, flow = SQLiteSession("ticket-8"), WfloWorkflow("session")
    go(session.add_items([{"role": "user", "content": "long ago"}, {"role": "user", "content": "before"}]))
    config = RunConfig(session_settings=SessionSettings(limit=1))
    go(flow.execute(desk.front, {"input": TASK, "session": session, "run_config": config}))
    held = go(session.get_items())
    go(flow.execute(desk.front, flow.rollback_to_checkpoint("front")))
    assert go(session.get_items()) == held
    assert "left as it is" in caplog.text


def test_what_a_server_keeps_is_no_checkpoint(wflo: Wflo, provider_url: str, bill: Bill) -> None:
    desk, flow = Desk(provider_url, OpenAIResponsesModel), WfloWorkflow("kept there")
    agent = Agent("writer", model=desk.writer.model, model_settings=ModelSettings(store=True))
    go(flow.execute(agent, {"input": TASK, "auto_previous_response_id": True}))
    assert flow.list_checkpoints() == []
    quiet = WfloWorkflow("quiet", enable_checkpointing=False)
    go(quiet.execute(desk.front, TASK))
    assert quiet.list_checkpoints() == []


def test_somebody_is_asked_before_a_tool_is_called(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    asked = desk.agent("editor", "tool", tools=[function_tool(desk.look_up, needs_approval=True)])
    flow = WfloWorkflow("asks")
    result = go(flow.execute(asked, TASK))
    assert (len(result.interruptions), desk.looked_up) == (1, [])
    state, paid = result.to_state(), bill.cost_usd()
    state.approve(result.interruptions[0])
    assert go(flow.execute(asked, state)).final_output == "x is fine"
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd() - paid}
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert (tool["name"], tool["agent"], desk.looked_up) == ("look_up", "editor", ["x"])
