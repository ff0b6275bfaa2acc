"""A researcher, a writer and two critics: who said what, what each cost, step by step."""

import asyncio
import os

from wflo.agents import (
    Agent,
    AgentExecutor,
    CriticConfig,
    IterativeConfig,
    IterativeRefinementWorkflow,
    PipelineWorkflow,
    Step,
)

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def search(query: str) -> str:
    """Search the archive."""
    return f"Three reports on {query}."


def agent(name: str, prompt: str, *tools: object) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=prompt, tools=tools, model=MODEL))


def tell(step: Step) -> None:
    cost = "" if step.cost_usd is None else f" ${step.cost_usd:f}"
    print(f"  {step.kind:6} {step.agent:16} {' '.join(step.text.split())[:60]}{cost}")


async def main() -> None:
    pipeline = PipelineWorkflow(
        [("researcher", agent("researcher", "Find facts.", search)), ("writer", agent("writer", "Write it up."))],
        on_step=tell,
    )
    draft = await pipeline.execute("Solid-state batteries")
    print(draft.metadata, draft.tokens, draft.cost_usd)

    critics = [
        CriticConfig(agent("facts", "Check facts."), "accuracy", "Nothing that is not so.", weight=2),
        CriticConfig(agent("style", "Check style."), "style", "Plain words."),
    ]
    refined = await IterativeRefinementWorkflow(
        agent("editor", "Improve the text."),
        critics,
        IterativeConfig(max_iterations=2, convergence_threshold=0.05),
        on_step=tell,
    ).execute(draft.final_output)
    print(refined.final_output)
    print(refined.iterations, refined.metadata["converged"], refined.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
