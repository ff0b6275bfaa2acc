"""Senders' clocks that are off: known from when a request came, set right for all spans of one resource alike.

Nothing can have ended after it came. What came four weeks after it ended is taken for a wrong clock too: spools hold
hours or days. The correction is rounded, up to a quarter of an hour (zones) or down to a day, so that the requests of
one run, and a request sent again, are moved alike. What was sent stays in a note.
"""

from __future__ import annotations

from collections.abc import Sequence

from wflo.spans import Span

MINUTE_NS = 60 * 10**9
DAY_NS = 24 * 60 * MINUTE_NS
QUARTER_NS = 15 * MINUTE_NS
AHEAD_NS_MAX = QUARTER_NS  # believed as it is
BEHIND_NS_MAX = 29 * DAY_NS
CLOCK_NS_MAX = 400 * DAY_NS  # further ahead is no clock but nonsense, left to ``clean``
EARLIEST_NS = 946_684_800 * 10**9  # 2000-01-01; before it likewise


def set_right(spans: Sequence[Span], *, received_ns: int) -> None:
    """Move the times of spans, in place, whose sender's clock is off."""
    latest = [span.started_ns if span.ended_ns is None else span.ended_ns for span in spans]
    low, high = received_ns - BEHIND_NS_MAX + QUARTER_NS, received_ns + AHEAD_NS_MAX
    if not latest or (low <= min(latest) and max(latest) <= high):
        return
    senders: dict[int, list[Span]] = {}
    for span in spans:
        senders.setdefault(id(span.resource), []).append(span)
    for sent in senders.values():
        off_ns = _off(sent, received_ns)
        if off_ns:
            for span in sent:
                _move(span, off_ns, received_ns)


def _off(spans: Sequence[Span], received_ns: int) -> int:
    """How far the clock is ahead (below zero: behind); 0 when it is believed."""
    ends = [span.started_ns if span.ended_ns is None else span.ended_ns for span in spans]
    true_ones = [end for end in ends if _may_be(end, received_ns)]
    if not true_ones:
        return 0
    ahead = max(true_ones) - received_ns
    if ahead > AHEAD_NS_MAX:
        return -(-ahead // QUARTER_NS) * QUARTER_NS
    days = (QUARTER_NS - ahead) // DAY_NS
    return -days * DAY_NS if days * DAY_NS >= BEHIND_NS_MAX else 0


def _may_be(time: int, received_ns: int) -> bool:
    return EARLIEST_NS <= time <= received_ns + CLOCK_NS_MAX


def _move(span: Span, off_ns: int, received_ns: int) -> None:
    as_sent = f"times {span.started_ns} to {span.ended_ns} as sent"
    if _may_be(span.started_ns, received_ns):
        span.started_ns -= off_ns
    if span.ended_ns is not None and _may_be(span.ended_ns, received_ns):
        span.ended_ns -= off_ns
    for event in span.events:
        time = event.get("time_ns")
        if isinstance(time, int) and _may_be(time, received_ns):
            event["time_ns"] = time - off_ns
    span.notes = (*span.notes, f"{as_sent}, by a clock {_words(off_ns)}")


def _words(off_ns: int) -> str:
    minutes = abs(off_ns) // MINUTE_NS
    days, rest = divmod(minutes, 24 * 60)
    parts = ((days, "day"), (rest // 60, "hour"), (rest % 60, "minute"))
    said = " ".join(f"{count} {unit}{'s' if count > 1 else ''}" for count, unit in parts if count)
    return f"{said} {'ahead' if off_ns > 0 else 'behind'}"
