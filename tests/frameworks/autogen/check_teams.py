"""Real teams under ``WfloWorkflow``: cost per agent, the tree of their steps, budgets, and what stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_core import CancellationToken, SingleThreadedAgentRuntime

from tests.frameworks.autogen.agents import COSTS, TASK, Desk, client, go, said
from tests.frameworks.sights import Bill, Wflo, until
from wflo import BudgetExceededError, RunKilledError, WfloWorkflow, run
from wflo.integrations.autogen import instrument_autogen


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def _paths(spans: list[dict[str, Any]], kind: str = "llm") -> list[list[str]]:
    """Of the spans of a kind, the names of those above them, the run left out."""
    by_id = {span["span_id"]: span for span in spans}

    def path(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span["parent_id"] or "")
        return [*(path(above) if above else []), span["name"]]

    return sorted(path(span)[1:-1] for span in spans if span["kind"] == kind)


def test_each_agent_costs_what_the_provider_bills_for_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.team(), TASK))
    assert said(result)[-1] == ("editor", "x is fine")
    billed = {agent: bill.cost_usd(model) for agent, model in COSTS.items()}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {agent: told[agent]["cost_usd"] for agent in billed} == billed
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}
    assert flow.get_cost_breakdown()["unpriced_calls"] == 0
    assert wflo.run(flow.execution_id)["llm_calls"] == len(bill.lines()) == 4


def test_a_run_is_a_tree_of_its_turns(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.team(), TASK))
    spans = wflo.spans(flow.execution_id)
    team = "RoundRobinGroupChat"
    assert _paths(spans) == [[team, name] for name in ("editor", "editor", "researcher", "writer")]
    (tool,) = (span for span in spans if span["kind"] == "tool")
    assert (tool["name"], tool["agent"], _paths(spans, "tool")) == ("look_up", "editor", [[team, "editor"]])
    writer = next(span for span in spans if span["name"] == "chat think")
    assert (writer["model"], writer["provider"], writer["reasoning_tokens"]) == ("think", "openai", 2)


def test_a_spent_budget_ends_the_team_before_the_next_call(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(desk.team(), TASK))
    assert raised.value.spent_usd == bill.cost_usd()
    assert raised.value.answer.choices[0].message.content == "two owls"
    assert len(bill.lines()) == 1
    assert wflo.run(flow.execution_id)["status"] == "failed"


def test_a_stream_that_spends_a_budget_ends_the_team_too(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(desk.team(), TASK))
    assert raised.value.agent_name == "writer"
    assert (raised.value.last_checkpoint or {})["name"] == "researcher"
    assert [line["model"] for line in bill.lines()] == ["echo", "think"]
    turns = {span["name"]: span["status"] for span in wflo.spans(flow.execution_id, "agent")}
    assert turns == {"researcher": "ok", "writer": "error"}


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")

    class Waits(Said):
        async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
            await asyncio.to_thread(until, lambda: wflo.spans(flow.execution_id))
            wflo.post(f"/v1/runs/{flow.execution_id}/kill", {})
            assert await asyncio.to_thread(until, lambda: flow.run.control.get("status") == "killed")
            return await super().on_messages(messages, token)

    with pytest.raises(RunKilledError):
        go(flow.execute(desk.team(Waits("waits"), Said("late"), messages=9), TASK))
    assert "late" not in {span["name"] for span in wflo.spans(flow.execution_id)}
    assert [line["model"] for line in bill.lines()] == ["echo", "think"]


def test_a_failed_call_is_shown_as_one(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    flow = WfloWorkflow("desk")
    team = desk.team(AssistantAgent("broken", client(provider_url, "echo-fail500")))
    with pytest.raises(RuntimeError, match="InternalServerError"):
        go(flow.execute(team, TASK))
    failed = [span for span in wflo.spans(flow.execution_id) if span["status"] == "error"]
    assert [(span["name"], span["kind"]) for span in failed[1:]] == [
        ("RoundRobinGroupChat", "chain"), ("broken", "agent"), ("chat echo-fail500", "llm"),
    ]  # fmt: skip
    assert "InternalServerError" in failed[3]["error"]
    assert sum(wflo.agent_costs(flow.execution_id).values()) == bill.cost_usd()


def test_who_is_chosen_to_speak_is_the_managers_cost(wflo: Wflo, provider_url: str, bill: Bill) -> None:
    agents = [AssistantAgent(name, client(provider_url, "think")) for name in ("one", "two")]
    team = SelectorGroupChat(
        [*agents], client(provider_url, "echo"), selector_prompt="two", termination_condition=MaxMessageTermination(2)
    )
    flow = WfloWorkflow("chosen")
    assert said(go(flow.execute(team, TASK)))[-1] == ("two", TASK)
    assert wflo.agent_costs(flow.execution_id) == {
        "SelectorGroupChatManager": bill.cost_usd("echo"), "two": bill.cost_usd("think"),
    }  # fmt: skip


def test_agents_that_run_together_are_kept_apart(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    slow = AssistantAgent("slow", client(provider_url, "echo-slow"))
    builder = DiGraphBuilder()
    for agent in (desk.researcher, desk.writer, slow, desk.editor):
        builder.add_node(agent)
    for agent in (desk.writer, slow):
        builder.add_edge(desk.researcher, agent)
        builder.add_edge(agent, desk.editor)
    flow = WfloWorkflow("graph")
    go(flow.execute(GraphFlow(builder.get_participants(), builder.build()), TASK))
    costs = {**COSTS, "slow": "echo-slow"}
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in costs.items()}
    names = ("editor", "editor", "researcher", "slow", "writer")
    assert _paths(wflo.spans(flow.execution_id)) == [["GraphFlow", name] for name in names]
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher", "slow, writer", "editor"]


def test_a_handover_is_a_call_of_a_tool(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    first = AssistantAgent("first", client(provider_url, "tool"), handoffs=["researcher"])
    flow = WfloWorkflow("swarm")
    team = Swarm([first, desk.researcher], termination_condition=MaxMessageTermination(3))
    result = go(flow.execute(team, TASK))
    assert [who for who, _ in said(result)] == ["user", "first", "researcher"]
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert (tool["name"], tool["agent"]) == ("transfer_to_researcher", "first")
    assert wflo.agent_costs(flow.execution_id) == {
        "first": bill.cost_usd("tool"), "researcher": bill.cost_usd("echo"),
    }  # fmt: skip


def test_teams_within_teams(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    inner = RoundRobinGroupChat([desk.researcher], name="inner", termination_condition=MaxMessageTermination(2))
    minds = RoundRobinGroupChat([desk.writer], name="minds", termination_condition=MaxMessageTermination(3))
    society = SocietyOfMindAgent("society", team=minds, model_client=client(provider_url, "tool"))
    outer = RoundRobinGroupChat([inner, society], name="outer", max_turns=2)
    flow = WfloWorkflow("nested", budget_usd=1)
    go(flow.execute(outer, TASK))
    paths = [["outer", "inner", "researcher"], ["outer", "society"], ["outer", "society", "minds", "writer"]]
    assert _paths(wflo.spans(flow.execution_id)) == paths
    assert wflo.agent_costs(flow.execution_id) == {
        "researcher": bill.cost_usd("echo"), "writer": bill.cost_usd("think"), "society": bill.cost_usd("tool"),
    }  # fmt: skip
    go(outer.reset())
    poor = WfloWorkflow("nested", per_agent_budgets={"researcher": "0.00001"})
    with pytest.raises(poor.AgentBudgetExceededError):
        go(poor.execute(outer, TASK))


def test_a_runtime_that_was_started_elsewhere(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, poor = WfloWorkflow("elsewhere"), WfloWorkflow("elsewhere", budget_usd="0.00002")

    async def main() -> None:
        runtime = SingleThreadedAgentRuntime()
        runtime.start()
        team = RoundRobinGroupChat([desk.researcher, desk.editor], max_turns=2, runtime=runtime)
        await flow.execute(team, TASK)
        with pytest.raises(BudgetExceededError):
            await poor.execute(team, TASK)
        await runtime.stop()

    go(main())
    names = ("editor", "editor", "researcher")
    assert _paths(wflo.spans(flow.execution_id)) == [["RoundRobinGroupChat", name] for name in names]
    whole = sum(wflo.agent_costs(flow.execution_id).values()) + sum(wflo.agent_costs(poor.execution_id).values())
    assert whole == bill.cost_usd()


def test_without_a_workflow_every_team_is_recorded_until_it_is_undone(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read(team: Any) -> list[str]:
        return [type(piece).__name__ async for piece in team.run_stream(task=TASK)]

    undo = instrument_autogen()
    with run("by hand", budget_usd=1) as this:
        kinds = go(read(desk.team()))
    undo()
    assert "ModelClientStreamingChunkEvent" in kinds
    assert kinds[-1] == "TaskResult"
    billed = bill.cost_usd()
    assert sum(wflo.agent_costs(this.id).values()) == billed
    assert set(wflo.agent_costs(this.id)) == set(COSTS)
    with run("not at all") as other:
        go(desk.researcher.run(task=TASK))
    assert (other.used.whole.llm_calls, len(wflo.spans(other.id))) == (0, 1)
    assert bill.cost_usd() > billed


class Said(BaseChatAgent):
    """Says a word, without a model."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "says a word")

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        return Response(chat_message=TextMessage(content="yes", source=self.name))

    async def on_reset(self, token: CancellationToken) -> None:
        return None
