"""OTLP protobuf -> Span. The only importer of ``opentelemetry``.

The request is walked by its length prefixes (``prescan``) and each span is decoded by itself, so that a request never
stands in memory as one tree and one hostile span cannot take more than its own size allows.
Field meanings: opentelemetry-proto 1.x, ``trace/v1/trace.proto`` and ``logs/v1/logs.proto``.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from google.protobuf.message import DecodeError as WireError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as LogMessage
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

from tracking.ingest.decoded import (
    ATTRIBUTES_MAX,
    EVENTS_MAX,
    LINKS_MAX,
    NESTING_MAX,
    Decoded,
    DecodeError,
    fitting,
)
from tracking.ingest.logs import LogRecord
from tracking.ingest.otlp_json import decode_json, decode_json_logs, decode_json_metrics
from tracking.ingest.prescan import FIELDS_MAX, ITEM_BYTES_UNCOUNTED, Group, check_item, protobuf_groups
from wflo.spans import Rejected, Span, Status

__all__ = [
    "decode_json",
    "decode_json_logs",
    "decode_json_metrics",
    "decode_protobuf",
    "decode_protobuf_logs",
    "decode_protobuf_metrics",
]

GUESS_BYTES_MAX = 2**20  # of a body without spans: larger ones are not looked at for what else they may be
_EARLIEST_LOG_NS = 946_684_800 * 10**9  # 2000-01-01: a first field that reads as a time is a log record's
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
_STATUS = (Status.UNSET, Status.OK, Status.ERROR)


def decode_protobuf(body: bytes) -> Decoded:
    """The spans of an ExportTraceServiceRequest.

    A span with an unusable id is rejected alone; wrong wire format, text that is not UTF-8 and values nested deeper
    than ``NESTING_MAX`` refuse the whole body with DecodeError. Log records or metrics sent here are all rejected, with
    a hint.
    """
    decoded = Decoded()
    try:
        for group in protobuf_groups(body):
            resource, notes = _resource(group)
            for scope_bytes, places in group.scopes:
                scope = _scope_name(scope_bytes)
                _decode_spans(body, places, decoded, scope=scope, resource=resource, notes=notes)
    except DecodeError:
        foreign = _foreign(body)
        if foreign is None:
            raise
        return foreign
    if decoded.rejected and not decoded.spans:
        return _foreign(body) or decoded
    return decoded


def _decode_spans(
    body: bytes,
    places: list[tuple[int, int]],
    decoded: Decoded,
    *,
    scope: str,
    resource: dict[str, Any],
    notes: tuple[str, ...],
) -> None:
    parse = SpanMessage.FromString
    spans, rejected = decoded.spans, decoded.rejected
    left = FIELDS_MAX
    for start, end in places:
        index = len(spans) + len(rejected)
        if end - start > ITEM_BYTES_UNCOUNTED:
            left = check_item(body, start, end, kind="span", left=left)
        try:
            message = parse(body[start:end])
        except (WireError, UnicodeDecodeError):
            raise DecodeError(f"Span {index} is not OTLP protobuf, or its text is not UTF-8.") from None
        trace_id, span_id, parent_id = message.trace_id, message.span_id, message.parent_span_id
        if len(trace_id) != 16 or trace_id == _NO_TRACE:
            rejected.append(_bad_id(index, "trace_id", trace_id, 16))
        elif len(span_id) != 8 or span_id == _NO_SPAN:
            rejected.append(_bad_id(index, "span_id", span_id, 8))
        elif len(parent_id) not in (0, 8):
            rejected.append(_bad_id(index, "parent_span_id", parent_id, 8))
        else:
            span = _span(message, trace_id.hex(), span_id.hex())
            span.scope = scope
            span.resource = resource
            if parent_id and parent_id != _NO_SPAN:
                span.parent_id = parent_id.hex()
            if notes:
                span.notes = notes + span.notes
            spans.append(span)


def _bad_id(index: int, name: str, value: bytes, size: int) -> Rejected:
    what = "is missing" if not value else f"has {len(value)} bytes, not {size}" if len(value) != size else "is all zero"
    return Rejected(index=index, code=f"bad_{name}", message=f"{name} {what}")


def _span(message: Any, trace_id: str, span_id: str) -> Span:
    """The span without its parent, scope and resource."""
    notes: list[str] = []
    status, events, links = message.status, message.events, message.links
    code = status.code
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        name=message.name,
        started_ns=message.start_time_unix_nano,
        ended_ns=message.end_time_unix_nano or None,
        status=_STATUS[code] if 0 <= code <= 2 else Status.UNSET,
        error=(status.message or None) if code == 2 else None,
        attributes=_attributes(message.attributes, notes, of="span"),
        events=_events(events, notes) if events else [],
        links=_links(links, notes) if links else [],
        notes=_dropped_by_sender(message, notes),
    )


def _dropped_by_sender(message: Any, notes: list[str]) -> tuple[str, ...]:
    attributes, events, links = (
        message.dropped_attributes_count, message.dropped_events_count, message.dropped_links_count,
    )  # fmt: skip
    if attributes or events or links:
        for count, name in ((attributes, "attributes"), (events, "events"), (links, "links")):
            if count:
                notes.append(f"the sender dropped {count} {name}")
    return tuple(notes)


def _attributes(pairs: Any, notes: list[str], *, of: str) -> dict[str, Any]:
    """Attributes as plain values; the last of two keys alike wins.

    Asking a oneof which field is set costs more than reading the fields, and most values are non-empty text or
    non-zero numbers, so those are tried first.
    """
    out: dict[str, Any] = {}
    for pair in pairs:
        value = pair.value
        out[pair.key] = value.string_value or value.int_value or value.double_value or _value(value, 0)
    return fitting(out, notes, of=of) if len(out) > ATTRIBUTES_MAX else out


def _value(value: Any, depth: int) -> Any:
    """An AnyValue of any kind; bytes become base64 text, an unset one None."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value" or kind == "kvlist_value":
        if depth >= NESTING_MAX:
            raise DecodeError(f"An attribute value is nested deeper than {NESTING_MAX} levels.")
        if kind == "array_value":
            return [_value(item, depth + 1) for item in value.array_value.values]
        return {pair.key: _value(pair.value, depth + 1) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return b64encode(value.bytes_value).decode("ascii")
    return getattr(value, kind)


def _events(messages: Any, notes: list[str]) -> list[dict[str, Any]]:
    if len(messages) > EVENTS_MAX:
        notes.append(f"{len(messages) - EVENTS_MAX} of {len(messages)} events were dropped")
    return [
        {
            "name": event.name,
            "time_ns": event.time_unix_nano,
            "attributes": _attributes(event.attributes, notes, of="event"),
        }
        for event in messages[:EVENTS_MAX]
    ]


def _links(messages: Any, notes: list[str]) -> list[dict[str, Any]]:
    if len(messages) > LINKS_MAX:
        notes.append(f"{len(messages) - LINKS_MAX} of {len(messages)} links were dropped")
    return [
        {
            "trace_id": link.trace_id.hex(),
            "span_id": link.span_id.hex(),
            "attributes": _attributes(link.attributes, notes, of="link"),
        }
        for link in messages[:LINKS_MAX]
    ]


def _resource(group: Group) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes: list[str] = []
    try:
        message = Resource.FromString(group.resource)
    except (WireError, UnicodeDecodeError):
        raise DecodeError("A resource is not OTLP protobuf, or its text is not UTF-8.") from None
    return _attributes(message.attributes, notes, of="resource"), tuple(notes)


def _scope_name(scope: bytes) -> str:
    try:
        name: str = InstrumentationScope.FromString(scope).name
    except (WireError, UnicodeDecodeError):
        raise DecodeError("A scope is not OTLP protobuf, or its text is not UTF-8.") from None
    return name


def _foreign(body: bytes) -> Decoded | None:
    """What a body without one good span is, when it is OTLP logs or metrics: everything rejected, and where to send it."""
    if len(body) > GUESS_BYTES_MAX:
        return None
    for name, count in (("logs", _log_count(body)), ("metrics", _metric_count(body))):
        if count:
            message = f"this is OTLP {name}, not a trace; send it to /v1/{name}"
            rejected = [Rejected(index=index, code=f"is_{name}", message=message) for index in range(count)]
            return Decoded(rejected=rejected, hint=message)
    return None


def _log_count(body: bytes) -> int:
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except (WireError, UnicodeDecodeError):
        return 0
    records = [r for group in request.resource_logs for scope in group.scope_logs for r in scope.log_records]
    is_logs = any(max(r.time_unix_nano, r.observed_time_unix_nano) > _EARLIEST_LOG_NS for r in records)
    return len(records) if is_logs else 0


def _metric_count(body: bytes) -> int:
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except (WireError, UnicodeDecodeError):
        return 0
    metrics = [m for group in request.resource_metrics for scope in group.scope_metrics for m in scope.metrics]
    return len(metrics) if any(m.name and m.WhichOneof("data") for m in metrics) else 0


def decode_protobuf_logs(body: bytes) -> list[LogRecord]:
    """The log records of an ExportLogsServiceRequest, in their order. Raises DecodeError and TooLarge."""
    records: list[LogRecord] = []
    left = FIELDS_MAX
    for group in protobuf_groups(body, items="log records"):
        for _, places in group.scopes:
            for start, end in places:
                left = check_item(body, start, end, kind="log", left=left)
                try:
                    message = LogMessage.FromString(body[start:end])
                except (WireError, UnicodeDecodeError):
                    raise DecodeError(
                        f"Log record {len(records)} is not OTLP protobuf, or its text is not UTF-8."
                    ) from None
                records.append(_log_record(message))
    return records


def _log_record(message: Any) -> LogRecord:
    attributes = _attributes(message.attributes, [], of="log record")
    return LogRecord(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        event_name=message.event_name or str(attributes.get("event.name") or ""),
        body=_value(message.body, 0),
        attributes=attributes,
        time_ns=message.time_unix_nano or message.observed_time_unix_nano,
    )


def decode_protobuf_metrics(body: bytes) -> int:
    """How many metrics an ExportMetricsServiceRequest holds; they are not kept, the spans say the same and more."""
    return sum(len(places) for group in protobuf_groups(body, items="metrics") for _, places in group.scopes)
