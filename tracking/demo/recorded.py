"""What real frameworks sent, moved in time: the recordings of examples/otlp as bodies for /v1/traces.

Only times are changed, in place: they are fixed64 fields of the protobuf, so no length changes and nothing has to be
decoded. Paths of field numbers are those of opentelemetry/proto/trace/v1/trace.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

APART = timedelta(hours=3)  # between the ends of two recordings, the newest of them yesterday
FOLDER = Path("examples") / "otlp"

_SPAN = (1, 2, 2)  # ExportTraceServiceRequest.resource_spans, .scope_spans, .spans
_STARTED, _ENDED = (*_SPAN, 7), (*_SPAN, 8)
_EVENT_TIME = (*_SPAN, 11, 1)
_TIMES = (_STARTED, _ENDED, _EVENT_TIME)
_PARENTS = frozenset({_SPAN[:1], _SPAN[:2], _SPAN, (*_SPAN, 11)})
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def bodies(now: datetime) -> Iterator[bytes]:
    """Every recording in its order, one after the other back from yesterday's ``now``."""
    ends = now - timedelta(days=1)
    for case in sorted((settings.BASE_DIR / FOLDER).iterdir()):
        if case.is_dir():
            yield from moved([path.read_bytes() for path in sorted(case.glob("*.pb"))], ends)
            ends -= APART


def moved(requests: Sequence[bytes], ends: datetime) -> list[bytes]:
    """The requests with all times moved alike, so that the last span ends at ``ends``."""
    last = max(
        int.from_bytes(body[at : at + 8], "little") for body in requests for path, at in _times(body) if path == _ENDED
    )
    by = int(ends.timestamp()) * 10**9 - last
    result = []
    for body in requests:
        changed = bytearray(body)
        for _, at in _times(body):
            time = int.from_bytes(body[at : at + 8], "little")
            if time:
                changed[at : at + 8] = (time + by).to_bytes(8, "little")
        result.append(bytes(changed))
    return result


def _times(body: bytes) -> list[tuple[tuple[int, ...], int]]:
    """(path, offset) of every time in the request."""
    found: list[tuple[tuple[int, ...], int]] = []
    waiting: list[tuple[tuple[int, ...], int, int]] = [((), 0, len(body))]
    while waiting:
        parent, at, end = waiting.pop()
        while at < end:
            tag, at = _varint(body, at)
            path, wire = (*parent, tag >> 3), tag & 7
            if wire == _BYTES:
                length, at = _varint(body, at)
                if path in _PARENTS:
                    waiting.append((path, at, at + length))
                at += length
            elif wire == _FIXED64:
                if path in _TIMES:
                    found.append((path, at))
                at += 8
            elif wire == _FIXED32:
                at += 4
            elif wire == _VARINT:
                _, at = _varint(body, at)
            else:
                raise ValueError(f"wire type {wire} at byte {at} is not of this protocol")
    return found


def _varint(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
