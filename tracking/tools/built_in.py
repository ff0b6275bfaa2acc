"""The tools that every team has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tracking.models import Team
from tracking.tools import memory
from tracking.tools.calculator import calculator
from tracking.tools.clock import clock
from tracking.tools.http_get import http_get
from tracking.tools.offer import Offered, ToolContext, in_thread
from wflo.agents.tools import tool

HAND_OFF = "hand_off"


def built_in(context: ToolContext) -> dict[str, Offered]:
    """By name."""
    plain = [_offered(function) for function in (calculator, clock, http_get)]
    return {one.tool.name: one for one in (*plain, *_memory(context), _hand_off(context))}


def _offered(function: Callable[..., Any], *, effect: str = "read", undo: Any = None) -> Offered:
    made = tool(function)
    return Offered(tool=made, effect=effect, undo=undo, source="builtin", description=made.description)


def _memory(context: ToolContext) -> list[Offered]:
    team, agent = context.team, context.agent

    async def remember(title: str, text: str) -> dict[str, Any]:
        """Writes a note down for later runs of this agent, in place of one with the same title.

        Args:
            title: what it is about, in a few words
            text: what is to be remembered
        """
        return await in_thread(lambda: memory.remember(team, agent, context.run, title, text))

    async def recall(query: str = "") -> dict[str, Any]:
        """Reads notes of earlier runs of this agent.

        Args:
            query: words that are in them; empty for the latest ones
        """
        return await in_thread(lambda: memory.recall(team, agent, query))

    async def forget(title: str) -> dict[str, Any]:
        """Deletes a note of this agent.

        Args:
            title: its title
        """
        return await in_thread(lambda: memory.forget(team, agent, title))

    return [
        _offered(remember, effect="write", undo=_undo(memory.undo_remember, team, agent)),
        _offered(recall),
        _offered(forget, effect="write", undo=_undo(memory.undo_forget, team, agent)),
    ]


def _undo(
    function: Callable[[Team, str, dict[str, Any], str], str], team: Team, agent: str
) -> Callable[[dict[str, Any], str], Awaitable[str]]:
    async def undo(arguments: dict[str, Any], result: str) -> str:
        return await in_thread(lambda: function(team, agent, arguments, result))

    return undo


def _hand_off(context: ToolContext) -> Offered:
    """The names stand in the schema, so that a model does not make one up."""

    async def hand_off(agent: str, task: str) -> str:
        """Gives a task to another agent of the team and waits for its answer.

        Args:
            agent: who is to do it
            task: all they have to know: they see nothing of this conversation
        """
        if context.hand_off is None or agent not in context.members:
            raise ValueError(f"there is no {agent}; there are {', '.join(context.members) or 'none'}")
        return await context.hand_off(agent, task)

    offered = _offered(hand_off)
    if context.members:
        offered.tool.parameters["properties"]["agent"]["enum"] = list(context.members)
    return offered
