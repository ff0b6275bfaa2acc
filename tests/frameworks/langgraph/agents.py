"""Graphs that the tests run: a researcher, a writer and, in a graph of its own, an editor who looks things up."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, TypedDict

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages

go = asyncio.new_event_loop().run_until_complete  # LangChain shares its clients, and these are of one loop


class State(TypedDict, total=False):
    messages: Annotated[list[Any], add_messages]
    notes: str


TOPIC = {"messages": [HumanMessage("two owls", id="topic")]}
COSTS = {"researcher": "echo", "writer": "think", "editor": "tool"}  # each calls a model of its own


class Desk:
    """A builder of the graph, and which nodes have begun."""

    def __init__(self, url: str) -> None:
        self.begun: list[str] = []
        self.models = {
            name: ChatOpenAI(model=model, base_url=url, api_key="sk-provider", stream_usage=True, max_retries=0)
            for name, model in COSTS.items()
        }

    def builder(self, *, has_editor: bool = False) -> StateGraph[State]:
        builder = StateGraph(State)
        builder.add_node("researcher", self._research)
        builder.add_node("writer", self._write)
        builder.add_edge(START, "researcher").add_edge("researcher", "writer")
        if has_editor:
            builder.add_node("editor", create_agent(self.models["editor"], [look_up]))
            builder.add_edge("writer", "editor")
        return builder

    def _research(self, state: State) -> dict[str, Any]:
        self.begun.append("researcher")
        answer = self.models["researcher"].invoke(state["messages"])
        return {"messages": [answer], "notes": f"{answer.text} found"}

    async def _write(self, state: State) -> dict[str, Any]:
        self.begun.append("writer")
        said = ""
        async for piece in self.models["writer"].astream([*state["messages"], HumanMessage(f"write {state['notes']}")]):
            said += piece.text
        return {"messages": [("ai", said)]}


def look_up(q: str) -> str:
    """Look something up."""
    return f"{q} is fine"
