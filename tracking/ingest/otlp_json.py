"""OTLP/JSON -> Span. Ids are hex here (protobuf's own JSON mapping says base64), 64-bit numbers may be text.

Unknown fields are ignored, field names may be written in snake_case, enums by number or by name, as the OTLP
specification and protobuf's JSON mapping ask of a receiver. A field of the wrong shape is DecodeError with its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tracking.errors import TooLarge
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
from tracking.ingest.prescan import ITEMS_MAX
from tracking.ingest.strict_json import loads
from wflo.spans import Rejected, Span, Status

INT_DIGITS_MAX = 40  # longer numbers stay text: nobody counts that far, and reading them costs quadratic time
_UINT64_MAX = 2**64 - 1
_SPANS = ("resourceSpans", "scopeSpans", "spans")
_LOGS = ("resourceLogs", "scopeLogs", "logRecords")
_METRICS = ("resourceMetrics", "scopeMetrics", "metrics")
_SNAKE = {
    name: re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
    for name in (
        *_SPANS,
        *_LOGS,
        *_METRICS,
        *("resource", "scope", "name", "values", "body", "eventName", "observedTimeUnixNano", "timeUnixNano"),
        *("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "status", "code", "message"),
        *("events", "links", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"),
    )
}
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


class _Shape(Exception):
    """A field of the wrong shape: the path so far, from the inside out, and what was expected there."""

    def __init__(self, path: str, expected: str) -> None:
        self.path, self.expected = path, expected
        super().__init__(path)


def decode_json(body: bytes) -> Decoded:
    """The spans of an ExportTraceServiceRequest in JSON. Errors as of ``otlp.decode_protobuf``."""
    request = _request(body)
    decoded = Decoded()
    try:
        if "resourceSpans" not in request and "resource_spans" not in request:
            return _foreign(request)
        walk = _Walk(request, _SPANS)
        for item in walk:
            _add(decoded, item, walk)
    except _Shape as wrong:
        raise _refusal(wrong) from None
    return decoded


def _refusal(wrong: _Shape) -> DecodeError:
    path = wrong.path.replace("..", ".").rstrip(".")
    return DecodeError(f"{path}: expected {wrong.expected}.", field=path)


def _request(body: bytes) -> dict[str, Any]:
    request = loads(body)
    if not isinstance(request, dict):
        raise DecodeError("The body is JSON but not an object.")
    return request


def _get(item: dict[str, Any], name: str) -> Any:
    """A field by its camelCase name, or by the snake_case one of the .proto file."""
    value = item.get(name)
    return item.get(_SNAKE[name]) if value is None else value


def _list(item: dict[str, Any], name: str) -> list[Any]:
    value = _get(item, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Shape(name, "an array")
    return value


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Shape(path, "an object")
    return value


def _text(item: dict[str, Any], name: str) -> str:
    value = _get(item, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Shape(name, "text")
    return value


def _number(item: dict[str, Any], name: str) -> int:
    """A 64-bit field, as a number or as text."""
    value = _get(item, name)
    if value is None or value == "":
        return 0
    is_digits = isinstance(value, str) and len(value) <= INT_DIGITS_MAX and value.isascii() and value.isdigit()
    if is_digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _UINT64_MAX:
        raise _Shape(name, "a whole number of 0 to 2^64-1, or the same as text")
    return value


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
        """The items; ``resource``, ``notes`` and ``scope`` are those of the item just given. Raises _Shape, TooLarge."""
        groups, scopes, items = self.names
        count = 0
        for i, group in enumerate(_list(self.request, groups)):
            path = f"{groups}[{i}]"
            self.resource, self.notes = _at(path, _resource, group)
            for j, scope in enumerate(_at(path, _list, group, scopes)):
                scope_path = f"{path}.{scopes}[{j}]"
                self.scope = _at(scope_path, _scope_name, scope)
                for k, item in enumerate(_at(scope_path, _list, scope, items)):
                    count += 1
                    if count > ITEMS_MAX:
                        raise TooLarge(f"More than {ITEMS_MAX:,} {items} in one request. Send it in smaller parts.")
                    self.at = (i, j, k)
                    if not isinstance(item, dict):
                        raise _Shape(self.path, "an object")
                    yield item

    @property
    def path(self) -> str:
        return ".".join(f"{name}[{index}]" for name, index in zip(self.names, self.at, strict=True))


def _at(path: str, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except _Shape as wrong:
        raise _Shape(f"{path}.{wrong.path}", wrong.expected) from None


def _resource(group: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    notes: list[str] = []
    resource = _get(_object(group, ""), "resource")
    if resource is None:
        return {}, ()
    attributes = _at("resource", _attributes, _object(resource, "resource"), notes, "resource")
    return attributes, tuple(notes)


def _scope_name(scope: Any) -> str:
    value = _get(_object(scope, ""), "scope")
    return "" if value is None else _text(_object(value, "scope"), "name")


def _add(decoded: Decoded, item: dict[str, Any], walk: _Walk) -> None:
    index = len(decoded.spans) + len(decoded.rejected)
    for name, digits in (("traceId", 32), ("spanId", 16)):
        reason = _id_fault(_get(item, name), digits)
        if reason:
            decoded.rejected.append(_bad_id(index, name, reason))
            return
    parent_id = _get(item, "parentSpanId")
    if parent_id and not (isinstance(parent_id, str) and parent_id.strip("0") == ""):
        reason = _id_fault(parent_id, 16)
        if reason:
            decoded.rejected.append(_bad_id(index, "parentSpanId", reason))
            return
    else:
        parent_id = None
    try:
        span = _span(item)
    except _Shape as wrong:
        raise _Shape(f"{walk.path}.{wrong.path}", wrong.expected) from None
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
    status = _get(item, "status")
    status = {} if status is None else _object(status, "status")
    code = _STATUS.get(_code(status), Status.UNSET)
    attributes = _attributes(item, notes, "span")
    span = Span(
        trace_id=_get(item, "traceId").lower(),
        span_id=_get(item, "spanId").lower(),
        name=_text(item, "name"),
        started_ns=_number(item, "startTimeUnixNano"),
        ended_ns=_number(item, "endTimeUnixNano") or None,
        status=code,
        error=(_at("status", _text, status, "message") or None) if code is Status.ERROR else None,
        attributes=attributes,
        events=_events(item, notes),
        links=_links(item, notes),
    )
    for name, count in _DROPPED:
        if count in item and (dropped := _number(item, count)):
            notes.append(f"the sender dropped {dropped} {name}")
    span.notes = tuple(notes)
    return span


def _code(status: dict[str, Any]) -> int | str:
    code = _get(status, "code")
    if code is None:
        return 0
    if not isinstance(code, (int, str)) or isinstance(code, bool):
        raise _Shape("status.code", "a number or a name")
    return code


def _attributes(item: dict[str, Any], notes: list[str], of: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    pairs = item.get("attributes")
    if pairs is None:
        return out
    if not isinstance(pairs, list):
        raise _Shape("attributes", "an array of {key, value}")
    for i, pair in enumerate(pairs):
        try:
            value = pair.get("value")
            out[pair["key"]] = None if value is None else _value(value, 0)
        except (AttributeError, KeyError, TypeError):
            raise _Shape(f"attributes[{i}]", "an object with a text key") from None
        except _Shape as wrong:
            raise _Shape(f"attributes[{i}].value{wrong.path}", wrong.expected) from None
    if out and not all(isinstance(key, str) for key in out):
        raise _Shape("attributes", "an array of objects with a text key")
    return fitting(out, notes, of=of) if len(out) > ATTRIBUTES_MAX else out


def _value(value: Any, depth: int) -> Any:
    """An AnyValue as a plain value. The first kind that is set counts; a value of no known kind is None."""
    if not isinstance(value, dict):
        raise _Shape("", 'an object such as {"stringValue": "..."}')
    for kind, raw in value.items():
        read = _VALUES.get(kind)
        if read is not None and raw is not None:
            return read(raw, depth)
    return None


def _string(raw: Any, _depth: int) -> str:
    if not isinstance(raw, str):
        raise _Shape(".stringValue", "text")
    return raw


def _integer(raw: Any, _depth: int) -> int | str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, str) and raw.removeprefix("-").isascii() and raw.removeprefix("-").isdigit():
        return int(raw) if len(raw) <= INT_DIGITS_MAX else raw
    raise _Shape(".intValue", "a whole number, or the same as text")


def _double(raw: Any, _depth: int) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, str) and len(raw) <= 400:
        try:
            return float(raw)  # "NaN", "Infinity", "-Infinity": the JSON mapping of doubles
        except ValueError:
            pass
    raise _Shape(".doubleValue", 'a number, "NaN", "Infinity" or "-Infinity"')


def _bool(raw: Any, _depth: int) -> bool:
    if not isinstance(raw, bool):
        raise _Shape(".boolValue", "true or false")
    return raw


def _array(raw: Any, depth: int) -> list[Any]:
    values = _list(_object(raw, ".arrayValue"), "values")
    return [_value(item, _deeper(depth)) for item in values]


def _map(raw: Any, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in _list(_object(raw, ".kvlistValue"), "values"):
        key = _object(pair, ".kvlistValue.values").get("key")
        if not isinstance(key, str):
            raise _Shape(".kvlistValue.values", "objects with a text key")
        value = pair.get("value")
        out[key] = None if value is None else _value(value, _deeper(depth))
    return out


def _deeper(depth: int) -> int:
    if depth >= NESTING_MAX:
        raise _Shape("", f"at most {NESTING_MAX} levels of nesting")
    return depth + 1


_VALUES: dict[str, Callable[[Any, int], Any]] = {
    "stringValue": _string,
    "intValue": _integer,
    "doubleValue": _double,
    "boolValue": _bool,
    "arrayValue": _array,
    "kvlistValue": _map,
    "bytesValue": _string,  # base64 already
    "string_value": _string,
    "int_value": _integer,
    "double_value": _double,
    "bool_value": _bool,
    "array_value": _array,
    "kvlist_value": _map,
    "bytes_value": _string,
}


def _events(item: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    raw = _list(item, "events")
    if len(raw) > EVENTS_MAX:
        notes.append(f"{len(raw) - EVENTS_MAX} of {len(raw)} events were dropped")
    return [_at(f"events[{i}]", _event, event, notes) for i, event in enumerate(raw[:EVENTS_MAX])]


def _event(raw: Any, notes: list[str]) -> dict[str, Any]:
    event = _object(raw, "")
    return {
        "name": _text(event, "name"),
        "time_ns": _number(event, "timeUnixNano"),
        "attributes": _attributes(event, notes, "event"),
    }


def _links(item: dict[str, Any], notes: list[str]) -> list[dict[str, Any]]:
    raw = _list(item, "links")
    if len(raw) > LINKS_MAX:
        notes.append(f"{len(raw) - LINKS_MAX} of {len(raw)} links were dropped")
    return [_at(f"links[{i}]", _link, link, notes) for i, link in enumerate(raw[:LINKS_MAX])]


def _link(raw: Any, notes: list[str]) -> dict[str, Any]:
    link = _object(raw, "")
    return {
        "trace_id": _text(link, "traceId").lower(),
        "span_id": _text(link, "spanId").lower(),
        "attributes": _attributes(link, notes, "link"),
    }


def _foreign(request: dict[str, Any]) -> Decoded:
    """A request without spans: empty, or logs or metrics at the wrong address, which are all rejected with a hint."""
    for name, parts in (("logs", _LOGS), ("metrics", _METRICS)):
        count = sum(1 for _ in _Walk(request, parts))
        if count:
            message = f"this is OTLP {name}, not a trace; send it to /v1/{name}"
            rejected = [Rejected(index=index, code=f"is_{name}", message=message) for index in range(count)]
            return Decoded(rejected=rejected, hint=message)
    return Decoded()


def decode_json_logs(body: bytes) -> list[LogRecord]:
    """The log records of an ExportLogsServiceRequest in JSON. Raises DecodeError and TooLarge."""
    walk = _Walk(_request(body), _LOGS)
    try:
        return [_at(walk.path, _log_record, item) for item in walk]
    except _Shape as wrong:
        raise _refusal(wrong) from None


def _log_record(item: dict[str, Any]) -> LogRecord:
    attributes = _attributes(item, [], "log record")
    body = _get(item, "body")
    trace_id, span_id = _text(item, "traceId").lower(), _text(item, "spanId").lower()
    return LogRecord(
        trace_id=trace_id if _HEX.issuperset(trace_id) else "",
        span_id=span_id if _HEX.issuperset(span_id) else "",
        event_name=_text(item, "eventName") or str(attributes.get("event.name") or ""),
        body=None if body is None else _at("body", _value, body, 0),
        attributes=attributes,
        time_ns=_number(item, "timeUnixNano") or _number(item, "observedTimeUnixNano"),
    )


def decode_json_metrics(body: bytes) -> int:
    """How many metrics an ExportMetricsServiceRequest in JSON holds."""
    try:
        return sum(1 for _ in _Walk(_request(body), _METRICS))
    except _Shape as wrong:
        raise _refusal(wrong) from None
