"""A producer and its critics, until it is good enough."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, CriticConfig, IterativeConfig, IterativeRefinementWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


def quality(content: str, feedback: dict[str, str]) -> float:
    return 1.0 if len(content.split()) > 10 else 0.5


async def main() -> None:
    critics = [
        CriticConfig(agent("clarity"), "clarity", "Plain words.", weight=2),
        CriticConfig(agent("facts"), "accuracy", "Nothing made up."),
    ]
    config = IterativeConfig(
        max_iterations=3, min_quality_score=0.9, convergence_threshold=0.05, quality_evaluator=quality
    )
    result = await IterativeRefinementWorkflow(agent("producer"), critics, config).execute("Why tests should be fast")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
