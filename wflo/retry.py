"""Trying again: what failed by chance may do better a moment later.

    @with_retry(max_attempts=3, backoff="exponential", initial_delay_ms=100, max_delay_ms=30000, jitter=True)
    async def fetch(url): ...

Tried again is only what can change: never a spent budget, an open circuit, a loop, a stopped run, a person's no, or a key that
was refused. A generator that has given a piece is not begun again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator
from typing import Any

from wflo import letters, recording
from wflo.context import Scope
from wflo.errors import RateLimitExceededError, RetryExhaustedError, ServerError, WfloError
from wflo.wrapping import Call, Invocation, Wait, wrap

BACKOFFS = ("exponential", "linear", "fixed")
JITTER = 0.1  # of a delay, up or down
RETRY_AFTER_MAX_SECONDS = 300.0
_REFUSED = frozenset((401, 403))
_FOR_GOOD = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit)


def with_retry(
    target: Any = None,
    *,
    max_attempts: int = 3,
    max_retries: int | None = None,
    backoff: str = "exponential",
    initial_delay_ms: float = 100,
    max_delay_ms: float = 30_000,
    multiplier: float = 2.0,
    jitter: bool = True,
    retryable_exceptions: tuple[type[BaseException], ...] = (Exception,),
    on_retry: Callable[[int, BaseException], Any] | None = None,
    dead_letter: bool | str = False,
) -> Any:
    """Call again after a failure, so many times in all (``max_retries`` leaves the first out), with growing pauses.

    ``on_retry`` is told the attempt that failed, from 1, and its error. A ``retry_after`` of the error is waited for. When all
    have failed: RetryExhaustedError with ``attempts`` and ``last_exception``, and with ``dead_letter`` (or its name) a dead
    letter with what it was called with. Raises ValueError for arguments that mean nothing.
    """
    attempts = max_attempts if max_retries is None else max_retries + 1
    if attempts < 1:
        raise ValueError("max_attempts: at least 1")
    delay_ms(1, backoff=backoff, initial_ms=initial_delay_ms, max_ms=max_delay_ms, multiplier=multiplier)

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(invocation.name) as scope:
            for attempt in range(1, attempts + 1):
                try:
                    return (yield Call(scope))
                except BaseException as error:
                    if not may_retry(error, retryable_exceptions) or invocation.pieces:
                        raise
                    if attempt == attempts:
                        _give_up(invocation, scope, attempt, error)
                        if attempts == 1:
                            raise
                        raise RetryExhaustedError(attempts=attempt, last_exception=error) from error
                    pause_ms = delay_ms(
                        attempt,
                        backoff=backoff,
                        initial_ms=initial_delay_ms,
                        max_ms=max_delay_ms,
                        multiplier=multiplier,
                    )
                    _tell(scope, invocation, attempt, error, pause_ms)
                    if on_retry is not None:
                        on_retry(attempt, error)
                    seconds = max(_jittered(pause_ms) if jitter else pause_ms, _asked_ms(error)) / 1000
                yield Wait(seconds)
        raise AssertionError

    def _give_up(invocation: Invocation, scope: Scope, attempt: int, error: BaseException) -> None:
        if dead_letter:
            name = dead_letter if isinstance(dead_letter, str) else invocation.name
            letters.bury(name, error, attempts=attempt, payload=dict(invocation.arguments()), scope=scope)

    return wrap(target, habit) if target is not None else lambda inner: wrap(inner, habit)


def delay_ms(
    attempt: int,
    *,
    backoff: str = "exponential",
    initial_ms: float = 100,
    max_ms: float = 30_000,
    multiplier: float = 2.0,
) -> float:
    """The pause after the ``attempt``-th failure, from 1, before jitter. exponential: initial x multiplier^(n-1); linear:
    initial x n; fixed: initial; never above ``max_ms``. Raises ValueError naming the argument that is wrong."""
    if backoff not in BACKOFFS:
        raise ValueError(f"backoff: one of {', '.join(BACKOFFS)}, not {backoff!r}")
    if initial_ms < 0 or max_ms < 0:
        raise ValueError("initial_delay_ms, max_delay_ms: not below 0")
    if multiplier < 1:
        raise ValueError("multiplier: at least 1")
    if backoff == "fixed":
        return min(initial_ms, max_ms)
    if backoff == "linear":
        return min(initial_ms * attempt, max_ms)
    return min(initial_ms * multiplier ** min(attempt - 1, 64), max_ms)


def may_retry(error: BaseException, retryable: tuple[type[BaseException], ...] = (Exception,)) -> bool:
    """Whether another try may do better."""
    if isinstance(error, _FOR_GOOD) or not isinstance(error, retryable):
        return False
    if isinstance(error, ServerError):
        return error.may_pass
    if isinstance(error, WfloError):
        return isinstance(error, RateLimitExceededError)
    return _status(error) not in _REFUSED


def _status(error: BaseException) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            found = getattr(holder, name, None)
            if type(found) is int:
                return found
    return None


def _jittered(pause_ms: float) -> float:
    return pause_ms * random.uniform(1 - JITTER, 1 + JITTER)


def _asked_ms(error: BaseException) -> float:
    """What the error itself says to wait."""
    found = getattr(error, "retry_after", None)
    if found is None:
        headers: Any = getattr(getattr(error, "response", None), "headers", None)
        found = headers.get("retry-after") if headers is not None and hasattr(headers, "get") else None
    try:
        seconds = float(found) if found is not None else 0.0
    except (TypeError, ValueError):
        return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_SECONDS) * 1000


def _tell(scope: Scope, invocation: Invocation, attempt: int, error: BaseException, pause_ms: float) -> None:
    scope.run.retries += 1
    recording.occurred(
        "retry",
        scope=scope,
        name=invocation.name,
        attempt=attempt,
        delay_ms=round(pause_ms, 1),
        failure=recording.words_of(error),
    )
