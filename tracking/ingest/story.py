"""What is said of a run as a whole, from all its rows: pure, and the same for any order of arrival.

Where several spans say different things (a user, a session, a tag), the choice is one that does not depend on which
came first: the smallest of them, or all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from tracking.codes import KIND_CODES, trace_uuid
from tracking.ingest.contents import preview
from tracking.ingest.shares import ERROR
from tracking.ingest.span_row import SpanRow
from wflo.spans import Kind, Span

TITLE_RANK_NONE = (1 << 63) - 1
_NOT_ROOT = 1 << 62
METADATA_BYTES = 10_240
TAGS_MAX, LINKED_MAX = 50, 1_000
_AGENT = KIND_CODES[Kind.AGENT]


@dataclass(slots=True)
class Story:
    """Run columns that come from what spans say rather than from sums."""

    external_id: str | None = None
    title: str = ""
    title_rank: int = TITLE_RANK_NONE
    output: str = ""
    output_rank: int = -1
    session_id: str | None = None
    user_id: str | None = None
    environment: str | None = None
    release: str | None = None
    service: str | None = None
    key_id: str | None = None
    tags: set[str] = field(default_factory=set)
    metadata: dict[str, Any] = field(default_factory=dict)
    linked: set[str] = field(default_factory=set)

    def hear(self, span: Span, key_id: str | None) -> None:
        """Take in what one fresh span says."""
        self.external_id = _least(self.external_id, span.run_id, 128)
        self.session_id = _least(self.session_id, span.session_id, 200)
        self.user_id = _least(self.user_id, span.user_id, 200)
        self.environment = _least(self.environment, span.environment, 100)
        self.release = _least(self.release, span.release, 100)
        self.service = _least(self.service, span.resource.get("service.name"), 200)
        self.key_id = _least(self.key_id, key_id, 36)
        if span.tags:
            self.tags = set(sorted(self.tags.union(tag[:100] for tag in span.tags))[:TAGS_MAX])
        if span.metadata:
            self._note(span.metadata)
        for link in span.links:
            linked = link.get("trace_id")
            if linked and linked != span.trace_id and len(self.linked) < LINKED_MAX:
                self.linked.add(trace_uuid(linked))

    def _note(self, metadata: dict[str, Any]) -> None:
        for key, value in metadata.items():
            old = self.metadata.get(key)
            if key not in self.metadata or orjson.dumps(value, default=str) < orjson.dumps(old, default=str):
                self.metadata[key] = value
        while len(orjson.dumps(self.metadata, default=str)) > METADATA_BYTES:
            del self.metadata[max(self.metadata)]

    def read(self, spans: Iterable[Span]) -> None:
        """Take the run's title and output from the spans that know them best: the root, else the first and last
        model call."""
        roots, calls = [], []
        for span in spans:
            if span.parent_id is None:
                roots.append(span)
            elif span.kind is Kind.LLM or span.kind is Kind.AGENT:
                calls.append(span)
        for span in roots:
            self._listen(span, _start(span)[0], _NOT_ROOT | _end_rank(span))
        calls.sort(key=_start)
        for span in calls:
            rank = _NOT_ROOT | _start(span)[0]
            if self.title_rank <= rank or self._listen(span, rank, -1)[0]:
                break
        for span in reversed(calls):
            rank = _end_rank(span)
            if self.output_rank >= rank or self._listen(span, TITLE_RANK_NONE, rank)[1]:
                break

    def _listen(self, span: Span, asked_rank: int, answered_rank: int) -> tuple[str, str]:
        asked, answered = preview(span)
        if asked and asked_rank < self.title_rank:
            self.title, self.title_rank = asked, asked_rank
        if answered and answered_rank > self.output_rank:
            self.output, self.output_rank = answered, answered_rank
        return asked, answered


def _least(old: str | None, new: object, length: int) -> str | None:
    if not new or not isinstance(new, str):
        return old
    new = new[:length]
    return new if old is None or new < old else old


def _start(span: Span) -> tuple[int, str]:
    return (span.started_ns // 1000, span.span_id)


def _end_rank(span: Span) -> int:
    return (span.ended_ns or span.started_ns) // 1000


@dataclass(slots=True)
class Course:
    """When a run ran and how it stands, from its rows."""

    name: str
    status: str  # running, completed, failed
    error: str | None
    started_us: int
    ended_us: int | None
    entry_agent: str | None
    is_hidden: bool


def course_of(rows: Iterable[SpanRow]) -> Course:
    """Raises ValueError without rows. A run is over when its first root has ended and no span is open."""
    ordered = sorted(rows, key=lambda r: (r.started_us, r.span_id))
    if not ordered:
        raise ValueError("a run without spans has no course")
    root = next((r for r in ordered if r.parent_id is None), None)
    first = root or ordered[0]
    is_over = root is not None and all(r.ended_us is not None for r in ordered)
    failed = root is not None and root.status == ERROR
    broken = next((r for r in ordered if r.error), None) if failed else None
    ended = max((r.ended_us for r in ordered if r.ended_us is not None), default=None)
    return Course(
        name=first.name,
        status="running" if not is_over else "failed" if failed else "completed",
        error=(root.error if root is not None and root.error else broken.error if broken else None),
        started_us=ordered[0].started_us,
        ended_us=ended if is_over else None,
        entry_agent=next((r.agent for r in ordered if r.agent), None),
        is_hidden=all(r.is_declaration for r in ordered),
    )
