"""Agents that the tests run: a researcher, a writer who answers in pieces, and an editor who looks things up."""

from __future__ import annotations

import asyncio
from typing import Any

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_ext.models.openai import OpenAIChatCompletionClient

go = asyncio.new_event_loop().run_until_complete  # AutoGen's runtimes and clients are of one loop
TASK = "two owls"
COSTS = {"researcher": "echo", "writer": "think", "editor": "tool"}  # each calls a model of its own
CAN: Any = {
    "vision": False, "function_calling": True, "json_output": True, "structured_output": True, "family": "unknown",
}  # fmt: skip


def client(url: str, model: str, **options: Any) -> OpenAIChatCompletionClient:
    return OpenAIChatCompletionClient(
        model=model, base_url=url, api_key="sk-provider", model_info=CAN, max_retries=0, **options
    )


def streaming(url: str, model: str) -> OpenAIChatCompletionClient:
    """Asks for what a stream used."""
    return client(url, model, stream_options={"include_usage": True})


class Desk:
    """The agents, and who of them was asked for an answer, in their order."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.looked_up: list[str] = []
        self.researcher = AssistantAgent("researcher", client(url, "echo"))
        self.writer = AssistantAgent("writer", streaming(url, "think"), model_client_stream=True)
        self.editor = AssistantAgent("editor", client(url, "tool"), tools=[self.look_up], max_tool_iterations=3)

    def look_up(self, q: str) -> str:
        """Look something up."""
        self.looked_up.append(q)
        return f"{q} is fine"

    def team(self, *more: Any, messages: int = 4) -> RoundRobinGroupChat:
        """Ends after so many messages, the task among them."""
        participants = [self.researcher, self.writer, *(more or [self.editor])]
        return RoundRobinGroupChat(participants, termination_condition=MaxMessageTermination(messages))


def said(result: Any) -> list[tuple[str, str]]:
    """Who said what, of what a team gave."""
    return [(one.source, one.to_text().strip()) for one in result.messages if hasattr(one, "to_model_message")]
