"""Taking turns at a resource: who waits too long, or in too long a queue, is told so instead of hanging.

    @detect_contention("vector-store", timeout=30, contention_threshold=5, max_concurrent=1)
    async def index(document): ...

Threads and tasks wait in one queue, first come, first served. Holders who wait for one another are noticed at once: the wait
that would close the circle is refused. It is of this process alone.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from wflo import recording
from wflo.errors import ContentionDetectedError
from wflo.wrapping import Call, Invocation, Wait, wrap

LOOK_SECONDS = 0.01  # from one look at the queue to the next; less at its beginning

_lock = threading.Lock()
_resources: dict[str, Resource] = {}
_numbers = itertools.count(1)
_held: contextvars.ContextVar[tuple[Turn, ...]] = contextvars.ContextVar("wflo_held", default=())


@dataclass(slots=True, eq=False)
class Turn:
    """One caller's, from its asking to its leaving. ``others`` are what the same caller holds already."""

    who: str
    others: tuple[Turn, ...]
    waits_for: Resource | None = None


@dataclass(slots=True, eq=False)
class Resource:
    name: str
    most: int
    holders: list[Turn] = field(default_factory=list)
    queue: deque[Turn] = field(default_factory=deque)
    acquired: int = 0
    contended: int = 0
    refused: int = 0
    waited_seconds: float = 0.0
    longest_seconds: float = 0.0


def detect_contention(
    resource_name: str, *, timeout: float = 30, contention_threshold: int = 5, max_concurrent: int = 1
) -> Any:
    """At most ``max_concurrent`` at a time; the others wait their turn. ContentionDetectedError, with ``wait_time`` and
    ``holders``: after ``timeout`` seconds, when ``contention_threshold`` wait already, or when waiting could never end.
    Raises ValueError for numbers that mean nothing."""
    if timeout < 0 or contention_threshold < 1 or max_concurrent < 1:
        raise ValueError("timeout: not below 0; contention_threshold, max_concurrent: at least 1")

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(resource_name) as scope:
            resource = _resource(resource_name, max_concurrent)
            turn = Turn(f"{scope.agent or invocation.name}#{next(_numbers)}", _held.get())
            began, pause = time.monotonic(), LOOK_SECONDS / 10
            _ask(resource, turn, contention_threshold)
            try:
                while not _take(resource, turn, began):
                    if time.monotonic() - began >= timeout:
                        raise _refusal(resource, began)
                    yield Wait(pause)
                    pause = min(pause * 2, LOOK_SECONDS)
                token = _held.set((*turn.others, turn))
                try:
                    return (yield Call(scope))
                finally:
                    try:
                        _held.reset(token)
                    except ValueError:
                        pass  # a generator that is closed in another context
            finally:
                _leave(resource, turn)

    return lambda target: wrap(target, habit)


def statistics(resource_name: str) -> dict[str, Any]:
    """``acquired, contended, refused, waiting, holders, avg_wait_seconds, max_wait_seconds``; zeros before its first use."""
    with _lock:
        found = _resources.get(resource_name) or Resource(resource_name, 1)
        return {
            "acquired": found.acquired,
            "contended": found.contended,
            "refused": found.refused,
            "waiting": len(found.queue),
            "holders": [turn.who for turn in found.holders],
            "avg_wait_seconds": found.waited_seconds / found.acquired if found.acquired else 0.0,
            "max_wait_seconds": found.longest_seconds,
        }


def _resource(name: str, most: int) -> Resource:
    with _lock:
        found = _resources.setdefault(name, Resource(name, most))
        found.most = most
        return found


def _ask(resource: Resource, turn: Turn, threshold: int) -> None:
    """Join the queue. Raises ContentionDetectedError where that is of no use."""
    with _lock:
        is_free = len(resource.holders) < resource.most and not resource.queue
        if not is_free and (len(resource.queue) >= threshold or _closes_a_circle(resource, turn)):
            resource.refused += 1
            raise _refusal(resource, time.monotonic())
        resource.contended += not is_free
        turn.waits_for = resource
        for other in turn.others:
            other.waits_for = resource
        resource.queue.append(turn)


def _closes_a_circle(resource: Resource, turn: Turn) -> bool:
    """Whether those who hold the resource wait, over however many others, for what this caller holds."""
    mine = set(map(id, turn.others))
    seen: set[int] = set()
    pending = list(resource.holders)
    while pending:
        holder = pending.pop()
        if id(holder) in mine:
            return True
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        if holder.waits_for is not None:
            pending += holder.waits_for.holders
    return False


def _take(resource: Resource, turn: Turn, began: float) -> bool:
    with _lock:
        if resource.queue[0] is not turn or len(resource.holders) >= resource.most:
            return False
        resource.queue.popleft()
        resource.holders.append(turn)
        turn.waits_for = None
        for other in turn.others:
            other.waits_for = None
        waited = time.monotonic() - began
        resource.acquired += 1
        resource.waited_seconds += waited
        resource.longest_seconds = max(resource.longest_seconds, waited)
        return True


def _leave(resource: Resource, turn: Turn) -> None:
    with _lock:
        if turn in resource.holders:
            resource.holders.remove(turn)
        elif turn in resource.queue:
            resource.queue.remove(turn)
        turn.waits_for = None
        for other in turn.others:
            other.waits_for = None


def _refusal(resource: Resource, began: float) -> ContentionDetectedError:
    return ContentionDetectedError(
        resource_name=resource.name, wait_time=time.monotonic() - began, holders=[turn.who for turn in resource.holders]
    )
