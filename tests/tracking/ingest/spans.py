"""Spans as the normaliser leaves them, for tests of what is stored."""

from __future__ import annotations

import time
from typing import Any

from tracking.ingest.batch import Batch, LogContents, Receipt
from tracking.ingest.writer import Store
from tracking.keys import Caller
from tracking.models import Team
from wflo.spans import Kind, Span, Status
from wflo.usage import Usage

SECOND = 1_000_000_000
# A fixed moment a day ago would leave the retention window one day; an hour ago never does.
BEGAN_NS = time.time_ns() // (3600 * SECOND) * 3600 * SECOND - 3600 * SECOND


def caller(team: Team, **fields: Any) -> Caller:
    return Caller(team_id=team.id, team_slug=team.slug, scopes=frozenset({"ingest"}), **fields)


def span(number: int, *, trace: int = 1, parent: int | None = None, kind: Kind = Kind.CHAIN, **fields: Any) -> Span:
    """Span ``number`` of trace ``trace``: begins ``number`` seconds in, lasts half a second."""
    begins = fields.pop("begins", number)
    lasts = fields.pop("lasts", 0.5)
    started = BEGAN_NS + int(begins * SECOND)
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{number:016x}",
        parent_id=None if parent is None else f"{parent:016x}",
        name=fields.pop("name", f"step {number}"),
        kind=kind,
        convention="otel-genai",
        started_ns=started,
        ended_ns=None if lasts is None else started + int(lasts * SECOND),
        status=fields.pop("status", Status.OK),
        resource={"service.name": "tests"},
        **fields,
    )


def call(
    number: int, *, tokens: tuple[int, int] | None = (1000, 100), model: str = "gpt-4o-mini", **fields: Any
) -> Span:
    usage = None if tokens is None else Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return span(number, kind=Kind.LLM, model=model, provider="openai", usage=usage, **fields)


def batch(team: Team, *spans: Span, logs: list[LogContents] | None = None, **fields: Any) -> Batch:
    return Batch(
        caller=caller(team, **fields),
        spans=list(spans),
        received_ns=time.time_ns(),
        received=len(spans) + sum(len(one.records) for one in logs or []),
        logs=logs or [],
    )


def stored(store: Store, team: Team, *spans: Span) -> Receipt:
    return store.write([batch(team, *spans)])[0]
