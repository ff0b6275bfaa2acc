"""The example, and a stream, through the gateway."""

from __future__ import annotations

from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
from openai import AsyncOpenAI

from tests.frameworks import examples
from tests.frameworks.openai_agents.agents import TASK, go
from tests.frameworks.sights import Wflo, until
from wflo import run
from wflo.integrations.openai_agents import instrument_openai_agents


def test_the_example(wflo: Wflo) -> None:
    examples.check(wflo, "openai_agents_agent.py", checkpoints=["researcher", "researcher", "writer"])


def test_a_stream_through_the_gateway_is_one_record(wflo: Wflo) -> None:
    client = AsyncOpenAI(base_url=f"{wflo.url}/v1", api_key=wflo.key)

    async def read(agent: Agent[Any], task: str) -> None:
        async for _ in Runner.run_streamed(agent, task).stream_events():
            pass

    undo = instrument_openai_agents()
    with run("gateway") as this:
        for kind in (OpenAIChatCompletionsModel, OpenAIResponsesModel):
            go(
                read(Agent("writer", model=kind("echo", client)), f"{TASK} for {kind.__name__}")
            )  # twice the same is a loop
    undo()
    assert until(lambda: wflo.agent_costs(this.id) == {"writer": this.used.whole.cost_usd})
    assert wflo.run(this.id)["llm_calls"] == this.used.whole.llm_calls == 2
    assert this.used.whole.unpriced_calls == 0
