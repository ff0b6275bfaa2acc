"""How a range of whole hours is read: whole UTC days from day rows, its edges from hour rows. Pure.

An edge's hours are added to the days inside, or taken off a day that is read whole: whichever are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

HOUR, DAY = 0, 1  # tracking.models.Usage.Grain
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows of one grain, half open, added or taken away."""

    grain: int
    start: datetime
    end: datetime
    is_taken_away: bool = False


def stretches(start: datetime, end: datetime, now: datetime) -> list[Stretch]:
    """What adds up to ``start``..``end``, of whole hours in UTC. Hours after ``now`` hold next to nothing."""
    first, last = start.replace(hour=0), end.replace(hour=0)
    if start - first > first + _DAY - start:
        first += _DAY
    if end - last > max(min(last + _DAY, now) - end, timedelta(0)):
        last += _DAY
    edges = (
        Stretch(HOUR, min(start, first), max(start, first), is_taken_away=first < start),
        Stretch(HOUR, min(end, last), max(end, last), is_taken_away=last > end),
    )
    if first >= last or sum((edge.end - edge.start for edge in edges), timedelta(0)) >= end - start:
        return [Stretch(HOUR, start, end)]
    return [Stretch(DAY, first, last), *(edge for edge in edges if edge.start < edge.end)]
