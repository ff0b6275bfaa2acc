"""One run: found by any of its ids, what it cost by agent, model and tool, and the runs it is linked with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from tracking.codes import COST_ESTIMATED, COST_UNKNOWN, KIND_CODES
from tracking.errors import NotFound
from tracking.models import RunControl
from tracking.reports.runs import COLUMNS, SELECT, RunRow, cost_status
from wflo.spans import Kind

REFERENCE_CHARACTERS_MAX = 128
LINKED_RUNS_MAX = 200
_WIDTH = len(COLUMNS)

_LLM, _TOOL, _EMBEDDING = KIND_CODES[Kind.LLM], KIND_CODES[Kind.TOOL], KIND_CODES[Kind.EMBEDDING]


@dataclass(frozen=True, slots=True)
class Found:
    """A run and the metadata its spans carried."""

    run: RunRow
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Killed:
    """Who stopped a run, when and why."""

    by: str
    at: datetime | None
    reason: str

    @property
    def words(self) -> str:
        """The reason as a person would say it."""
        return "it went round in circles" if self.reason.startswith("loop_detected:") else self.reason


@dataclass(slots=True)
class Share:
    """What one agent, model or tool had of a run. ``cost_usd`` None: calls, and no known price for any."""

    key: str | None
    llm_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    known_usd: Decimal | None = None
    unpriced_calls: int = 0
    estimated_calls: int = 0
    errors: int = 0

    @property
    def cost_usd(self) -> Decimal | None:
        if self.known_usd is None and not self.unpriced_calls:
            return Decimal(0)
        return self.known_usd

    @property
    def cost_status(self) -> str:
        return cost_status(self.cost_usd, self.unpriced_calls, self.estimated_calls)

    def add(self, part: Share) -> None:
        self.llm_calls += part.llm_calls
        self.tool_calls += part.tool_calls
        self.input_tokens += part.input_tokens
        self.output_tokens += part.output_tokens
        self.cached_tokens += part.cached_tokens
        if part.known_usd is not None:
            self.known_usd = (self.known_usd or Decimal(0)) + part.known_usd
        self.unpriced_calls += part.unpriced_calls
        self.estimated_calls += part.estimated_calls
        self.errors += part.errors


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Costliest first. Agents: None is what no agent can be named for."""

    by_agent: list[Share]
    by_model: list[Share]
    by_tool: list[Share]


def killed(team_id: int, run: RunRow) -> Killed | None:
    """None where nothing is written of it."""
    names = [name for name in (run.external_id, run.trace_id.hex) if name]
    row = (
        RunControl.objects.filter(team_id=team_id, run__in=names).exclude(killed_at=None).order_by("killed_at").first()
    )
    return None if row is None else Killed(row.killed_by, row.killed_at, row.kill_reason)


def find_run(team_id: int, reference: str) -> Found:
    """The team's run of that id, external id or trace id. Raises NotFound, for another team's run too."""
    if not reference or len(reference) > REFERENCE_CHARACTERS_MAX or "\0" in reference:
        raise NotFound("This team has no such run.")
    terms: list[str] = ["r.external_id = %s"]
    values: list[Any] = [reference]
    as_id = _uuid(reference)
    if as_id is not None:
        terms += ["r.id = %s", "r.trace_id = %s"]
        values += [as_id, as_id]
    with connection.cursor() as db:
        db.execute(
            f"{SELECT}, r.metadata FROM tracking_run r WHERE r.team_id = %s AND ({' OR '.join(terms)})"
            " ORDER BY r.id = %s DESC, r.external_id = %s DESC NULLS LAST LIMIT 1",
            [team_id, *values, as_id, reference],
        )
        row = db.fetchone()
    if row is None:
        raise NotFound("This team has no such run.")
    return Found(RunRow(*row[:_WIDTH]), _object(row[_WIDTH]))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _object(value: object) -> dict[str, Any]:
    """A jsonb column as Django's connections hand it over: text, or already read."""
    found = orjson.loads(value) if isinstance(value, str | bytes) else value
    return found if isinstance(found, dict) else {}


def breakdown(team_id: int, runs: Sequence[RunRow]) -> Breakdown:
    """Counted spans of ``runs`` by agent, model and tool, in one pass over their partitions."""
    with connection.cursor() as db:
        db.execute(
            "SELECT agent, model, tool_name, kind, is_aggregate, count(*),"
            " coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cached_tokens), 0),"
            " sum(cost_usd), count(*) FILTER (WHERE cost_status = %s), count(*) FILTER (WHERE cost_status = %s),"
            " count(*) FILTER (WHERE status = 2)"
            " FROM tracking_span WHERE team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s) AND counted"
            " GROUP BY 1, 2, 3, 4, 5",
            [COST_UNKNOWN, COST_ESTIMATED, team_id, [run.day for run in runs], [run.trace_id for run in runs]],
        )
        groups = db.fetchall()
    parts = [_part(row) for row in groups]
    return Breakdown(
        by_agent=_shares((agent, part) for agent, _, _, part in parts),
        by_model=_shares((model, part) for _, model, tool, part in parts if model or not tool),
        by_tool=_shares((tool, part) for _, _, tool, part in parts if tool),
    )


def _part(row: tuple[Any, ...]) -> tuple[str | None, str | None, str | None, Share]:
    agent, model, tool, kind, is_aggregate, spans, tokens_in, tokens_out, cached, cost, unpriced, estimated, errors = (
        row
    )
    share = Share(
        None,
        llm_calls=spans if kind == _LLM else 0,
        tool_calls=spans if kind == _TOOL else 0,
        input_tokens=0 if kind == _EMBEDDING else int(tokens_in),
        output_tokens=0 if kind == _EMBEDDING else int(tokens_out),
        cached_tokens=0 if kind == _EMBEDDING else int(cached),
        known_usd=cost,
        unpriced_calls=unpriced,
        estimated_calls=estimated,
        errors=errors,
    )
    is_tool = kind == _TOOL
    return agent, (None if is_tool and not is_aggregate else model), (tool if is_tool else None), share


def _shares(parts: Iterable[tuple[str | None, Share]]) -> list[Share]:
    shares: dict[str | None, Share] = {}
    for key, part in parts:
        shares.setdefault(key, Share(key)).add(part)
    return sorted(shares.values(), key=_largest_first)


def _largest_first(share: Share) -> tuple[Decimal, int, str]:
    return (-(share.known_usd or Decimal(0)), -(share.llm_calls + share.tool_calls), share.key or "~")


def linked_runs(team_id: int, run: RunRow) -> list[RunRow]:
    """Runs joined with this one by span links, in either direction and over any number of steps, oldest first.

    AutoGen sends one team run as dozens of traces that only links join. At most LINKED_RUNS_MAX.
    """
    seen = {run.trace_id: run}
    asked = [run]
    while asked and len(seen) < LINKED_RUNS_MAX:
        found = _neighbours(team_id, asked)
        asked = [row for row in found if row.trace_id not in seen]
        for row in asked[: LINKED_RUNS_MAX - len(seen)]:
            seen[row.trace_id] = row
    return sorted((row for row in seen.values() if row.id != run.id), key=lambda row: (row.started_at, row.id))


def _neighbours(team_id: int, runs: Sequence[RunRow]) -> list[RunRow]:
    forward = sorted({trace for run in runs for trace in run.linked_trace_ids})
    with connection.cursor() as db:
        db.execute(
            f"{SELECT} FROM tracking_run r WHERE r.team_id = %s AND (r.trace_id = ANY(%s)"
            " OR (r.linked_trace_ids && %s::uuid[] AND NOT r.linked_trace_ids = '{}'::uuid[])) LIMIT %s",
            [team_id, forward, [run.trace_id for run in runs], LINKED_RUNS_MAX + 1],
        )
        return [RunRow(*row) for row in db.fetchall()]
