"""One way to stand around a call, whatever kind of function it is: plain, async, a generator, an async generator.

What stands around it is written once, as a generator function, a *habit*: it yields ``Call`` where the function is to be
called and gets what came of it, or the error, thrown in; it yields ``Wait`` to wait, and ``Aside`` to have something done
that may block, such as asking the server; what it returns is what the caller gets. It may yield ``Call`` again to call
again, or never.

    def habit(invocation):
        before()
        try:
            answer = yield Call(scope)
        except Exception as error:
            ...
            raise
        return answer

Of a generator function the call lasts until its last piece: the pieces go to the caller as they come, ``Call.on_piece`` is
told of each, and the habit gets its return value at the end. Where it was begun, it is not begun again.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from wflo import context
from wflo.bell import bell
from wflo.context import Scope

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
ENTRIES = (
    *(
        "__call__",
        "run",
        "arun",
        "execute",
        "aexecute",
        "invoke",
        "ainvoke",
        "kickoff",
        "kickoff_async",
        "chat",
        "achat",
    ),
    *("generate", "respond", "step", "act", "call", "execute_task", "complete"),
)


class Call(NamedTuple):
    """Call the function, within ``scope`` if there is one; of a generator function ``on_piece`` hears each piece."""

    scope: Scope | None = None
    on_piece: Callable[[Any], None] | None = None


class Wait(NamedTuple):
    """``since``: what the bell's count was; then no longer than until it rings (``wflo.bell``)."""

    seconds: float
    since: int | None = None


class Aside(NamedTuple):
    """Do ``work`` and get its result: in a thread where the function is awaited, so that its loop goes on meanwhile."""

    work: Callable[[], Any]


@dataclass(slots=True)
class Invocation:
    """One call of a decorated function. ``pieces``: of a generator, how many went to its caller so far."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    pieces: int = 0
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return getattr(self.function, "__qualname__", type(self.function).__name__).replace("<locals>.", "")

    def arguments(self) -> dict[str, Any]:
        """What the function was called with, by name, without ``self``; best effort."""
        names = _names(self.function)
        if names is None or len(self.args) > len(names):
            return {"args": list(self.args), **self.kwargs} if self.args else self.kwargs
        found = dict(zip(names, self.args, strict=False))
        for own in ("self", "cls"):
            found.pop(own, None)
        return found | self.kwargs if self.kwargs else found

    def call(self) -> Any:
        return self.function(*self.args, **self.kwargs)


@functools.lru_cache(4_096)
def _names(function: Callable[..., Any]) -> tuple[str, ...] | None:
    """Of the parameters that may be given by their place; None where nobody can say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return tuple(one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD))


Habit = Callable[[Invocation], Generator[Any, Any, Any]]


def wrap(target: Any, habit: Habit) -> Any:
    """``target`` with ``habit`` around it: a function of any kind, a method, a class or an object that acts.

    Signature, name and docstring stay. Of a class the methods that act are wrapped (``ENTRIES``, else all public ones),
    of an object its own. Raises TypeError for what cannot be called.
    """
    if isinstance(target, staticmethod | classmethod):
        return type(target)(wrap(target.__func__, habit))
    if isinstance(target, property):
        return property(wrap(target.fget, habit), target.fset, target.fdel, target.__doc__)
    if inspect.isclass(target):
        return _class(target, habit)
    if inspect.isroutine(target) or isinstance(target, functools.partial):
        return _function(target, habit)
    acting = _acting(target)
    if acting:
        return _object(target, acting, habit)
    if callable(target):
        return _function(target, habit)
    raise TypeError(f"{target!r} cannot be called, and has none of {', '.join(ENTRIES)}.")


def _function(target: Callable[..., Any], habit: Habit) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(target):

        async def pieces_async(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            async for piece in _drive_async_pieces(Invocation(target, args, kwargs), habit):
                yield piece

        return _named(pieces_async, target)
    if inspect.iscoroutinefunction(target):

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            invocation = Invocation(target, args, kwargs)
            found: Any = await _drive_async(habit(invocation), invocation)
            return found

        return _named(awaited, target)
    if inspect.isgeneratorfunction(target):

        def pieces(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            return (yield from _drive_pieces(Invocation(target, args, kwargs), habit))

        return _named(pieces, target)

    def called(*args: Any, **kwargs: Any) -> Any:
        invocation = Invocation(target, args, kwargs)
        return _drive(habit(invocation), invocation)

    return _named(called, target)


def _named(wrapper: Callable[..., Any], target: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return functools.wraps(target)(wrapper)
    except (AttributeError, TypeError):
        return wrapper


# --- drivers --------------------------------------------------------------------------------------------------------------


def _drive(steps: Generator[Any, Any, Any], invocation: Invocation) -> Any:
    try:
        wanted = next(steps)
        while True:
            try:
                outcome: Any = None
                if not isinstance(wanted, Call):
                    outcome = _between(wanted)
                else:
                    outcome = _within(wanted.scope, invocation.call)
                    if inspect.isawaitable(outcome):  # a plain function that gives a coroutine
                        return _go_on(steps, invocation, wanted, outcome)
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as stop:
        return stop.value


def _between(wanted: Wait | Aside) -> Any:
    if isinstance(wanted, Aside):
        return wanted.work()
    return time.sleep(wanted.seconds) if wanted.since is None else bell.wait(wanted.seconds, wanted.since)


async def _between_async(wanted: Wait | Aside) -> Any:
    if isinstance(wanted, Aside):
        return await asyncio.to_thread(wanted.work)
    if wanted.since is None:
        return await asyncio.sleep(wanted.seconds)
    return await bell.wait_async(wanted.seconds, wanted.since)


def perform(steps: Generator[Any, Any, T]) -> T:
    """The steps of a habit around no call: only ``Wait`` and ``Aside``."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(_between(wanted))
    except StopIteration as stop:
        found: T = stop.value
        return found


async def perform_async(steps: Generator[Any, Any, T]) -> T:
    """The same for code that awaits."""
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(await _between_async(wanted))
    except StopIteration as stop:
        found: T = stop.value
        return found


def _within(scope: Scope | None, call: Callable[[], Any]) -> Any:
    if scope is None:
        return call()
    token = context.enter(scope)
    try:
        return call()
    finally:
        context.leave(token)


async def _go_on(steps: Generator[Any, Any, Any], invocation: Invocation, wanted: Any, first: Awaitable[Any]) -> Any:
    pending: Awaitable[Any] | None = first
    try:
        while True:
            try:
                if not isinstance(wanted, Call):
                    outcome: Any = await _between_async(wanted)
                else:
                    outcome = await _awaited(wanted.scope, pending if pending is not None else invocation.call())
                    pending = None
            except BaseException as error:
                pending = None
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as stop:
        return stop.value


async def _drive_async(steps: Generator[Any, Any, Any], invocation: Invocation) -> Any:
    try:
        wanted = next(steps)
        while True:
            try:
                if not isinstance(wanted, Call):
                    outcome: Any = await _between_async(wanted)
                else:
                    outcome = await _awaited(wanted.scope, invocation.call())
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as stop:
        return stop.value


async def _awaited(scope: Scope | None, call: Awaitable[Any]) -> Any:
    if scope is None:
        return await call
    token = context.enter(scope)
    try:
        return await call
    finally:
        context.leave(token)


def _drive_pieces(invocation: Invocation, habit: Habit) -> Generator[Any, Any, Any]:
    """The scope is entered for each piece and left with it: a generator runs in its caller's context."""
    steps = habit(invocation)
    try:
        wanted = next(steps)
        while True:
            try:
                outcome: Any = None
                if not isinstance(wanted, Call):
                    outcome = _between(wanted)
                else:
                    outcome = yield from _passed_on(invocation, wanted)
            except BaseException as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(outcome)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()


def _passed_on(invocation: Invocation, wanted: Call) -> Generator[Any, Any, Any]:
    pieces = invocation.call()
    advance: Callable[[], Any] = lambda: next(pieces)  # noqa: E731
    while True:
        try:
            piece = _within(wanted.scope, advance)
        except StopIteration as stop:
            return stop.value
        invocation.pieces += 1
        if wanted.on_piece is not None:
            wanted.on_piece(piece)
        try:
            sent = yield piece
        except GeneratorExit:
            _within(wanted.scope, pieces.close)
            raise
        except BaseException as error:
            thrown = error
            advance = lambda: pieces.throw(thrown)  # noqa: B023, E731
        else:
            advance = functools.partial(pieces.send, sent)


async def _drive_async_pieces(invocation: Invocation, habit: Habit) -> AsyncIterator[Any]:
    steps = habit(invocation)
    try:
        wanted = next(steps)
        while True:
            failure: BaseException | None = None
            outcome: Any = None
            try:
                if not isinstance(wanted, Call):
                    outcome = await _between_async(wanted)
                else:
                    async for piece in _passed_on_async(invocation, wanted):
                        yield piece
            except BaseException as error:
                failure = error
            wanted = steps.send(outcome) if failure is None else steps.throw(failure)
    except StopIteration:
        return
    finally:
        steps.close()


async def _passed_on_async(invocation: Invocation, wanted: Call) -> AsyncIterator[Any]:
    pieces = invocation.call()
    try:
        while True:
            try:
                piece = await _awaited(wanted.scope, pieces.__anext__())
            except StopAsyncIteration:
                return
            invocation.pieces += 1
            if wanted.on_piece is not None:
                wanted.on_piece(piece)
            yield piece
    finally:
        await pieces.aclose()


# --- classes and objects that act -------------------------------------------------------------------------------------------


def _class(target: type, habit: Habit) -> type:
    own = [name for name in ENTRIES if callable(target.__dict__.get(name))]
    if not own:
        own = [name for name, value in vars(target).items() if not name.startswith("_") and inspect.isfunction(value)]
    if not own:
        raise TypeError(f"{target.__name__} has no method of its own that could be wrapped.")
    for name in own:
        setattr(target, name, wrap(target.__dict__[name], habit))
    return target


def _acting(target: Any) -> list[str]:
    kind = type(target)
    return [name for name in ENTRIES if name != "__call__" and callable(getattr(kind, name, None))]


def _object(target: Any, names: list[str], habit: Habit) -> Any:
    for name in names:
        object.__setattr__(target, name, wrap(getattr(target, name), habit))
    return target
