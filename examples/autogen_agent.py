"""A researcher and a writer in AutoGen: what each costs, a budget, and a way back to before the writer.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/autogen_agent.py
"""

import asyncio
import os

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

from wflo import WfloWorkflow


def search(query: str) -> str:
    """Search the archive."""
    return f"Three reports on {query}."


def team() -> RoundRobinGroupChat:
    model = OpenAIChatCompletionClient(
        model=os.environ.get("MODEL", "demo/agent"),
        base_url=os.environ["WFLO_ENDPOINT"] + "/v1",
        api_key=os.environ["WFLO_API_KEY"],
        model_info={
            "vision": False, "function_calling": True, "json_output": True, "structured_output": False, "family": "unknown",
        },
    )  # fmt: skip
    researcher = AssistantAgent("researcher", model, tools=[search], system_message="Find facts.")
    writer = AssistantAgent("writer", model, system_message="Write them up.")
    return RoundRobinGroupChat([researcher, writer], termination_condition=MaxMessageTermination(3))


async def main() -> None:
    flow = WfloWorkflow("autogen example", budget_usd=0.50, per_agent_budgets={"writer": 0.10})
    result = await flow.execute(team(), "Solid-state batteries?")
    print(result.messages[-1].to_text())
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])

    state = flow.rollback_to_checkpoint("researcher")
    await flow.execute(team(), state)
    print("after going back, only", ", ".join(flow.get_cost_breakdown_by_agent()), "was run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
