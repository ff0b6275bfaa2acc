"""Two lists put side by side: which element of one stands for which of the other. Pure.

Elements are compared by keys of several levels, the most demanding first (of a step: with what it was asked; without;
its kind alone). Of each level the longest common subsequence is taken, and between its elements the next level is tried.

A longest common subsequence costs the product of both lengths. What is the same at the beginning and the end is set
aside first, which is most of a run and its fork; where the rest is more than ``cells`` allow, elements that occur once in
each list are found first, and what stands between them is compared in parts, at last by its place (``is_exact`` False).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Keys = Sequence[Hashable]  # of one element, a key for each level


class Pair(NamedTuple):
    """Places in both lists; None where the other has no such element. ``level`` is that of the keys which are equal."""

    one: int | None
    other: int | None
    level: int = 0


@dataclass(frozen=True, slots=True)
class Alignment:
    """Every element of both lists once, in both their orders."""

    pairs: list[Pair]
    is_exact: bool = True


@dataclass(slots=True)
class _Left:
    """Cells that may still be compared."""

    cells: int
    is_exact: bool = True


class _Gap(NamedTuple):
    """A stretch of one list beside one of the other."""

    one: int
    one_end: int
    other: int
    other_end: int

    @property
    def is_empty(self) -> bool:
        return self.one == self.one_end or self.other == self.other_end


def aligned(one: Sequence[Keys], other: Sequence[Keys], *, cells: int) -> Alignment:
    """All elements have as many keys as the first. ``cells``: comparisons of one element with one, about."""
    left = _Left(cells)
    levels = len((one or other or ((),))[0])
    matches: list[tuple[int, int, int]] = []
    gaps = [_Gap(0, len(one), 0, len(other))]
    for level in range(levels):
        keys, others = [element[level] for element in one], [element[level] for element in other]
        found = [match for gap in gaps if not gap.is_empty for match in _common(keys, others, gap, left)]
        matches = sorted([*matches, *((i, j, level) for i, j in found)])
        gaps = _between([match[:2] for match in matches], len(one), len(other))
    pairs: list[Pair] = []
    for place, gap in enumerate(gaps):  # a match stands after each gap but the last
        pairs += [Pair(i, None, levels) for i in range(gap.one, gap.one_end)]
        pairs += [Pair(None, j, levels) for j in range(gap.other, gap.other_end)]
        pairs += [Pair(*match) for match in matches[place : place + 1]]
    return Alignment(pairs, left.is_exact)


def _between(matches: Sequence[tuple[int, int]], length: int, other_length: int) -> list[_Gap]:
    """What stands before, between and after matches."""
    gaps, i, j = [], 0, 0
    for one, other in (*matches, (length, other_length)):
        gaps.append(_Gap(i, one, j, other))
        i, j = one + 1, other + 1
    return gaps


# --- the longest common subsequence -----------------------------------------------------------------------------------


def _common(one: Keys, other: Keys, whole: _Gap, left: _Left) -> list[tuple[int, int]]:
    """Places of equal keys in a gap, rising in both lists; the most there can be, as far as ``left`` goes."""
    found: list[tuple[int, int]] = []
    waiting = [whole]
    while waiting:
        gap, ends = _trimmed(one, other, waiting.pop())
        found += ends
        if gap.is_empty:
            continue
        cells = (gap.one_end - gap.one) * (gap.other_end - gap.other)
        if cells <= left.cells:
            left.cells -= cells
            found += _longest(one, other, gap)
            continue
        left.is_exact = False
        anchors = _anchors(one, other, gap)
        if not anchors:
            found += _by_place(one, other, gap)
            continue
        found += anchors
        inside = _between(
            [(i - gap.one, j - gap.other) for i, j in anchors], gap.one_end - gap.one, gap.other_end - gap.other
        )
        waiting += [
            _Gap(gap.one + part.one, gap.one + part.one_end, gap.other + part.other, gap.other + part.other_end)
            for part in reversed(inside)
        ]
    return found


def _trimmed(one: Keys, other: Keys, gap: _Gap) -> tuple[_Gap, list[tuple[int, int]]]:
    """The gap without what is the same at its beginning and its end, and that."""
    i, i_end, j, j_end = gap
    found = []
    while i < i_end and j < j_end and one[i] == other[j]:
        found.append((i, j))
        i, j = i + 1, j + 1
    while i < i_end and j < j_end and one[i_end - 1] == other[j_end - 1]:
        i_end, j_end = i_end - 1, j_end - 1
        found.append((i_end, j_end))
    return _Gap(i, i_end, j, j_end), found


def _longest(one: Keys, other: Keys, gap: _Gap) -> list[tuple[int, int]]:
    """By the table of lengths, from the end; of several longest ones that with the earliest places."""
    mine, theirs = one[gap.one : gap.one_end], other[gap.other : gap.other_end]
    width = len(theirs)
    below = [0] * (width + 1)
    table = [below]
    for key in reversed(mine):
        row = [0] * (width + 1)
        longest = 0
        for j in range(width - 1, -1, -1):
            if key == theirs[j]:
                longest = below[j + 1] + 1
            elif below[j] > longest:
                longest = below[j]
            row[j] = longest
        table.append(row)
        below = row
    table.reverse()
    found, i, j = [], 0, 0
    while i < len(mine) and j < width:
        if mine[i] == theirs[j]:
            found.append((gap.one + i, gap.other + j))
            i, j = i + 1, j + 1
        elif table[i + 1][j] >= table[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _anchors(one: Keys, other: Keys, gap: _Gap) -> list[tuple[int, int]]:
    """Keys that occur once in both stretches: as many of them as rise in both (the longest rising subsequence)."""
    mine, theirs = Counter(one[gap.one : gap.one_end]), Counter(other[gap.other : gap.other_end])
    places = {other[j]: j for j in range(gap.other, gap.other_end) if theirs[other[j]] == 1}
    unique = [(i, places[one[i]]) for i in range(gap.one, gap.one_end) if mine[one[i]] == 1 and one[i] in places]
    ends: list[int] = []  # of the rising subsequence of each length, the smallest last place
    last: list[int] = []  # and the index in ``unique`` of that
    before: list[int] = []
    for index, (_, j) in enumerate(unique):
        at = bisect_left(ends, j)
        before.append(last[at - 1] if at else -1)
        ends[at : at + 1], last[at : at + 1] = [j], [index]
    found = []
    index = last[-1] if last else -1
    while index >= 0:
        found.append(unique[index])
        index = before[index]
    return found[::-1]


def _by_place(one: Keys, other: Keys, gap: _Gap) -> list[tuple[int, int]]:
    length = min(gap.one_end - gap.one, gap.other_end - gap.other)
    return [(gap.one + at, gap.other + at) for at in range(length) if one[gap.one + at] == other[gap.other + at]]
