"""From spans to usage deltas: pure arithmetic on whole numbers.

A span's share goes to one cell of the cube; the other slices are sums of cube cells. What a changed run contributed
before is subtracted and what it contributes now is added, so nothing is ever counted twice or lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import add
from typing import NamedTuple

from tracking.usage import slices

HOUR_US = 3_600_000_000

# Places in a measure tuple; the same order as the columns of tracking_usage_delta.
MEASURES = (
    "runs",
    "spans",
    "llm_calls",
    "tool_calls",
    "errors",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "embedding_tokens",
    "cost_units",
    "unpriced_calls",
    "estimated_calls",
    "latency",
)
ZERO = (0,) * len(MEASURES)
_RUNS = 0

Measures = tuple[int, ...]


class Cell(NamedTuple):
    """What a span's usage is grouped by. '' is nobody, or nothing."""

    team_id: int
    hour_us: int
    agent: str
    model: str
    provider: str
    tool: str
    kind: int
    key_id: str
    environment: str
    user_id: str


class Key(NamedTuple):
    """A usage row: its slice and the columns that slice has; the others hold '' and -1."""

    team_id: int
    slice: int
    hour_us: int
    agent: str = ""
    model: str = ""
    provider: str = ""
    tool: str = ""
    kind: int = -1
    user_id: str = ""
    key_id: str = ""
    environment: str = ""


@dataclass(slots=True)
class Deltas:
    """What one transaction adds to the usage tables."""

    cells: dict[Cell, Measures]
    presence: dict[Key, int]  # +1 or -1 run in a slice

    @classmethod
    def empty(cls) -> Deltas:
        return cls({}, {})

    def add(self, cell: Cell, measures: Measures) -> None:
        old = self.cells.get(cell)
        self.cells[cell] = measures if old is None else tuple(map(add, old, measures))

    def subtract(self, cell: Cell, measures: Measures) -> None:
        self.add(cell, tuple(-m for m in measures))

    def count_runs(self, keys: Iterable[Key], sign: int) -> None:
        for key in keys:
            self.presence[key] = self.presence.get(key, 0) + sign

    def rows(self) -> Iterator[tuple[Key, Measures]]:
        """Every row to write, of every slice, zero rows left out, in a fixed order."""
        rows = _slices_of(self.cells)
        for key, runs in self.presence.items():
            old = rows.get(key, ZERO)
            rows[key] = (old[_RUNS] + runs, *old[1:])
        return ((key, rows[key]) for key in sorted(rows) if any(rows[key]))


def _add(rows: dict[Key, Measures], key: Key, measures: Measures) -> None:
    old = rows.get(key)
    rows[key] = measures if old is None else tuple(map(add, old, measures))


def _slices_of(cells: dict[Cell, Measures]) -> dict[Key, Measures]:
    rows: dict[Key, Measures] = {}
    cube: dict[Key, Measures] = {}
    for c, m in cells.items():
        _add(rows, Key(c.team_id, slices.USER, c.hour_us, user_id=c.user_id), m)
        key = Key(
            c.team_id, slices.CUBE, c.hour_us, c.agent, c.model, c.provider, c.tool, c.kind, "", c.key_id, c.environment
        )
        _add(cube, key, m)
    agent_models: dict[Key, Measures] = {}
    for k, m in cube.items():
        team, hour = k.team_id, k.hour_us
        _add(agent_models, Key(team, slices.AGENT_MODEL, hour, k.agent, k.model), m)
        _add(rows, Key(team, slices.PROVIDER, hour, provider=k.provider), m)
        _add(rows, Key(team, slices.TOOL, hour, tool=k.tool), m)
        _add(rows, Key(team, slices.KIND, hour, kind=k.kind), m)
        _add(rows, Key(team, slices.KEY, hour, key_id=k.key_id), m)
        _add(rows, Key(team, slices.ENVIRONMENT, hour, environment=k.environment), m)
    for k, m in agent_models.items():
        _add(rows, Key(k.team_id, slices.AGENT, k.hour_us, k.agent), m)
        _add(rows, Key(k.team_id, slices.MODEL, k.hour_us, model=k.model), m)
        _add(rows, Key(k.team_id, slices.TOTAL, k.hour_us), m)
    rows.update(cube)
    rows.update(agent_models)
    return rows
