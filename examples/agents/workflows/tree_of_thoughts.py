"""Several ways on, the good ones followed."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, TreeOfThoughtsConfig, TreeOfThoughtsWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    config = TreeOfThoughtsConfig(
        branching_factor=2, max_depth=2, evaluation_strategy="best_first", prune_threshold=0.2
    )
    result = await TreeOfThoughtsWorkflow(agent("thinker"), agent("judge"), config).execute(
        "How to halve a bill for tokens?"
    )
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
