"""Log records that carry what a span's model said: tied to it by trace and span id, they may come before or after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

NO_TRACE, NO_SPAN = "0" * 32, "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record as sent. Ids are lower-case hex, empty when the record belongs to no span; the time is in Unix ns."""

    trace_id: str
    span_id: str
    event_name: str
    body: Any
    attributes: dict[str, Any]
    time_ns: int

    def to_payload(self) -> dict[str, Any]:
        """The shape in which it stands under ``logs`` in a span's payload."""
        return {
            "event_name": self.event_name,
            "time_ns": self.time_ns,
            "body": self.body,
            "attributes": self.attributes,
        }


@dataclass(slots=True, kw_only=True)
class LogContents:
    """The records of one span, oldest first, ready to be added to its payload."""

    trace_id: str
    span_id: str
    records: list[dict[str, Any]] = field(default_factory=list)


def by_span(records: Iterable[LogRecord]) -> tuple[list[LogContents], int]:
    """Records grouped by the span they belong to, and how many belong to none and are not kept."""
    groups: dict[tuple[str, str], list[LogRecord]] = {}
    loose = 0
    for record in records:
        if _is_id(record.trace_id, 32) and _is_id(record.span_id, 16):
            groups.setdefault((record.trace_id, record.span_id), []).append(record)
        else:
            loose += 1
    contents = [
        LogContents(
            trace_id=trace_id,
            span_id=span_id,
            records=[record.to_payload() for record in sorted(group, key=lambda record: record.time_ns)],
        )
        for (trace_id, span_id), group in groups.items()
    ]
    return contents, loose


def _is_id(text: str, digits: int) -> bool:
    return len(text) == digits and text.strip("0") != ""
