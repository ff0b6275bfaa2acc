"""OTLP/JSON -> Span. Ids are hex here (protobuf's own JSON mapping says base64), 64-bit numbers may be text.

Unknown fields are ignored, field names may be written in snake_case, enums by number or by name, as the OTLP
specification and protobuf's JSON mapping ask of a receiver. A field of the wrong shape is DecodeError with its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tracking.errors import TooLarge
from tracking.ingest.decoded import (
    EVENTS_MAX,
    LINKS_MAX,
    Decoded,
    DecodeError,
)
from tracking.ingest.json_fields import (
    LOGS,
    METRICS,
    SPANS,
    WrongShape,
    at,
    attributes_of,
    field_of,
    list_of,
    number_of,
    object_of,
    text_of,
    value_of,
)
from tracking.ingest.logs import LogRecord
from tracking.ingest.prescan import ITEMS_MAX
from tracking.ingest.strict_json import loads
from wflo.spans import Rejected, Span, Status

_DROPPED = (
    ("attributes", "droppedAttributesCount"),
    ("events", "droppedEventsCount"),
    ("links", "droppedLinksCount"),
)
_HEX = frozenset("0123456789abcdef")
_STATUS = {
    0: Status.UNSET,
    1: Status.OK,
    2: Status.ERROR,
    "STATUS_CODE_UNSET": Status.UNSET,
    "STATUS_CODE_OK": Status.OK,
    "STATUS_CODE_ERROR": Status.ERROR,
    "0": Status.UNSET,
    "1": Status.OK,
    "2": Status.ERROR,
}


def decode_json(body: bytes) -> Decoded:
    """The spans of an ExportTraceServiceRequest in JSON. Errors as of ``otlp.decode_protobuf``."""
    request = _request(body)
    decoded = Decoded()
    try:
        if "resourceSpans" not in request and "resource_spans" not in request:
            return _foreign(request)
        walk = _Walk(request, SPANS)
        for item in walk:
            _add(decoded, item, walk)
    except WrongShape as wrong:
        raise _refusal(wrong) from None
    return decoded


def _refusal(wrong: WrongShape) -> DecodeError:
    path = wrong.path.replace("..", ".").rstrip(".")
    return DecodeError(f"{path}: expected {wrong.expected}.", field=path)


def _request(body: bytes) -> dict[str, Any]:
    request = loads(body)
    if not isinstance(request, dict):
        raise DecodeError("The body is JSON but not an object.")
    return request


@dataclass(slots=True)
class _Walk:
    """Goes over every item of a request and knows where it is, for the path of an error."""

    request: dict[str, Any]
    names: tuple[str, str, str]
    at: tuple[int, int, int] = (0, 0, 0)
    resource: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scope: str = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The items; ``resource``, ``notes`` and ``scope`` are those of the item just given. Raises WrongShape, TooLarge."""
        groups, scopes, items = self.names
        count = 0
        for i, group in enumerate(list_of(self.request, groups)):
            path = f"{groups}[{i}]"
            self.resource, self.notes = at(path, _resource, group)
            for j, scope in enumerate(at(path, list_of, group, scopes)):
                scope_path = f"{path}.{scopes}[{j}]"
                self.scope = at(scope_path, _scope_name, scope)
                for k, item in enumerate(at(scope_path, list_of, scope, items)):
                    count += 1
                    if count > ITEMS_MAX:
                        raise TooLarge(f"More than {ITEMS_MAX:,} {items} in one request. Send it in smaller parts.")
                    self.at = (i, j, k)
                    if not isinstance(item, dict):
                        raise WrongShape(self.path, "an object")
                    yield item

    @property
    def path(self) -> str:
        return ".".join(f"{name}[{index}]" for name, index in zip(self.names, self.at, strict=True))


def _resource(group: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes: list[str] = []
    resource = field_of(object_of(group, ""), "resource")
    if resource is None:
        return {}, ()
    attributes = at("resource", attributes_of, object_of(resource, "resource"), notes, "resource")
    return attributes, tuple(notes)


def _scope_name(scope: Any) -> str:
    value = field_of(object_of(scope, ""), "scope")
    return "" if value is None else at("scope", text_of, object_of(value, "scope"), "name")


def _add(decoded: Decoded, item: dict[str, Any], walk: _Walk) -> None:
    index = len(decoded.spans) + len(decoded.rejected)
    for name, digits in (("traceId", 32), ("spanId", 16)):
        reason = _id_fault(field_of(item, name), digits)
        if reason:
            decoded.rejected.append(_bad_id(index, name, reason))
            return
    parent_id = field_of(item, "parentSpanId")
    if parent_id and not (isinstance(parent_id, str) and parent_id.strip("0") == ""):
        reason = _id_fault(parent_id, 16)
        if reason:
            decoded.rejected.append(_bad_id(index, "parentSpanId", reason))
            return
    else:
        parent_id = None
    try:
        span = _span(item)
    except WrongShape as wrong:
        raise WrongShape(f"{walk.path}.{wrong.path}", wrong.expected) from None
    span.parent_id = parent_id.lower() if parent_id else None
    span.scope, span.resource = walk.scope, walk.resource
    span.notes = walk.notes + span.notes
    decoded.spans.append(span)


def _bad_id(index: int, name: str, reason: str) -> Rejected:
    snake = {"traceId": "trace_id", "spanId": "span_id", "parentSpanId": "parent_span_id"}[name]
    return Rejected(index=index, code=f"bad_{snake}", message=f"{name} {reason}")


def _id_fault(value: Any, digits: int) -> str:
    if value is None or value == "":
        return "is missing"
    if not isinstance(value, str):
        return "is not text"
    if len(value) != digits or not _HEX.issuperset(value.lower()):
        return f"is not {digits} hex digits"
    return "is all zero" if value.strip("0") == "" else ""


def _span(item: dict[str, Any]) -> Span:
    notes: list[str] = []
    status = field_of(item, "status")
    status = {} if status is None else object_of(status, "status")
    code = _STATUS.get(_code(status), Status.UNSET)
    attributes = attributes_of(item, notes, "span")
    span = Span(
        trace_id=field_of(item, "traceId").lower(),
        span_id=field_of(item, "spanId").lower(),
        name=text_of(item, "name"),
        started_ns=number_of(item, "startTimeUnixNano"),
        ended_ns=number_of(item, "endTimeUnixNano") or None,
        status=code,
        error=(at("status", text_of, status, "message") or None) if code is Status.ERROR else None,
        attributes=attributes,
        events=_events(item, notes),
        links=_links(item, notes),
    )
    for name, count in _DROPPED:
        if count in item and (dropped := number_of(item, count)):
            notes.append(f"the sender dropped {dropped} {name}")
    span.notes = tuple(notes)
    return span


def _code(status: dict[str, Any]) -> int | str:
    code = field_of(status, "code")
    if code is None:
        return 0
    if not isinstance(code, (int, str)) or isinstance(code, bool):
        raise WrongShape("status.code", "a number or a name")
    return code


def _events(item: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    raw = list_of(item, "events")
    if len(raw) > EVENTS_MAX:
        notes.append(f"{len(raw) - EVENTS_MAX} of {len(raw)} events were dropped")
    return [at(f"events[{i}]", _event, event, notes) for i, event in enumerate(raw[:EVENTS_MAX])]


def _event(raw: Any, notes: list[str]) -> dict[str, Any]:
    event = object_of(raw, "")
    return {
        "name": text_of(event, "name"),
        "time_ns": number_of(event, "timeUnixNano"),
        "attributes": attributes_of(event, notes, "event"),
    }


def _links(item: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    raw = list_of(item, "links")
    if len(raw) > LINKS_MAX:
        notes.append(f"{len(raw) - LINKS_MAX} of {len(raw)} links were dropped")
    return [at(f"links[{i}]", _link, link, notes) for i, link in enumerate(raw[:LINKS_MAX])]


def _link(raw: Any, notes: list[str]) -> dict[str, Any]:
    link = object_of(raw, "")
    return {
        "trace_id": text_of(link, "traceId").lower(),
        "span_id": text_of(link, "spanId").lower(),
        "attributes": attributes_of(link, notes, "link"),
    }


def _foreign(request: dict[str, Any]) -> Decoded:
    """A request without spans: empty, or logs or metrics at the wrong address, which are all rejected with a hint."""
    for name, parts in (("logs", LOGS), ("metrics", METRICS)):
        count = sum(1 for _ in _Walk(request, parts))
        if count:
            message = f"this is OTLP {name}, not a trace; send it to /v1/{name}"
            rejected = [Rejected(index=index, code=f"is_{name}", message=message) for index in range(count)]
            return Decoded(rejected=rejected, hint=message)
    return Decoded()


def decode_json_logs(body: bytes) -> list[LogRecord]:
    """The log records of an ExportLogsServiceRequest in JSON. Raises DecodeError and TooLarge."""
    walk = _Walk(_request(body), LOGS)
    try:
        return [at(walk.path, _log_record, item) for item in walk]
    except WrongShape as wrong:
        raise _refusal(wrong) from None


def _log_record(item: dict[str, Any]) -> LogRecord:
    attributes = attributes_of(item, [], "log record")
    body = field_of(item, "body")
    trace_id, span_id = text_of(item, "traceId").lower(), text_of(item, "spanId").lower()
    return LogRecord(
        trace_id=trace_id if _HEX.issuperset(trace_id) else "",
        span_id=span_id if _HEX.issuperset(span_id) else "",
        event_name=text_of(item, "eventName") or str(attributes.get("event.name") or ""),
        body=None if body is None else at("body", value_of, body, 0),
        attributes=attributes,
        time_ns=number_of(item, "timeUnixNano") or number_of(item, "observedTimeUnixNano"),
    )


def decode_json_metrics(body: bytes) -> int:
    """How many metrics an ExportMetricsServiceRequest in JSON holds."""
    try:
        return sum(1 for _ in _Walk(_request(body), METRICS))
    except WrongShape as wrong:
        raise _refusal(wrong) from None
