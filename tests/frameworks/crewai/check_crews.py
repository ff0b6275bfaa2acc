"""Real crews under ``WfloWorkflow``: cost per agent, the tree of their steps, budgets, and what stops them."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from crewai import Crew, Process, Task
from crewai.flow.flow import Flow, listen, start

from tests.frameworks.crewai.agents import COSTS, TOPIC, Desk, agent, go, llm, paths
from tests.frameworks.sights import Bill, Wflo, until
from wflo import BudgetExceededError, RunKilledError, WfloWorkflow, run
from wflo.integrations.crewai import instrument_crewai


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_each_agent_costs_what_the_provider_bills_for_it(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.crew(), TOPIC))
    assert result.raw == "x is fine"
    billed = {name: bill.cost_usd(model) for name, model in COSTS.items()}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {name: told[name]["cost_usd"] for name in billed} == billed
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}
    assert flow.get_cost_breakdown()["unpriced_calls"] == 0
    assert wflo.run(flow.execution_id)["llm_calls"] == len(bill.lines()) == 4


def test_a_run_is_a_tree_of_crew_tasks_and_agents(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    go(flow.execute(desk.crew(name="news"), TOPIC))
    spans = wflo.spans(flow.execution_id)
    editor = ["news", "Edit it", "editor"]
    assert paths(spans) == [
        editor, editor, ["news", "Research owls", "researcher"], ["news", "Write it up", "writer"],
    ]  # fmt: skip
    (tool,) = (span for span in spans if span["kind"] == "tool")
    assert (tool["name"], tool["agent"], paths(spans, "tool")) == ("look_up", "editor", [editor])
    thought = next(span for span in spans if span["name"] == "chat think")
    assert (thought["model"], thought["provider"]) == ("think", "openai")
    assert thought["reasoning_tokens"] > 0


def test_a_spent_budget_ends_the_crew_before_the_next_call(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    desk.researcher.max_retry_limit = 2
    flow = WfloWorkflow("desk", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(desk.crew(), TOPIC))
    assert raised.value.spent_usd == bill.cost_usd()
    assert "Research owls" in raised.value.answer.choices[0].message.content
    assert len(bill.lines()) == 1
    assert wflo.run(flow.execution_id)["status"] == "failed"


def test_an_agents_budget_has_the_last_checkpoint_in_its_error(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(desk.crew(), TOPIC))
    assert raised.value.agent_name == "writer"
    assert (raised.value.last_checkpoint or {})["name"] == "researcher"
    assert [line["model"] for line in bill.lines()] == ["echo", "think"]
    turns = {span["name"]: span["status"] for span in wflo.spans(flow.execution_id, "agent")}
    assert turns == {"researcher": "ok", "writer": "error"}


def test_a_streamed_crew(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.crew(stream=True), TOPIC))
    assert result.raw.strip() == "x is fine"
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in COSTS.items()}
    assert paths(wflo.spans(flow.execution_id), "agent")[0] == ["crew", "Edit it"]
    poor = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"})
    with pytest.raises(poor.AgentBudgetExceededError):
        go(poor.execute(desk.crew(stream=True), TOPIC))


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk")

    def kill(output: Any) -> None:
        until(lambda: wflo.spans(flow.execution_id))
        wflo.post(f"/v1/runs/{flow.execution_id}/kill", {})
        assert until(lambda: flow.run.control.get("status") == "killed")

    crew = desk.crew(desk.task(desk.editor))
    crew.tasks[1].callback = kill
    with pytest.raises(RunKilledError):
        go(flow.execute(crew, TOPIC))
    assert "editor" not in {span["name"] for span in wflo.spans(flow.execution_id)}
    assert [line["model"] for line in bill.lines()] == ["echo", "think"]


def test_a_failed_call_is_shown_as_one(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    flow = WfloWorkflow("desk")
    crew = desk.crew(desk.task(agent("broken", llm(provider_url, "echo-fail500"))))
    with pytest.raises(Exception, match="500"):
        go(flow.execute(crew, TOPIC))
    failed = [span for span in wflo.spans(flow.execution_id) if span["status"] == "error"]
    assert [(span["name"], span["kind"]) for span in failed[1:]] == [
        ("crew", "chain"), ("Think of it", "chain"), ("broken", "agent"), ("chat echo-fail500", "llm"),
    ]  # fmt: skip
    assert "InternalServerError" in failed[4]["error"]
    assert sum(wflo.agent_costs(flow.execution_id).values()) == bill.cost_usd()


def test_a_manager_and_who_it_hands_work_to(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    coworker = agent("x", llm(provider_url, "think"))  # as the scripted model calls everybody
    manager = agent("manager", llm(provider_url, "tool"))
    task = Task(description="Report", expected_output="words", name="report")
    crew = Crew(agents=[coworker], tasks=[task], process=Process.hierarchical, manager_agent=manager)
    flow = WfloWorkflow("managed", budget_usd=1)
    go(flow.execute(crew))
    assert wflo.agent_costs(flow.execution_id) == {"manager": bill.cost_usd("tool"), "x": bill.cost_usd("think")}
    above = ["crew", "report", "manager"]
    assert paths(wflo.spans(flow.execution_id)) == [above, above, [*above, "delegate_work_to_coworker", "x"]]
    assert [(one["name"], one["agent"]) for one in flow.list_checkpoints()] == [("report", "manager")]
    poor = WfloWorkflow("managed", per_agent_budgets={"x": "0.00001"})
    paid = len(bill.lines())
    with pytest.raises(poor.AgentBudgetExceededError) as raised:
        go(poor.execute(crew))
    assert raised.value.agent_name == "x"
    assert [line["model"] for line in bill.lines()[paid:]] == ["tool", "think"]


def test_a_manager_that_crewai_makes(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    task = Task(description="Report", expected_output="words")
    crew = Crew(
        agents=[agent("x", llm(provider_url, "think"))],
        tasks=[task],
        process=Process.hierarchical,
        manager_llm=llm(provider_url, "tool"),
    )
    flow = WfloWorkflow("managed")
    go(flow.execute(crew))
    costs = {"Crew Manager": bill.cost_usd("tool"), "x": bill.cost_usd("think")}
    assert wflo.agent_costs(flow.execution_id) == costs


def test_tasks_that_run_together_are_kept_apart(wflo: Wflo, desk: Desk, bill: Bill, provider_url: str) -> None:
    slow = agent("slow", llm(provider_url, "echo-slow"))
    beside = [
        desk.task(desk.researcher, async_execution=True),
        desk.task(slow, async_execution=True),
        desk.task(desk.editor),
    ]
    crew = Crew(agents=[desk.researcher, slow, desk.editor], tasks=beside)
    flow = WfloWorkflow("together", budget_usd=1)
    go(flow.execute(crew, TOPIC))
    costs = {"researcher": "echo", "slow": "echo-slow", "editor": "tool"}
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in costs.items()}
    editor = ["crew", "Edit it", "editor"]
    assert paths(wflo.spans(flow.execution_id)) == [
        editor, editor, ["crew", "Research owls", "researcher"], ["crew", "Think of it", "slow"],
    ]  # fmt: skip
    assert [one["name"] for one in flow.list_checkpoints()] == ["researcher", "slow", "editor"]
    poor = WfloWorkflow("together", per_agent_budgets={"slow": "0.00001"})
    with pytest.raises(poor.AgentBudgetExceededError) as raised:
        go(poor.execute(crew, TOPIC))
    assert raised.value.agent_name == "slow"
    assert {span["name"]: span["status"] for span in wflo.spans(poor.execution_id)}["Think of it"] == "error"


def test_a_crew_for_each_of_a_list(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("each", budget_usd=1)
    results = go(flow.execute(desk.crew(), [{"topic": "owls"}, {"topic": "bats"}]))
    assert [one.raw for one in results] == ["x is fine"] * 2
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in COSTS.items()}
    begun = sorted(path for path in paths(wflo.spans(flow.execution_id)) if path[-1] == "researcher")
    assert begun == [["crew", "Research bats", "researcher"], ["crew", "Research owls", "researcher"]]
    poor = WfloWorkflow("each", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError):
        go(poor.execute(desk.crew(), [TOPIC]))


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff", "kickoff_for_each", "akickoff_for_each"])
def test_each_way_of_kicking_off_without_a_workflow(wflo: Wflo, desk: Desk, bill: Bill, way: str) -> None:
    undo = instrument_crewai()
    crew, given = desk.crew(), [TOPIC] if way.endswith("each") else TOPIC

    def kick() -> None:
        kicked = getattr(crew, way)(inputs=given)
        if inspect.iscoroutine(kicked):
            go(kicked)

    with run("by hand", budget_usd=1) as this:
        kick()
    with run("poor", budget_usd="0.00002"), pytest.raises(BudgetExceededError):
        kick()
    with run("again", budget_usd=1):
        kick()  # what stopped the run before does not stop this one
    undo()
    names = {span["name"] for span in wflo.spans(this.id, "agent")}
    assert (names, len(wflo.spans(this.id, "llm"))) == (set(COSTS), 4)
    billed = [line["model"] for line in bill.lines()]
    assert billed == [*("echo", "think", "tool", "tool"), "echo", *("echo", "think", "tool", "tool")]
    with run("not at all") as other:
        kick()
    assert (other.used.whole.llm_calls, len(wflo.spans(other.id))) == (0, 1)
    assert len(bill.lines()) == 13


def test_a_budget_that_was_met_once_is_met_within_the_run(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    undo = instrument_crewai()
    with run("twice", budget_usd="0.00002"):
        for _ in range(2):
            with pytest.raises(BudgetExceededError):
                desk.crew().kickoff(inputs=TOPIC)
    undo()
    assert len(bill.lines()) == 1


def test_crews_of_a_flow(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    class News(Flow):  # type: ignore[misc, type-arg]
        @start()
        def gather(self) -> Any:
            return desk.researcher.kickoff("Two owls?")

        @listen(gather)
        async def write(self, found: Any) -> Any:
            return await desk.crew().kickoff_async(inputs={"topic": found.raw[:9]})

    flow = WfloWorkflow("news", budget_usd=1)
    result = go(flow.execute(News()))
    assert result.raw == "x is fine"
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in COSTS.items()}
    assert paths(wflo.spans(flow.execution_id))[-1] == ["researcher"]
    poor = WfloWorkflow("news", budget_usd="0.00002")
    with pytest.raises(BudgetExceededError):
        go(poor.execute(News()))


def test_two_executions_at_once(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def both() -> tuple[WfloWorkflow, WfloWorkflow]:
        one, other = WfloWorkflow("one"), WfloWorkflow("other")
        await asyncio.gather(one.execute(desk.crew(), TOPIC), other.execute(Desk(desk.url).crew(), TOPIC))
        return one, other

    flows = go(both())
    for flow in flows:
        assert set(wflo.agent_costs(flow.execution_id)) == set(COSTS)
    assert sum(sum(wflo.agent_costs(flow.execution_id).values()) for flow in flows) == bill.cost_usd()
