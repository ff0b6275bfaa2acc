"""Trying again: how often, after how long, and when not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wflo.calls import KINDS, called, of_kind
from wflo import letters, recording
from wflo.errors import (
    ApprovalRequiredError,
    BudgetExceededError,
    CircuitOpenError,
    InfiniteLoopDetectedError,
    RetryExhaustedError,
    RunKilledError,
    ServerError,
    TimeBudgetExceededError,
)
from wflo.retry import BACKOFFS, delay_ms, may_retry, with_retry
from wflo.runs import Run
from wflo.testing import captured


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.left, self.calls, self.error = failures, 0, error or ValueError("bad luck")

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


quick = {"initial_delay_ms": 1, "max_delay_ms": 2}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_called_again_until_it_answers(kind: str) -> None:
    work, heard = Flaky(2), []
    retried = with_retry(max_attempts=3, on_retry=lambda attempt, error: heard.append((attempt, str(error))), **quick)
    with captured() as events, recording.running(Run()) as run:
        assert called(retried(of_kind(kind, work))) == "done"
    assert (work.calls, run.retries, heard) == (3, 2, [(1, "bad luck"), (2, "bad luck")])
    told = [event for event in events if event["kind"] == "retry"]
    assert [(event["attempt"], event["failure"]) for event in told] == [
        (1, "ValueError: bad luck"),
        (2, "ValueError: bad luck"),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_given_up_after_the_last_try(kind: str) -> None:
    work = Flaky(9)
    with pytest.raises(RetryExhaustedError) as given_up:
        called(with_retry(max_attempts=3, **quick)(of_kind(kind, work)))
    assert (work.calls, given_up.value.attempts, given_up.value.last_exception) == (3, 3, work.error)
    assert given_up.value.__cause__ is work.error


def test_retries_leave_the_first_try_out() -> None:
    work = Flaky(9)
    with pytest.raises(RetryExhaustedError):
        with_retry(max_retries=3, **quick)(work)()
    assert work.calls == 4


class Refused(Exception):
    status_code = 401


@pytest.mark.parametrize(
    "error",
    [
        BudgetExceededError("x"),
        CircuitOpenError("x"),
        InfiniteLoopDetectedError("x"),
        RunKilledError("x"),
        ApprovalRequiredError("x"),
        TimeBudgetExceededError("x"),
        ServerError("x", status=403),
        Refused("x"),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        TypeError("not among those to be tried again"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_what_cannot_change_is_not_tried_again(error: BaseException) -> None:
    work = Flaky(1, error)
    with pytest.raises(type(error)):
        with_retry(retryable_exceptions=(ValueError, WfloErrorBase, Refused), **quick)(work)()
    assert work.calls == 1


WfloErrorBase = BudgetExceededError.__mro__[1]


@pytest.mark.parametrize("error", [ServerError("x", status=503), ServerError("x"), OSError("x"), ValueError("x")])
def test_what_may_change_is(error: BaseException) -> None:
    assert may_retry(error)


def test_a_generator_that_gave_a_piece_is_not_begun_again() -> None:
    begun = []

    @with_retry(**quick)
    def pieces() -> Iterator[int]:
        begun.append(1)
        yield 1
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        list(pieces())
    assert len(begun) == 1


def test_what_an_error_asks_to_wait_is_waited() -> None:
    class Busy(Exception):
        retry_after = 0.05

    work, began = Flaky(1, Busy()), time.monotonic()
    assert with_retry(**quick)(work)() == "done"
    assert time.monotonic() - began >= 0.05


def test_the_last_failure_may_leave_a_dead_letter() -> None:
    before = len(letters.dead_letters("send"))
    with recording.running(Run()) as run, pytest.raises(RetryExhaustedError):
        with_retry(max_attempts=2, dead_letter="send", **quick)(lambda to, text: Flaky(1)())("ada", text="hello")
    (letter,) = letters.dead_letters("send")[before:]
    assert (letter.attempts, letter.error, letter.payload, letter.run) == (
        2, "ValueError: bad luck", {"to": "ada", "text": "hello"}, run.id,
    )  # fmt: skip
    sent: list[dict[str, Any]] = []
    letters.on_dead_letter("send")(sent.append)
    assert letters.take_dead_letters() == 1
    assert sent == [{"to": "ada", "text": "hello"}]
    assert letters.dead_letters("send") == []


@pytest.mark.parametrize(
    "arguments",
    [{"max_attempts": 0}, {"backoff": "random"}, {"initial_delay_ms": -1}, {"multiplier": 0.5}],
)
def test_arguments_that_mean_nothing(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments)).split("_")[0]):
        with_retry(**arguments)


@given(
    backoff=st.sampled_from(BACKOFFS),
    attempt=st.integers(1, 200),
    initial=st.floats(0, 10_000),
    most=st.floats(0, 100_000),
    multiplier=st.floats(1, 10),
)
def test_delays_grow_and_have_an_end(
    backoff: str, attempt: int, initial: float, most: float, multiplier: float
) -> None:
    def of(number: int) -> float:
        return delay_ms(number, backoff=backoff, initial_ms=initial, max_ms=most, multiplier=multiplier)

    assert 0 <= of(attempt) <= most
    assert of(attempt) <= of(attempt + 1)
    assert of(1) == min(initial, most)


def test_delays_are_what_their_names_say() -> None:
    def delays(backoff: str) -> list[float]:
        return [delay_ms(n, backoff=backoff, initial_ms=100, max_ms=1_000, multiplier=2) for n in range(1, 6)]

    assert delays("exponential") == [100, 200, 400, 800, 1_000]
    assert delays("linear") == [100, 200, 300, 400, 500]
    assert delays("fixed") == [100] * 5


def test_a_failure_is_taken_as_it_is_where_there_is_one_try(  # and nothing to sum up
) -> None:
    work: Callable[..., Any] = Flaky(1)
    with pytest.raises(ValueError, match="bad luck"):
        with_retry(max_attempts=1)(work)()
