"""Each adds to one text in turn."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, RoundRobinConfig, RoundRobinWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    authors = [(name, agent(name)) for name in ("ann", "bob", "eve")]
    config = RoundRobinConfig(max_rounds=2, contribution_style="refine", final_synthesis=True)
    result = await RoundRobinWorkflow(authors, config).execute("A story about a lighthouse")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
