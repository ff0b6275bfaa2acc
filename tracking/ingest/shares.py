"""What a run's rows contribute: to its own totals, and to the usage tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from tracking.codes import COST_ESTIMATED, COST_UNKNOWN, KIND_CODES, STATUS_CODES
from tracking.ingest.span_row import SpanRow
from tracking.usage import slices
from tracking.usage.deltas import HOUR_US, Cell, Key, Measures
from tracking.usage.latency import WEIGHTS, bucket_of
from wflo.spans import Kind, Status

LLM, EMBEDDING, TOOL, RERANKER = (KIND_CODES[k] for k in (Kind.LLM, Kind.EMBEDDING, Kind.TOOL, Kind.RERANKER))
MODEL_KINDS = frozenset({LLM, EMBEDDING, RERANKER})
ERROR = STATUS_CODES[Status.ERROR]


@dataclass(slots=True)
class RunDims:
    """What all spans of a run have in common in the usage tables."""

    team_id: int
    key_id: str
    environment: str
    user_id: str
    is_hidden: bool


class Placed(Protocol):
    """What says where a row counts: a row itself, or many of one run that count in the same place."""

    @property
    def started_us(self) -> int: ...
    @property
    def agent(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def provider(self) -> str | None: ...
    @property
    def tool_name(self) -> str | None: ...
    @property
    def kind(self) -> int: ...
    @property
    def counted(self) -> bool: ...
    @property
    def is_aggregate(self) -> bool: ...


def cell_of(row: Placed, dims: RunDims) -> Cell:
    is_model_call = row.kind in MODEL_KINDS and row.counted
    return Cell(
        dims.team_id,
        row.started_us - row.started_us % HOUR_US,
        row.agent or "",
        (row.model or "") if is_model_call or row.counted and row.is_aggregate else "",
        (row.provider or "") if is_model_call else "",
        (row.tool_name or "") if row.kind == TOOL and row.counted else "",
        row.kind,
        dims.key_id,
        dims.environment,
        dims.user_id,
    )


def measures_of(row: SpanRow) -> Measures:
    latency = 0 if row.ended_us is None else WEIGHTS[bucket_of((row.ended_us - row.started_us) / 1000)]
    is_error = 1 if row.status == ERROR else 0
    if not row.counted:
        return (0, 1, 0, 0, is_error, 0, 0, 0, 0, 0, 0, 0, 0, 0, latency)
    tokens = (0, 0, 0, 0, 0, (row.input_tokens or 0) + (row.output_tokens or 0))
    if row.kind != EMBEDDING:
        tokens = (
            row.input_tokens or 0,
            row.output_tokens or 0,
            row.cached_tokens or 0,
            row.cache_write_tokens or 0,
            row.reasoning_tokens or 0,
            0,
        )
    return (
        0,
        1,
        1 if row.kind == LLM else 0,
        1 if row.kind == TOOL else 0,
        is_error,
        *tokens,
        row.cost_units or 0,
        1 if row.cost_status == COST_UNKNOWN else 0,
        1 if row.cost_status == COST_ESTIMATED else 0,
        latency,
    )


# (slice, value, second value, kind) -> the first hour the run was seen with it
Seen = dict[tuple[int, str, str, int], int]


def seen_in(rows: Iterable[Placed], dims: RunDims, known: Seen | None = None) -> Seen:
    """Every value of every slice that rows have, with the first hour of each; ``known`` is from other rows."""
    return seen_at((cell_of(row, dims) for row in rows), known)


def seen_at(cells: Iterable[Cell], known: Seen | None = None) -> Seen:
    """``seen_in`` of rows whose cells are known."""
    first: Seen = dict(known or {})
    for cell in set(cells):  # a run's spans share few
        hour = cell.hour_us
        for value in (
            (slices.TOTAL, "", "", -1),
            (slices.AGENT, cell.agent, "", -1),
            (slices.MODEL, cell.model, "", -1),
            (slices.PROVIDER, cell.provider, "", -1),
            (slices.TOOL, cell.tool, "", -1),
            (slices.KIND, "", "", cell.kind),
            (slices.AGENT_MODEL, cell.agent, cell.model, -1),
        ):
            if hour < first.get(value, 1 << 62):
                first[value] = hour
    return first


def presence_of(seen: Seen, dims: RunDims) -> set[Key]:
    """The slices a run counts as one run in, each in the hour it was first seen with that value."""
    if dims.is_hidden or not seen:
        return set()
    keys = {_key(dims.team_id, value, hour) for value, hour in seen.items()}
    start = seen[slices.TOTAL, "", "", -1]
    keys.add(Key(dims.team_id, slices.USER, start, user_id=dims.user_id))
    keys.add(Key(dims.team_id, slices.KEY, start, key_id=dims.key_id))
    keys.add(Key(dims.team_id, slices.ENVIRONMENT, start, environment=dims.environment))
    return keys


def _key(team_id: int, value: tuple[int, str, str, int], hour_us: int) -> Key:
    code, text, second, kind = value
    if code in (slices.AGENT, slices.AGENT_MODEL):
        return Key(team_id, code, hour_us, agent=text, model=second)
    if code == slices.MODEL:
        return Key(team_id, code, hour_us, model=text)
    if code == slices.PROVIDER:
        return Key(team_id, code, hour_us, provider=text)
    if code == slices.TOOL:
        return Key(team_id, code, hour_us, tool=text)
    return Key(team_id, code, hour_us, kind=kind)


@dataclass(slots=True)
class Totals:
    """A run's sums; cost in units of 1e-10 USD, None when no call has a known price."""

    span_count: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    embedding_tokens: int = 0
    cost_units: int | None = None
    priced_calls: int = 0
    unpriced_calls: int = 0
    estimated_calls: int = 0
    agents: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Rest:
    """What the rows of a long run add that are not loaded."""

    totals: Totals
    seen: Seen
    landmarks: list[SpanRow]  # those of them that decide the run's course
    has_known_call: bool  # a model call counts that knows its tokens
    has_sums: bool  # a span that is no call has tokens


def totals_of(rows: Iterable[SpanRow], rest: Totals | None = None) -> Totals:
    """Sums of rows, and of other rows with the sums ``rest``."""
    t = Totals() if rest is None else replace(rest, agents=set(rest.agents), models=set(rest.models))
    cost, priced = t.cost_units or 0, t.priced_calls
    for row in rows:
        t.span_count += 1
        t.errors += row.status == ERROR
        if row.agent:
            t.agents.add(row.agent)
        if not row.counted:
            continue
        t.llm_calls += row.kind == LLM
        t.tool_calls += row.kind == TOOL
        if row.kind == EMBEDDING:  # its tokens are another measure: nobody pays them at a model's input price
            t.embedding_tokens += (row.input_tokens or 0) + (row.output_tokens or 0)
        else:
            t.input_tokens += row.input_tokens or 0
            t.output_tokens += row.output_tokens or 0
            t.cached_tokens += row.cached_tokens or 0
            t.cache_write_tokens += row.cache_write_tokens or 0
            t.reasoning_tokens += row.reasoning_tokens or 0
        if row.model and (row.kind in MODEL_KINDS or row.is_aggregate):
            t.models.add(row.model)
        if row.cost_units is not None:
            cost += row.cost_units
            priced += 1
        t.unpriced_calls += row.cost_status == COST_UNKNOWN
        t.estimated_calls += row.cost_status == COST_ESTIMATED
    t.priced_calls = priced
    t.cost_units = cost if priced or not t.unpriced_calls else None
    return t
