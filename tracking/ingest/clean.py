"""Repairs in place what a span may not be stored with, and says in the span's notes what was done.

Nothing here is lost in silence: a value that had to change is named, a time that could not be true is kept in words. A
span with an id nobody can use, or a token count or cost that is no number, is refused alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from tracking.ingest import clocks
from tracking.ingest.clocks import DAY_NS, EARLIEST_NS
from tracking.ingest.decoded import ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX, NESTING_MAX, fitting
from wflo.spans import Rejected, Span

VALUE_CHARS_MAX = 2**20  # of one text
SPAN_CHARS_MAX = 2**20  # of all texts of a span's attributes together
NAME_CHARS_MAX = 1_000
DIGITS_MAX = 40  # of a whole number kept as text
NOTES_MAX = 20
_CUT_CHARS = 4_096  # kept of a text that gives way to the others

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_SPAN_ID = re.compile(r"(?!0{16})[0-9a-f]{16}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNITS = ((10**9, "seconds"), (10**6, "milliseconds"), (10**3, "microseconds"))
_FIGURES = ("token", "usage", "cost")  # a key with one of these holds a figure that sums are made of


def clean_all(spans: list[Span], *, received_ns: int) -> tuple[list[Span], list[Rejected]]:
    """``clean`` for all, after clocks that are off; ``Rejected.index`` is the place in the list. The resource that spans
    share is cleaned once."""
    clocks.set_right(spans, received_ns=received_ns)
    kept: list[Span] = []
    rejected: list[Rejected] = []
    resource: object = None
    for index, span in enumerate(spans):
        if span.resource is not resource:
            resource = span.resource
            _clean_map(span.resource, [], "the resource")
        reason = clean(span, received_ns=received_ns)
        if reason is None:
            kept.append(span)
        else:
            code = "bad_id" if "_id " in reason else "not_a_number"
            rejected.append(Rejected(index=index, code=code, message=reason))
    return kept, rejected


def clean(span: Span, *, received_ns: int) -> str | None:
    """Repair one span; ``received_ns`` is when its request came, in Unix ns. Returns why it must be refused, or None.

    The resource is left to the caller, since many spans share one.
    """
    parent_id = span.parent_id
    if not (
        _TRACE_ID.fullmatch(span.trace_id)
        and _SPAN_ID.fullmatch(span.span_id)
        and (parent_id is None or _SPAN_ID.fullmatch(parent_id))
    ):
        reason = _bad_id(span)
        if reason is not None:
            return reason
    notes: list[str] = []
    name = span.name
    if not name.isascii() or "\0" in name or len(name) > NAME_CHARS_MAX:
        span.name = _text(name)[:NAME_CHARS_MAX]
    if not span.scope.isascii() or "\0" in span.scope:
        span.scope = _text(span.scope)
    if span.error is not None:
        span.error = _text(span.error)
    if span.tags and not all(tag.isascii() and "\0" not in tag for tag in span.tags):
        span.tags = tuple(_text(tag) for tag in span.tags)
    if span.metadata:
        _clean_map(span.metadata, notes, "metadata")
    if span.convention != "none":
        _clean_fields(span)
    started, ended = span.started_ns, span.ended_ns
    if started < EARLIEST_NS or not (started <= (started if ended is None else ended) <= received_ns + DAY_NS):
        _repair_times(span, received_ns, notes)
    attributes = span.attributes
    if len(attributes) > ATTRIBUTES_MAX:
        span.attributes = attributes = fitting(attributes, notes, of="span")
    reason = _not_a_number(attributes)
    if reason is not None:
        return reason
    if _clean_map(attributes, notes, "attribute") > SPAN_CHARS_MAX:
        _cut_largest(attributes, notes)
    if span.events:
        span.events = _clean_list(span.events, notes, limit=EVENTS_MAX, of="events")
    if span.links:
        span.links = _clean_list(span.links, notes, limit=LINKS_MAX, of="links")
    if notes:
        span.notes = (*span.notes, *notes)[:NOTES_MAX]
    return None


def _bad_id(span: Span) -> str | None:
    for name, pattern, digits in (("trace_id", _TRACE_ID, 32), ("span_id", _SPAN_ID, 16), ("parent_id", _SPAN_ID, 16)):
        value = getattr(span, name)
        if value is None and name == "parent_id":
            continue
        if not isinstance(value, str) or not pattern.fullmatch(value):
            lower = value.lower() if isinstance(value, str) else ""
            if name == "parent_id" and lower.strip("0") == "":
                span.parent_id = None
            elif pattern.fullmatch(lower):
                setattr(span, name, lower)
            else:
                return f"{name} must be {digits} hex digits, not all zero"
    return None


def _clean_fields(span: Span) -> None:
    """Fields that a decoder of ours has filled already."""
    for name in ("run_id", "agent", "tool_name", "tool_call_id", "model", "requested_model", "provider", "session_id"):
        value = getattr(span, name)
        if value is not None and (not value.isascii() or "\0" in value):
            setattr(span, name, _text(value))
    for name in ("user_id", "environment", "release", "purpose", "finish_reason", "response_id"):
        value = getattr(span, name)
        if value is not None and (not value.isascii() or "\0" in value):
            setattr(span, name, _text(value))


def _repair_times(span: Span, received_ns: int, notes: list[str]) -> None:
    """Times in other units are brought to ns; a start that cannot be true becomes the time of arrival, and the
    duration is kept where it is known."""
    raw = f"times {span.started_ns} to {span.ended_ns} as sent"
    latest = received_ns + DAY_NS
    started = _plausible(span.started_ns, latest)
    ended = None if span.ended_ns is None else _plausible(span.ended_ns, latest)
    was_open = span.ended_ns is None
    if started is None and ended is None:
        took = 0 if was_open else max(0, (span.ended_ns or 0) - span.started_ns)
        took = took if span.started_ns > 0 and took <= DAY_NS else 0
        started, ended = received_ns - took, received_ns
    elif started is None:
        started = ended
    elif ended is None and not was_open:
        ended = started
    span.started_ns = started if started is not None else received_ns
    span.ended_ns = None if was_open else max(span.started_ns, ended if ended is not None else span.started_ns)
    notes.append(raw)


def _plausible(time: int, latest: int) -> int | None:
    """The time in ns, or None when it is none in any unit."""
    if EARLIEST_NS <= time <= latest:
        return time
    for factor, _ in _UNITS:
        if EARLIEST_NS <= time * factor <= latest:
            return time * factor
    return None


def _not_a_number(attributes: dict[str, Any]) -> str | None:
    for key, value in attributes.items():
        if value.__class__ is float and not math.isfinite(value) and any(word in key.lower() for word in _FIGURES):
            return f"{_text(key)[:200]} is {value}, not a number"
    return None


def _clean_map(values: dict[str, Any], notes: list[str], what: str) -> int:
    """Repair the values and keys of one map in place; returns how many characters its texts hold."""
    chars = 0
    wrong: list[str] = []
    for key, value in values.items():
        kind = value.__class__
        if kind is str:
            chars += len(value)
            if not value.isascii() or "\0" in value or len(value) > VALUE_CHARS_MAX:
                wrong.append(key)
        elif kind is int:
            if not _INT_MIN <= value <= _INT_MAX:
                wrong.append(key)
        elif kind is float:
            if value - value != 0.0:  # NaN or an infinity
                wrong.append(key)
        elif value is not None and kind is not bool:
            chars += _size(value)
            wrong.append(key)
    for key in wrong:
        values[key] = _value(values[key], notes, key, 0)
    joined = "".join(values)
    if not joined.isascii() or "\0" in joined:
        _clean_keys(values, notes, what)
    return chars


def _clean_keys(values: dict[str, Any], notes: list[str], what: str) -> None:
    cleaned = {_text(key): value for key, value in values.items()}
    if cleaned.keys() != values.keys():
        notes.append(f"keys of {what} held characters that cannot be stored")
        values.clear()
        values.update(cleaned)


def _value(value: Any, notes: list[str], key: str, depth: int) -> Any:
    if isinstance(value, str):
        repaired = _text(value)
        if len(repaired) > VALUE_CHARS_MAX:
            repaired = _cut(repaired, VALUE_CHARS_MAX)
            notes.append(f"{key[:100]} was cut from {len(value):,} characters")
        return repaired
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if _INT_MIN <= value <= _INT_MAX else _digits(value, notes, key)
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        notes.append(f"{_text(key)[:100]} was {value}")
        return None
    if isinstance(value, dict | list | tuple):
        if depth >= NESTING_MAX:
            notes.append(f"{key[:100]} was nested deeper than {NESTING_MAX} levels")
            return None
        if isinstance(value, dict):
            return {_text(str(name)): _value(inner, notes, key, depth + 1) for name, inner in value.items()}
        return [_value(inner, notes, key, depth + 1) for inner in value]
    return _text(str(value))


def _digits(value: int, notes: list[str], key: str) -> str:
    """A number beyond 64 bits, as text; of one with more than DIGITS_MAX digits, how many it had."""
    notes.append(f"{_text(key)[:100]} was a number beyond 64 bits")
    if abs(value) >= 10**DIGITS_MAX:
        length = int(abs(value).bit_length() * math.log10(2)) + 1
        return f"{'-' if value < 0 else ''}about 10^{length - 1}"
    return str(value)


def _text(value: str) -> str:
    """The text without NUL and lone surrogates: U+FFFD stands for each; a surrogate pair becomes its character."""
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    if value.isascii() or not _SURROGATE.search(value):
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _cut(value: str, length: int) -> str:
    return f"{value[:length]}… [cut, {len(value) - length:,} characters more]"


def _cut_largest(attributes: dict[str, Any], notes: list[str]) -> None:
    """Bring a span's texts below SPAN_CHARS_MAX together, the longest first."""
    sizes = sorted(((_size(value), key) for key, value in attributes.items()), reverse=True)
    over = sum(size for size, _ in sizes) - SPAN_CHARS_MAX
    for size, key in sizes:
        if over <= 0 or size <= _CUT_CHARS:
            break
        value = attributes[key]
        keep = max(_CUT_CHARS, size - over)
        attributes[key] = _cut(value, keep) if isinstance(value, str) else None
        over -= size - keep if isinstance(value, str) else size
        notes.append(f"{key[:100]} was cut from {size:,} characters, the span being too large")


def _size(value: Any) -> int:
    """Characters of a value, nested ones included; iterative."""
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            total += len(item)
        elif isinstance(item, dict):
            stack.extend(item.values())
            total += sum(map(len, item))
        elif isinstance(item, list | tuple):
            stack.extend(item)
    return total


def _clean_list(items: Iterable[dict[str, Any]], notes: list[str], *, limit: int, of: str) -> list[dict[str, Any]]:
    listed = list(items)
    if len(listed) > limit:
        notes.append(f"{len(listed) - limit} of {len(listed)} {of} were dropped")
        listed = listed[:limit]
    for item in listed:
        name = item.get("name")
        if isinstance(name, str) and (not name.isascii() or "\0" in name):
            item["name"] = _text(name)
        attributes = item.get("attributes")
        if attributes:
            if len(attributes) > ATTRIBUTES_MAX:
                item["attributes"] = attributes = fitting(attributes, notes, of=of)
            if _clean_map(attributes, notes, of) > SPAN_CHARS_MAX:
                _cut_largest(attributes, notes)
    return listed
