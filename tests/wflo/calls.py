"""Functions of every kind that do the same, and how each is called to its end."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

KINDS = ("plain", "async", "generator", "async generator", "method")


def of_kind(kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """A function of that kind that does ``work``; generators give its result as their only piece."""

    def plain(*args: Any, **kwargs: Any) -> Any:
        return work(*args, **kwargs)

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return work(*args, **kwargs)

    def pieces(*args: Any, **kwargs: Any) -> Any:
        yield work(*args, **kwargs)

    async def pieces_async(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        yield work(*args, **kwargs)

    found = {"plain": plain, "async": awaited, "generator": pieces, "async generator": pieces_async, "method": plain}
    return found[kind]


def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Its result, whatever kind it is of; the only piece of a generator."""
    found = function(*args, **kwargs)
    if inspect.isawaitable(found):
        return asyncio.run(_value(found))
    if hasattr(found, "__aiter__"):
        return asyncio.run(_only(found))
    if inspect.isgenerator(found):
        return next(iter(list(found)))
    return found


async def _value(found: Any) -> Any:
    return await found


async def _only(found: Any) -> Any:
    return [piece async for piece in found][0]
