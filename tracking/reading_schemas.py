"""What the reading doors take and answer, as it stands in the OpenAPI file.

Answers are written straight from report values (``reading_api``); a test holds them against these schemas.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field, PlainSerializer

RunStatus = Literal["running", "completed", "failed", "cancelled", "killed"]
CostStatus = Literal["known", "partial", "unknown", "estimated"]
SpanCostStatus = Literal["none", "known", "unknown", "estimated"]
SpanKind = Literal[
    "agent", "llm", "tool", "chain", "retriever", "embedding", "guardrail", "reranker", "evaluator", "other"
]
Money = Annotated[
    float | None,
    PlainSerializer(lambda value: value, return_type=float | None),
    Field(description="USD, at most 10 decimals; null is unknown, never 0"),
]
Cursor = Annotated[str | None, Field(description="Give it as `cursor` for the rows after these; null at the end")]


class RunQuery(Schema):
    """Filters of the runs list. A filter given several times means any of the values."""

    from_: str | None = Field(None, alias="from", description="started at or after: RFC 3339, or relative: now-24h")
    to: str | None = Field(None, description="started before")
    status: list[str] = Field([], description="running, completed, failed, cancelled, killed")
    flags: list[str] = Field([], description="unpriced, estimated, error, loop, budget: all must hold")
    agent: list[str] = Field([], description="an agent that took part")
    starts: list[str] = Field([], description="the agent that started the run")
    model: list[str] = Field([], description="a model that was called")
    origin: list[str] = Field([], description="otlp, sdk, gateway, jobs_api, queue")
    session: list[str] = []
    user: list[str] = []
    environment: list[str] = []
    tag: list[str] = []
    q: str | None = Field(None, description='a search line: status:failed cost:>=0.05 -env:dev "text"')
    min_cost: float | None = Field(None, description="USD")
    sort: str | None = Field(
        None,
        description="started_at (default), ended_at, cost_usd, total_tokens, duration_ms, span_count, errors; largest "
        "or newest first, with ' asc' the other way round",
    )
    limit: int | None = Field(None, ge=1, description="rows of a page: 50, at most 500")
    cursor: str | None = Field(None, max_length=1000)


class RunInList(Schema):
    id: UUID
    external_id: str | None
    trace_id: str = Field(description="32 hex digits")
    name: str
    title: str = Field(description="the first words of what was asked")
    origin: str
    status: RunStatus
    started_at: datetime
    ended_at: datetime | None
    duration_ms: float | None = Field(description="null while the run goes on")
    session_id: str | None
    user_id: str | None
    environment: str | None
    tags: list[str]
    agents: list[str]
    models: list[str]
    span_count: int
    llm_calls: int
    tool_calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    embedding_tokens: int
    total_tokens: int
    cost_usd: Money
    cost_status: CostStatus
    unpriced_calls: int
    estimated_calls: int
    loop_detected: bool
    budget_exceeded: bool
    parent_run_id: UUID | None
    job_id: UUID | None


class Runs(Schema):
    runs: list[RunInList]
    next_cursor: Cursor


class ShareOfRun(Schema):
    key: str | None = Field(description="null: what no agent, model or tool can be named for")
    llm_calls: int
    tool_calls: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost_usd: Money
    cost_status: CostStatus
    unpriced_calls: int


class RunWhole(RunInList):
    by_agent: list[ShareOfRun]
    by_model: list[ShareOfRun]
    by_tool: list[ShareOfRun]
    metadata: dict[str, Any]
    input: str | None
    output: str | None
    error: str | None
    entry_agent: str | None
    release: str | None
    service: str | None
    linked_run_ids: list[UUID] = Field(description="runs joined with this one by span links")


class SpanQuery(Schema):
    limit: int | None = Field(None, ge=1, description="spans of a page: all up to 500, which is the most")
    cursor: str | None = Field(None, max_length=500)


class SpanInRun(Schema):
    span_id: str = Field(description="16 hex digits")
    parent_id: str | None
    trace_id: str
    kind: SpanKind
    name: str
    agent: str | None
    model: str | None
    requested_model: str | None
    provider: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: float | None = Field(description="null while the span is open")
    first_token_ms: float | None
    status: Literal["ok", "error", "unset"]
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Money
    cost_status: SpanCostStatus
    tool_name: str | None
    purpose: str | None
    attempt: int | None
    finish_reason: str | None
    counted: bool = Field(description="false when another span carries the same usage: leave it out of sums")


class SpanInTree(SpanInRun):
    depth: int
    place: Literal["root", "child", "orphan", "looped"] = Field(
        description="orphan: its parent was not seen; looped: it is its own ancestor"
    )


class Spans(Schema):
    spans: list[SpanInTree] = Field(description="parents before their children, children by time")
    next_cursor: Cursor


class SpanWhole(SpanInRun):
    run_id: UUID | None
    convention: str = Field(description="the dialect it was read as")
    reported_cost_usd: Money
    input: str | None
    output: str | None
    input_messages: list[dict[str, Any]]
    output_messages: list[dict[str, Any]]
    attributes: dict[str, Any] = Field(description="as they were sent")
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]
    resource: dict[str, Any]
    scope: str
    notes: list[str] = Field(description="what was repaired on the way in")
    metadata: dict[str, Any] | None


class Problem(Schema):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    field: str | None = None
