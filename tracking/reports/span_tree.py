"""The order in which a run's spans are read: parents before children, children by time, with depth. Pure.

Whatever was sent can be drawn: a parent that never came, a span that is its own ancestor, 10,000 siblings, a chain of
50,000. Nothing recurses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import NamedTuple

ROOT, CHILD, ORPHAN, LOOPED = "root", "child", "orphan", "looped"


COST_SCALE = 10  # NUMERIC(20,10): a unit is 1e-10 USD; whole numbers add up exactly and fast
_TRACE = 1 << 64


class Node(NamedTuple):
    """What the order needs of one span. ``key`` names it (``key_of``); ``parent`` may name nothing. Times in
    microseconds; ``cost_units`` its own cost as counted in sums, None when it has none or none is known."""

    key: int
    parent: int | None
    started_us: int
    ended_us: int | None
    cost_units: int | None
    is_unpriced: bool = False
    is_step: bool = False  # a model or tool call that counts: gets a number


def key_of(trace_place: int, span_id: int) -> int:
    """One number for a span of the run at ``trace_place`` (0 unless runs are merged); its stored id for the first."""
    return span_id + trace_place * _TRACE


def ids_of(key: int) -> tuple[int, int]:
    """The place of its run, and the span id as stored."""
    place = (key + (_TRACE >> 1)) // _TRACE
    return place, key - place * _TRACE


def _usd(units: int | None) -> Decimal | None:
    return None if units is None else Decimal(units).scaleb(-COST_SCALE)


@dataclass(slots=True)
class Place:
    """Where a node stands in the order. ``subtree_*`` sum the node and all below; ``end`` is the place after them.

    ``how``: root; child; orphan (its parent was not seen); looped (it is its own ancestor, so the circle is opened here).
    """

    node: Node
    depth: int
    how: str
    parent_place: int = -1
    children: int = 0
    end: int = 0
    subtree_units: int | None = None
    subtree_unpriced: int = 0

    @property
    def subtree_usd(self) -> Decimal | None:
        return _usd(self.subtree_units)


def ordered(nodes: Iterable[Node]) -> list[Place]:
    """All nodes, once each, in reading order; the same for any order they come in."""
    latest_first = sorted(nodes, key=itemgetter(2, 0), reverse=True)
    by_key = {node.key: node for node in latest_first}
    children: dict[int, list[Node]] = defaultdict(list)
    tops: list[tuple[Node, str]] = []
    for node in by_key.values():
        parent = node.parent
        if parent is None:
            tops.append((node, ROOT))
        elif parent == node.key:
            tops.append((node, LOOPED))
        elif parent in by_key:
            children[parent].append(node)
        else:
            tops.append((node, ORPHAN))
    places: list[Place] = []
    seen: set[int] = set()
    _walk(tops, children, seen, places)
    if len(places) < len(by_key):  # circles that hang on no root: each is opened at its earliest span
        for node in reversed(latest_first):
            if node.key not in seen:
                _walk([(node, LOOPED)], children, seen, places)
    _sum_up(places)
    return places


def _walk(tops: list[tuple[Node, str]], children: dict[int, list[Node]], seen: set[int], places: list[Place]) -> None:
    """Append ``tops`` (last first) and what is below them, depth first; every list is latest first."""
    waiting = [(node, 0, how, -1) for node, how in tops]
    while waiting:
        node, depth, how, parent_place = waiting.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        place = Place(node, depth, how, parent_place)
        here = len(places)
        places.append(place)
        below = children.get(node.key)
        if below:
            fresh = [child for child in below if child.key not in seen]
            place.children = len(fresh)
            waiting += [(child, depth + 1, CHILD, here) for child in fresh]


def _sum_up(places: Sequence[Place]) -> None:
    """Costs of subtrees, from the last place up: a child always stands after its parent."""
    for index in range(len(places) - 1, -1, -1):
        place = places[index]
        if place.end == 0:
            place.end = index + 1
        own = place.node.cost_units
        if own is not None:
            place.subtree_units = own + (place.subtree_units or 0)
        if place.node.is_unpriced:
            place.subtree_unpriced += 1
        if place.parent_place >= 0:
            parent = places[place.parent_place]
            if parent.end < place.end:
                parent.end = place.end
            parent.subtree_unpriced += place.subtree_unpriced
            if place.subtree_units is not None:
                parent.subtree_units = (parent.subtree_units or 0) + place.subtree_units


def costliest_path(places: Sequence[Place]) -> set[int]:
    """Places from the costliest top down to the costliest leaf: where the money went. Empty when nothing cost."""
    best_child: dict[int, tuple[int, int]] = {}  # parent's place (-1: of the tops) -> cost, place
    for index, place in enumerate(places):
        cost = place.subtree_units
        if cost and cost > best_child.get(place.parent_place, (0, 0))[0]:
            best_child[place.parent_place] = (cost, index)
    path: set[int] = set()
    at = best_child.get(-1)
    while at is not None:
        path.add(at[1])
        at = best_child.get(at[1])
    return path


def step_numbers(places: Sequence[Place]) -> dict[int, int]:
    """Numbers of the model and tool calls, in reading order: place -> number from 1."""
    found: dict[int, int] = {}
    for index, place in enumerate(places):
        if place.node.is_step:
            found[index] = len(found) + 1
    return found


class Step(NamedTuple):
    """Known cost of the run so far, from this moment on."""

    at_us: int
    total_units: int

    @property
    def total_usd(self) -> Decimal:
        return Decimal(self.total_units).scaleb(-COST_SCALE)


def cumulative(nodes: Iterable[Node]) -> list[Step]:
    """Cost as it was run up: each call's cost counts when the call ends (begins, while it is open)."""
    charged = sorted((node.ended_us or node.started_us, node.cost_units) for node in nodes if node.cost_units)
    steps: list[Step] = []
    total = 0
    for at, units in charged:
        total += units
        if steps and steps[-1].at_us == at:
            steps[-1] = Step(at, total)
        else:
            steps.append(Step(at, total))
    return steps
