"""More said in as many words."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ChainOfDensityConfig, ChainOfDensityWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    config = ChainOfDensityConfig(num_iterations=3, density_increment="details", preserve_length=True)
    result = await ChainOfDensityWorkflow(agent("writer"), config).execute("What PostgreSQL is")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
