"""What two texts differ in, line by line, as a person reads it; where lines are long, sentence by sentence. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from tracking.reports.alignment import aligned

CHARACTERS_MAX = 40_000  # of each text
CELLS = 250_000
LINE_CHARACTERS = 120  # where one is longer, all are cut where their sentences end
AROUND = 3  # lines of both, round what differs
_SENTENCE = re.compile(r"(?<=[.!?;])\s+")


class Line(NamedTuple):
    """``kind``: add, del, "" for a line of both, gap where lines of both are left out."""

    kind: str
    text: str


def text_difference(before: str, after: str) -> list[Line]:
    """Nothing where both are the same, as far as CHARACTERS_MAX."""
    one, other = before[:CHARACTERS_MAX].splitlines(), after[:CHARACTERS_MAX].splitlines()
    if any(len(line) > LINE_CHARACTERS for line in (*one, *other)):
        one, other = ([part for line in lines for part in _SENTENCE.split(line)] for lines in (one, other))
    if one == other:
        return []
    found: list[Line] = []
    for pair in aligned([(line,) for line in one], [(line,) for line in other], cells=CELLS).pairs:
        if pair.one is None:
            found.append(Line("add", other[pair.other or 0]))
        else:
            found.append(Line("del" if pair.other is None else "", one[pair.one]))
    return _near(found)


def _near(lines: list[Line]) -> list[Line]:
    """Those that differ and AROUND of both round them."""
    shown = [False] * len(lines)
    for place, line in enumerate(lines):
        if line.kind:
            first, last = max(place - AROUND, 0), min(place + AROUND + 1, len(lines))
            shown[first:last] = [True] * (last - first)
    found: list[Line] = []
    for line, is_shown in zip(lines, shown, strict=True):
        if is_shown:
            found.append(line)
        elif not found or found[-1].kind != "gap":
            found.append(Line("gap", "…"))
    return found
