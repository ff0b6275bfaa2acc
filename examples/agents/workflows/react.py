"""Think, act, look: with tools, in words."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ReActConfig, ReActWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


async def main() -> None:
    workflow = ReActWorkflow(agent("reasoner"), ReActConfig(max_steps=3), tools=[get_weather])
    result = await workflow.execute("What is the weather in Tokyo?")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
