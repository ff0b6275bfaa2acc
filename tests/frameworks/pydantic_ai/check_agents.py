"""Real agents under ``WfloWorkflow``: cost per agent, the tree of their steps, budgets, and what stops them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from pydantic import BaseModel
from pydantic_ai import Agent, ModelRetry
from pydantic_ai.agent import WrapperAgent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from tests.frameworks.pydantic_ai.agents import COSTS, TASK, Desk, go
from tests.frameworks.sights import Bill, Wflo, until
from wflo import BudgetExceededError, RunKilledError, WfloWorkflow, run
from wflo.integrations.anthropic import instrument_anthropic
from wflo.integrations.openai import instrument_openai
from wflo.integrations.pydantic_ai import instrument_pydantic_ai


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


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
def test_each_agent_costs_what_the_provider_bills_for_it(wflo: Wflo, provider_url: str, bill: Bill, kind: Any) -> None:
    desk, flow = Desk(provider_url, kind), WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.chief, TASK))
    assert result.output == "x"  # as the writer says it, whom it asked last
    billed = {agent: bill.cost_usd(model) for agent, model in COSTS.items()}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {agent: told[agent]["cost_usd"] for agent in billed} == billed
    assert flow.get_cost_breakdown()["unpriced_calls"] == 0
    assert wflo.run(flow.execution_id)["llm_calls"] == len(bill.lines()) == 5
    inner = ["chief", "ask_editor", "editor"]
    spans = wflo.spans(flow.execution_id)
    assert _paths(spans) == [["chief"], ["chief"], inner, inner, ["chief", "ask_writer", "writer"]]
    assert _paths(spans, "tool") == [["chief"], ["chief"], inner]
    (written,) = (span for span in spans if span["kind"] == "llm" and span["agent"] == "writer")
    assert (written["provider"], written["reasoning_tokens"]) == ("openai", 1)


def test_a_run_is_a_tree_of_its_agents_models_and_tools(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("alone")
    result = go(flow.execute(desk.editor, {"user_prompt": TASK, "deps": None}))
    assert result.output == "x is fine"
    turn, first, tool, second = wflo.spans(flow.execution_id)[1:5]
    assert {span["parent_id"] for span in (first, tool, second)} == {turn["span_id"]}
    assert (turn["kind"], turn["name"], tool["name"], tool["agent"]) == ("agent", "editor", "look_up", "editor")
    content = wflo.get(f"/api/v1/spans/{tool['trace_id']}/{tool['span_id']}")
    assert (content["input"], content["output"]) == ('{"q":"x"}', "x is fine")
    asked = wflo.get(f"/api/v1/spans/{first['trace_id']}/{first['span_id']}")
    assert TASK in str(asked["input"] or asked["input_messages"])
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}


def test_anthropics_models_are_counted_with_what_they_cached(wflo: Wflo, provider_url: str, bill: Bill) -> None:
    client = AsyncAnthropic(base_url=provider_url.removesuffix("/v1"), api_key="sk-provider", max_retries=0)
    agent = Agent(AnthropicModel("cached", provider=AnthropicProvider(anthropic_client=client)), name="writer")
    flow, undo = WfloWorkflow("claude"), instrument_anthropic()
    go(flow.execute(agent, TASK))
    undo()
    (call,) = wflo.spans(flow.execution_id, "llm")
    (line,) = bill.lines()
    assert (call["provider"], call["input_tokens"], call["output_tokens"]) == (
        "anthropic",
        line["input"],
        line["output"],
    )
    assert call["cached_tokens"] > 0


def test_agents_that_run_together_are_kept_apart(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    slow = desk.agent("slow", "echo-slow")

    async def both() -> None:
        await asyncio.gather(*(agent.run(TASK) for agent in (desk.editor, slow, desk.writer)))

    flow, undo = WfloWorkflow("together"), instrument_pydantic_ai()
    go(flow.execute(both))
    undo()
    costs = {"editor": "tool", "slow": "echo-slow", "writer": "think"}
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in costs.items()}
    assert _paths(wflo.spans(flow.execution_id)) == [["editor"], ["editor"], ["slow"], ["writer"]]


def test_a_spent_budget_ends_the_run_before_the_next_call(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd="0.00001")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(desk.editor, TASK))
    assert raised.value.spent_usd == bill.cost_usd()
    assert len(bill.lines()) == 1
    assert desk.looked_up == []
    assert wflo.run(flow.execution_id)["status"] == "failed"


def test_an_agents_budget_is_its_own_also_in_a_tool_of_another(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"editor": "0.00001"})
    asks = desk.agent("chief", "tools", tools=[desk.ask_editor])
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(asks, TASK))
    assert raised.value.agent_name == "editor"
    assert [line["model"] for line in bill.lines()] == ["tools", "tool"]
    turns = {span["name"]: span["status"] for span in wflo.spans(flow.execution_id, "agent")}
    assert turns == {"chief": "error", "editor": "error"}


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("killed")

    async def wait(q: str) -> str:
        """Wait."""
        await asyncio.to_thread(until, lambda: wflo.spans(flow.execution_id))
        wflo.post(f"/v1/runs/{flow.execution_id}/kill", {})
        assert await asyncio.to_thread(until, lambda: flow.run.control.get("status") == "killed")
        return "waited"

    with pytest.raises(RunKilledError):
        go(flow.execute(desk.agent("waits", "tool", tools=[wait]), TASK))
    assert len(bill.lines()) == 1


@pytest.mark.parametrize("error", [ModelRetry("another q"), LookupError("no x")], ids=["retry", "error"])
def test_a_tool_that_fails_is_shown_as_failed(wflo: Wflo, desk: Desk, bill: Bill, error: Exception) -> None:
    tries: list[str] = []

    def look_up(q: str) -> str:
        """Look something up."""
        tries.append(q)
        if len(tries) == 1:
            raise error
        return f"{q} is fine"

    flow, agent = WfloWorkflow("fails"), desk.agent("editor", "walk2", tools=[look_up])
    if isinstance(error, ModelRetry):
        assert go(flow.execute(agent, TASK)).output
    else:
        with pytest.raises(LookupError):
            go(flow.execute(agent, TASK))
    first = wflo.spans(flow.execution_id, "tool")[0]
    assert first["status"] == "error"
    assert str(error) in first["error"] or isinstance(error, ModelRetry)


def test_structured_output_costs_what_it_costs(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    class Finding(BaseModel):
        q: str

    flow = WfloWorkflow("structured")
    result = go(flow.execute(desk.agent("editor", "tool", output_type=Finding), TASK))
    assert result.output == Finding(q="x")
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_plain_and_streamed_runs_are_recorded_until_it_is_undone(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read(agent: Agent[Any, Any]) -> str:
        async with agent.run_stream(TASK) as result:
            return "".join([piece async for piece in result.stream_text(delta=True)])

    async def step_by_step(agent: Agent[Any, Any]) -> int:
        async with agent.iter(TASK) as nodes:
            return len([node async for node in nodes])

    async def events(agent: Agent[Any, Any]) -> int:
        async with agent.run_stream_events(TASK) as found:
            return len([event async for event in found])

    undo = instrument_pydantic_ai()
    with run("by hand", budget_usd=1) as this:
        assert go(read(desk.writer)).split() == TASK.split()
        assert go(step_by_step(desk.editor)) > 2
        assert go(events(desk.agent("speaker", "echo"))) > 2
    undo()
    billed = {"writer": bill.cost_usd("think"), "editor": bill.cost_usd("tool"), "speaker": bill.cost_usd("echo")}
    assert wflo.agent_costs(this.id) == billed
    assert this.used.whole.unpriced_calls == 0
    assert _paths(wflo.spans(this.id)) == [["editor"], ["editor"], ["speaker"], ["writer"]]
    with run("not at all") as other:
        go(desk.writer.run(TASK))
    assert (other.used.whole.llm_calls, len(wflo.spans(other.id))) == (0, 1)


def test_a_stream_that_spends_a_budget_says_so_to_its_reader(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read() -> None:
        async with desk.editor.run_stream(TASK) as result:
            await result.get_output()

    undo = instrument_pydantic_ai()
    with run("streamed", budget_usd="0.00001") as this, pytest.raises(BudgetExceededError):
        go(read())
    undo()
    assert [line["model"] for line in bill.lines()] == ["tool"]
    assert {span["status"] for span in wflo.spans(this.id, "agent")} == {"error"}


def test_a_run_that_nobody_began_is_one_of_its_own(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    seen: list[str] = []

    def look_up(q: str) -> str:
        """Look something up."""
        from wflo import current_run

        found = current_run()
        assert found is not None
        seen.append(found.id)
        return q

    undo = instrument_pydantic_ai()
    desk.agent("editor", "tool", tools=[look_up]).run_sync(TASK)
    undo()
    assert until(lambda: wflo.run(seen[0])["status"] == "completed")
    assert sum(wflo.agent_costs(seen[0]).values()) == bill.cost_usd() > 0


def test_a_client_that_is_watched_too_is_counted_once(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read() -> None:
        async with desk.writer.run_stream(TASK) as result:
            await result.get_output()

    undo, flow = instrument_openai(), WfloWorkflow("once")
    go(flow.execute(desk.editor, TASK))
    undo_agents = instrument_pydantic_ai()
    with run("streamed") as this:
        go(read())
    undo()
    undo_agents()
    assert flow.get_cost_breakdown()["llm_calls"] == 2
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd("tool")}
    assert (this.used.whole.llm_calls, wflo.agent_costs(this.id)) == (1, {"writer": bill.cost_usd("think")})


def test_an_agent_around_another_is_watched_once(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("wrapped")
    go(flow.execute(WrapperAgent(desk.editor), TASK))
    assert flow.get_cost_breakdown()["llm_calls"] == len(bill.lines()) == 2
    assert _paths(wflo.spans(flow.execution_id)) == [["editor"], ["editor"]]


def test_the_model_that_answers_is_the_one_that_is_told(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    made = [desk.agent("x", model).model for model in ("echo-fail500", "echo")]
    flow = WfloWorkflow("falls back")
    go(flow.execute(Agent(FallbackModel(*made), name="writer"), TASK))  # type: ignore[arg-type]
    (call,) = wflo.spans(flow.execution_id, "llm")
    assert call["model"] == "echo"
    assert wflo.agent_costs(flow.execution_id) == {"writer": bill.cost_usd("echo")}


def test_what_tells_no_usage_is_unpriced_not_free(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("untold")
    go(flow.execute(desk.agent("writer", "echo-nousage"), TASK))
    assert (flow.get_cost_breakdown()["unpriced_calls"], flow.get_cost_breakdown()["total_usd"]) == (1, 0)


def test_what_is_no_input_is_refused_in_words(wflo: Wflo, desk: Desk) -> None:
    with pytest.raises(ValueError, match='a dict with "user_prompt"'):
        go(WfloWorkflow("alone").execute(desk.editor, {"topic": TASK}))
