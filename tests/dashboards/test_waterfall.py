"""The waterfall's geometry: everything inside its lane, ticks at round times, a cost line that ends at the sum."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dashboards import waterfall
from tracking.reports.span_tree import Node, ordered

SECOND = 1_000_000


def places(*spans: tuple[int, int | None, int, int | None, int | None]):  # type: ignore[no-untyped-def]
    return ordered(Node(*one) for one in spans)


@pytest.mark.parametrize(
    "length_us", [1, 900, 5_000, 380_000, 4 * SECOND, 74 * SECOND, 3_600 * SECOND, 400 * 86_400 * SECOND]
)
def test_ticks_are_few_begin_at_nought_and_never_repeat(length_us: int) -> None:
    on = waterfall.scale(places((1, None, 10**15, 10**15 + length_us, None)))
    labels = [tick.label for tick in on.ticks]
    assert labels[0] == "0"
    assert 1 <= len(labels) <= 6
    assert len(set(labels)) == len(labels)


def test_bars_stay_in_their_lane_whatever_the_clocks_say() -> None:
    tree = places((1, None, 0, 10 * SECOND, None), (2, 1, 9 * SECOND, 30 * SECOND, None), (3, 1, 5, None, None))
    on = waterfall.scale(tree)
    for at in (-5, 0, 15 * SECOND, 99 * SECOND):
        assert 0 <= on.x(at) <= 100
    assert on.length_us == 30 * SECOND


def test_an_open_span_reaches_to_now_while_the_run_goes_on() -> None:
    tree = places((1, None, 0, None, None), (2, 1, SECOND, 2 * SECOND, None))
    assert waterfall.scale(tree).length_us == 2 * SECOND
    assert waterfall.scale(tree, now_us=60 * SECOND).length_us == 60 * SECOND


def test_the_cost_line_ends_at_the_known_sum_and_is_absent_without_one() -> None:
    tree = places((1, None, 0, 100, None), (2, 1, 10, 50, 3_000_000_000), (3, 1, 20, 90, 1_000_000_000))
    line = waterfall.cost_line(tree, waterfall.scale(tree))
    assert line is not None
    assert line.total_usd == Decimal("0.4")
    assert line.marks[-1].label == "$0.4"
    assert waterfall.cost_line(places((1, None, 0, 5, None)), waterfall.scale(tree)) is None


def test_ten_thousand_calls_make_a_line_a_browser_can_draw() -> None:
    tree = places(*[(n, None, n * SECOND, n * SECOND + 5, 100) for n in range(1, 10_001)])
    line = waterfall.cost_line(tree, waterfall.scale(tree))
    assert line is not None
    assert line.line.count(",") <= 2 * waterfall.STEPS_MAX + 4
    assert line.total_usd == Decimal("0.0001")


def test_nothing_at_all_is_drawn_without_an_error() -> None:
    on = waterfall.scale([])
    assert on.ticks == ()
    assert waterfall.cost_line([], on) is None
