"""A real graph under ``WfloWorkflow``: cost per node, budgets, checkpoints, and the ways back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from tests.frameworks.langgraph.agents import COSTS, TOPIC, Desk, State, go
from tests.frameworks.sights import Bill, Wflo, until
from wflo import BudgetExceededError, RunKilledError, WfloWorkflow, track_agent_cost
from wflo.integrations.langgraph import WfloSaver
from wflo.states import decode


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_each_node_costs_what_the_provider_bills_for_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.builder(has_editor=True).compile(), TOPIC))
    assert result["messages"][-1].text == "x is fine"
    billed = {agent: bill.cost_usd(model) for agent, model in COSTS.items()}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {agent: told[agent]["cost_usd"] for agent in billed} == billed
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}
    assert flow.get_cost_breakdown()["unpriced_calls"] == 0


def test_a_run_is_a_tree_of_its_nodes(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.builder(has_editor=True).compile(), TOPIC))
    spans = {span["span_id"]: span for span in wflo.spans(flow.execution_id)}

    def path(span: dict[str, Any]) -> list[str]:
        above = spans.get(span["parent_id"] or "")
        return [*(path(above) if above else []), span["name"]]

    models = sorted(path(span)[2:-1] for span in spans.values() if span["kind"] == "llm")
    inner = ["editor", "LangGraph", "model"]
    assert models == [inner, inner, ["researcher"], ["writer"]]
    (tool,) = (span for span in spans.values() if span["kind"] == "tool")
    assert (path(tool), tool["agent"]) == (["desk", "LangGraph", "editor", "LangGraph", "tools", "look_up"], "editor")


def test_a_decorator_inside_a_node_comes_between(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    builder = desk.builder()

    @track_agent_cost("critic")
    def criticise(state: State) -> dict[str, Any]:
        return {"messages": [desk.models["researcher"].invoke("what of it")]}

    builder.add_node("check", lambda state: criticise(state)).add_edge("writer", "check")
    flow = WfloWorkflow("desk")
    go(flow.execute(builder.compile(), TOPIC))
    spans = {span["name"]: span for span in wflo.spans(flow.execution_id) if span["agent"] in ("critic", "check")}
    assert spans["critic"]["parent_id"] == spans["check"]["span_id"]
    assert spans["chat echo"]["parent_id"] == spans["critic"]["span_id"]
    assert wflo.agent_costs(flow.execution_id)["critic"] == flow.get_cost_breakdown_by_agent()["critic"]["cost_usd"]


def test_a_spent_budget_ends_the_graph_before_the_next_call(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(desk.builder().compile(), TOPIC))
    assert raised.value.spent_usd == bill.cost_usd()
    assert raised.value.answer.text == "two owls"
    assert (desk.begun, len(bill.lines())) == (["researcher"], 1)
    assert wflo.run(flow.execution_id)["status"] == "failed"


def test_an_agents_budget_has_the_last_checkpoint_in_its_error(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(desk.builder().compile(), TOPIC))
    assert raised.value.agent_name == "writer"
    assert (raised.value.last_checkpoint or {})["name"] == "researcher"


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    builder = desk.builder()

    def wait(state: State) -> dict[str, Any]:
        assert until(lambda: flow.run.control.get("status") == "killed")
        return {}

    builder.add_node("wait", wait).add_edge("researcher", "wait")
    builder.add_node("late", lambda state: desk.begun.append("late")).add_edge("wait", "late")

    async def killed() -> None:
        work = asyncio.create_task(flow.execute(builder.compile(), TOPIC))
        while "researcher" not in desk.begun:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(until, lambda: _is_there(wflo, flow.execution_id))
        wflo.post(f"/v1/runs/{flow.execution_id}/kill", {})
        with pytest.raises(RunKilledError):
            await work

    go(killed())
    assert "late" not in desk.begun


def test_a_checkpoint_follows_each_node_and_the_graph_goes_on_from_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    graph = desk.builder().compile()
    first = go(flow.execute(graph, TOPIC))
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher", "writer"]
    kept = wflo.checkpoints(flow.execution_id)
    assert [(one["name"], one["agent"]) for one in kept] == [("researcher", "researcher"), ("writer", "writer")]
    state = wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/1")["state"]
    assert state["notes"] == "two owls found"
    back = flow.rollback_to_checkpoint("researcher")
    assert (back["notes"], len(back["messages"])) == ("two owls found", 2)
    desk.begun.clear()
    second = go(flow.execute(graph, back))
    assert desk.begun == ["writer"]
    assert [one.text for one in second["messages"]] == [one.text for one in first["messages"]]


def test_what_was_changed_of_a_state_is_what_the_graph_goes_on_with(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    graph = desk.builder().compile()
    go(flow.execute(graph, TOPIC))
    back = flow.rollback_to_checkpoint("researcher")
    back["notes"] = "nothing yet"
    assert go(flow.execute(graph, back))["messages"][-1].text.strip() == "write nothing yet"


def test_a_graph_of_this_process_goes_on_when_a_page_asks_it_to(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""
    builder = desk.builder()

    def ask(state: State) -> dict[str, Any]:
        nonlocal first
        if not first:
            first = flow.execution_id
            until(lambda: len(wflo.checkpoints(first)) == 2)
            body = {"checkpoint": 1, "reason": "again", "overrides": {"state": {"notes": "something else"}}}
            wflo.post(f"/api/v1/runs/{first}/rollback", body)
            until(lambda: flow.run.control.get("rollback"))
        return {}

    builder.add_node("ask", ask).add_edge("writer", "ask")
    builder.add_node("end", lambda state: {}).add_edge("ask", "end")
    result = go(flow.execute(builder.compile(), TOPIC))
    assert desk.begun == ["researcher", "writer", "writer"]
    assert result["messages"][-1].text.strip() == "write something else"
    assert flow.execution_id != first
    assert wflo.run(flow.execution_id)["parent_run_id"] == wflo.run(first)["id"]


def test_a_state_that_cannot_be_written_is_no_hindrance(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    builder = desk.builder()
    handle = object()
    builder.add_node("open", lambda state: {"notes": handle}).add_edge("writer", "open")
    builder.add_node("use", lambda state: {"notes": str(state["notes"] is handle)}).add_edge("open", "use")
    flow = WfloWorkflow("desk")
    assert go(flow.execute(builder.compile(), TOPIC))["notes"] == "True"
    assert [one["lossy_paths"] for one in wflo.checkpoints(flow.execution_id)][2] == ["state.notes"]


def test_a_saved_thread_is_the_runs_and_goes_on_in_a_run_of_its_own(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow, first = WfloWorkflow("desk"), ""
    builder = desk.builder()

    def ask(state: State) -> dict[str, Any]:
        nonlocal first
        if not first:
            first = flow.execution_id
            kept = until(lambda: [one for one in wflo.checkpoints(first) if one["name"] == "loop 1"])
            wflo.post(f"/api/v1/runs/{first}/rollback", {"checkpoint": kept[0]["id"]})
            until(lambda: flow.run.control.get("rollback"))
        return {}

    builder.add_node("ask", ask).add_edge("writer", "ask")
    builder.add_node("end", lambda state: {}).add_edge("ask", "end")
    graph = builder.compile(checkpointer=WfloSaver())
    go(flow.execute(graph, TOPIC))
    assert desk.begun == ["researcher", "writer", "writer"]
    names = [one["name"] for one in wflo.checkpoints(flow.execution_id) if not one["name"].startswith("writes")]
    assert names == ["fork 1", "loop 2", "loop 3", "loop 4"]


def test_nodes_that_ran_together_are_one_checkpoint(wflo: Wflo) -> None:
    begun: list[str] = []

    def node(name: str) -> Any:
        def act(state: State) -> Command[str]:
            begun.append(name)
            return Command(goto="last") if name == "b" else Command()

        return act

    builder = StateGraph(State)
    for name in ("a", "b", "last"):
        builder.add_node(name, node(name))
    builder.add_edge(START, "a").add_edge(START, "b")
    flow, graph = WfloWorkflow("together"), builder.compile()
    go(flow.execute(graph, TOPIC))
    assert [one["name"] for one in flow.list_checkpoints()] == ["a, b", "last"]
    begun.clear()
    go(flow.execute(graph, flow.rollback_to_checkpoint("a, b")))
    assert begun == ["last"]  # where a node sent the graph is known, though no edge says so


def test_a_run_whose_money_ended_goes_back_by_itself_where_it_may(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"}, rollback_on_budget=True)
    graph = desk.builder().compile()
    with pytest.raises(flow.AgentBudgetExceededError):
        go(flow.execute(graph, TOPIC))
    flow.per_agent_budgets.clear()
    desk.begun.clear()
    assert go(flow.execute(graph, flow.restored_state))["messages"][-1].text.strip() == "write two owls found"
    assert desk.begun == ["writer"]


def test_a_state_of_another_process_goes_on_by_the_edges_of_its_node(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.builder().compile(), TOPIC))
    found = wflo.get(f"/api/v1/runs/{flow.execution_id}/checkpoints/1")
    later = WfloWorkflow("desk")
    later.restored_state = decode(found["state"])
    later.resumed_from = {"id": found["id"], "name": found["name"], "run": flow.execution_id}
    desk.begun.clear()
    result = go(later.execute(desk.builder().compile(), later.restored_state))
    assert (desk.begun, [one.text.strip() for one in result["messages"]]) == (
        ["writer"], ["two owls", "two owls", "write two owls found"],
    )  # fmt: skip


def test_a_function_of_langgraphs_is_executed_too(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    @task
    def ask(words: str) -> str:
        return str(desk.models["researcher"].invoke(words).text)

    @entrypoint()
    def work(words: str) -> str:
        return ask(words).result()

    flow = WfloWorkflow("function")
    assert go(flow.execute(work, "three owls")) == "three owls"
    assert sum(wflo.agent_costs(flow.execution_id).values()) == bill.cost_usd()


def _is_there(wflo: Wflo, run: str) -> bool:
    try:
        return bool(wflo.run(run))
    except Exception:
        time.sleep(0.1)
        return False
