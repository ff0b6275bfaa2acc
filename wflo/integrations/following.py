"""A framework's classes, watched where they define their methods, also those of classes that come later.

Nothing is recorded where nobody asked for it: see ``Switch``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any

from wflo.errors import (
    BudgetExceededError,
    InfiniteLoopDetectedError,
    RollbackRequestedError,
    RunKilledError,
    TimeBudgetExceededError,
)
from wflo.integrations.watching import MARK
from wflo.wrapping import Habit, wrap

# What ends a run, whatever a framework makes of the errors of tools and models.
STOPS = (
    BudgetExceededError, InfiniteLoopDetectedError, RollbackRequestedError, RunKilledError, TimeBudgetExceededError,
)  # fmt: skip
Steps = Generator[Any, Any, Any]
Wrapper = Callable[[Any], Any]


class Switch:
    """Whether what a framework does is recorded: within ``here``, or in the whole process until that is undone."""

    def __init__(self, name: str) -> None:
        self._here: ContextVar[bool] = ContextVar(f"wflo_{name}", default=False)
        self._everywhere: list[object] = []

    def is_on(self) -> bool:
        return bool(self._everywhere) or self._here.get()

    @contextmanager
    def here(self) -> Iterator[None]:
        token = self._here.set(True)
        try:
            yield
        finally:
            self._here.reset(token)

    def everywhere(self) -> Callable[[], None]:
        """What it gives undoes it."""
        mark = object()
        self._everywhere.append(mark)
        return lambda: self._everywhere.remove(mark) if mark in self._everywhere else None


def follow(base: Any, methods: Mapping[str, Wrapper]) -> None:
    """Put wrappers around methods of a class and of all below it, those that are not there yet too."""
    _put(base, methods)
    original = vars(base).get("__init_subclass__")

    def later(cls: Any, /, **kwargs: Any) -> None:
        if original is not None:
            original.__get__(None, cls)(**kwargs)
        else:
            super(base, cls).__init_subclass__(**kwargs)
        _put(cls, methods)

    base.__init_subclass__ = classmethod(later)


def _put(kind: Any, methods: Mapping[str, Wrapper]) -> None:
    for name, wrapper in methods.items():
        put(kind, name, wrapper)
    for below in kind.__subclasses__():
        _put(below, methods)


def put(owner: Any, name: str, wrapper: Wrapper) -> None:
    """Around a function that a class or a module has under that name; once. Nothing where it has none."""
    function = vars(owner).get(name)
    if inspect.isfunction(function) and not hasattr(function, MARK) and not hasattr(function, "__isabstractmethod__"):
        wrapped = wrapper(function)
        setattr(wrapped, MARK, True)
        setattr(owner, name, wrapped)


def with_habit(habit: Habit) -> Wrapper:
    """Around a function that is called or awaited."""
    return lambda function: wrap(function, habit)


def with_pieces(habit: Habit) -> Wrapper:
    """Around a method that gives an async generator, whether it is one itself or not."""

    def wrapper(method: Any) -> Any:
        @functools.wraps(method)
        async def pieces(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async with aclosing(method(*args, **kwargs)) as found:
                async for piece in found:
                    yield piece

        return wrap(method if inspect.isasyncgenfunction(method) else pieces, habit)

    return wrapper
