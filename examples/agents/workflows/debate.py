"""Two argue, a judge decides."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, DebateConfig, DebateWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    sides = [("for", agent("for")), ("against", agent("against"))]
    config = DebateConfig(max_rounds=2, require_consensus=True, judge_decides=True)
    result = await DebateWorkflow(sides, agent("judge"), config).execute("Should agents spend money by themselves?")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
