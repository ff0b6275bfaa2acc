"""Log records that carry what a span's model said: tied to it by trace and span id, they may come before or after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tracking.ingest.batch import LogContents
from wflo.spans import Rejected


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
            "span_id": self.span_id,
            "event_name": self.event_name,
            "time_ns": self.time_ns,
            "body": self.body,
            "attributes": self.attributes,
        }


def by_span(records: Iterable[LogRecord]) -> tuple[list[LogContents], list[Rejected]]:
    """Records grouped by the span they belong to; those that belong to none are rejected."""
    groups: dict[tuple[str, str], list[LogRecord]] = {}
    loose: list[Rejected] = []
    for index, record in enumerate(records):
        if _is_id(record.trace_id, 32) and _is_id(record.span_id, 16):
            groups.setdefault((record.trace_id, record.span_id), []).append(record)
        else:
            loose.append(Rejected(index=index, code="no_span", message="belongs to no span and is not kept"))
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
