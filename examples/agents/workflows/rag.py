"""Look it up, answer from it, check the answer."""

import asyncio
import os

from wflo.agents import Agent, AgentExecutor, RAGConfig, RAGWorkflow

MODEL = os.environ.get("WFLO_DEFAULT_MODEL", "demo/agent")


def agent(name: str) -> AgentExecutor:
    return AgentExecutor(Agent(name, system_prompt=f"You are {name}. Be brief.", model=MODEL))


DOCS = [
    {
        "content": "A budget is held before a call: the worst case, freed when the bill is there.",
        "source": "budgets.md",
    },
    {"content": "A loop is told with its cycle and the dollars it burned.", "source": "loops.md"},
]


def retrieve(query: str) -> list[dict[str, str]]:
    words = set(query.lower().split())
    return sorted(DOCS, key=lambda one: -len(words & set(one["content"].lower().split())))


async def main() -> None:
    config = RAGConfig(max_retrieved_chunks=1, verify_facts=True)
    result = await RAGWorkflow(retrieve, agent("writer"), agent("checker"), config).execute("How is a budget held?")
    print(result.final_output)
    print(result.iterations, result.metadata, result.tokens, result.cost_usd)


if __name__ == "__main__":
    asyncio.run(main())
