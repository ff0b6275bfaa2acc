"""I19: clocks that are off. Spans are moved by what the request's time says, their sender's word stays in a note."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.ingest.clean import clean_all
from tracking.ingest.clocks import DAY_NS, MINUTE_NS
from wflo.spans import Span

SECOND = 10**9
NOW_NS = 1_790_000_000 * SECOND
HOST: dict[str, Any] = {"host.name": "one"}


def span(off_ns: int, *, number: int = 1, resource: dict[str, Any] = HOST, lasts: int | None = SECOND) -> Span:
    """As a host tells it whose clock is off by so much: it ended two seconds before it came."""
    began = NOW_NS - 3 * SECOND + off_ns
    return Span(
        trace_id="a" * 32,
        span_id=f"{number:016x}",
        started_ns=began,
        ended_ns=None if lasts is None else began + lasts,
        events=[{"name": "first token", "time_ns": began + 1, "attributes": {}}],
        resource=resource,
    )


def received(*spans: Span, after: int = 0) -> list[Span]:
    kept, rejected = clean_all(list(spans), received_ns=NOW_NS + after)
    assert rejected == []
    return kept


@pytest.mark.parametrize(
    ("off", "words"),
    [
        (DAY_NS, "1 day ahead"),
        (-30 * DAY_NS, "30 days behind"),
        (60 * MINUTE_NS, "1 hour ahead"),
        (5 * 60 * MINUTE_NS + 45 * MINUTE_NS, "5 hours 45 minutes ahead"),
        (-300 * DAY_NS, "300 days behind"),
    ],
)
@pytest.mark.parametrize("lasts", [SECOND, None])
def test_a_clock_that_is_off_is_set_right_and_said(off: int, words: str, lasts: int | None) -> None:
    told, meant = span(off, lasts=lasts), span(0, lasts=lasts)
    as_sent = f"times {told.started_ns} to {told.ended_ns} as sent, by a clock {words}"
    (made,) = received(told)
    assert (made.started_ns, made.ended_ns, made.events) == (meant.started_ns, meant.ended_ns, meant.events)
    assert made.notes == (as_sent,)


def test_a_clock_off_by_any_time_leaves_nothing_in_the_future() -> None:
    for off in range(16 * MINUTE_NS, 3 * 60 * MINUTE_NS, 7 * MINUTE_NS + 11 * SECOND):
        (made,) = received(span(off))
        assert NOW_NS - 15 * MINUTE_NS - 3 * SECOND <= made.started_ns <= NOW_NS


@pytest.mark.parametrize("off", [0, 14 * MINUTE_NS, -MINUTE_NS, -7 * DAY_NS, -28 * DAY_NS])
def test_what_may_be_true_is_believed(off: int) -> None:
    (made,) = received(span(off))
    assert (made.started_ns, made.notes) == (span(off).started_ns, ())


def test_requests_of_one_run_and_one_sent_again_are_moved_alike() -> None:
    for off in (DAY_NS, -30 * DAY_NS, 2 * 60 * MINUTE_NS):
        first, again, later = (received(span(off), after=after)[0] for after in (0, 20 * SECOND, 5 * MINUTE_NS))
        assert first == again == later


def test_a_host_is_set_right_and_its_neighbour_in_the_same_request_is_left_alone() -> None:
    right, wrong = {"host.name": "one"}, {"host.name": "two"}
    made = received(
        span(0, resource=right), span(DAY_NS, number=2, resource=wrong), span(DAY_NS, number=3, resource=wrong)
    )
    assert [one.started_ns for one in made] == [span(0).started_ns] * 3
    assert [bool(one.notes) for one in made] == [False, True, True]


def test_an_old_span_beside_a_new_one_of_the_same_sender_is_late_and_believed() -> None:
    old, new = received(span(-40 * DAY_NS), span(0, number=2))
    assert (old.started_ns, old.notes, new.notes) == (span(-40 * DAY_NS).started_ns, (), ())


def test_times_that_no_clock_tells_do_not_move_their_neighbours() -> None:
    nonsense = span(0, number=2)
    nonsense.started_ns = nonsense.ended_ns = 2**63 - 1
    made, repaired = received(span(0), nonsense)
    assert (made.started_ns, made.notes) == (span(0).started_ns, ())
    assert repaired.ended_ns == NOW_NS
