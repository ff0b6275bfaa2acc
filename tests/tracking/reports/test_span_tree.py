"""Any set of spans has one reading order."""

from __future__ import annotations

import random
from decimal import Decimal

from tracking.reports.span_tree import Node, costliest_path, cumulative, ids_of, key_of, ordered


def node(key: int, parent: int | None = None, at: int = 0, cost: int | None = None) -> Node:
    return Node(key, parent, at or key, (at or key) + 1, cost)


def lines(nodes: list[Node]) -> list[tuple[int, int, str]]:
    return [(place.node.key, place.depth, place.how) for place in ordered(nodes)]


def test_parents_come_first_and_children_by_time() -> None:
    nodes = [node(1), node(2, 1, at=30), node(3, 1, at=20), node(4, 3, at=40), node(5, None, at=90)]
    wanted = [(1, 0, "root"), (3, 1, "child"), (4, 2, "child"), (2, 1, "child"), (5, 0, "root")]
    assert lines(nodes) == wanted


def test_the_order_does_not_depend_on_the_order_of_arrival() -> None:
    chance = random.Random(7)
    nodes = [node(key, chance.randrange(0, key + 5)) for key in range(1, 200)]
    wanted = lines(nodes)
    for _ in range(5):
        chance.shuffle(nodes)
        assert lines(nodes) == wanted


def test_a_span_without_its_parent_is_shown_and_marked() -> None:
    assert lines([node(1), node(2, 77), node(3, 2)]) == [(1, 0, "root"), (2, 0, "orphan"), (3, 1, "child")]


def test_circles_and_self_parents_end_and_are_marked() -> None:
    """I33"""
    found = lines([node(1), node(2, 2), node(3, 5), node(4, 3), node(5, 4)])
    assert found == [(1, 0, "root"), (2, 0, "looped"), (3, 0, "looped"), (4, 1, "child"), (5, 2, "child")]


def test_a_chain_of_50000_and_10000_siblings_are_ordered() -> None:
    chain = [node(key, key - 1 or None) for key in range(1, 50_001)]
    assert [place.depth for place in ordered(chain)] == list(range(50_000))
    siblings = [node(1), *(node(key, 1) for key in range(2, 10_002))]
    assert ordered(siblings)[0].children == 10_000


def test_costs_add_up_the_tree_and_unknown_is_not_zero() -> None:
    places = ordered([node(1), node(2, 1, cost=50), node(3, 1), node(4, 3, cost=25), node(5, 1)])
    assert [place.subtree_units for place in places] == [75, 50, 25, 25, None]
    assert places[0].subtree_usd == Decimal("75e-10")
    assert [place.end for place in places] == [5, 2, 4, 4, 5]


def test_the_costliest_path_goes_down_to_the_call_that_cost_most() -> None:
    places = ordered([node(1), node(2, 1, cost=20), node(3, 1), node(4, 3, cost=30), node(5, 3, cost=10)])
    assert {places[index].node.key for index in costliest_path(places)} == {1, 3, 4}
    assert costliest_path(ordered([node(1), node(2, 1)])) == set()


def test_cost_is_run_up_when_calls_end() -> None:
    slow = Node(1, None, 0, 100, 50)
    quick = Node(2, None, 10, 20, 10)
    open_call = Node(3, None, 150, None, 20)
    steps = cumulative([slow, quick, open_call])
    assert [(step.at_us, step.total_units) for step in steps] == [(20, 10), (100, 60), (150, 80)]


def test_spans_of_merged_runs_keep_apart_and_keys_lead_back_to_their_ids() -> None:
    ids = [(place, span_id) for place in (0, 1, 36) for span_id in (-(2**63), -1, 0, 1, 2**63 - 1)]
    keys = [key_of(*pair) for pair in ids]
    assert len(set(keys)) == len(ids)
    assert [ids_of(key) for key in keys] == ids
