"""A researcher and a writer in CrewAI: what each costs, a budget, and a way back to before the writer.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/crewai_agent.py
"""

import asyncio
import os

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

from wflo import WfloWorkflow


@tool("search")
def search(query: str) -> str:
    """Search the archive."""
    return f"Three reports on {query}."


def crew() -> Crew:
    model = LLM(
        model=os.environ.get("MODEL", "demo/agent"),
        provider="openai",
        base_url=os.environ["WFLO_ENDPOINT"] + "/v1",
        api_key=os.environ["WFLO_API_KEY"],
    )
    researcher = Agent(role="researcher", goal="Find facts.", backstory="", llm=model, tools=[search])
    writer = Agent(role="writer", goal="Write them up.", backstory="", llm=model)
    research = Task(description="Research {topic}.", expected_output="Notes", agent=researcher)
    write = Task(description="Write about {topic}.", expected_output="A page", agent=writer)
    return Crew(agents=[researcher, writer], tasks=[research, write])


async def main() -> None:
    flow = WfloWorkflow("crewai example", budget_usd=0.50, per_agent_budgets={"writer": 0.10})
    result = await flow.execute(crew(), {"topic": "solid-state batteries"})
    print(result.raw)
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])

    state = flow.rollback_to_checkpoint("researcher")
    await flow.execute(crew(), state)
    print("after going back, only", ", ".join(flow.get_cost_breakdown_by_agent()), "was run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
