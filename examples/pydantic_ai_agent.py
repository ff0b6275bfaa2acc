"""A writer in pydantic-ai who asks a researcher by a tool: what each costs, a budget, and a way back to after the research.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/pydantic_ai_agent.py
"""

import asyncio
import os

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from wflo import WfloWorkflow

gateway = OpenAIProvider(base_url=os.environ["WFLO_ENDPOINT"] + "/v1", api_key=os.environ["WFLO_API_KEY"])
model = OpenAIChatModel(os.environ.get("MODEL", "demo/agent"), provider=gateway)
researcher = Agent(model, name="researcher", instructions="Find facts.")
writer = Agent(model, name="writer", instructions="Write it up.")


@writer.tool_plain
async def research(question: str) -> str:
    """Ask the researcher."""
    return (await researcher.run(question)).output


async def main() -> None:
    flow = WfloWorkflow("pydantic-ai example", budget_usd=0.50, per_agent_budgets={"writer": 0.10})
    result = await flow.execute(writer, "Solid-state batteries?")
    print(result.output)
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])

    state = flow.rollback_to_checkpoint(1)  # the research is done
    await flow.execute(writer, state)
    print("after going back, only", ", ".join(flow.get_cost_breakdown_by_agent()), "was run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
