"""The fields of OTLP/JSON messages, read with the path of whatever is wrong: names, numbers, attributes and values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tracking.ingest.decoded import ATTRIBUTES_MAX, NESTING_MAX, fitting

INT_DIGITS_MAX = 40  # longer numbers stay text: nobody counts that far, and reading them costs quadratic time
_UINT64_MAX = 2**64 - 1
SPANS = ("resourceSpans", "scopeSpans", "spans")
LOGS = ("resourceLogs", "scopeLogs", "logRecords")
METRICS = ("resourceMetrics", "scopeMetrics", "metrics")
_SNAKE = {
    name: re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)
    for name in (
        *SPANS,
        *LOGS,
        *METRICS,
        *("resource", "scope", "name", "values", "body", "eventName", "observedTimeUnixNano", "timeUnixNano"),
        *("traceId", "spanId", "parentSpanId", "startTimeUnixNano", "endTimeUnixNano", "status", "code", "message"),
        *("events", "links", "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"),
    )
}


class WrongShape(Exception):
    """A field of the wrong shape: the path so far, from the inside out, and what was expected there."""

    def __init__(self, path: str, expected: str) -> None:
        self.path, self.expected = path, expected
        super().__init__(path)


def field_of(item: dict[str, Any], name: str) -> Any:
    """A field by its camelCase name, or by the snake_case one of the .proto file."""
    value = item.get(name)
    return item.get(_SNAKE[name]) if value is None else value


def list_of(item: dict[str, Any], name: str) -> list[Any]:
    value = field_of(item, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise WrongShape(name, "an array")
    return value


def object_of(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongShape(path, "an object")
    return value


def text_of(item: dict[str, Any], name: str) -> str:
    value = field_of(item, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WrongShape(name, "text")
    return value


def number_of(item: dict[str, Any], name: str) -> int:
    """A 64-bit field, as a number or as text."""
    value = field_of(item, name)
    if value is None or value == "":
        return 0
    is_digits = isinstance(value, str) and len(value) <= INT_DIGITS_MAX and value.isascii() and value.isdigit()
    if is_digits or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _UINT64_MAX:
        raise WrongShape(name, "a whole number of 0 to 2^64-1, or the same as text")
    return value


def at(path: str, read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except WrongShape as wrong:
        raise WrongShape(f"{path}.{wrong.path}", wrong.expected) from None


def attributes_of(item: dict[str, Any], notes: list[str], of: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    pairs = item.get("attributes")
    if pairs is None:
        return out
    if not isinstance(pairs, list):
        raise WrongShape("attributes", "an array of {key, value}")
    for i, pair in enumerate(pairs):
        try:
            value = pair.get("value")
            out[pair["key"]] = None if value is None else value_of(value, 0)
        except (AttributeError, KeyError, TypeError):
            raise WrongShape(f"attributes[{i}]", "an object with a text key") from None
        except WrongShape as wrong:
            raise WrongShape(f"attributes[{i}].value{wrong.path}", wrong.expected) from None
    if out and not all(isinstance(key, str) for key in out):
        raise WrongShape("attributes", "an array of objects with a text key")
    return fitting(out, notes, of=of) if len(out) > ATTRIBUTES_MAX else out


def value_of(value: Any, depth: int) -> Any:
    """An AnyValue as a plain value. The first kind that is set counts; a value of no known kind is None."""
    if not isinstance(value, dict):
        raise WrongShape("", 'an object such as {"stringValue": "..."}')
    for kind, raw in value.items():
        read = _VALUES.get(kind)
        if read is not None and raw is not None:
            return read(raw, depth)
    return None


def _string(raw: Any, _depth: int) -> str:
    if not isinstance(raw, str):
        raise WrongShape(".stringValue", "text")
    return raw


def _integer(raw: Any, _depth: int) -> int | str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, float) and raw.is_integer():
        return int(raw)
    if isinstance(raw, str) and raw.removeprefix("-").isascii() and raw.removeprefix("-").isdigit():
        return int(raw) if len(raw) <= INT_DIGITS_MAX else raw
    raise WrongShape(".intValue", "a whole number, or the same as text")


def _double(raw: Any, _depth: int) -> float:
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        return float(raw)
    if isinstance(raw, str) and len(raw) <= 400:
        try:
            return float(raw)  # "NaN", "Infinity", "-Infinity": the JSON mapping of doubles
        except ValueError:
            pass
    raise WrongShape(".doubleValue", 'a number, "NaN", "Infinity" or "-Infinity"')


def _bool(raw: Any, _depth: int) -> bool:
    if not isinstance(raw, bool):
        raise WrongShape(".boolValue", "true or false")
    return raw


def _array(raw: Any, depth: int) -> list[Any]:
    values = list_of(object_of(raw, ".arrayValue"), "values")
    return [value_of(item, _deeper(depth)) for item in values]


def _map(raw: Any, depth: int) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for pair in list_of(object_of(raw, ".kvlistValue"), "values"):
        key = object_of(pair, ".kvlistValue.values").get("key")
        if not isinstance(key, str):
            raise WrongShape(".kvlistValue.values", "objects with a text key")
        value = pair.get("value")
        out[key] = None if value is None else value_of(value, _deeper(depth))
    return out


def _deeper(depth: int) -> int:
    if depth >= NESTING_MAX:
        raise WrongShape("", f"at most {NESTING_MAX} levels of nesting")
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
