"""Why a cost changed: how much comes of more calls, of another mix, of longer calls, of a dearer price.

With n calls, t tokens and c dollars in each group g (an agent, a model ...), before (0) and now (1), capital N the sum
over groups, s = n/N a group's share of calls, p = c/n its dollars a call and r = c/t its dollars a token:

    volume = (N1 - N0) * C0/N0
    mix    = N1 * sum of (s1 - s0) * p0      (a new group has no p0: its p1 stands in)
    size   = sum of n1 * (t1/n1 - t0/n0) * r0
    price  = sum of n1 * (p1 - p0) - size

The four add up to the change exactly; the rounding of ten decimals goes into the largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

DECIMALS = Decimal("1e-10")


@dataclass(frozen=True, slots=True)
class Spent:
    """What one group used in one period: priced calls, their tokens, their dollars."""

    calls: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class GroupChange:
    key: str
    before_usd: Decimal
    now_usd: Decimal
    mix_usd: Decimal
    size_usd: Decimal
    price_usd: Decimal

    @property
    def change_usd(self) -> Decimal:
        return self.now_usd - self.before_usd


@dataclass(frozen=True, slots=True)
class Change:
    """volume + mix + size + price = now - before, in USD."""

    before_usd: Decimal
    now_usd: Decimal
    volume_usd: Decimal
    mix_usd: Decimal
    size_usd: Decimal
    price_usd: Decimal
    groups: tuple[GroupChange, ...]  # largest change first

    @property
    def change_usd(self) -> Decimal:
        return self.now_usd - self.before_usd


NOTHING = Spent(0, 0, Decimal(0))


def explain(before: Mapping[str, Spent], now: Mapping[str, Spent]) -> Change:
    """Groups by name, before and now. Groups without calls but with cost (a tool's price) count as one call each."""
    calls0 = sum(_calls(spent) for spent in before.values())
    calls1 = sum(_calls(spent) for spent in now.values())
    cost0 = sum((spent.cost_usd for spent in before.values()), Decimal(0))
    cost1 = sum((spent.cost_usd for spent in now.values()), Decimal(0))
    average = Fraction(cost0) / calls0 if calls0 else Fraction(0)
    volume = (calls1 - calls0) * average if calls0 else Fraction(cost1)  # from nothing: all of it is volume
    parts = {
        key: _group_parts(before.get(key, NOTHING), now.get(key, NOTHING), calls0, calls1)
        for key in sorted({*before, *now})
    }
    sums = [volume, *(sum((part[i] for part in parts.values()), Fraction(0)) for i in range(3))]
    volume_usd, mix_usd, size_usd, price_usd = _rounded(sums, cost1 - cost0)
    groups = [
        GroupChange(
            key,
            before.get(key, NOTHING).cost_usd,
            now.get(key, NOTHING).cost_usd,
            *(_decimal(value) for value in part),
        )
        for key, part in parts.items()
    ]
    groups.sort(key=lambda group: (-abs(group.change_usd), group.key))
    return Change(cost0, cost1, volume_usd, mix_usd, size_usd, price_usd, tuple(groups))


def _calls(spent: Spent) -> int:
    return spent.calls or (1 if spent.cost_usd else 0)


def _group_parts(old: Spent, new: Spent, calls0: int, calls1: int) -> tuple[Fraction, Fraction, Fraction]:
    """mix, size and price of one group."""
    n0, n1 = _calls(old), _calls(new)
    c0, c1 = Fraction(old.cost_usd), Fraction(new.cost_usd)
    share0 = Fraction(n0, calls0 or 1)
    share1 = Fraction(n1, calls1 or 1)
    p1 = c1 / n1 if n1 else None
    p0 = c0 / n0 if n0 else p1
    if p0 is None or not calls0:
        return Fraction(0), Fraction(0), Fraction(0)
    mix = calls1 * (share1 - share0) * p0
    if p1 is None or not n0:
        return mix, Fraction(0), Fraction(0)
    dearer = n1 * (p1 - p0)
    if not (old.tokens and new.tokens):
        return mix, Fraction(0), dearer
    size = n1 * (Fraction(new.tokens, n1) - Fraction(old.tokens, n0)) * (c0 / old.tokens)
    return mix, size, dearer - size


def _decimal(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(DECIMALS)


def _rounded(values: list[Fraction], total: Decimal) -> list[Decimal]:
    decimals = [_decimal(value) for value in values]
    largest = max(range(len(decimals)), key=lambda i: abs(decimals[i]))
    decimals[largest] += total - sum(decimals, Decimal(0))
    return decimals
