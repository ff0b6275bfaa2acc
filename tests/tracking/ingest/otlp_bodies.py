"""OTLP bodies for tests, made from small descriptions: the same span as protobuf and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
START_NS, END_NS = 1_790_000_000_000_000_001, 1_790_000_001_500_000_002
GOLDEN: dict[str, Any] = {
    "trace_id": TRACE,
    "span_id": SPAN,
    "parent_id": PARENT,
    "name": "chat gpt-4o",
    "attributes": {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 0,
        "score": 0.5,
        "cached": False,
        "streamed": True,
        "empty": "",
        "stops": ["a", "b"],
        "deep": {"one": {"two": [1, None]}},
    },
    "events": [{"name": "exception", "time_ns": START_NS + 5, "attributes": {"exception.type": "ValueError"}}],
    "links": [{"trace_id": "aa" * 16, "span_id": "bb" * 8, "attributes": {"why": "retry"}}],
    "error": "it broke",
    "resource": {"service.name": "shop", "deployment.environment.name": "prod"},
    "scope": "my.instrumentation",
}


def span(**changes: Any) -> dict[str, Any]:
    """A plain small span; ``changes`` override."""
    return {"trace_id": TRACE, "span_id": SPAN, "name": "step", "attributes": {}, **changes}


def protobuf(spans: Sequence[dict[str, Any]]) -> bytes:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    scope = group.scope_spans.add()
    for one in spans:
        for key, value in one.get("resource", {}).items():
            _put(group.resource.attributes, key, value)
        scope.scope.name = one.get("scope", "")
        message = scope.spans.add()
        message.trace_id = _raw(one["trace_id"])
        message.span_id = _raw(one["span_id"])
        message.parent_span_id = _raw(one.get("parent_id") or "")
        message.name = one["name"]
        message.start_time_unix_nano = one.get("started_ns", START_NS)
        message.end_time_unix_nano = one.get("ended_ns", END_NS)
        for key, value in one["attributes"].items():
            _put(message.attributes, key, value)
        for event in one.get("events", ()):
            added = message.events.add(name=event["name"], time_unix_nano=event["time_ns"])
            for key, value in event["attributes"].items():
                _put(added.attributes, key, value)
        for link in one.get("links", ()):
            linked = message.links.add(trace_id=_raw(link["trace_id"]), span_id=_raw(link["span_id"]))
            for key, value in link["attributes"].items():
                _put(linked.attributes, key, value)
        if one.get("error"):
            message.status.code = 2
            message.status.message = one["error"]
    return request.SerializeToString()


def as_json(spans: Sequence[dict[str, Any]]) -> bytes:
    first = spans[0] if spans else {}
    scope = {"scope": {"name": first.get("scope", "")}, "spans": [json_span(one) for one in spans]}
    resource = {"attributes": json_attributes(first.get("resource", {}))}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [scope]}]}).encode()


def json_span(one: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "traceId": one["trace_id"],
        "spanId": one["span_id"],
        "name": one["name"],
        "kind": 1,
        "startTimeUnixNano": str(one.get("started_ns", START_NS)),
        "endTimeUnixNano": str(one.get("ended_ns", END_NS)),
        "attributes": json_attributes(one["attributes"]),
        "events": [
            {"name": e["name"], "timeUnixNano": str(e["time_ns"]), "attributes": json_attributes(e["attributes"])}
            for e in one.get("events", ())
        ],
        "links": [
            {"traceId": x["trace_id"], "spanId": x["span_id"], "attributes": json_attributes(x["attributes"])}
            for x in one.get("links", ())
        ],
        "status": {"code": 2, "message": one["error"]} if one.get("error") else {},
    }
    if one.get("parent_id"):
        out["parentSpanId"] = one["parent_id"]
    return out


def json_attributes(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": json_value(value)} for key, value in attributes.items()]


def json_value(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [json_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": json_attributes(value)}}
    return {"stringValue": value}


def logs(*, trace_id: str = TRACE, span_id: str = SPAN, count: int = 1) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for index in range(count):
        record = scope.log_records.add(
            time_unix_nano=START_NS + index, event_name="gen_ai.user.message", trace_id=_raw(trace_id)
        )
        record.span_id = _raw(span_id)
        _put(record.body.kvlist_value.values, "content", f"hello {index}")
        _put(record.attributes, "gen_ai.system", "openai")
    return request.SerializeToString()


def metrics() -> bytes:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    metric = scope.metrics.add(name="gen_ai.client.token.usage", unit="{token}")
    metric.histogram.data_points.add(count=3, sum=12.0)
    return request.SerializeToString()


def _raw(hexadecimal: str | bytes) -> bytes:
    return hexadecimal if isinstance(hexadecimal, bytes) else bytes.fromhex(hexadecimal)


def _put(pairs: Any, key: str, value: Any) -> None:
    _set(pairs.add(key=key).value, value)


def _set(target: AnyValue, value: Any) -> None:
    if isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int):
        target.int_value = value
    elif isinstance(value, float):
        target.double_value = value
    elif isinstance(value, bytes):
        target.bytes_value = value
    elif isinstance(value, list):
        target.array_value.SetInParent()
        for item in value:
            _set(target.array_value.values.add(), item)
    elif isinstance(value, dict):
        target.kvlist_value.SetInParent()
        for key, item in value.items():
            _put(target.kvlist_value.values, key, item)
    elif value is not None:
        target.string_value = value
