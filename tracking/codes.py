"""How span values are written in columns: ids as numbers, words as codes."""

from __future__ import annotations

from wflo.spans import Kind, Status

# The place is the code in tracking_span.kind and tracking_usage.kind: append only.
KINDS: tuple[Kind, ...] = (
    Kind.OTHER,
    Kind.AGENT,
    Kind.LLM,
    Kind.TOOL,
    Kind.CHAIN,
    Kind.RETRIEVER,
    Kind.EMBEDDING,
    Kind.GUARDRAIL,
    Kind.RERANKER,
    Kind.EVALUATOR,
)
KIND_CODES: dict[Kind, int] = {kind: code for code, kind in enumerate(KINDS)}
STATUSES: tuple[Status, ...] = (Status.UNSET, Status.OK, Status.ERROR)
STATUS_CODES: dict[Status, int] = {status: code for code, status in enumerate(STATUSES)}

COST_NONE, COST_KNOWN, COST_UNKNOWN, COST_ESTIMATED = range(4)
COST_STATUSES = ("none", "known", "unknown", "estimated")

_HALF = 1 << 63
_FULL = 1 << 64


def span_int(span_id: str) -> int:
    """A span id's 16 hex digits as PostgreSQL's signed bigint."""
    number = int(span_id, 16)
    return number - _FULL if number >= _HALF else number


def span_hex(number: int) -> str:
    return f"{number % _FULL:016x}"


def trace_uuid(trace_id: str) -> str:
    """A trace id's 32 hex digits as PostgreSQL writes a uuid."""
    return f"{trace_id[:8]}-{trace_id[8:12]}-{trace_id[12:16]}-{trace_id[16:20]}-{trace_id[20:]}"
