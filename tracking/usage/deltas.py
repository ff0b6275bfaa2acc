"""From spans to usage deltas: pure arithmetic on whole numbers.

A span's share goes to one cell of the cube; the other slices are sums of cube cells. What a changed run contributed
before is subtracted and what it contributes now is added, so nothing is ever counted twice or lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

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
_K = TypeVar("_K")


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
    """What one transaction adds to the usage tables. Shares are only noted; they are added up once, in ``rows``."""

    cells: dict[Cell, list[Measures]]
    presence: dict[Key, int]  # +1 or -1 run in a slice

    @classmethod
    def empty(cls) -> Deltas:
        return cls(defaultdict(list), {})

    @classmethod
    def of(cls, parts: Iterable[Deltas]) -> Deltas:
        """All of them together."""
        whole = cls.empty()
        for part in parts:
            for cell, many in part.cells.items():
                whole.cells[cell] += many
            for key, runs in part.presence.items():
                whole.presence[key] = whole.presence.get(key, 0) + runs
        return whole

    def add(self, cell: Cell, measures: Measures) -> None:
        self.cells[cell].append(measures)

    def subtract(self, cell: Cell, measures: Measures) -> None:
        self.cells[cell].append(tuple(-m for m in measures))

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


def _summed(shares: Mapping[_K, list[Measures]]) -> dict[_K, Measures]:
    return {key: tuple(map(sum, zip(*many, strict=True))) for key, many in shares.items()}


def _slices_of(cells: Mapping[Cell, list[Measures]]) -> dict[Key, Measures]:
    """Rows of every slice. The cube's cells are few beside the cells of all users, so the others are sums of those."""
    users: dict[tuple[int, int, str], list[Measures]] = defaultdict(list)
    cubes: dict[tuple[Any, ...], list[Measures]] = defaultdict(list)
    for cell, many in cells.items():
        users[cell.team_id, cell.hour_us, cell.user_id] += many
        cubes[cell[:-1]] += many
    rows = {Key(team, slices.USER, hour, user_id=user): m for (team, hour, user), m in _summed(users).items()}
    parts: dict[Key, list[Measures]] = defaultdict(list)
    for (team, hour, agent, model, provider, tool, kind, key_id, environment), m in _summed(cubes).items():
        rows[Key(team, slices.CUBE, hour, agent, model, provider, tool, kind, "", key_id, environment)] = m
        for key in (
            Key(team, slices.TOTAL, hour),
            Key(team, slices.AGENT, hour, agent),
            Key(team, slices.MODEL, hour, model=model),
            Key(team, slices.PROVIDER, hour, provider=provider),
            Key(team, slices.TOOL, hour, tool=tool),
            Key(team, slices.KIND, hour, kind=kind),
            Key(team, slices.KEY, hour, key_id=key_id),
            Key(team, slices.ENVIRONMENT, hour, environment=environment),
            Key(team, slices.AGENT_MODEL, hour, agent, model),
        ):
            parts[key].append(m)
    return rows | _summed(parts)
