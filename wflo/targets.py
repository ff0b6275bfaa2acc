"""What can be executed, whatever framework it is of: told by what it has, and by which package it is of.

A framework with a module in ``wflo.integrations`` is run by that, which knows its nodes, agents and tasks; any other object
by the method it has.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

# The package an object's class is of -> the module that knows it.
INTEGRATIONS: dict[str, str] = {
    "langgraph": "wflo.integrations.langgraph",
    "langchain_core": "wflo.integrations.langchain",
    "crewai": "wflo.integrations.crewai",
    "autogen_agentchat": "wflo.integrations.autogen",
    "autogen": "wflo.integrations.autogen",
    "agents": "wflo.integrations.openai_agents",
    "pydantic_ai": "wflo.integrations.pydantic_ai",
}
NAMES = "ainvoke, invoke, kickoff_async, kickoff, a_initiate_chat, initiate_chat"


class Integration(Protocol):
    """A module of ``wflo.integrations`` that can execute."""

    async def execute(self, target: Any, inputs: Any, flow: Any) -> Any:
        """Run ``target``, recording its parts in the current run."""


def integration_of(target: Any) -> Integration | None:
    """The module that knows the object's framework; None where there is none."""
    for kind in type(target).__mro__:
        name = INTEGRATIONS.get(kind.__module__.partition(".")[0])
        if name is not None:
            module = importlib.import_module(name)
            if hasattr(module, "execute"):
                return cast(Integration, module)
    return None


async def call(target: Any, inputs: Any) -> Any:
    """Execute by what the object has. ValueError for what has nothing of the kind."""
    if hasattr(target, "ainvoke"):
        return await target.ainvoke(inputs)
    if hasattr(target, "invoke"):
        return await asyncio.to_thread(target.invoke, inputs)
    if hasattr(target, "kickoff_async"):
        return await target.kickoff_async(inputs=inputs)
    if hasattr(target, "kickoff"):
        return await asyncio.to_thread(target.kickoff, inputs=inputs)
    if hasattr(target, "a_initiate_chat"):
        return await target.a_initiate_chat(**_named(inputs))
    if hasattr(target, "initiate_chat"):
        return await asyncio.to_thread(target.initiate_chat, **_named(inputs))
    if callable(target):
        return await _call_function(target, inputs)
    raise ValueError(f"{type(target).__name__} cannot be executed: it is no function, and has none of {NAMES}.")


async def _call_function(target: Callable[..., Any], inputs: Any) -> Any:
    kwargs = _named(inputs)
    acting = target if inspect.isroutine(target) else type(target).__call__
    if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(acting):
        return await target(**kwargs)
    result = await asyncio.to_thread(target, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _named(inputs: Any) -> dict[str, Any]:
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return {str(name): value for name, value in inputs.items()}
    raise ValueError(f"inputs: a dict of the function's arguments, not {type(inputs).__name__}")


def takes(target: Any, name: str) -> bool:
    """Whether a function has a parameter of that name."""
    try:
        return name in inspect.signature(target).parameters
    except (TypeError, ValueError):
        return False
