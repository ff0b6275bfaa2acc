"""A span of given attributes as it is read, and the attributes that decide a dialect."""

from __future__ import annotations

from typing import Any

from tracking.ingest.normalise import normalise
from wflo.spans import Span

START_NS = 1_790_000_000 * 10**9


def span(attributes: dict[str, Any], **fields: Any) -> Span:
    return Span(
        trace_id="1" * 32,
        span_id="2" * 16,
        attributes=attributes,
        started_ns=fields.pop("started_ns", START_NS),
        ended_ns=START_NS + 10**9,
        **fields,
    )


def read(attributes: dict[str, Any], **fields: Any) -> Span:
    spans, rejected = normalise([span(attributes, **fields)])
    assert not rejected
    return spans[0]


def refused(attributes: dict[str, Any]) -> tuple[str, str]:
    spans, rejected = normalise([span(attributes)])
    assert not spans
    return rejected[0].code, rejected[0].message


OI, LF, ML, LS, TL = "openinference.span.kind", "langfuse.observation.type", "mlflow.spanType", "langsmith.span.kind", "traceloop.span.kind"  # fmt: skip
OP, VA = "gen_ai.operation.name", "ai.operationId"
NODE = {"langgraph_node": "agent", "langgraph_checkpoint_ns": "boss:7c40-61|agent:bbc5-43"}  # of LangGraph's metadata
REASONING = "gen_ai.usage.reasoning.output_tokens"
CALL = {OP: "chat"}
LLM = {OI: "LLM"}
