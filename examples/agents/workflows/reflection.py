"""An answer, looked at and written anew."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ReflectionConfig, ReflectionWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    config = ReflectionConfig(max_reflections=2, min_improvement_threshold=0.05)
    result = await ReflectionWorkflow(agent("writer"), agent("reader"), config).execute("Explain recursion")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
