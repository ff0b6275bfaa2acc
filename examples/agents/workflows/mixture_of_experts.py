"""The experts a question is for."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ExpertConfig, MixtureOfExpertsWorkflow, MoEConfig

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    experts = [
        ExpertConfig(agent("databases"), "databases", "Queries and indexes.", ["query", "index"]),
        ExpertConfig(agent("networks"), "networks", "Packets and latency.", ["latency"]),
        ExpertConfig(agent("cooking"), "cooking", "Food.", ["recipe"]),
    ]
    config = MoEConfig(routing_strategy="keyword", combine_strategy="synthesize")
    result = await MixtureOfExpertsWorkflow(experts, combiner=agent("combiner"), config=config).execute(
        "Why has my query such a latency?"
    )
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
