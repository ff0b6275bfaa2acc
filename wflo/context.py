"""Where we are: the run, the span and the agent of whoever asks. Follows tasks and threads that copy their context."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wflo.recording import OpenSpan
    from wflo.runs import Run


class Scope(NamedTuple):
    run: Run
    span_id: str = ""  # of the span within which we are; "" is the run's root
    agent: str = ""
    call: OpenSpan | None = None  # the model's call within which we are
    depth: int = 0


_scope: ContextVar[Scope | None] = ContextVar("wflo_scope", default=None)
_bridges: list[Callable[[Scope | None], Scope | None]] = []


def current() -> Scope | None:
    scope = _scope.get()
    for find in _bridges:
        scope = find(scope)
    return scope


def entered_last() -> Scope | None:
    """The scope that was entered by ``entered`` or ``enter``, whatever a framework's own context says."""
    return _scope.get()


def bridge(find: Callable[[Scope | None], Scope | None]) -> None:
    """Have ``find`` say where we are, from a framework's own context: it is given what was entered last, and gives that
    back where it knows of nothing nearer."""
    if find not in _bridges:
        _bridges.append(find)


def current_run() -> Run | None:
    """The run that what happens here belongs to; None outside of every run."""
    scope = current()
    return scope.run if scope is not None else None


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    token = _scope.set(scope)
    try:
        yield scope
    finally:
        _scope.reset(token)


def enter(scope: Scope) -> object:
    """As ``entered``, for whoever cannot use ``with``; ``leave`` takes what this gives."""
    return _scope.set(scope)


def leave(token: object) -> None:
    _scope.reset(token)  # type: ignore[arg-type]


def headers() -> dict[str, str]:
    """For a call of Wflo's gateway made from here: whose it is, so that the gateway's record and ours are one.

    ``X-Wflo-Run-Id``, ``X-Wflo-Span-Id`` (the model call we are in, else the step) and ``X-Wflo-Agent``; none outside of a run.
    """
    scope = current()
    if scope is None:
        return {}
    found = {"X-Wflo-Run-Id": scope.run.id, "X-Wflo-Span-Id": scope.span_id, "X-Wflo-Agent": scope.agent}
    return {name: value for name, value in found.items() if value}
