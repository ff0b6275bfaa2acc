"""What the runs list's filters would leave: counts per status, flag, agent, model and environment, and their sum.

Counted over the newest FACET_ROWS runs that fit everything but the boxes, in one statement; the boxes are applied
here, so that ticking "failed" still shows how many are done. When there are more runs than that, it says so.

What was counted is counted again only when something has been written since: a page that is looked at asks every five
seconds. PostgreSQL's snapshot says so exactly: as long as it is the same, nobody has committed anything.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from threading import Lock

from django.conf import settings
from django.db import connection

from tracking.reports.run_filters import FLAGS, RunFilters, where

FACET_ROWS = 5_000
VALUES_SHOWN = 12

_FLAG_NAMES = tuple(FLAGS)
_BITS = " + ".join(f"CASE WHEN {sql} THEN {1 << place} ELSE 0 END" for place, sql in enumerate(FLAGS.values()))


_LOOSENED = tuple(held.name for held in fields(RunFilters) if held.name not in ("start", "end"))


@dataclass(frozen=True, slots=True)
class Facet:
    """Counts of one dimension, most first; ``others`` is how many more values there are."""

    name: str
    counts: list[tuple[str, int]]
    others: int = 0


@dataclass(frozen=True, slots=True)
class RunFacets:
    """``matched`` runs fit all filters; ``cost_usd`` is what is known of them. ``is_capped``: of the newest only."""

    facets: dict[str, Facet]
    matched: int
    cost_usd: Decimal
    unpriced_runs: int
    is_capped: bool


@dataclass(frozen=True, slots=True)
class _Combination:
    status: str
    starts: str
    models: frozenset[str]
    environment: str
    flags: frozenset[str]
    runs: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class _Counted:
    """The newest runs from ``start`` on, as they were in ``snapshot``."""

    combinations: tuple[_Combination, ...]
    snapshot: str
    start: datetime | None
    oldest: datetime | None  # when the first of them began; None of none
    counted_at: float

    @property
    def is_capped(self) -> bool:
        return sum(c.runs for c in self.combinations) > FACET_ROWS

    def holds_from(self, start: datetime | None) -> bool:
        """Whether the runs from another start on would be the same. The start of "the last 7 days" moves all the time."""
        if start == self.start:
            return True
        if start is None or self.oldest is None or start > self.oldest:
            return False
        return self.is_capped or (self.start is not None and start >= self.start)


class _Memory:
    """Of this process, by team and filters."""

    def __init__(self) -> None:
        self._counted: dict[tuple[int, RunFilters], _Counted] = {}
        self._lock = Lock()

    def recall(self, key: tuple[int, RunFilters], start: datetime | None) -> _Counted | None:
        known = self._counted.get(key)
        if known is None or not known.holds_from(start) or connection.in_atomic_block:  # its own writes are not told
            return None
        if time.monotonic() - known.counted_at > settings.LIMITS["facets_remembered_seconds"]:
            return None
        with connection.cursor() as db:
            db.execute("SELECT pg_current_snapshot()::text")
            return known if db.fetchone() == (known.snapshot,) else None

    def keep(self, key: tuple[int, RunFilters], counted: _Counted) -> None:
        with self._lock:
            self._counted.pop(key, None)
            if (
                not connection.in_atomic_block
                and len(counted.combinations) <= settings.LIMITS["facet_combinations_remembered"]
            ):
                self._counted[key] = counted
            while len(self._counted) > settings.LIMITS["facets_remembered"]:
                del self._counted[next(iter(self._counted))]


_memory = _Memory()


def run_facets(team_id: int, filters: RunFilters) -> RunFacets:
    plain = filters.without_facets()
    key = team_id, replace(plain, start=None)
    counted = _memory.recall(key, plain.start)
    if counted is None:
        counted = _count(team_id, plain)
        _memory.keep(key, counted)
    return _told(counted, filters)


def _count(team_id: int, filters: RunFilters) -> _Counted:
    condition, values = where(team_id, filters)
    statement = (
        "SELECT status, starts, model_names, environment, bits, count(*), coalesce(sum(cost_usd), 0),"
        " min(started_at), (SELECT pg_current_snapshot()::text) FROM ("
        f" SELECT r.status, coalesce(r.entry_agent, '') AS starts, r.model_names, coalesce(r.environment, '') AS environment,"
        f" {_BITS} AS bits, r.cost_usd, r.started_at FROM tracking_run r WHERE {condition}"
        " ORDER BY r.started_at DESC, r.id DESC LIMIT %s"
        ") AS newest GROUP BY 1, 2, 3, 4, 5"
    )
    at = time.monotonic()
    with connection.cursor() as db:
        db.execute(statement, [*values, FACET_ROWS + 1])
        found = db.fetchall()
    oldest = min((row[-2] for row in found), default=None)
    snapshot = found[0][-1] if found else ""
    return _Counted(tuple(_combination(row[:-2]) for row in found), snapshot, filters.start, oldest, at)


def _combination(row: tuple[str, str, list[str], str, int, int, Decimal]) -> _Combination:
    status, starts, models, environment, bits, runs, cost = row
    flags = frozenset(name for place, name in enumerate(_FLAG_NAMES) if bits & 1 << place)
    return _Combination(status, starts, frozenset(models), environment, flags, runs, cost)


def _told(counted: _Counted, filters: RunFilters) -> RunFacets:
    counts: dict[str, Counter[str]] = {
        name: Counter() for name in ("status", "flags", "starts", "model", "environment")
    }
    matched, unpriced = 0, 0
    cost = Decimal(0)
    for c in counted.combinations:
        misses = _misses(c, filters)
        if not misses:
            matched += c.runs
            cost += c.cost_usd
            unpriced += c.runs if "unpriced" in c.flags else 0
        for name, held in (
            ("status", (c.status,)),
            ("starts", (c.starts,)),
            ("model", c.models),
            ("environment", (c.environment,)),
        ):
            if misses <= {name}:
                for value in held:
                    counts[name][value] += c.runs
        if not misses:  # flags must all hold, so a count says what one more tick would leave
            for flag in c.flags:
                counts["flags"][flag] += c.runs
    facets = {name: _facet(name, counter, getattr(filters, name)) for name, counter in counts.items()}
    return RunFacets(facets, matched, cost, unpriced, counted.is_capped)


def _misses(c: _Combination, filters: RunFilters) -> set[str]:
    """The dimensions whose ticked boxes this combination does not fit."""
    missed = set()
    if filters.status and c.status not in filters.status:
        missed.add("status")
    if filters.starts and c.starts not in filters.starts:
        missed.add("starts")
    if filters.model and not c.models.intersection(filters.model):
        missed.add("model")
    if filters.environment and c.environment not in filters.environment:
        missed.add("environment")
    if not c.flags.issuperset(filters.flags):
        missed.add("flags")
    return missed


def _facet(name: str, counter: Counter[str], ticked: tuple[str, ...]) -> Facet:
    """Most first; a ticked value is always there, so that it can be taken off again."""
    named = [(value, count) for value, count in counter.items() if value]
    named.sort(key=lambda pair: (-pair[1], pair[0]))
    shown = named[:VALUES_SHOWN]
    missing = [(value, counter[value]) for value in ticked if value not in {held for held, _ in shown}]
    return Facet(name, shown + missing, max(len(named) - len(shown) - len(missing), 0))


def excludes_most(team_id: int, filters: RunFilters) -> str | None:
    """Of an empty list, the one filter whose removal brings back most runs: a field name of RunFilters, or None."""
    best: tuple[int, str] | None = None
    for name in _LOOSENED:
        if getattr(filters, name) == getattr(RunFilters(), name):
            continue
        loosened = _without(filters, name)
        condition, values = where(team_id, loosened)
        with connection.cursor() as db:
            db.execute(
                f"SELECT count(*) FROM (SELECT FROM tracking_run r WHERE {condition} LIMIT %s) AS counted",
                [*values, FACET_ROWS],
            )
            count = db.fetchone()[0]
        if count and (best is None or count > best[0]):
            best = (count, name)
    return best[1] if best else None


def _without(filters: RunFilters, name: str) -> RunFilters:
    return replace(filters, **{name: getattr(RunFilters(), name)})
