"""Agents by themselves: tools, agents as tools, clients of other makers, what a tool may not swallow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.tools import AgentTool
from autogen_core.models import CreateResult, RequestUsage, UserMessage
from autogen_core.tools import TextResultContent, ToolResult, ToolSchema, Workbench
from autogen_ext.models.anthropic import AnthropicChatCompletionClient
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.replay import ReplayChatCompletionClient
from openai import OpenAI
from pydantic import BaseModel

from tests.frameworks.autogen.agents import CAN, TASK, Desk, client, go, said, streaming
from tests.frameworks.sights import Bill, Wflo
from wflo import InfiniteLoopDetectedError, WfloWorkflow, run, track_llm_call
from wflo.integrations.autogen import instrument_autogen


@pytest.fixture
def desk(provider_url: str) -> Desk:
    return Desk(provider_url)


def test_an_agent_alone(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("alone", budget_usd=1)
    result = go(flow.execute(desk.editor, {"task": [TextMessage(content=TASK, source="ada")]}))
    assert said(result) == [("ada", TASK), ("editor", "x is fine")]
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}
    turn, first, tool, second = wflo.spans(flow.execution_id)[1:5]
    assert {span["parent_id"] for span in (first, tool, second)} == {turn["span_id"]}
    content = wflo.get(f"/api/v1/spans/{tool['trace_id']}/{tool['span_id']}")
    assert (content["input"], content["output"]) == ('{"q":"x"}', "x is fine")


def test_what_is_no_task_is_refused_in_words(wflo: Wflo, desk: Desk) -> None:
    with pytest.raises(ValueError, match='a dict with "task"'):
        go(WfloWorkflow("alone").execute(desk.editor, {"topic": TASK}))


def test_what_a_tool_calls_in_its_thread_is_below_it(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    provider = OpenAI(base_url=provider_url, api_key="sk-provider")

    @track_llm_call(model="think")
    def asked(q: str) -> Any:
        return provider.chat.completions.create(model="think", messages=[{"role": "user", "content": q}])

    def look_up(q: str) -> str:
        """Look something up."""
        return str(asked(q).choices[0].message.content)

    agent = AssistantAgent("editor", client(provider_url, "tool"), tools=[look_up])
    flow = WfloWorkflow("thread")
    go(flow.execute(agent, TASK))
    inner = next(span for span in wflo.spans(flow.execution_id, "llm") if span["name"] == "chat think")
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert inner["parent_id"] == tool["span_id"]
    assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd()}


def test_a_tool_that_fails_is_shown_as_failed_and_the_agent_goes_on(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    async def look_up(q: str) -> str:
        """Look something up."""
        raise LookupError(f"no {q}")

    agent = AssistantAgent("editor", client(provider_url, "tool"), tools=[look_up], max_tool_iterations=2)
    flow = WfloWorkflow("fails")
    assert said(go(flow.execute(agent, TASK)))[-1] == ("editor", "no x")
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert (tool["status"], tool["error"]) == ("error", "LookupError: no x")
    assert flow.get_cost_breakdown()["tool_counts"] == {"look_up": 1}


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_does_not_swallow_a_spent_budget(wflo: Wflo, bill: Bill, provider_url: str, is_stream: bool) -> None:
    inner = AssistantAgent("inner", client(provider_url, "echo"))
    model = streaming(provider_url, "tool") if is_stream else client(provider_url, "tool")
    outer = AssistantAgent(
        "outer", model, tools=[AgentTool(inner)], max_tool_iterations=3, model_client_stream=is_stream
    )
    flow = WfloWorkflow("tools", per_agent_budgets={"inner": "0.00001"})
    with pytest.raises(flow.AgentBudgetExceededError) as raised:
        go(flow.execute(outer, TASK))
    assert raised.value.agent_name == "inner"
    assert [line["model"] for line in bill.lines()] == ["tool", "echo"]
    assert wflo.agent_costs(flow.execution_id) == {"inner": bill.cost_usd("echo"), "outer": bill.cost_usd("tool")}


def test_a_run_that_is_to_stop_calls_no_tool(wflo: Wflo, desk: Desk, bill: Bill) -> None:
    flow = WfloWorkflow("circles")
    watched = desk.editor.model_context.add_message

    async def noticed(message: Any) -> None:
        await watched(message)
        if message.type == "AssistantMessage":
            flow.run.loop = InfiniteLoopDetectedError(iteration=1, repeated_pattern="look_up")

    desk.editor.model_context.add_message = noticed  # type: ignore[method-assign]
    with pytest.raises(InfiniteLoopDetectedError):
        go(flow.execute(desk.editor, TASK))
    assert (desk.looked_up, len(bill.lines())) == ([], 1)


def test_a_schema_asked_for_is_one_call(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    class Told(BaseModel):
        owls: int

    for is_stream in (False, True):
        model = streaming(provider_url, "json") if is_stream else client(provider_url, "json")
        agent = AssistantAgent("editor", model, output_content_type=Told, model_client_stream=is_stream)
        before, flow = bill.cost_usd(), WfloWorkflow("schema")
        result = go(flow.execute(agent, TASK))
        assert result.messages[-1].content == Told(owls=1)
        assert wflo.agent_costs(flow.execution_id) == {"editor": bill.cost_usd() - before}
        assert flow.get_cost_breakdown()["llm_calls"] == 1


def test_an_answer_from_autogens_cache_costs_nothing(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    cached = ChatCompletionCache(client(provider_url, "echo"))
    for place in range(2):
        for is_stream in (False, True):
            agent = AssistantAgent("editor", cached, model_client_stream=is_stream)
            before, flow = bill.cost_usd(), WfloWorkflow("cache")
            go(flow.execute(agent, TASK))
            told = flow.get_cost_breakdown()
            assert (told["total_usd"], told["llm_calls"]) == (bill.cost_usd() - before, 1)
            assert (sum(wflo.agent_costs(flow.execution_id).values()), told["unpriced_calls"]) == (told["total_usd"], 0)
            assert bool(told["total_usd"]) == (not place and not is_stream)


def test_anthropics_client(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    url = provider_url.removesuffix("/v1")
    for is_stream in (False, True):
        model = AnthropicChatCompletionClient(model="cached", base_url=url, api_key="sk-provider", model_info=CAN)
        agent = AssistantAgent("editor", model, model_client_stream=is_stream)
        before, flow = len(bill.lines()), WfloWorkflow("anthropic")
        go(flow.execute(agent, TASK))
        (call,) = wflo.spans(flow.execution_id, "llm")
        (line,) = bill.lines()[before:]
        told = (call["provider"], call["agent"], call["input_tokens"], call["output_tokens"])
        assert told == ("anthropic", "editor", line["input"], line["output"])
        assert call["cached_tokens"] == line["input"] // 2


def test_a_client_nobody_knows_tells_what_it_can(wflo: Wflo) -> None:
    answer = CreateResult(
        finish_reason="stop", content="yes", usage=RequestUsage(prompt_tokens=7, completion_tokens=3), cached=False
    )
    for is_stream in (False, True):
        agent = AssistantAgent("editor", ReplayChatCompletionClient([answer], CAN), model_client_stream=is_stream)
        flow = WfloWorkflow("replay")
        go(flow.execute(agent, TASK))
        (call,) = wflo.spans(flow.execution_id, "llm")
        assert (call["agent"], call["input_tokens"], call["output_tokens"]) == ("editor", 7, 3)
        assert flow.get_cost_breakdown()["unpriced_calls"] == 1


def test_a_tool_of_another_process(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    agent = AssistantAgent("editor", client(provider_url, "tool"), workbench=Remote(), max_tool_iterations=2)
    flow = WfloWorkflow("remote")
    assert said(go(flow.execute(agent, TASK)))[-1] == ("editor", "no such page")
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert (tool["name"], tool["agent"], tool["status"], tool["error"]) == ("fetch", "editor", "error", "no such page")


def test_a_model_called_without_an_agent(wflo: Wflo, bill: Bill, provider_url: str) -> None:
    model = client(provider_url, "echo")
    undo = instrument_autogen()
    with run("core") as this:
        go(model.create([UserMessage(content=TASK, source="user")]))
    undo()
    assert this.used.whole.cost_usd == bill.cost_usd() > 0
    go(model.create([UserMessage(content=TASK, source="user")]))
    assert this.used.whole.llm_calls == len(wflo.spans(this.id, "llm")) == 1


class Remote(Workbench):
    """As an MCP server's: a tool that is no object here."""

    component_provider_override = "tests.Remote"

    async def list_tools(self) -> list[ToolSchema]:
        return [ToolSchema(name="fetch", description="Fetch a page.", parameters={"type": "object", "properties": {}})]  # type: ignore[typeddict-item]

    async def call_tool(
        self, name: str, arguments: Mapping[str, Any] | None = None, cancellation_token: Any = None, call_id: Any = None
    ) -> ToolResult:
        return ToolResult(name=name, result=[TextResultContent(content="no such page")], is_error=True)

    async def start(self) -> None:
        return None

    async def stop(self) -> None:
        return None

    async def reset(self) -> None:
        return None

    async def save_state(self) -> Mapping[str, Any]:
        return {}

    async def load_state(self, state: Mapping[str, Any]) -> None:
        return None

    def _to_config(self) -> Any:
        raise NotImplementedError
