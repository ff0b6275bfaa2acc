"""The breaker's rule, transition by transition; and that one of many is the probe."""

from __future__ import annotations

from uuid import uuid4

import pytest

from wflo.circuits import (
    Circuit,
    CircuitPolicy,
    Outcome,
    State,
    let_through,
    may_call,
    may_probe,
    opened,
    probed,
    told,
    wait_seconds,
)

POLICY = CircuitPolicy(failures_max=3, rest_seconds=30, window_seconds=60, probe_seconds=10)
FAILED, WORKED = Outcome(failures=1, error="500"), Outcome(successes=1)


def after(*outcomes: Outcome, policy: CircuitPolicy = POLICY, now: float = 1000.0) -> Circuit:
    circuit = Circuit()
    for outcome in outcomes:
        circuit = told(circuit, policy, now, outcome)
    return circuit


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    assert after(FAILED, FAILED).state is State.CLOSED
    assert after(FAILED, FAILED, WORKED, FAILED, FAILED).state is State.CLOSED
    circuit = after(FAILED, FAILED, FAILED)
    assert (circuit.state, circuit.opened_at, circuit.retry_at, circuit.last_error) == (State.OPEN, 1000, 1030, "500")
    assert not may_call(circuit)
    assert after(Outcome(failures=3)).state is State.OPEN  # told together
    assert after(FAILED, Outcome(successes=9, failures=2)).state is State.CLOSED  # the successes came before


def test_it_opens_by_rate_once_there_are_enough_calls_in_the_window() -> None:
    policy = CircuitPolicy(failures_max=None, error_rate_max=0.5, calls_min=5)
    assert after(*[FAILED] * 4, policy=policy).state is State.CLOSED
    assert after(FAILED, WORKED, FAILED, WORKED, FAILED, policy=policy).state is State.OPEN
    assert after(WORKED, FAILED, WORKED, FAILED, WORKED, FAILED, policy=policy).state is State.CLOSED  # just half
    circuit = after(*[FAILED] * 4, policy=policy)
    assert told(circuit, policy, 1061.0, FAILED).state is State.CLOSED  # another window


def test_tokens_open_it_until_the_window_is_over_and_a_good_probe_gives_none_back() -> None:
    policy = CircuitPolicy(tokens_max=100, window_seconds=600, rest_seconds=30)
    circuit = after(Outcome(successes=1, tokens=99), policy=policy)
    assert circuit.state is State.CLOSED
    circuit = told(circuit, policy, 1010.0, Outcome(successes=1, tokens=1))
    assert (circuit.state, circuit.retry_at) == (State.OPEN, 1600)
    probe = uuid4()
    early = Circuit(state=State.HALF_OPEN, tokens=100, window_at=1000.0, probe=probe, probe_until=1100.0)
    closed = told(early, policy, 1050.0, Outcome(successes=1, probe=probe))
    assert (closed.state, closed.tokens) == (State.CLOSED, 100)
    assert told(closed, policy, 1051.0, WORKED).state is State.OPEN
    assert told(closed, policy, 1601.0, WORKED).state is State.CLOSED


def test_one_probe_at_a_time_closes_it_or_opens_it_again() -> None:
    circuit = after(FAILED, FAILED, FAILED)
    assert probed(circuit, POLICY, 1029.9, uuid4()) is None
    assert wait_seconds(circuit, 1020.0) == 10
    probe = uuid4()
    half = probed(circuit, POLICY, 1030.0, probe)
    assert half is not None
    assert half.state is State.HALF_OPEN
    assert not may_call(half)
    assert probed(half, POLICY, 1031.0, uuid4()) is None
    assert may_probe(half, 1040.0)  # the probe never said anything
    assert told(half, POLICY, 1035.0, WORKED).state is State.HALF_OPEN  # a call of before, not the probe
    assert told(half, POLICY, 1035.0, Outcome(successes=1, probe=probe)) == Circuit(window_at=1000, last_error="500")
    again = told(half, POLICY, 1035.0, Outcome(failures=1, probe=probe))
    assert (again.state, again.retry_at) == (State.OPEN, 1065)


def test_a_probe_that_says_nothing_leaves_room_for_the_next() -> None:
    probe = uuid4()
    half = probed(after(FAILED, FAILED, FAILED), POLICY, 1030.0, probe)
    assert half is not None
    freed = told(half, POLICY, 1031.0, Outcome(probe=probe))
    assert freed.state is State.HALF_OPEN
    assert probed(freed, POLICY, 1031.0, uuid4()) is not None


def test_it_closes_after_as_many_good_probes_as_are_asked_for() -> None:
    policy = CircuitPolicy(failures_max=1, successes_min=2, rest_seconds=30)
    circuit = after(FAILED, policy=policy)
    for place, state in enumerate((State.HALF_OPEN, State.CLOSED)):
        probe = uuid4()
        half = probed(circuit, policy, 1030.0 + place, probe)
        assert half is not None
        circuit = told(half, policy, 1030.5 + place, Outcome(successes=1, probe=probe))
        assert circuit.state is state


def test_what_is_told_late_does_not_lengthen_the_rest() -> None:
    circuit = after(FAILED, FAILED, FAILED)
    late = told(circuit, POLICY, 1020.0, FAILED)
    assert (late.state, late.retry_at, late.errors) == (State.OPEN, 1030, 4)


@pytest.mark.parametrize("wrong", [{"failures_max": 0}, {"error_rate_max": 1.5}, {"rest_seconds": 0}, {"calls_min": 0}])
def test_thresholds_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CircuitPolicy(**wrong)  # type: ignore[arg-type]


def test_a_guardrails_hits_open_it_within_their_window() -> None:
    policy, hit = CircuitPolicy(failures_max=None, hits_max=2, window_seconds=60), Outcome(hits=1)
    assert after(hit, policy=policy).state is State.CLOSED
    circuit = after(hit, Outcome(successes=9), hit, policy=policy)
    assert (circuit.state, circuit.hits, circuit.why) == (State.OPEN, 2, "A guardrail stepped in 2 times.")
    assert told(after(hit, policy=policy), policy, 1061.0, hit).state is State.CLOSED


def test_one_that_is_held_waits_for_a_person_and_not_for_the_time() -> None:
    held = opened(Circuit(failures=1), 1000.0, "It went round in circles.", rest_seconds=None)
    assert (held.state, held.retry_at, held.why) == (State.OPEN, None, "It went round in circles.")
    assert not may_call(held)
    assert not may_probe(held, 10.0**12)
    assert probed(held, POLICY, 10.0**12, uuid4()) is None
    assert wait_seconds(held, 1000.0) > 0
    half, probe = let_through(held), uuid4()
    assert half is not None
    tried = probed(half, POLICY, 1001.0, probe)
    assert tried is not None
    assert told(tried, POLICY, 1002.0, Outcome(successes=1, probe=probe)).state is State.CLOSED
    assert let_through(Circuit()) is None


def test_why_it_opened_is_said() -> None:
    assert after(FAILED, FAILED, FAILED).why == "3 calls in a row failed."
    assert after(FAILED, policy=CircuitPolicy(failures_max=1)).why == "1 call failed."
    rate = CircuitPolicy(failures_max=None, error_rate_max=0.5, calls_min=2)
    assert after(FAILED, FAILED, policy=rate).why == "2 of its last 2 calls failed."
    assert after(Outcome(tokens=1_000), policy=CircuitPolicy(tokens_max=1_000)).why == "Its 1,000 tokens are spent."
