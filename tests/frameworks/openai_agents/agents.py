"""Agents that the tests run: a front desk that hands over to a writer, and an editor who looks things up."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, function_tool
from openai import AsyncOpenAI

go = asyncio.new_event_loop().run_until_complete  # OpenAI's clients are of one loop
TASK = "two owls"
COSTS = {"front": "tools", "writer": "think", "editor": "tool"}  # each calls a model of its own


class Desk:
    """The agents, and what was looked up. ``kind`` is which of OpenAI's APIs they call."""

    def __init__(self, url: str, kind: Any = OpenAIChatCompletionsModel) -> None:
        self.client = AsyncOpenAI(base_url=url, api_key="sk-provider", max_retries=0)
        self.kind = kind
        self.looked_up: list[str] = []
        self.editor = self.agent("editor", "tool", tools=[function_tool(self.look_up)])
        self.writer = self.agent("writer", "think")
        self.front = self.agent("front", "tools", handoffs=[self.writer])

    def agent(self, name: str, model: str, **options: Any) -> Agent[Any]:
        settings = ModelSettings(include_usage=True)  # of streams
        return Agent(name, model=self.kind(model, self.client), model_settings=settings, **options)

    def look_up(self, q: str) -> str:
        """Look something up."""
        self.looked_up.append(q)
        return f"{q} is fine"
