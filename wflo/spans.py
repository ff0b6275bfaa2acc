"""Span: the one value that travels, from any agent to any table.

A span is one step of a run: a model call, a tool call, an agent's turn. The SDK makes it, the doors decode to it,
the normaliser fills what the emitter's dialect says, and ``tracking.ingest`` stores it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from wflo.usage import Usage


class Kind(StrEnum):
    """What a span did. Only ``LLM`` (and priced ``EMBEDDING``, ``RERANKER``, ``TOOL``) spans own cost."""

    AGENT = "agent"
    LLM = "llm"
    TOOL = "tool"
    CHAIN = "chain"
    RETRIEVER = "retriever"
    EMBEDDING = "embedding"
    GUARDRAIL = "guardrail"
    RERANKER = "reranker"
    EVALUATOR = "evaluator"
    OTHER = "other"


class Status(StrEnum):
    OK = "ok"
    ERROR = "error"
    UNSET = "unset"


@dataclass(slots=True, kw_only=True)
class Span:
    """One step, as reported. Times are Unix nanoseconds UTC; ``ended_ns`` is None while the step is open.

    ``agent`` is the name this span itself carries; the agent a cost is charged to is found from it and the
    spans above (``tracking.ingest.counting``).
    """

    trace_id: str  # 32 lower-case hex digits, not all zero
    span_id: str  # 16 lower-case hex digits, not all zero
    parent_id: str | None = None
    run_id: str | None = None  # the caller's own id of the run, where it has one
    name: str = ""
    kind: Kind = Kind.OTHER
    convention: str = "none"  # the dialect that was read: otel-genai, openinference, langfuse, ...
    scope: str = ""
    started_ns: int = 0
    ended_ns: int | None = None
    status: Status = Status.UNSET
    error: str | None = None

    agent: str | None = None
    is_declaration: bool = False  # create_agent: says an agent exists, does no work
    tool_name: str | None = None
    tool_call_id: str | None = None
    model: str | None = None  # the model that answered
    requested_model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    is_aggregate: bool = False  # usage repeats the sum of spans below (agents, wrappers, accounting)
    response_id: str | None = None
    finish_reason: str | None = None
    reported_cost_usd: Decimal | None = None  # the emitter's own figure, kept beside ours
    first_token_ms: float | None = None
    purpose: str | None = None
    attempt: int | None = None

    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    release: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] | None = None

    attributes: dict[str, Any] = field(default_factory=dict)  # raw, as sent
    events: list[dict[str, Any]] = field(default_factory=list)  # {"name", "time_ns", "attributes"}
    links: list[dict[str, Any]] = field(default_factory=list)  # {"trace_id", "span_id", "attributes"}
    resource: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # what was repaired on the way in, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A span that could not be stored: its place in the request, and why, naming the field."""

    index: int
    code: str
    message: str
    event_id: str | None = None
