"""Is this body a bomb? Asked of the bytes, before anything is decoded.

Four kilobytes of gzip can unpack to two million empty spans, and those to hundreds of megabytes of objects. So a
protobuf body is walked by its length prefixes down to the spans, which are then decoded one at a time, and a JSON body
is measured by how many brackets and commas it has for its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tracking.errors import TooLarge
from tracking.ingest.decoded import DecodeError

ITEMS_MAX = 10_000  # spans, log records or metrics of one request; the same figure is in LIMITS
CONTAINER_FIELDS_MAX = 2 * ITEMS_MAX + 1_000  # every field above the items, known or not
ITEM_BYTES_UNCOUNTED = 256 * 2**10  # smaller items cannot hold enough fields to hurt
FIELDS_MAX = 300_000  # of all larger items of one request, at every depth
WIRE_DEPTH_MAX = 100  # messages inside messages; protobuf's own limit

JSON_TOKENS_FREE = 100_000  # brackets and commas any body may have
JSON_BYTES_PER_TOKEN = 8  # larger bodies: real telemetry has about 20 bytes for each
JSON_TOKENS_MAX = 1_200_000

_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_NOT_TOKENS = bytes(set(range(256)) - set(b"{[,"))
_NOT_SHAPE = bytes(set(range(256)) - set(b'{[,"'))
_STRING = re.compile(rb'"[^"]*+"')

# Which length-prefixed fields are messages again, by what they are in. Numbers from opentelemetry-proto 1.x.
_INSIDE: dict[str, dict[int, str]] = {
    "resource": {1: "key_value"},
    "scope": {3: "key_value"},
    "span": {9: "key_value", 11: "event", 13: "link", 15: "leaf"},
    "event": {3: "key_value"},
    "link": {4: "key_value"},
    "log": {5: "value", 6: "key_value"},
    "key_value": {2: "value"},
    "value": {5: "array", 6: "map"},
    "array": {1: "value"},
    "map": {1: "key_value"},
    "leaf": {},
}


@dataclass(slots=True)
class Group:
    """One resource of a request: its bytes, and for each scope its bytes and where its items lie in the body."""

    resource: bytes
    scopes: list[tuple[bytes, list[tuple[int, int]]]]


class _Budget:
    __slots__ = ("fields", "items", "large")

    def __init__(self) -> None:
        self.fields = CONTAINER_FIELDS_MAX
        self.items = ITEMS_MAX
        self.large = FIELDS_MAX


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """The number that starts at ``at`` and the place behind it. At most ten bytes, as on the wire."""
    value = shift = 0
    while shift < 70:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DecodeError("The body is not OTLP protobuf: a number is longer than ten bytes.")


def _fields(body: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, start, end) of each length-prefixed field; the others are stepped over with number 0."""
    while at < end:
        tag = body[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = _varint(body, at)
        wire = tag & 7
        if wire == _DELIMITED:
            size = body[at]
            at += 1
            if size >= 0x80:
                size, at = _varint(body, at - 1)
            if at + size > end:
                raise DecodeError("The body is not OTLP protobuf, or it was cut: a length points past the end.")
            yield tag >> 3, at, at + size
            at += size
            continue
        if wire == _VARINT:
            _, at = _varint(body, at)
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise DecodeError("The body is not OTLP protobuf.")
        if at > end:
            raise DecodeError("The body is not OTLP protobuf, or it was cut.")
        yield 0, at, at


def protobuf_groups(body: bytes, *, items: str = "spans") -> list[Group]:
    """The resources, scopes and items of an Export...ServiceRequest (traces, logs and metrics share this shape).

    Raises TooLarge when there are more than ``ITEMS_MAX`` items and DecodeError when it is not such a request. Reads
    nothing below the items, so its time goes with their number, not with their size.
    """
    budget = _Budget()
    groups: list[Group] = []
    try:
        for number, start, end in _fields(body, 0, len(body)):
            _spend(budget)
            if number == 1:
                groups.append(_group(body, start, end, budget, items))
    except IndexError:
        raise DecodeError("The body is not OTLP protobuf, or it was cut.") from None
    return groups


def _spend(budget: _Budget) -> None:
    budget.fields -= 1
    if budget.fields < 0:
        raise TooLarge("The request has too many resources, scopes or unknown fields. Send it in smaller parts.")


def _group(body: bytes, start: int, end: int, budget: _Budget, items: str) -> Group:
    group = Group(b"", [])
    for number, first, last in _fields(body, start, end):
        _spend(budget)
        if number == 1:
            budget.large = check_item(body, first, last, kind="resource", left=budget.large)
            group.resource += body[first:last]  # protobuf: a message that comes twice is merged
        elif number == 2:
            group.scopes.append(_scope(body, first, last, budget, items))
    return group


def _scope(body: bytes, start: int, end: int, budget: _Budget, items: str) -> tuple[bytes, list[tuple[int, int]]]:
    scope = b""
    places: list[tuple[int, int]] = []
    for number, first, last in _fields(body, start, end):
        if number == 2:
            places.append((first, last))
            if len(places) > budget.items:
                raise TooLarge(f"More than {ITEMS_MAX:,} {items} in one request. Send it in smaller parts.")
            continue
        _spend(budget)
        if number == 1:
            budget.large = check_item(body, first, last, kind="scope", left=budget.large)
            scope += body[first:last]
    budget.items -= len(places)
    return scope, places


def check_item(body: bytes, start: int, end: int, *, kind: str, left: int = FIELDS_MAX) -> int:
    """Count the fields of one large item, at every depth. Returns what is left of ``left`` for the next.

    Raises TooLarge when nothing is. A small item is let through uncounted; its worst case is a few megabytes for the
    moment it is decoded.
    """
    if end - start <= ITEM_BYTES_UNCOUNTED:
        return left
    walks = [(_INSIDE[kind], _fields(body, start, end))]
    try:
        while walks:
            inside, walk = walks[-1]
            for number, first, last in walk:
                left -= 1
                if left < 0:
                    raise TooLarge(f"The {kind}s have more than {FIELDS_MAX:,} fields. Send them in smaller parts.")
                if number in inside and first < last and len(walks) < WIRE_DEPTH_MAX:
                    walks.append((_INSIDE[inside[number]], _fields(body, first, last)))
                    break
            else:
                walks.pop()
    except IndexError:
        raise DecodeError("The body is not OTLP protobuf, or it was cut.") from None
    return left


def check_json(body: bytes) -> None:
    """Refuse a JSON body that would unpack to far more objects than its size earns. Raises TooLarge.

    Brackets and commas inside text do not count, but are looked at apart only when there are suspiciously many.
    """
    allowed = min(max(JSON_TOKENS_FREE, len(body) // JSON_BYTES_PER_TOKEN), JSON_TOKENS_MAX)
    tokens = len(body.translate(None, _NOT_TOKENS))
    if tokens <= allowed and body.count(b'"') <= 4 * allowed:
        return
    shape = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NOT_SHAPE)
    strings = shape.count(b'"') // 2
    if strings <= 2 * allowed:
        shape = _STRING.sub(b"", shape.replace(b'""', b""))
        tokens = len(shape) - shape.count(b'"')
        if tokens <= allowed:
            return
    raise TooLarge("The JSON has far too many values for its size. Send it in smaller parts.")
