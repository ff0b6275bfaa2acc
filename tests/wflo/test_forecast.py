"""The forecast of hours: what it says of weeks whose truth is known, and when it says nothing."""

from __future__ import annotations

import random
from decimal import Decimal as D

import pytest

from wflo.forecast import (
    DAY,
    DRIFT_MOST,
    HOURS_LEAST,
    WEEK,
    Hour,
    Usual,
    back_test,
    quantile,
    reached_in,
)


def weeks(*levels: str, by_day: bool = False) -> list[Hour]:
    """So many weeks, Monday first: ``level`` in each of the nine working hours of Monday to Friday, nothing else."""
    return [
        (place, D(level) if (by_day or place // DAY < 5) and 9 <= place % DAY < 18 else D(0))
        for level in levels
        for place in range(WEEK)
    ]


def ahead(hours: int, start: int = 0) -> list[tuple[int, D]]:
    return [((start + i) % WEEK, D(1)) for i in range(hours)]


@pytest.mark.parametrize(
    ("past", "hours", "told"),
    [
        (weeks("2", "2", "2", "2"), 24, "18"),  # a Monday
        (weeks("2", "2", "2", "2"), WEEK, "90"),
        (weeks("2", "2"), WEEK, "90"),
        (weeks("0", "0"), WEEK, "0"),
    ],
)
def test_the_usual_week_comes_again(past: list[Hour], hours: int, told: str) -> None:
    usual = Usual.of(past)
    assert usual is not None
    assert usual.period == WEEK
    assert sum(usual.ahead(ahead(hours))) == D(told)


def test_a_weekend_is_quiet_and_a_part_of_an_hour_is_a_part() -> None:
    usual = Usual.of(weeks("2", "2", "2"))
    assert usual is not None
    assert sum(usual.ahead(ahead(48, start=5 * DAY))) == 0
    assert usual.ahead([(9, D("0.25")), (10, D(1))]) == [D("0.5"), D(2)]


def test_two_days_say_nothing_and_three_say_a_day() -> None:
    assert Usual.of(weeks("2")[: HOURS_LEAST - 1]) is None
    usual = Usual.of(weeks("2", by_day=True)[:HOURS_LEAST])
    assert usual is not None
    assert (usual.period, usual.blocks) == (DAY, 3)
    assert sum(usual.ahead(ahead(24))) == 18


def test_growth_goes_on_for_two_weeks_and_not_for_ever() -> None:
    usual = Usual.of(weeks("10", "11", "12", "13"))
    assert usual is not None
    next_week = sum(usual.ahead(ahead(WEEK)))
    assert D(13) * 45 < next_week < D(15) * 45
    far = [sum(usual.ahead(ahead(6 * WEEK))[i * WEEK : (i + 1) * WEEK]) for i in range(6)]
    assert far[0] < far[1] < far[2] == far[3] == far[5]


def test_one_wild_week_does_not_run_away_and_shrinking_ends_at_nothing() -> None:
    wild = Usual.of(weeks("1", "1", "1", "100"))
    fall = Usual.of(weeks("100", "1", "0", "0"))
    assert wild is not None
    assert fall is not None
    assert wild.drift == DRIFT_MOST
    assert fall.drift == -DRIFT_MOST
    assert min(fall.ahead(ahead(4 * WEEK))) >= 0


def test_a_back_test_of_weeks_alike_is_without_error_and_of_wild_ones_is_not() -> None:
    calm = back_test(weeks(*["2"] * 8), WEEK)
    assert calm is not None
    assert (calm.error, calm.low, calm.high) == (0, 0, 0)
    assert calm.tries >= 20
    assert calm.hours == WEEK
    dice = random.Random(7)
    noisy = [(place, amount * dice.randint(0, 200) / 100) for place, amount in weeks(*["2"] * 8)]
    found = back_test(noisy, DAY)
    assert found is not None
    assert D("0.02") < found.error < D("0.6")
    assert found.low < 0 < found.high


def test_a_forecast_holds_what_its_back_test_says() -> None:
    """Nine in ten of what came lies below p90, over many made-up pasts."""
    below = told = 0
    for seed in range(40):
        dice = random.Random(seed)
        whole = [(place, amount * dice.randint(50, 150) / 100) for place, amount in weeks(*["2"] * 9)]
        past, came = whole[: 8 * WEEK], whole[8 * WEEK : 8 * WEEK + DAY]
        usual, tried = Usual.of(past), back_test(past, DAY)
        assert usual is not None
        assert tried is not None
        p90 = sum(usual.ahead([(place, D(1)) for place, _ in came])) * (1 + tried.high)
        below += sum(amount for _, amount in came) <= p90
        told += 1
    assert D("0.75") <= D(below) / told <= 1


@pytest.mark.parametrize(("past", "hours"), [(weeks("2")[:80], 24), (weeks("2", "2"), 0), (weeks("2")[:50], 10)])
def test_too_little_to_try_is_said(past: list[Hour], hours: int) -> None:
    assert back_test(past, hours) is None


@pytest.mark.parametrize(
    ("free", "hours"),
    [("0", "0"), ("-1", "0"), ("1", "0.5"), ("2", "1"), ("3", "1.25"), ("10", "2.5"), ("10.01", None)],
)
def test_money_ends_within_the_hour_it_ends_in(free: str, hours: str | None) -> None:
    amounts, shares = [D(2), D(4), D(4)], [(0, D(1)), (1, D(1)), (2, D("0.5"))]
    assert reached_in(amounts, shares, D(free)) == (None if hours is None else D(hours))


def test_hours_without_spending_end_nothing() -> None:
    assert reached_in([D(0)] * 5, ahead(5), D(1)) is None
    assert reached_in([], [], D(1)) is None


@pytest.mark.parametrize(("share", "value"), [("0", "1"), ("0.5", "2.5"), ("1", "4"), ("0.1", "1.3")])
def test_quantiles_lie_on_the_line_between(share: str, value: str) -> None:
    assert quantile([D(4), D(1), D(3), D(2)], D(share)) == D(value)


def test_an_hour_the_clocks_left_out_is_a_middling_one() -> None:
    past = [(place, D(1)) for place in [*range(2, WEEK), *range(WEEK), 0, 0]]
    usual = Usual.of(past)
    assert usual is not None
    assert set(usual.amounts) == {D(1)}
