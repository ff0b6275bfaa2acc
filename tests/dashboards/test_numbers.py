"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import numbers

NOW = datetime(2026, 11, 14, 14, 2, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("0.3101", "$0.3101"),
        ("0.06210", "$0.06210"),
        ("0.00095", "$0.0009500"),
        ("0.0000001234567", "$0.0000001235"),
        ("0.94", "$0.9400"),
        ("0.99994", "$0.9999"),
        ("0.99996", "$1.00"),
        ("1", "$1.00"),
        ("1.005", "$1.01"),
        ("41.2", "$41.20"),
        ("1192.004", "$1,192.00"),
        ("-0.5", "−$0.5000"),
        ("-1234.5", "−$1,234.50"),
        (None, "unpriced"),
    ],
)
def test_money_has_four_digits_under_a_dollar_and_two_decimals_above(amount: str | None, text: str) -> None:
    assert numbers.usd(None if amount is None else Decimal(amount)) == text


@given(st.decimals(min_value=Decimal("1e-10"), max_value=Decimal("1e9"), places=10))
def test_money_is_never_shown_as_nothing_and_never_far_off(amount: Decimal) -> None:
    shown = Decimal(numbers.usd(amount).replace("$", "").replace(",", ""))
    assert shown > 0
    assert abs(shown - amount) <= max(amount * Decimal("0.0005"), Decimal("0.005") if amount >= 1 else Decimal(0))


def test_the_exact_amount_has_every_digit_and_no_exponent() -> None:
    assert numbers.usd_exact(Decimal("0.0000001000")) == "$0.0000001"
    assert numbers.usd_exact(Decimal("1E+3")) == "$1000"
    assert numbers.usd_exact(Decimal("-0.10")) == "−$0.1"
    assert "not known" in numbers.usd_exact(None)


def test_a_ledger_has_the_same_decimals_in_every_row() -> None:
    assert [numbers.usd_fixed(Decimal(text)) for text in ("0.05", "12", "-0.00004")] == [
        "$0.0500",
        "$12.0000",
        "$0.0000",
    ]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (12_400, "12.4k"),
        (99_949, "99.9k"),
        (144_400, "144k"),
        (999_949, "1M"),
        (1_800_000, "1.8M"),
        (250_000_000, "250M"),
        (999_999_999, "1B"),
        (-12_400, "−12.4k"),
        (None, "unknown"),
    ],
)
def test_counts_are_short(count: int | None, text: str) -> None:
    assert numbers.tokens(count) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 ms"),
        (0.42, "0.42 ms"),
        (380, "380 ms"),
        (999.6, "1 s"),
        (4_100, "4.1 s"),
        (48_000, "48 s"),
        (59_960, "1 m 00 s"),
        (74_000, "1 m 14 s"),
        (3_599_600, "1 h 00 m"),
        (7_500_000, "2 h 05 m"),
        (273_600_000, "3 d 04 h"),
        (timedelta(seconds=4, milliseconds=100), "4.1 s"),
        (None, "unknown"),
    ],
)
def test_durations_have_the_unit_they_need(milliseconds: float | timedelta | None, text: str) -> None:
    assert numbers.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=-5), "now"),
        (timedelta(), "now"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=6), "6 m"),
        (timedelta(hours=23, minutes=59), "23 h"),
        (timedelta(days=13), "13 d"),
        (timedelta(days=14), "31 Oct"),
        (timedelta(days=366), "13 Nov 2025"),
    ],
)
def test_ages_are_short_and_become_a_day(before: timedelta, text: str) -> None:
    assert numbers.ago(NOW - before, NOW) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.004, "0.4%"),
        (0.05, "5%"),
        (0.336, "34%"),
        (1, "100%"),
        (-0.06, "−6%"),
        (None, "unknown"),
    ],
)
def test_a_little_of_something_is_never_nothing(share: float | None, text: str) -> None:
    assert numbers.percent(share) == text
