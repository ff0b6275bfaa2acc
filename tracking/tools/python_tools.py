"""Functions that an operator installed as tools: named in WFLO_TOOLS, or by packages as entry points "wflo.tools".

What a function is for stands in its docstring, what it does to the world in ``wflo.agents.declare``. One that cannot be
imported is told in the log and on the page, and stops nothing.
"""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from django.conf import settings

from tracking.tools.offer import Offered, Undo, in_thread
from wflo.agents.tools import declared_of, tool

GROUP = "wflo.tools"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Installed:
    """``faults``: what could not be had, and why."""

    tools: dict[str, Offered]
    faults: tuple[str, ...]


def installed() -> Installed:
    """All of them, by name; read once in a process."""
    return _installed(tuple(settings.WFLO_TOOLS))


@lru_cache(maxsize=4)
def _installed(named: tuple[str, ...]) -> Installed:
    tools: dict[str, Offered] = {}
    faults: list[str] = []
    for where, load in _places(named):
        try:
            offered = _offered(load())
        except Exception as error:  # of somebody's module, whatever it is
            log.exception("the tool %s cannot be had", where)
            faults.append(f"{where}: {type(error).__name__}: {error}"[:500])
            continue
        if offered.tool.name in tools:
            faults.append(f'{where}: there is a tool "{offered.tool.name}" already')
            continue
        tools[offered.tool.name] = offered
    return Installed(tools, tuple(faults))


def _places(named: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], Any]]]:
    for place in named:
        yield place, lambda place=place: _imported(place)  # type: ignore[misc]
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        yield f"{point.name} ({point.value})", point.load


def _imported(place: str) -> Any:
    module, colon, name = place.partition(":")
    if not colon:
        raise ValueError("write it as package.module:function")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _offered(function: Any) -> Offered:
    made, told = tool(function), declared_of(function)
    undo = None if told.undo is None else _undo(told.undo)
    return Offered(
        tool=made, effect=told.effect, undo=undo, risk=told.risk, source="python", description=made.description
    )


def _undo(function: Callable[..., Any]) -> Undo:
    async def undo(arguments: dict[str, Any], result: str) -> str:
        found = function(arguments, result) if inspect.iscoroutinefunction(function) else None
        value = await found if found is not None else await in_thread(lambda: function(arguments, result))
        return str(value) if value is not None else "It was undone."

    return undo
