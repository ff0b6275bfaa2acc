"""Questions that lead on."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, SocraticConfig, SocraticWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    config = SocraticConfig(max_exchanges=2, mode="teacher_student", synthesis_at_end=True)
    result = await SocraticWorkflow(agent("teacher"), agent("student"), config).execute("What makes code readable?")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
