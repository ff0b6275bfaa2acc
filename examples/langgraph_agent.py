"""A researcher and a writer in LangGraph: what each costs, a budget, and a way back to before the writer.

Against a running Wflo (``make up``), whose gateway has models that need no provider's key:

    export WFLO_ENDPOINT=http://127.0.0.1:8000 WFLO_API_KEY=wf_live_...
    python examples/langgraph_agent.py
"""

import asyncio
import os
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

from wflo import WfloWorkflow
from wflo.integrations.openai import instrument_openai

instrument_openai()  # the gateway's record of a call and ours are one


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


def search(query: str) -> str:
    """Search the archive."""
    return f"Three reports on {query}."


model = ChatOpenAI(
    model=os.environ.get("MODEL", "demo/agent"),
    base_url=os.environ["WFLO_ENDPOINT"] + "/v1",
    api_key=os.environ["WFLO_API_KEY"],
)


def write(state: State) -> dict[str, Any]:
    return {"messages": [model.invoke(state["messages"])]}


graph = (
    StateGraph(State)
    .add_node("researcher", create_agent(model, [search]))
    .add_node("writer", write)
    .add_edge(START, "researcher")
    .add_edge("researcher", "writer")
    .compile()
)


async def main() -> None:
    flow = WfloWorkflow("langgraph example", budget_usd=0.50, per_agent_budgets={"writer": 0.10})
    result = await flow.execute(graph, {"messages": [("user", "Solid-state batteries?")]})
    print(result["messages"][-1].text)
    for agent, told in flow.get_cost_breakdown_by_agent().items():
        print(f"{agent}: ${told['cost_usd']} in {told['api_calls']} calls")
    print("run:", flow.execution_id, "checkpoints:", [one["name"] for one in flow.list_checkpoints()])

    state = flow.rollback_to_checkpoint("researcher")
    await flow.execute(graph, state)
    print("after going back, only", ", ".join(flow.get_cost_breakdown_by_agent()), "was run:", flow.execution_id)


if __name__ == "__main__":
    asyncio.run(main())
