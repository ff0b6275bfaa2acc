"""Claude's client, streamed: tracked, with a budget of its own for each agent.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/anthropic_agent.py
"""

import asyncio
import os

from anthropic import Anthropic

from wflo import WfloWorkflow, track_agent_cost
from wflo.integrations.anthropic import wrap_anthropic

client = wrap_anthropic(Anthropic(base_url=os.environ["WFLO_ENDPOINT"], api_key=os.environ["WFLO_API_KEY"]))
MODEL = os.environ.get("MODEL", "demo/echo")


@track_agent_cost("writer")
def write(topic: str) -> str:
    with client.messages.stream(
        model=MODEL, max_tokens=200, messages=[{"role": "user", "content": f"Two lines on {topic}"}]
    ) as stream:
        return "".join(stream.text_stream)


@track_agent_cost("editor")
def edit(text: str) -> str:
    answer = client.messages.create(
        model=MODEL, max_tokens=200, messages=[{"role": "user", "content": f"Shorten: {text}"}]
    )
    return "".join(block.text for block in answer.content if block.type == "text")


def report(topic: str) -> str:
    return edit(write(topic))


async def main() -> None:
    flow = WfloWorkflow("anthropic example", budget_usd=0.50, per_agent_budgets={"writer": 0.10, "editor": 0.10})
    print(await flow.execute(report, {"topic": "solid-state batteries"}))
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
