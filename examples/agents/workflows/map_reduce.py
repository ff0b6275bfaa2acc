"""A long text in pieces, reduced in a tree."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, MapReduceConfig, MapReduceWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    text = "Solid-state batteries reach pilot production. " * 40
    config = MapReduceConfig(chunk_size=200, chunk_overlap=20, max_parallel_chunks=4, reduce_strategy="hierarchical")
    result = await MapReduceWorkflow(agent("reader"), agent("summarizer"), config).execute(text)
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
