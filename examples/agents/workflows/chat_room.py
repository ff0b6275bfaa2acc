"""Agents in one room, and a moderator."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ChatRoomConfig, ChatRoomWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    members = [(name, agent(name)) for name in ("ann", "bob", "eve")]
    result = await ChatRoomWorkflow(members, agent("chair"), ChatRoomConfig(max_turns=4)).execute(
        "What should we build next?"
    )
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
