"""Durations as a histogram in one whole number.

Bucket i counts durations from 2^(i/2) up to 2^((i+1)/2) milliseconds; its count stands in decimal digits 12i..12i+11
of the number. Adding two such numbers adds the histograms, subtracting takes one away, and PostgreSQL's ``sum``
over NUMERIC merges any number of rows. Twelve digits are three of NUMERIC's base-10000 digits: no carry reaches a
neighbour below 10^12 spans. A percentile is right within its bucket (a factor of 1.42, interpolated).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import accumulate

BUCKETS = 40  # up to 2^20 ms, some 17 minutes; longer ones count in the last
DIGITS = 12
_STEP = 10**DIGITS
WEIGHTS: tuple[int, ...] = tuple(_STEP**i for i in range(BUCKETS))
_GROUP = 8
_WIDE = _STEP**_GROUP


def bucket_of(duration_ms: float) -> int:
    if duration_ms <= 1:
        return 0
    return min(BUCKETS - 1, int(2 * math.log2(duration_ms)))


def counts(packed: int) -> list[int]:
    """The histogram's counts, lowest bucket first, zeros after the highest. A negative total means deltas were lost: raises ValueError."""
    if packed < 0:
        raise ValueError("a latency histogram is negative")
    result = []
    while packed:  # eight counts at a time: a long number is divided less often
        packed, group = divmod(packed, _WIDE)
        for _ in range(_GROUP):
            group, count = divmod(group, _STEP)
            result.append(count)
    return result


def percentiles(packed: int, *shares: float) -> tuple[float | None, ...]:
    """The durations in ms that each of ``shares`` (0..1) of the counted ones stay below; None of none."""
    histogram = counts(packed)
    reached = list(accumulate(histogram))
    if not reached:
        return (None,) * len(shares)
    return tuple(_duration_at(share * reached[-1], histogram, reached) for share in shares)


def _duration_at(rank: float, histogram: list[int], reached: list[int]) -> float:
    """``reached``: how many there are up to each bucket and in it."""
    i = bisect_left(reached, rank) if rank > 0 else next(i for i, count in enumerate(histogram) if count)
    low = 0.0 if i == 0 else 2 ** (i / 2)
    high = 2 ** ((i + 1) / 2)
    return round(low + (high - low) * (rank - reached[i] + histogram[i]) / histogram[i], 3)
