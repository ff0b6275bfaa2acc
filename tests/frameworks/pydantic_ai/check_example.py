"""The example, and a stream, through the gateway."""

from __future__ import annotations

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.frameworks import examples
from tests.frameworks.pydantic_ai.agents import TASK, go
from tests.frameworks.sights import Wflo, until
from wflo import run
from wflo.integrations.pydantic_ai import instrument_pydantic_ai


def test_the_example(wflo: Wflo) -> None:
    examples.check(wflo, "pydantic_ai_agent.py", checkpoints=["writer", "writer"])


def test_a_stream_through_the_gateway_is_one_record(wflo: Wflo) -> None:
    provider = OpenAIProvider(openai_client=AsyncOpenAI(base_url=f"{wflo.url}/v1", api_key=wflo.key))

    async def read(agent: Agent[None, str], task: str) -> None:
        async with agent.run_stream(task) as result:
            await result.get_output()

    undo = instrument_pydantic_ai()
    with run("gateway") as this:
        for kind in (OpenAIChatModel, OpenAIResponsesModel):  # twice the same is a loop
            go(read(Agent(kind("echo", provider=provider), name="writer"), f"{TASK} for {kind.__name__}"))
    undo()
    assert until(lambda: wflo.agent_costs(this.id) == {"writer": this.used.whole.cost_usd})
    assert wflo.run(this.id)["llm_calls"] == this.used.whole.llm_calls == 2
    assert this.used.whole.unpriced_calls == 0
