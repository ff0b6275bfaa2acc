"""What a usual day looks like, and how today compares: pure arithmetic on hourly spend.

A usual Friday is the median of up to eight past Fridays, hour by hour of their running totals; the band is from the
lowest to the highest of them. The forecast lays the rest of the usual day on today's total, stretched by how today
compares so far; little of the day seen stretches little.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from statistics import median

DAYS_MAX = 8
STRETCH_LEAST, STRETCH_MOST = Decimal("0.5"), Decimal(2)
_CALM = Decimal("0.1")  # of a usual day: so much is taken as seen before anything is


@dataclass(frozen=True, slots=True)
class Usual:
    """Running totals in USD at each full hour of a usual day: 25 points, from 0 at midnight."""

    median: tuple[Decimal, ...]
    low: tuple[Decimal, ...]
    high: tuple[Decimal, ...]
    days: int


def running_total(hours: Iterable[Decimal]) -> tuple[Decimal, ...]:
    """Spend of each hour -> total at each full hour, starting with 0."""
    return tuple(accumulate(hours, initial=Decimal(0)))


def usual_day(past: Sequence[Sequence[Decimal]]) -> Usual | None:
    """``past`` holds the 24 hourly spends of each past day; None when there is no past day."""
    if not past:
        return None
    curves = [running_total(day) for day in past[:DAYS_MAX]]
    points = list(zip(*curves, strict=True))
    return Usual(
        tuple(Decimal(median(point)) for point in points),
        tuple(min(point) for point in points),
        tuple(max(point) for point in points),
        len(curves),
    )


def at(curve: Sequence[Decimal], hour: Decimal) -> Decimal:
    """The curve's value at a time of day in hours (13.5 is half past one), on a straight line between full hours."""
    whole = min(int(hour), len(curve) - 1)
    if whole >= len(curve) - 1:
        return curve[-1]
    return curve[whole] + (curve[whole + 1] - curve[whole]) * (hour - whole)


def change(now: Decimal | None, before: Decimal | None) -> Decimal | None:
    """How much ``now`` is above ``before``, as a share (0.12 is 12% above); None when that cannot be said."""
    if now is None or before is None or before <= 0:
        return None
    return (now - before) / before


def forecast(so_far: Decimal, usual: Usual | None, hour: Decimal) -> Decimal | None:
    """The day's total at midnight in USD; None without a usual day to go by."""
    if usual is None:
        return None
    expected = at(usual.median, hour)
    calm = usual.median[-1] * _CALM
    stretch = (so_far + calm) / (expected + calm) if expected + calm > 0 else Decimal(1)
    stretch = max(STRETCH_LEAST, min(STRETCH_MOST, stretch))
    return so_far + (usual.median[-1] - expected) * stretch
