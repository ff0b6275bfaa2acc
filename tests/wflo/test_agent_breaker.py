"""A breaker's policy is read, refused and written; what is too fast for an agent is measured by itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from wflo.agent_breaker import OFF, BreakerPolicy, Mode, read, read_stored, too_fast, usual_usd

D = Decimal


def test_nobody_is_cut_off_unless_somebody_says_so() -> None:
    assert not OFF.is_on
    assert read({}) == OFF
    assert read({"mode": "tell"}).is_on


def test_what_is_written_is_read_back() -> None:
    policy = read({"mode": "on", "speed_max": "2.5", "speed_usd_min": 3, "failures_max": None, "needs_approval": True})
    assert (policy.mode, policy.speed_max, policy.speed_usd_min) == (Mode.ON, D("2.5"), D(3))
    assert read(policy.to_json()) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "perhaps"},
        {"failures_max": 0},
        {"failures_max": True},
        {"failures_max": "5"},
        {"hits_minutes": None},
        {"speed_max": 1},
        {"speed_max": "NaN"},
        {"speed_max": True},
        {"speed_usd_min": 0},
        {"speed_usd_min": "much"},
        {"speed_usd_min": None},
        {"on_loop": 1},
        {"needs_approval": "yes"},
        {"rest_minutes": 10**6},
        {"colour": "red"},
    ],
)
def test_what_means_nothing_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))}"):
        read(wrong)
    assert read_stored({"mode": "on", **wrong}) == OFF


def test_the_circuit_counts_as_the_policy_says() -> None:
    rule = BreakerPolicy(failures_max=7, hits_max=2, hits_minutes=30, rest_minutes=5).circuit
    assert (rule.failures_max, rule.hits_max, rule.window_seconds, rule.rest_seconds) == (7, 2, 1800, 300)


def test_usual_is_the_median_hour_at_work() -> None:
    assert usual_usd([D(1), D(2), D(100)], 15) == D("0.5")


@pytest.mark.parametrize(
    ("spent", "hours", "is_fast"),
    [
        ("5", ["2"] * 24, True),  # ten times 0.50
        ("4.99", ["2"] * 24, False),
        ("5", ["2"] * 23, False),  # too little is known of it
        ("0.99", ["0.01"] * 24, False),  # cents are no danger
        ("1", ["0.01"] * 24, True),
        ("5", ["2"] * 20 + ["1000"] * 4, True),  # a few dear hours are not what is usual
        ("5", [], False),
    ],
)
def test_too_fast_is_many_times_the_usual_and_real_money(spent: str, hours: list[str], is_fast: bool) -> None:
    policy = BreakerPolicy(speed_max=D(10), speed_minutes=15, speed_usd_min=D(1), speed_hours_min=24)
    found = too_fast(policy, D(spent), [D(hour) for hour in hours], 15)
    assert (found is not None) == is_fast
    assert too_fast(BreakerPolicy(speed_max=None), D(10**6), [D(1)] * 99, 15) is None


def test_how_many_times() -> None:
    found = too_fast(BreakerPolicy(), D(6), [D(2)] * 24, 15)
    assert found is not None
    assert (found.times, found.usual_usd) == (D(12), D("0.5"))
