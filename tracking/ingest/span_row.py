"""SpanRow: a span as it stands in its table, the value from which a run's totals are derived.

A row made from a span that just came and one read back from PostgreSQL are the same thing, so everything derived
from a run's rows is the same whatever order, split or repetition the spans came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any

import orjson

from tracking.codes import COST_NONE, KIND_CODES, KINDS, STATUS_CODES, span_int
from tracking.ingest.counting import SpanFacts, call_key
from wflo.spans import Span, Status
from wflo.usage import Usage

COST_SCALE = 10  # NUMERIC(20,10): money is counted in units of 1e-10 USD while rows are summed
UNIT = Decimal(1).scaleb(-COST_SCALE)
NAME_MAX, ERROR_MAX, WORD_MAX = 300, 500, 200

RARE_BUCKETS = (
    "cache_write_1h_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "service_tier",
)


@dataclass(slots=True, kw_only=True)
class SpanRow:
    """Columns of tracking_span, less its team, day and trace. Times are Unix microseconds."""

    span_id: int
    parent_id: int | None
    kind: int
    status: int
    convention: str
    name: str
    own_agent: str | None
    agent: str | None = None
    tool_name: str | None
    model: str | None
    requested_model: str | None
    provider: str | None
    started_us: int
    ended_us: int | None
    first_token_ms: float | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    usage_detail: dict[str, Any] | None
    is_aggregate: bool
    is_declaration: bool
    counted: bool = False
    cost_units: int | None = None
    reported_cost_usd: Decimal | None
    cost_status: int = COST_NONE
    response_key: int | None  # of the provider's response id, or a tool call's id
    finish_reason: str | None
    purpose: str | None
    attempt: int | None
    error: str | None
    chunk: int = 0
    chunk_position: int = 0
    digest: int = 0
    payload: bytes | None = field(default=None, compare=False)  # encoded; None on a row read back

    @property
    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_tokens=self.cached_tokens,
            cache_write_tokens=self.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens,
            **(self.usage_detail or {}),
        )

    @property
    def has_usage(self) -> bool:
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def cost_usd(self) -> Decimal | None:
        return None if self.cost_units is None else Decimal(self.cost_units).scaleb(-COST_SCALE)

    @property
    def facts(self) -> SpanFacts:
        return SpanFacts(
            self.span_id,
            self.parent_id,
            KINDS[self.kind],
            self.convention,
            self.own_agent,
            self.tool_name,
            self.model,
            self.input_tokens,
            self.output_tokens,
            self.response_key,
            self.started_us * 1000,
            None if self.ended_us is None else self.ended_us * 1000,
            self.status == _ERROR,
            self.is_aggregate,
            self.is_declaration,
        )


_NO_USAGE = Usage()
_BUCKETS = attrgetter(*Usage.__dataclass_fields__)
_RARE = attrgetter(*RARE_BUCKETS)
_ERROR = STATUS_CODES[Status.ERROR]


def encode_payload(span: Span) -> bytes:
    """What is kept beside the row, as one JSON object."""
    entry: dict[str, Any] = {"attributes": span.attributes, "resource": span.resource, "scope": span.scope}
    if span.events:
        entry["events"] = span.events
    if span.links:
        entry["links"] = span.links
    if span.notes:
        entry["notes"] = span.notes
    if span.tool_call_id:
        entry["tool_call_id"] = span.tool_call_id
    if span.response_id:
        entry["response_id"] = span.response_id
    if span.metadata:
        entry["metadata"] = span.metadata
    try:
        return orjson.dumps(entry, default=str)
    except TypeError:  # a key that is no text; looking out for those at once would cost every span as much again
        return orjson.dumps(entry, default=str, option=orjson.OPT_NON_STR_KEYS)


def _cut(text: str | None, length: int) -> str | None:
    return text if text is None or len(text) <= length else text[: length - 1] + "…"


def _rare(usage: Usage) -> dict[str, Any] | None:
    found = _RARE(usage)
    return {name: value for name, value in zip(RARE_BUCKETS, found, strict=True) if value} if any(found) else None


def row_of(span: Span, payload: bytes) -> SpanRow:
    """The row of a span that was normalised; ``payload`` is its encoded payload."""
    usage = span.usage or _NO_USAGE
    kind, status = KIND_CODES[span.kind], STATUS_CODES[span.status]
    said = (span.name, span.started_ns, span.ended_ns, status, kind, span.agent, span.model, _BUCKETS(usage))
    digest = hashlib.blake2b(payload + repr(said).encode("utf-8", "replace"), digest_size=8).digest()
    return SpanRow(
        span_id=span_int(span.span_id),
        parent_id=None if span.parent_id is None else span_int(span.parent_id),
        kind=kind,
        status=status,
        convention=span.convention,
        name=_cut(span.name, NAME_MAX) or "",
        own_agent=_cut(span.agent, WORD_MAX),
        tool_name=_cut(span.tool_name, WORD_MAX),
        model=_cut(span.model or span.requested_model, WORD_MAX),
        requested_model=_cut(span.requested_model, WORD_MAX),
        provider=_cut(span.provider, 100),
        started_us=span.started_ns // 1000,
        ended_us=None if span.ended_ns is None else span.ended_ns // 1000,
        first_token_ms=span.first_token_ms,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        usage_detail=None if span.usage is None else _rare(usage),
        is_aggregate=span.is_aggregate,
        is_declaration=span.is_declaration,
        reported_cost_usd=None if span.reported_cost_usd is None else span.reported_cost_usd.quantize(UNIT),
        response_key=call_key(span),
        finish_reason=_cut(span.finish_reason, 60),
        purpose=_cut(span.purpose, 120),
        attempt=span.attempt,
        error=_cut(span.error, ERROR_MAX),
        digest=int.from_bytes(digest, "big", signed=True),
        payload=payload,
    )


_FILLED = tuple(
    name
    for name in SpanRow.__dataclass_fields__
    if name
    not in {
        "span_id",
        "started_us",
        "ended_us",
        "status",
        "kind",
        "name",
        "convention",
        "agent",
        "counted",
        "cost_units",
        "cost_status",
        "is_aggregate",
        "is_declaration",
    }
)


def merge(old: SpanRow, new: SpanRow) -> SpanRow:
    """The row after a second report of the same span.

    A report that ends the span outweighs one that leaves it open, else the later one wins; what the winner does not
    say is filled from the other. Times only widen, so start, update and end may come in any order.
    """
    winner, other = (old, new) if old.ended_us is not None and new.ended_us is None else (new, old)
    values = {name: getattr(winner, name) for name in SpanRow.__dataclass_fields__}
    for name in _FILLED:
        if values[name] is None:
            values[name] = getattr(other, name)
    values["name"] = winner.name or other.name
    values["kind"] = winner.kind or other.kind
    values["status"] = max(old.status, new.status)
    values["started_us"] = min(old.started_us, new.started_us)
    values["ended_us"] = max((t for t in (old.ended_us, new.ended_us) if t is not None), default=None)
    return SpanRow(**values)


# --- reading back ---------------------------------------------------------------------------------------------------

READ_COLUMNS = (
    "span_id, parent_id, kind, status, convention, name, own_agent, agent, tool_name, model, requested_model, provider,"
    " (extract(epoch FROM started_at) * 1000000)::bigint, (extract(epoch FROM ended_at) * 1000000)::bigint,"
    " first_token_ms, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, usage_detail,"
    " is_aggregate, is_declaration, counted, (cost_usd * 10000000000)::bigint, reported_cost_usd, cost_status,"
    " response_key, finish_reason, purpose, attempt, error, chunk, chunk_position, digest"
)
_READ_NAMES = tuple(name for name in SpanRow.__dataclass_fields__ if name != "payload")


def row_from(columns: Sequence[Any]) -> SpanRow:
    """A row read with READ_COLUMNS."""
    return SpanRow(**dict(zip(_READ_NAMES, columns, strict=True)))
