"""One after the other."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, PipelineWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    workflow = PipelineWorkflow(
        [("researcher", agent("researcher")), ("writer", agent("writer")), ("editor", agent("editor"))]
    )
    result = await workflow.execute("The history of the printing press")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
