"""Real agents under ``WfloWorkflow``: cost per agent, the tree of their steps, budgets, and what stops them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunHooks,
    Runner,
    function_tool,
    input_guardrail,
    output_guardrail,
    set_trace_processors,
    set_tracing_disabled,
)
from openai import APIStatusError

from tests.frameworks.openai_agents.agents import COSTS, TASK, Desk, go
from tests.frameworks.sights import Bill, Wflo, until
from wflo import BudgetExceededError, InfiniteLoopDetectedError, RunKilledError, WfloWorkflow, run, track_tool_call
from wflo.integrations.openai import instrument_openai
from wflo.integrations.openai_agents import instrument_openai_agents


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


@pytest.mark.parametrize("kind", [OpenAIChatCompletionsModel, OpenAIResponsesModel])
def test_each_agent_costs_what_the_provider_bills_for_it(wflo: Wflo, provider_url: str, bill: Bill, kind: Any) -> None:
    desk, flow = Desk(provider_url, kind), WfloWorkflow("desk", budget_usd=1)
    result = go(flow.execute(desk.front, TASK))
    assert result.last_agent.name == "writer"
    billed = {agent: bill.cost_usd(COSTS[agent]) for agent in ("front", "writer")}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {agent: told[agent]["cost_usd"] for agent in billed} == billed
    assert flow.get_cost_breakdown()["unpriced_calls"] == 0
    assert wflo.run(flow.execution_id)["llm_calls"] == len(bill.lines()) == 2
    assert _paths(wflo.spans(flow.execution_id)) == [["front"], ["writer"]]
    (written,) = (span for span in wflo.spans(flow.execution_id, "llm") if span["agent"] == "writer")
    assert (written["provider"], written["reasoning_tokens"]) == ("openai", 2)


def test_a_run_is_a_tree_of_its_agents_models_and_tools(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("alone")
    result = go(flow.execute(desk.editor, {"input": TASK, "max_turns": 3}))
    assert result.final_output == "x is fine"
    turn, first, tool, second = wflo.spans(flow.execution_id)[1:5]
    assert {span["parent_id"] for span in (first, tool, second)} == {turn["span_id"]}
    assert (turn["kind"], turn["name"], tool["name"], tool["agent"]) == ("agent", "editor", "look_up", "editor")
    content = wflo.get(f"/api/v1/spans/{tool['trace_id']}/{tool['span_id']}")
    assert (content["input"], content["output"]) == ('{"q":"x"}', "x is fine")
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_agents_that_are_tools_of_another_are_charged_by_their_own_names(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    outer = desk.agent("outer", "tools", tools=[desk.editor.as_tool("ask_editor", None)])
    flow = WfloWorkflow("tools")
    assert go(flow.execute(outer, TASK)).final_output == "x is fine"
    costs = {"outer": bill.cost_usd("tools"), "editor": bill.cost_usd("tool")}
    assert wflo.agent_costs(flow.execution_id) == costs
    inner = ["outer", "ask_editor", "editor"]
    assert _paths(wflo.spans(flow.execution_id)) == [["outer"], ["outer"], inner, inner]
    assert _paths(wflo.spans(flow.execution_id), "tool") == [["outer"], inner]


def test_agents_that_run_together_are_kept_apart(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    slow = desk.agent("slow", "echo-slow")

    async def both() -> None:
        await asyncio.gather(*(Runner.run(agent, TASK) for agent in (desk.editor, slow, desk.front)))

    flow, undo = WfloWorkflow("together"), instrument_openai_agents()
    go(flow.execute(both))
    undo()
    costs = {**COSTS, "slow": "echo-slow"}
    assert wflo.agent_costs(flow.execution_id) == {name: bill.cost_usd(model) for name, model in costs.items()}
    assert _paths(wflo.spans(flow.execution_id)) == [["editor"], ["editor"], ["front"], ["slow"], ["writer"]]


def test_a_spent_budget_ends_the_run_before_the_next_call(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd="0.00001")
    with pytest.raises(BudgetExceededError) as raised:
        go(flow.execute(desk.front, TASK))
    assert raised.value.spent_usd == bill.cost_usd()
    assert raised.value.answer.output[0].name == "transfer_to_writer"
    assert len(bill.lines()) == 1
    assert wflo.run(flow.execution_id)["status"] == "failed"


def test_an_agents_budget_is_its_own(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("desk", per_agent_budgets={"writer": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(desk.front, TASK))
    assert raised.value.agent_name == "writer"
    assert (raised.value.last_checkpoint or {})["name"] == "front"
    turns = {span["name"]: span["status"] for span in wflo.spans(flow.execution_id, "agent")}
    assert turns == {"front": "ok", "writer": "error"}


@pytest.mark.parametrize("is_told", [True, False])
def test_a_tool_does_not_swallow_a_spent_budget(wflo: Wflo, desk: Desk, bill: Bill, is_told: bool) -> None:
    options: dict[str, Any] = {} if is_told else {"failure_error_function": None}
    outer = desk.agent("outer", "tools", tools=[desk.editor.as_tool("ask_editor", None, **options)])
    flow = WfloWorkflow("tools", per_agent_budgets={"editor": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(outer, TASK))
    assert raised.value.agent_name == "editor"
    assert [line["model"] for line in bill.lines()] == ["tools", "tool"]


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("killed")

    @function_tool
    async def wait() -> str:
        """Wait."""
        await asyncio.to_thread(until, lambda: wflo.spans(flow.execution_id))
        wflo.post(f"/v1/runs/{flow.execution_id}/kill", {})
        assert await asyncio.to_thread(until, lambda: flow.run.control.get("status") == "killed")
        return "waited"

    with pytest.raises(RunKilledError):
        go(flow.execute(desk.agent("waits", "tool", tools=[wait]), TASK))
    assert len(bill.lines()) == 1


def test_a_run_that_is_to_stop_calls_no_tool(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("circles")

    class Notices(RunHooks[Any]):
        async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
            flow.run.loop = InfiniteLoopDetectedError(iteration=1, repeated_pattern="look_up")

    with pytest.raises(InfiniteLoopDetectedError):
        go(flow.execute(desk.editor, {"input": TASK, "hooks": Notices()}))
    assert (desk.looked_up, len(bill.lines())) == ([], 1)


def test_a_tool_that_fails_is_shown_as_failed_and_the_agent_goes_on(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    @function_tool
    def look_up(q: str) -> str:
        """Look something up."""
        raise LookupError(f"no {q}")

    flow = WfloWorkflow("fails")
    result = go(flow.execute(desk.agent("editor", "tool", tools=[look_up]), TASK))
    assert "An error occurred" in result.final_output
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert (tool["status"], tool["error"]) == ("error", "LookupError: no x")
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}


def test_a_failed_call_is_shown_as_one(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("broken")
    with pytest.raises(APIStatusError):
        go(flow.execute(desk.agent("broken", "echo-fail500"), TASK))
    failed = [span for span in wflo.spans(flow.execution_id) if span["status"] == "error"]
    assert [(span["name"], span["kind"]) for span in failed[1:]] == [
        ("broken", "agent"), ("chat echo-fail500", "llm"),
    ]  # fmt: skip
    assert "InternalServerError" in failed[2]["error"]


def test_guardrails_are_steps_and_what_they_call_is_below_them(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    judge = desk.agent("judge", "echo")

    @input_guardrail
    async def polite(context: Any, agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
        answer = await Runner.run(judge, input)
        return GuardrailFunctionOutput(output_info=answer.final_output, tripwire_triggered="rude" in str(input))

    @output_guardrail
    def short(context: Any, agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=len(output), tripwire_triggered=False)

    writer = desk.agent("writer", "think", input_guardrails=[polite], output_guardrails=[short])
    flow = WfloWorkflow("guarded")
    go(flow.execute(writer, TASK))
    assert wflo.agent_costs(flow.execution_id) == {"judge": bill.cost_usd("echo"), "writer": bill.cost_usd("think")}
    spans = wflo.spans(flow.execution_id)
    assert [path[-2:] for path in _paths(spans)] == [["writer"], ["polite", "judge"]]
    assert {span["name"] for span in spans if span["kind"] == "guardrail"} == {"polite", "short"}
    rude = WfloWorkflow("guarded")
    with pytest.raises(InputGuardrailTripwireTriggered):
        go(rude.execute(writer, "rude owls"))


def test_what_a_tool_and_an_agents_instructions_do_is_below_them(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    @track_tool_call
    def count(things: list[str]) -> int:
        return len(things)

    def instructions(context: Any, agent: Agent[Any]) -> str:
        return f"There are {count(['owl'])}."

    @function_tool
    def look_up(q: str) -> str:
        """Look something up."""
        return str(count([q]))

    flow = WfloWorkflow("nested")
    go(flow.execute(desk.agent("editor", "tool", tools=[look_up], instructions=instructions), TASK))
    assert _paths(wflo.spans(flow.execution_id), "tool") == [
        ["editor"], ["editor"], ["editor"], ["editor", "look_up"],
    ]  # fmt: skip
    assert flow.get_cost_breakdown_by_agent()["editor"]["tool_calls"] == 4


def test_plain_and_streamed_runs_are_recorded_until_it_is_undone(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read(agent: Agent[Any]) -> list[str]:
        return [event.type async for event in Runner.run_streamed(agent, TASK).stream_events()]

    undo = instrument_openai_agents()
    with run("by hand", budget_usd=1) as this:
        kinds = go(read(desk.front))
        asyncio.set_event_loop(go.__self__)  # type: ignore[attr-defined]
        Runner.run_sync(desk.editor, TASK)
    undo()
    assert {"raw_response_event", "run_item_stream_event", "agent_updated_stream_event"} <= set(kinds)
    billed = {agent: bill.cost_usd(model) for agent, model in COSTS.items()}
    assert wflo.agent_costs(this.id) == billed
    assert this.used.whole.unpriced_calls == 0
    assert _paths(wflo.spans(this.id)) == [["editor"], ["editor"], ["front"], ["writer"]]
    paid = bill.cost_usd()
    with run("not at all") as other:
        go(Runner.run(desk.writer, TASK))
    assert (other.used.whole.llm_calls, len(wflo.spans(other.id))) == (0, 1)
    assert bill.cost_usd() > paid


@pytest.mark.parametrize("is_told", [True, False])
def test_a_stream_that_spends_a_budget_says_so_to_its_reader(wflo: Wflo, desk: Desk, bill: Bill, is_told: bool) -> None:
    options: dict[str, Any] = {} if is_told else {"failure_error_function": None}
    outer = desk.agent("outer", "tools", tools=[desk.editor.as_tool("ask_editor", None, **options)])

    async def read() -> None:
        async for _ in Runner.run_streamed(outer, TASK).stream_events():
            pass

    undo = instrument_openai_agents()
    with run("streamed", per_agent_budgets={"editor": "0.00001"}) as this, pytest.raises(BudgetExceededError):
        go(read())
    undo()
    assert [line["model"] for line in bill.lines()] == ["tools", "tool"]
    assert {span["status"] for span in wflo.spans(this.id, "agent")} == {"error"}


def test_a_run_that_nobody_began_is_one_of_its_own(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    async def read() -> Any:
        result = Runner.run_streamed(desk.front, TASK)
        async for _ in result.stream_events():
            pass
        return result._wflo_activity.entered.run

    undo = instrument_openai_agents()
    this = go(read())
    undo()
    assert wflo.run(this.id)["status"] == "completed"
    assert sum(wflo.agent_costs(this.id).values()) == bill.cost_usd() > 0


def test_a_client_that_is_watched_too_is_counted_once(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    undo, flow = instrument_openai(), WfloWorkflow("once")
    go(flow.execute(desk.front, TASK))
    undo()
    assert flow.get_cost_breakdown()["llm_calls"] == len(bill.lines()) == 2
    assert wflo.agent_costs(flow.execution_id) == {
        "front": bill.cost_usd("tools"), "writer": bill.cost_usd("think"),
    }  # fmt: skip


def test_nothing_depends_on_the_frameworks_own_tracing(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    set_trace_processors([])
    set_tracing_disabled(False)
    try:
        flow = WfloWorkflow("traced")
        go(flow.execute(desk.editor, TASK))
    finally:
        set_tracing_disabled(True)
    assert _paths(wflo.spans(flow.execution_id)) == [["editor"], ["editor"]]
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_what_tells_no_usage_is_unpriced_not_free(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("untold")
    go(flow.execute(desk.agent("writer", "echo-nousage"), TASK))
    assert (flow.get_cost_breakdown()["unpriced_calls"], flow.get_cost_breakdown()["total_usd"]) == (1, 0)


def test_what_is_no_input_is_refused_in_words(wflo: Wflo, desk: Desk) -> None:
    with pytest.raises(ValueError, match='a dict with "input"'):
        go(WfloWorkflow("alone").execute(desk.editor, {"topic": TASK}))
