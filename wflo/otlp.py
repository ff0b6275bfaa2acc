"""The library's events as OTLP: for collectors and other back-ends that do not speak our own ingest.

ExportTraceServiceRequest in JSON (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding"), with the names of the GenAI
semantic conventions. A span needs its end: what only begins is not sent; what happened at a moment is a span of no length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from wflo.ids import root_span_id_of, span_id_of, trace_id_of

PATH = "/v1/traces"
_OPERATIONS = {
    "agent": "invoke_agent",
    "llm": "chat",
    "tool": "execute_tool",
    "chain": "invoke_workflow",
    "embedding": "embeddings",
}
_NAMES = {
    "model": "gen_ai.response.model",
    "requested_model": "gen_ai.request.model",
    "provider": "gen_ai.provider.name",
    "response_id": "gen_ai.response.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "tool": "gen_ai.tool.name",
    "agent": "gen_ai.agent.name",
    "session_id": "session.id",
    "user_id": "user.id",
    "environment": "deployment.environment.name",
    "purpose": "wflo.purpose",
    "cost_usd": "wflo.cost_usd",
}
_CONTENTS = {
    "llm": ("gen_ai.input.messages", "gen_ai.output.messages"),
    "tool": ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
}
_OTHER_CONTENTS = ("input.value", "output.value")


def request_of(events: Iterable[bytes], *, service: str, release: str = "") -> bytes:
    """The body of one request. Events that are no whole span are left out."""
    spans = [span for event in events if (span := _span(json.loads(event))) is not None]
    resource = {"service.name": service} | ({"service.version": release} if release else {})
    scoped = {"scope": {"name": "wflo"}, "spans": spans}
    return json.dumps(
        {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scoped]}]},
        separators=(",", ":"),
    ).encode("utf-8", "replace")


def _span(event: dict[str, Any]) -> dict[str, Any] | None:
    kind = event.get("kind", "")
    if kind.endswith(".start"):
        return None
    run_id = event["run_id"]
    end_ns = round(event["ts"] * 1e9)
    is_root = kind == "run.end"
    span_id = (
        root_span_id_of(run_id) if is_root else span_id_of(run_id, event.get("span_id") or f"event:{event['event_id']}")
    )
    found: dict[str, Any] = {
        "traceId": trace_id_of(run_id),
        "spanId": span_id,
        "name": event.get("name") or kind,
        "kind": 3 if event.get("span_kind") == "llm" else 1,
        "startTimeUnixNano": str(end_ns - round(event.get("duration_ms", 0) * 1e6)),
        "endTimeUnixNano": str(end_ns),
        "attributes": _attributes(_told(event, kind)),
        "status": {"code": 2, "message": event.get("error", "")} if event.get("status") == "error" else {"code": 1},
    }
    if not is_root:
        parent = event.get("parent_span_id")
        found["parentSpanId"] = span_id_of(run_id, parent) if parent else root_span_id_of(run_id)
    return found


def _told(event: dict[str, Any], kind: str) -> dict[str, Any]:
    span_kind = event.get("span_kind", "")
    told = dict(event.get("attributes") or {})
    told |= {name: event[field] for field, name in _NAMES.items() if event.get(field) is not None}
    told["wflo.run_id"] = event["run_id"]
    if span_kind in _OPERATIONS:
        told["gen_ai.operation.name"] = _OPERATIONS[span_kind]
    if event.get("finish_reason"):
        told["gen_ai.response.finish_reasons"] = [event["finish_reason"]]
    if kind not in ("span.end", "run.end"):
        told["wflo.event.kind"] = kind
    for field, name in zip(("input", "output"), _CONTENTS.get(span_kind, _OTHER_CONTENTS), strict=True):
        value = event.get(field)
        if value is not None:
            told[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return told


def _attributes(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in told.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(one) for one in value]}}
    return {"stringValue": json.dumps(value, ensure_ascii=False, default=str)}
