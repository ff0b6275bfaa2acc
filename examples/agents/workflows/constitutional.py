"""An answer that keeps to principles."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, ConstitutionalConfig, ConstitutionalWorkflow, Principle

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


async def main() -> None:
    principles = [
        Principle("honest", "Says nothing that is not known.", "critical"),
        Principle("kind", "Blames nobody.", "warning"),
    ]
    config = ConstitutionalConfig(principles=principles, max_revisions=1, require_all_pass=False)
    result = await ConstitutionalWorkflow(agent("writer"), agent("critic"), config).execute(
        "Write to a customer whose parcel is late"
    )
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
