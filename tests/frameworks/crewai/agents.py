"""Agents that the tests run: a researcher, a writer, and an editor who looks things up."""

from __future__ import annotations

import asyncio
from typing import Any

from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

go = asyncio.run
TOPIC = {"topic": "owls"}
COSTS = {"researcher": "echo", "writer": "think", "editor": "tool"}  # each calls a model of its own
WORK = {"researcher": "Research {topic}", "writer": "Write it up", "editor": "Edit it"}


def llm(url: str, model: str, **options: Any) -> LLM:
    return LLM(model=model, provider="openai", base_url=url, api_key="sk-provider", max_retries=0, **options)


def agent(role: str, model: Any, **options: Any) -> Agent:
    return Agent(role=role, goal=f"be a {role}", backstory="", llm=model, **{"max_retry_limit": 0, **options})


class Desk:
    """The agents, and their tasks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.looked_up: list[str] = []
        self.researcher = agent("researcher", llm(url, "echo"))
        self.writer = agent("writer", llm(url, "think"))
        self.editor = agent("editor", llm(url, "tool"), tools=[self.look_up()])

    def look_up(self) -> Any:
        @tool("look_up")
        def look_up(q: str) -> str:
            """Look something up."""
            self.looked_up.append(q)
            return f"{q} is fine"

        return look_up

    def task(self, who: Agent, **options: Any) -> Task:
        work = WORK.get(who.role, "Think of it")
        return Task(**{"description": work, "expected_output": "words", "agent": who, **options})

    def crew(self, *more: Task, **options: Any) -> Crew:
        """The three, or others in the editor's place."""
        tasks = [self.task(self.researcher), self.task(self.writer), *(more or [self.task(self.editor)])]
        agents = [task.agent for task in tasks if task.agent is not None]
        return Crew(**{"agents": agents, "tasks": tasks, **options})


def paths(spans: list[dict[str, Any]], kind: str = "llm") -> list[list[str]]:
    """Of the spans of a kind, the names of those above them, the run left out."""
    by_id = {span["span_id"]: span for span in spans}

    def path(span: dict[str, Any]) -> list[str]:
        above = by_id.get(span["parent_id"] or "")
        return [*(path(above) if above else []), span["name"]]

    return sorted(path(span)[1:-1] for span in spans if span["kind"] == kind)
