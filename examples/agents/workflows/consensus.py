"""All propose, all vote, by weight."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ConsensusConfig, ConsensusWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    team = [(name, agent(name)) for name in ("architect", "operator", "developer")]
    config = ConsensusConfig(
        min_agreement_ratio=0.6, max_rounds=2, voting_strategy="weighted", weights={"architect": 2}
    )
    result = await ConsensusWorkflow(team, config).execute("Which database for a new service?")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
