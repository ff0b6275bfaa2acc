"""What will be used by the end of a stretch of time: the usual week, moved by its drift, and how wrong that was before.

Seasonal-naive with drift, over amounts by the hour. An hour ahead is the mean of the same hours of past weeks (of past
days, while there are less than two weeks), times how the weeks grew or shrank. How far that may be off is not assumed
but tried: the same is done at past moments, and what came then is held against it. Pure arithmetic on Decimals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from statistics import median
from typing import Self

HOURS_LEAST = 72  # less past than that says nothing
WEEK, DAY = 168, 24
BLOCKS_MOST = {WEEK: 4, DAY: 7}  # weeks or days that are taken for usual
DRIFT_MOST = Decimal("0.25")  # of a usual week, from week to week
DRIFT_BLOCKS = Decimal(2)  # so many weeks ahead the drift goes on; what is further off stays as it is then
TRIES_MOST = 28
TRIES_LEAST = 5
AHEAD_LEAST = 12  # hours: less far ahead is no trial of a forecast that goes further
ZERO = Decimal(0)

Hour = tuple[int, Decimal]  # its place in the week (0: Monday, 00:00 to 01:00), and what was used in it
Ahead = tuple[int, Decimal]  # the place in the week of an hour to come, and how much of the hour is meant (1: all)


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual amount of each place in a week or a day, and by how much of it a week or day drifts."""

    period: int  # WEEK or DAY
    amounts: tuple[Decimal, ...]
    drift: Decimal
    blocks: int

    @classmethod
    def of(cls, past: Sequence[Hour]) -> Self | None:
        """``past``: every hour until now, oldest first. None when it is too short."""
        if len(past) < HOURS_LEAST:
            return None
        period = WEEK if len(past) >= 2 * WEEK else DAY
        blocks = min(len(past) // period, BLOCKS_MOST[period])
        recent = past[-blocks * period :]
        totals = [sum((a for _, a in recent[i * period : (i + 1) * period]), ZERO) for i in range(blocks)]
        return cls(period, _means(recent, period), _drift(totals), blocks)

    def ahead(self, hours: Sequence[Ahead]) -> list[Decimal]:
        """What each of the hours that follow now will use."""
        return [self.amounts[place % self.period] * self._moved(i) * share for i, (place, share) in enumerate(hours)]

    def _moved(self, hours: int) -> Decimal:
        """How much more than usual an hour is that begins so many hours from now: usual is the middle of the blocks."""
        beyond = min(Decimal(hours) / self.period, DRIFT_BLOCKS)
        return max(1 + self.drift * (Decimal(self.blocks) / 2 + beyond), ZERO)


@dataclass(frozen=True, slots=True)
class BackTest:
    """How wrong the forecast was at past moments. Shares: 0.2 is a fifth more than was forecast."""

    error: Decimal  # the median, without its sign
    low: Decimal  # nine in ten were above
    high: Decimal  # nine in ten were below
    tries: int
    hours: int  # how far ahead was tried


def back_test(past: Sequence[Hour], hours: int) -> BackTest | None:
    """Forecasts of ``hours`` hours (fewer, where the past is short) made at past moments. None after too few of them."""
    usual = Usual.of(past)
    if usual is None or hours < 1:
        return None
    least = usual.period * (2 if len(past) >= 4 * usual.period else 1)
    least = max(least, HOURS_LEAST)
    ahead = min(hours, (len(past) - least) // 2)
    if ahead < min(hours, AHEAD_LEAST):
        return None
    step = max(1, -(-(len(past) - ahead - least) // (TRIES_MOST - 1)))
    errors = [_error(past, now, ahead) for now in range(len(past) - ahead, least - 1, -step)]
    if len(errors) < TRIES_LEAST:
        return None
    return BackTest(
        median(abs(e) for e in errors), quantile(errors, Decimal("0.1")), quantile(errors, Decimal("0.9")),
        len(errors), ahead,
    )  # fmt: skip


def quantile(values: Sequence[Decimal], share: Decimal) -> Decimal:
    """The value below which ``share`` of them are, on a straight line between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def reached_in(amounts: Sequence[Decimal], hours: Sequence[Ahead], free: Decimal) -> Decimal | None:
    """In how many hours ``free`` is used up; None: not within these hours."""
    if free <= 0:
        return ZERO
    before = accumulate((share for _, share in hours), initial=ZERO)
    for amount, (_, share), start in zip(amounts, hours, before, strict=False):
        if amount >= free and amount > 0:
            return start + share * free / amount
        free -= amount
    return None


def _means(recent: Sequence[Hour], period: int) -> tuple[Decimal, ...]:
    """A place that no hour has (clocks were put forward) is taken for a middling one."""
    sums, counts = [ZERO] * period, [0] * period
    for place, amount in recent:
        sums[place % period] += amount
        counts[place % period] += 1
    middling = sum(sums, ZERO) / len(recent)
    return tuple(total / count if count else middling for total, count in zip(sums, counts, strict=True))


def _drift(totals: Sequence[Decimal]) -> Decimal:
    """The slope of the straight line nearest to the totals, as a share of their mean."""
    mean = sum(totals, ZERO) / len(totals)
    if len(totals) < 2 or mean <= 0:
        return ZERO
    middle = Decimal(len(totals) - 1) / 2
    rise = sum(((i - middle) * total for i, total in enumerate(totals)), ZERO)
    slope = rise / sum(((i - middle) ** 2 for i in range(len(totals))), ZERO) / mean
    return max(-DRIFT_MOST, min(DRIFT_MOST, slope))


def _error(past: Sequence[Hour], now: int, hours: int) -> Decimal:
    usual = Usual.of(past[:now])
    if usual is None:
        return ZERO
    came = past[now : now + hours]
    told = sum(usual.ahead([(place, Decimal(1)) for place, _ in came]), ZERO)
    real = sum((amount for _, amount in came), ZERO)
    if told <= 0:
        return Decimal(1) if real > 0 else ZERO
    return real / told - 1
