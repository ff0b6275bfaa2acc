"""Circuit breakers: who fails is given a rest, and is tried by one call."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.wflo.calls import KINDS, called, of_kind
from tests.wflo.exporter.receiver import a_black_hole
from wflo import config, recording
from wflo.breakers import Breaker, circuit_breaker, circuit_breaker_per_agent
from wflo.circuits import CircuitPolicy, State
from wflo.context import Scope
from wflo.decorators import track_agent_cost, track_llm_call
from wflo.errors import BudgetExceededError, CircuitOpenError
from wflo.runs import Run, entered
from wflo.testing import captured

_numbers = count()


def fresh() -> str:
    return f"component-{next(_numbers)}"


class Component:
    def __init__(self) -> None:
        self.fails, self.calls = True, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.fails:
            raise OSError("it is down")
        return "well"


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_after_failures_in_a_row_and_closes_after_successes(kind: str) -> None:
    work, name = Component(), fresh()
    guarded = circuit_breaker(name, failure_threshold=3, recovery_timeout=0.05, success_threshold=2)(
        of_kind(kind, work)
    )
    with captured() as events, recording.running(Run()) as run:
        for _ in range(3):
            with pytest.raises(OSError, match="down"):
                called(guarded)
        with pytest.raises(CircuitOpenError) as refused:
            called(guarded)
        assert (work.calls, run.circuit_trips) == (3, 1)
        assert (refused.value.circuit_name, refused.value.failure_count) == (name, 3)
        assert 0 < (refused.value.retry_after or 0) <= 0.05
        time.sleep(0.06)
        work.fails = False
        assert called(guarded) == "well"
        assert guarded.breaker.state is State.HALF_OPEN
        assert called(guarded) == "well"
    assert guarded.breaker.state is State.CLOSED
    assert [event["name"] for event in events if event["kind"] == "circuit"] == [name]


def test_a_probe_that_fails_opens_it_again() -> None:
    work = Component()
    guarded: Any = circuit_breaker(fresh(), failure_threshold=1, recovery_timeout=0.05)(work)
    with pytest.raises(OSError, match="down"):
        guarded()
    time.sleep(0.06)
    with pytest.raises(OSError, match="down"):
        guarded()
    with pytest.raises(CircuitOpenError):
        guarded()


def test_one_call_at_a_time_is_the_probe() -> None:
    own = Breaker(fresh(), CircuitPolicy(failures_max=1, rest_seconds=0.01))
    own.tell(is_success=False, error="down")
    time.sleep(0.02)
    barrier = threading.Barrier(16)

    def ask(_: int) -> bool:
        barrier.wait()
        try:
            return own.ask() is not None
        except CircuitOpenError:
            return False

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(ask, range(16))) == 1


def test_it_opens_by_the_share_of_failures() -> None:
    own = Breaker(fresh(), CircuitPolicy(failures_max=None, error_rate_max=0.5))
    for is_success in (True, False, True, False):
        own.tell(is_success=is_success)
    assert own.state is State.CLOSED
    own.tell(is_success=False)
    assert own.state is State.OPEN


def test_it_opens_when_its_tokens_are_spent() -> None:
    answer = {"model": "demo/echo", "usage": {"prompt_tokens": 600, "completion_tokens": 0}}
    guarded: Any = circuit_breaker(fresh(), token_budget=1_000)(track_llm_call(lambda: answer))
    with recording.running(Run()):
        guarded()
        guarded()
        with pytest.raises(CircuitOpenError):
            guarded()


def test_what_is_not_the_components_fault_does_not_count() -> None:
    def unexpected() -> None:
        raise KeyError("the caller's own")

    def broke() -> None:
        raise BudgetExceededError("no money")

    for work, error in ((unexpected, KeyError), (broke, BudgetExceededError)):
        guarded: Any = circuit_breaker(
            fresh(), failure_threshold=1, expected_exception=(OSError, Exception) if work is broke else OSError
        )(work)
        for _ in range(3):
            with pytest.raises(error):
                guarded()
        assert guarded.breaker.state is State.CLOSED


def test_breakers_of_one_name_share_their_state_until_it_is_reset() -> None:
    name, work = fresh(), Component()
    one: Any = circuit_breaker(name, failure_threshold=1)(work)
    other: Any = circuit_breaker(name, failure_threshold=1)(lambda: "never")
    with pytest.raises(OSError, match="down"):
        one()
    with pytest.raises(CircuitOpenError):
        other()
    told = other.breaker.state_dict()
    assert (told["name"], told["state"], told["failure_count"], told["recovery_timeout"]) == (name, "open", 1, 60)
    other.breaker.reset()
    assert other() == "never"


def test_each_agent_has_its_own() -> None:
    work = Component()
    guarded: Any = circuit_breaker_per_agent(fresh(), failure_threshold=1)(work)
    run = Run()
    with entered(run, "one"), pytest.raises(OSError, match="down"):
        guarded()
    with entered(run, "one"), pytest.raises(CircuitOpenError):
        guarded()
    with entered(run, "two"), pytest.raises(OSError, match="down"):
        guarded()


def test_a_class_is_guarded_and_stacks_with_others() -> None:
    @circuit_breaker(fresh(), failure_threshold=1)
    @track_agent_cost("planner")
    class Planner:
        def run(self) -> str:
            raise OSError("down")

    with pytest.raises(OSError, match="down"):
        Planner().run()
    with pytest.raises(CircuitOpenError):
        Planner().run()


@pytest.mark.parametrize(
    "arguments", [{"failure_threshold": 0}, {"error_threshold": 2.0}, {"recovery_timeout": 0}, {"token_budget": 0}]
)
def test_thresholds_that_mean_nothing(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must|above|between|least|more"):
        circuit_breaker(fresh(), **arguments)
    with pytest.raises(ValueError, match="name"):
        circuit_breaker("")


def test_scope_is_kept() -> None:
    seen: list[Scope | None] = []
    guarded: Any = circuit_breaker(fresh())(lambda: seen.append(recording.context.current()))
    with recording.running(Run()) as run:
        guarded()
    assert seen[0] is not None
    assert seen[0].run is run


def test_a_server_that_is_away_holds_no_call_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """K28: what a call asks the server, it asks for half a second, and then goes by what this process knows."""
    with a_black_hole() as hole:
        monkeypatch.setattr(config, "_present", config.Config(endpoint=hole, api_key="k", timeout_seconds=60))
        monkeypatch.setattr("wflo.exporter.put", lambda event: None)
        work = Component()
        guarded: Any = circuit_breaker(fresh(), failure_threshold=1)(work)
        began = time.monotonic()
        with pytest.raises(OSError, match="down"):
            guarded()
        with pytest.raises(CircuitOpenError):
            guarded()
        assert time.monotonic() - began < 10
