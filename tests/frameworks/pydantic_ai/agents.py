"""Agents that the tests run: an editor who looks things up, a writer, and a chief who asks both by tools."""

from __future__ import annotations

import asyncio
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

go = asyncio.new_event_loop().run_until_complete  # OpenAI's clients are of one loop
TASK = "two owls"
COSTS = {"chief": "tools", "writer": "think", "editor": "tool"}  # each calls a model of its own


class Desk:
    """The agents, and what was looked up. ``kind`` is which of OpenAI's APIs they call."""

    def __init__(self, url: str, kind: Any = OpenAIChatModel) -> None:
        self.client = AsyncOpenAI(base_url=url, api_key="sk-provider", max_retries=0)
        self.kind = kind
        self.looked_up: list[str] = []
        self.editor = self.agent("editor", "tool", tools=[self.look_up])
        self.writer = self.agent("writer", "think")
        self.chief = self.agent("chief", "tools", tools=[self.ask_editor, self.ask_writer])

    def agent(self, name: str, model: str, **options: Any) -> Agent[Any, Any]:
        made = self.kind(model, provider=OpenAIProvider(openai_client=self.client))
        return Agent(made, name=name, **{"instructions": "Be exact.", **options})

    def look_up(self, q: str) -> str:
        """Look something up."""
        self.looked_up.append(q)
        return f"{q} is fine"

    async def ask_editor(self, q: str) -> str:
        """Ask the editor."""
        return str((await self.editor.run(q)).output)

    async def ask_writer(self, q: str) -> str:
        """Ask the writer."""
        return str((await self.writer.run(q)).output)
