"""The order in which a run's spans are read: parents before children, children by time, with depth. Pure.

Whatever was sent can be drawn: a parent that never came, a span that is its own ancestor, 10,000 siblings, a chain of
50,000. Nothing recurses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

ROOT, CHILD, ORPHAN, LOOPED = "root", "child", "orphan", "looped"


class Node(NamedTuple):
    """What the order needs of one span. ``key`` names it; ``parent`` may name nothing. Times in microseconds."""

    key: tuple[int, int]  # trace place (0 unless traces are merged), span id as stored
    parent: tuple[int, int] | None
    started_us: int
    ended_us: int | None
    cost_usd: Decimal | None  # its own, counted in sums
    is_unpriced: bool = False
    is_step: bool = False  # a model or tool call that counts: gets a number


@dataclass(slots=True)
class Place:
    """Where a node stands in the order. ``subtree_*`` sum the node and all below; ``end`` is the place after them.

    ``how``: root; child; orphan (its parent was not seen); looped (it is its own ancestor, so the circle is opened here).
    """

    node: Node
    depth: int
    how: str
    children: int = 0
    end: int = 0
    parent_place: int = -1
    subtree_usd: Decimal | None = None
    subtree_unpriced: int = 0


def ordered(nodes: Iterable[Node]) -> list[Place]:
    """All nodes, once each, in reading order; the same for any order they come in."""
    by_key = {node.key: node for node in nodes}
    children: dict[tuple[int, int], list[Node]] = defaultdict(list)
    tops: list[tuple[Node, str]] = []
    for node in by_key.values():
        if node.parent is None:
            tops.append((node, ROOT))
        elif node.parent == node.key:
            tops.append((node, LOOPED))
        elif node.parent not in by_key:
            tops.append((node, ORPHAN))
        else:
            children[node.parent].append(node)
    for siblings in children.values():
        siblings.sort(key=_time, reverse=True)
    tops.sort(key=lambda top: _time(top[0]), reverse=True)
    places = _walk(tops, children, set())
    if len(places) < len(by_key):
        places += _opened(by_key.values(), children, {place.node.key for place in places}, len(places))
    _sum_up(places)
    return places


def _time(node: Node) -> tuple[int, tuple[int, int]]:
    return (node.started_us, node.key)


def _walk(
    tops: list[tuple[Node, str]],
    children: dict[tuple[int, int], list[Node]],
    seen: set[tuple[int, int]],
    offset: int = 0,
) -> list[Place]:
    """Depth first from ``tops`` (last first). ``offset`` is the place the first one gets."""
    places: list[Place] = []
    waiting = [(node, 0, how, -1) for node, how in tops]
    while waiting:
        node, depth, how, parent_place = waiting.pop()
        if node.key in seen:
            continue
        seen.add(node.key)
        place = Place(node, depth, how, parent_place=parent_place)
        here = offset + len(places)
        places.append(place)
        for child in children.get(node.key, ()):
            if child.key not in seen:
                place.children += 1
                waiting.append((child, depth + 1, CHILD, here))
    return places


def _opened(
    nodes: Iterable[Node], children: dict[tuple[int, int], list[Node]], seen: set[tuple[int, int]], offset: int
) -> list[Place]:
    """Circles that hang on no root: each is opened at its earliest span."""
    places: list[Place] = []
    for node in sorted(nodes, key=_time):
        if node.key not in seen:
            places += _walk([(node, LOOPED)], children, seen, offset + len(places))
    return places


def _sum_up(places: Sequence[Place]) -> None:
    """Costs of subtrees, from the last place up: a child always stands after its parent."""
    for index in range(len(places) - 1, -1, -1):
        place = places[index]
        place.end = max(place.end, index + 1)
        own = place.node.cost_usd
        if own is not None:
            place.subtree_usd = own if place.subtree_usd is None else place.subtree_usd + own
        place.subtree_unpriced += place.node.is_unpriced
        if place.parent_place >= 0:
            parent = places[place.parent_place]
            parent.end = max(parent.end, place.end)
            parent.subtree_unpriced += place.subtree_unpriced
            if place.subtree_usd is not None:
                parent.subtree_usd = (parent.subtree_usd or Decimal(0)) + place.subtree_usd


def costliest_path(places: Sequence[Place]) -> set[int]:
    """Places from the costliest top down to the costliest leaf: where the money went. Empty when nothing cost."""
    best_child: dict[int, int] = {}  # -1: of the tops
    for index, place in enumerate(places):
        cost = place.subtree_usd
        rival = best_child.get(place.parent_place)
        if cost and (rival is None or cost > (places[rival].subtree_usd or 0)):
            best_child[place.parent_place] = index
    path: set[int] = set()
    at = best_child.get(-1)
    while at is not None:
        path.add(at)
        at = best_child.get(at)
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
    total_usd: Decimal


def cumulative(nodes: Iterable[Node]) -> list[Step]:
    """Cost as it was run up: each call's cost counts when the call ends (begins, while it is open)."""
    steps: list[Step] = []
    total = Decimal(0)
    for node in sorted(nodes, key=lambda n: (n.ended_us if n.ended_us is not None else n.started_us, n.key)):
        if not node.cost_usd:
            continue
        total += node.cost_usd
        at = node.ended_us if node.ended_us is not None else node.started_us
        if steps and steps[-1].at_us == at:
            steps[-1] = Step(at, total)
        else:
            steps.append(Step(at, total))
    return steps
