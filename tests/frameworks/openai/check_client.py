"""Agents on OpenAI's own client: whole, streamed, with tools, chat and responses; costs, budgets, a stop, a way back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from openai import OpenAI

from tests.frameworks.sights import Bill, Wflo, until
from wflo import WfloWorkflow, track_agent_cost, track_tool_call
from wflo.errors import BudgetExceededError, RunKilledError
from wflo.integrations.openai import wrap_openai

WORDS: list[Any] = [{"role": "user", "content": "two owls"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}},
}
COSTS = {"researcher": "echo", "writer": "think", "editor": "tool"}  # each calls a model of its own


@pytest.fixture
def client(provider_url: str) -> OpenAI:
    return wrap_openai(OpenAI(base_url=provider_url, api_key="sk-provider", max_retries=0))


class Desk:
    """Three who work one after another; from a checkpoint on, those after it."""

    def __init__(self, client: OpenAI, flow: WfloWorkflow) -> None:
        self.client, self.flow = client, flow
        self.looked_up: list[str] = []

    def run(self, **done: str) -> dict[str, str]:
        for name in COSTS:
            if name not in done:
                done[name] = getattr(self, name)()
                self.flow.checkpoint(name, done)
        return done

    @track_agent_cost("researcher")
    def researcher(self) -> str:
        return str(self.client.responses.create(model="echo", input="two owls").output_text)

    @track_agent_cost("writer")
    def writer(self) -> str:
        pieces = self.client.chat.completions.create(
            model="think", messages=WORDS, stream=True, stream_options={"include_usage": True}
        )
        return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)

    @track_agent_cost("editor")
    def editor(self) -> str:
        messages = list(WORDS)
        while True:
            said = self.client.chat.completions.create(model="tool", messages=messages, tools=[TOOL]).choices[0].message
            if not said.tool_calls:
                return said.content or ""
            messages.append(said.model_dump(exclude_none=True))
            for call in said.tool_calls:
                result = self.look_up(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    @track_tool_call
    def look_up(self, q: str) -> str:
        self.looked_up.append(q)
        return f"{q} is fine"


def test_each_agent_costs_what_the_provider_bills_for_it(wflo: Wflo, client: OpenAI, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd=1)
    asyncio.run(flow.execute(Desk(client, flow).run, None))
    billed = {agent: bill.cost_usd(model) for agent, model in COSTS.items()}
    assert all(billed.values())
    assert wflo.agent_costs(flow.execution_id) == billed
    told = flow.get_cost_breakdown_by_agent()
    assert {agent: told[agent]["cost_usd"] for agent in billed} == billed
    assert wflo.run(flow.execution_id)["llm_calls"] == len(bill.lines()) == 4
    (tool,) = wflo.spans(flow.execution_id, "tool")
    assert tool["agent"] == "editor"


def test_a_spent_budget_ends_the_run_before_the_next_call(wflo: Wflo, client: OpenAI, bill: Bill) -> None:
    flow = WfloWorkflow("desk", budget_usd="0.00000001")
    with pytest.raises(BudgetExceededError) as raised:
        asyncio.run(flow.execute(Desk(client, flow).run, None))
    assert raised.value.spent_usd == bill.cost_usd()
    assert raised.value.answer.output_text == "two owls"
    assert len(bill.lines()) == 1


def test_a_killed_run_makes_no_more_calls(wflo: Wflo, client: OpenAI, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    desk = Desk(client, flow)

    def killed(q: str) -> str:
        wflo.get("/api/v1/runs")  # what it did is there
        wflo.post(f"/api/v1/runs/{flow.execution_id}/kill", {"reason": "enough"})
        assert until(lambda: flow.run.control.get("status") == "killed")
        return q

    desk.look_up = killed  # type: ignore[method-assign, assignment]
    with pytest.raises(RunKilledError):
        asyncio.run(flow.execute(desk.run, None))
    assert len(bill.lines()) == 3


def test_it_goes_on_from_a_checkpoint(wflo: Wflo, client: OpenAI, bill: Bill) -> None:
    flow = WfloWorkflow("desk")
    asyncio.run(flow.execute(Desk(client, flow).run, None))
    first, paid = flow.execution_id, len(bill.lines())
    assert [one["name"] for one in wflo.checkpoints(first)] == list(COSTS)
    state = flow.rollback_to_checkpoint("writer")
    desk = Desk(client, flow)
    asyncio.run(flow.execute(desk.run, state))
    assert [line["model"] for line in bill.lines()[paid:]] == ["tool", "tool"]
    assert desk.looked_up == ["x"]
    assert flow.execution_id != first
