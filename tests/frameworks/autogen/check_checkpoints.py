"""Checkpoints of teams, and going on from them without having a turn twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseChatMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, MagenticOneGroupChat, SelectorGroupChat
from autogen_core import CancellationToken
from autogen_ext.models.replay import ReplayChatCompletionClient

from tests.frameworks.autogen.agents import CAN, TASK, Desk, client, go, said
from tests.frameworks.autogen.check_teams import Said
from tests.frameworks.sights import Bill, Wflo, until
from wflo import WfloWorkflow
from wflo.errors import CheckpointError
from wflo.states import decode


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_a_checkpoint_follows_each_turn_and_the_team_goes_on_from_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, team = WfloWorkflow("desk"), desk.team()
    first = go(flow.execute(team, TASK))
    kept = wflo.checkpoints(flow.execution_id)
    names = ["researcher", "writer", "editor"]
    assert [(one["name"], one["agent"]) for one in kept] == [(name, name) for name in names]
    assert [one["name"] for one in flow.list_checkpoints()] == names
    back = flow.rollback_to_checkpoint("researcher")
    thread = back["autogen"]["agent_states"]["RoundRobinGroupChatManager"]["message_thread"]
    assert [one["content"] for one in thread] == [TASK, TASK]
    paid = len(bill.lines())
    second = go(flow.execute(team, back))
    assert [line["model"] for line in bill.lines()[paid:]] == ["think", "tool", "tool"]
    assert said(second) == said(first)[2:]
    assert second.stop_reason == first.stop_reason


def test_a_state_of_another_process_goes_on_in_a_team_like_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.team(), TASK))
    found = wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/2")
    paid, later = len(bill.lines()), WfloWorkflow("desk")
    result = go(later.execute(Desk(desk.url).team(), decode(found["state"])))
    assert [line["model"] for line in bill.lines()[paid:]] == ["tool", "tool"]
    assert said(result) == [("editor", "x is fine")]
    with pytest.raises(CheckpointError, match="Agent state for late"):
        go(later.execute(desk.team(Said("late")), decode(found["state"])))


def test_a_team_may_be_told_something_as_it_goes_on(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, team = WfloWorkflow("desk"), desk.team(messages=5)
    go(flow.execute(team, TASK))
    back = flow.rollback_to_checkpoint("researcher")
    back["task"] = "barn owls"
    assert said(go(flow.execute(team, back)))[:2] == [("user", "barn owls"), ("writer", "barn owls")]


def test_a_team_whose_money_ended_goes_back_by_itself_where_it_may(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"}, rollback_on_budget=True)
    team = desk.team()
    with pytest.raises(flow.AgentBudgetExceededError):
        go(flow.execute(team, TASK))
    flow.per_agent_budgets.clear()
    paid = len(bill.lines())
    result = go(flow.execute(team, flow.restored_state))
    assert said(result) == [("writer", TASK), ("editor", "x is fine")]
    assert [line["model"] for line in bill.lines()[paid:]] == ["think", "tool", "tool"]


def test_a_team_goes_on_when_a_page_asks_it_to(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""

    class Asks(Said):
        async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
            nonlocal first
            if not first:
                first = flow.execution_id
                await asyncio.to_thread(until, lambda: len(wflo.checkpoints(first)) == 2)
                changed = {"state": {"task": "something else"}, "model": "echo"}
                wflo.post(f"/api/v1/runs/{first}/rollback", {"checkpoint": 1, "reason": "x", "overrides": changed})
                assert await asyncio.to_thread(until, lambda: flow.run.control.get("rollback"))
            return await super().on_messages(messages, token)

    team = desk.team(Asks("asks"), Said("late"), messages=6)
    result = go(flow.execute(team, TASK))
    heard = [("user", "something else"), ("writer", "something else"), ("asks", "yes"), ("late", "yes")]
    assert said(result) == heard
    assert [line["model"] for line in bill.lines()] == ["echo", "think", "echo"]
    assert flow.execution_id != first
    assert wflo.run(flow.execution_id)["parent_run_id"] == wflo.run(first)["id"]


def test_a_graph_goes_on_after_what_ran_together(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    slow, end = AssistantAgent("slow", client(provider_url, "echo-slow")), Said("end")
    builder = DiGraphBuilder()
    for agent in (desk.researcher, desk.writer, slow, end):
        builder.add_node(agent)
    for agent in (desk.writer, slow):
        builder.add_edge(desk.researcher, agent)
        builder.add_edge(agent, end)
    graph, flow = GraphFlow(builder.get_participants(), builder.build()), WfloWorkflow("graph")
    go(flow.execute(graph, TASK))
    paid = len(bill.lines())
    result = go(flow.execute(graph, flow.rollback_to_checkpoint("slow, writer")))
    assert (said(result)[:1], len(bill.lines())) == ([("end", "yes")], paid)
    go(flow.execute(graph, TASK))
    result = go(flow.execute(graph, flow.rollback_to_checkpoint("researcher")))
    assert sorted(who for who, _ in said(result)) == ["end", "slow", "writer"]


def test_a_chosen_speaker_is_chosen_anew(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    team = SelectorGroupChat(
        [desk.researcher, desk.writer],
        client(provider_url, "echo"),
        selector_func=lambda thread: "writer" if thread[-1].source == "researcher" else "researcher",
        termination_condition=MaxMessageTermination(3),
    )
    flow = WfloWorkflow("chosen")
    go(flow.execute(team, TASK))
    paid = len(bill.lines())
    assert said(go(flow.execute(team, flow.rollback_to_checkpoint("researcher")))) == [("writer", TASK)]
    assert [line["model"] for line in bill.lines()[paid:]] == ["think"]


def _ledger(speaker: str, *, is_over: bool = False) -> str:
    answers = {
        "is_request_satisfied": is_over, "is_in_loop": False, "is_progress_being_made": True,
        "next_speaker": speaker, "instruction_or_question": "go",
    }  # fmt: skip
    return json.dumps({name: {"reason": "so", "answer": answer} for name, answer in answers.items()})


def test_magentic_one_goes_on_with_the_plan_it_had(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    script = ["facts", "plan", _ledger("researcher"), _ledger("writer"), _ledger("writer", is_over=True), "done"]
    orchestrator = ReplayChatCompletionClient([*script, *script[3:]], {**CAN, "structured_output": False})
    team = MagenticOneGroupChat([desk.researcher, desk.writer], orchestrator)
    flow = WfloWorkflow("magentic")
    go(flow.execute(team, TASK))
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher", "writer"]
    assert wflo.run(flow.execution_id)["llm_calls"] == 8
    paid = len(bill.lines())
    result = go(flow.execute(team, flow.rollback_to_checkpoint("researcher")))
    assert [line["model"] for line in bill.lines()[paid:]] == ["think"]
    assert said(result)[-1] == ("MagenticOneOrchestrator", "done")
    assert flow.get_cost_breakdown_by_agent()["MagenticOneOrchestrator"]["api_calls"] == 3


def test_an_agent_alone_goes_on_with_what_it_knows(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("alone")
    go(flow.execute(desk.researcher, TASK))
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher"]
    state = flow.rollback_to_checkpoint("researcher")
    go(desk.researcher.run(task="forget this"))
    state["task"] = "barn owls"
    assert said(go(flow.execute(desk.researcher, state)))[-1] == ("researcher", "barn owls")
    context = go(desk.researcher.model_context.get_messages())
    assert [one.content for one in context] == [TASK, TASK, "barn owls", "barn owls"]


def test_a_state_that_cannot_be_saved_is_no_hindrance(
    wflo: Wflo, desk: Desk, bill: Bill, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Said):
        async def save_state(self) -> Mapping[str, Any]:
            raise OSError("no room")

    flow = WfloWorkflow("broken")
    result = go(flow.execute(desk.team(Broken("broken")), TASK))
    assert said(result)[-1] == ("broken", "yes")
    assert flow.list_checkpoints() == []
    assert "no room" in caplog.text
    quiet = WfloWorkflow("quiet", enable_checkpointing=False)
    go(quiet.execute(desk.team(), TASK))
    assert quiet.list_checkpoints() == []
