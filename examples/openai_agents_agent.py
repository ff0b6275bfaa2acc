"""A researcher who hands over to a writer in openai-agents: what each costs, a budget, and a way back to before the writer.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/openai_agents_agent.py
"""

import asyncio
import os

from agents import Agent, OpenAIChatCompletionsModel, function_tool, set_tracing_disabled
from openai import AsyncOpenAI

from wflo import WfloWorkflow

set_tracing_disabled(True)  # it would tell OpenAI


@function_tool
def search(query: str) -> str:
    """Search the archive."""
    return f"Three reports on {query}."


client = AsyncOpenAI(base_url=os.environ["WFLO_ENDPOINT"] + "/v1", api_key=os.environ["WFLO_API_KEY"])
model = OpenAIChatCompletionsModel(os.environ.get("MODEL", "demo/agent"), client)
writer = Agent("writer", instructions="Write it up.", model=model)
researcher = Agent("researcher", instructions="Find facts.", model=model, tools=[search], handoffs=[writer])


async def main() -> None:
    flow = WfloWorkflow("openai-agents example", budget_usd=0.50, per_agent_budgets={"writer": 0.10})
    result = await flow.execute(researcher, "Solid-state batteries?")
    print(result.final_output)
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])

    state = flow.rollback_to_checkpoint("researcher")
    await flow.execute(researcher, state)
    print("after going back, only", ", ".join(flow.get_cost_breakdown_by_agent()), "was run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
