"""A manager takes it apart, workers do the parts at the same time."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, HierarchicalConfig, HierarchicalWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    workers = [("north", agent("north")), ("south", agent("south"))]
    config = HierarchicalConfig(max_subtasks=4, parallel_workers=True, synthesis_strategy="merge")
    result = await HierarchicalWorkflow(agent("lead"), workers, config).execute("Plan a conference")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
