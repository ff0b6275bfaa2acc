"""A run as it is read: who was told what, what they said, which tools they called, in the order it happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
from django.core import signing
from django.db import connection

from tracking.codes import KIND_CODES, STATUS_CODES
from tracking.errors import Invalid
from tracking.ingest.messages import Message
from tracking.reports.runs import RunRow
from tracking.reports.span import WholeSpan, whole_spans
from tracking.reports.spans import SELECT, ReadSpan, read_row
from wflo.spans import Kind, Status

ENTRIES = 40  # of one page
_SALT = "tracking.reports.transcript"
_TOLD = tuple(
    KIND_CODES[kind]
    for kind in (Kind.LLM, Kind.TOOL, Kind.RETRIEVER, Kind.EMBEDDING, Kind.RERANKER, Kind.GUARDRAIL, Kind.EVALUATOR)
)
_CALLS = tuple(KIND_CODES[kind] for kind in (Kind.LLM, Kind.TOOL, Kind.EMBEDDING, Kind.RERANKER))


@dataclass(slots=True)
class Entry:
    """One step. ``told`` is what its model had not been told before; ``repeated`` messages it had are left out."""

    span: ReadSpan
    told: list[Message] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    repeated: int = 0
    asked_text: str = ""
    answer_text: str = ""
    is_new_agent: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    entries: list[Entry]
    next_cursor: str | None


def transcript(team_id: int, runs: Sequence[RunRow], *, cursor: str | None = None) -> Transcript:
    """ENTRIES steps after the cursor's. Raises Invalid for a cursor this server did not give."""
    before, spans = _spans(team_id, runs, _position(cursor))
    has_more = len(spans) > ENTRIES
    spans = spans[:ENTRIES]
    whole = whole_spans(team_id, [*before, *spans])
    heard: set[bytes] = set()
    agent: str | None = None
    entries: list[Entry] = []
    for item in whole:
        entry = _entry(item, heard)
        entry.is_new_agent = item.span.agent != agent
        agent = item.span.agent
        entries.append(entry)
    last = spans[-1] if spans else None
    following = None
    if has_more and last is not None:
        following = signing.dumps([last.started_at.isoformat(), last.trace_id.hex, last.span_id], salt=_SALT)
    return Transcript(entries[len(before) :], following)


def _position(cursor: str | None) -> list[Any] | None:
    if not cursor:
        return None
    try:
        found: list[Any] = signing.loads(cursor[:500], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        raise Invalid("This cursor is not one this server gave.", field="cursor") from None
    return found


def _spans(team_id: int, runs: Sequence[RunRow], position: list[Any] | None) -> tuple[list[ReadSpan], list[ReadSpan]]:
    """The step before the page (so that what it was told is not told again), and the page's with one more."""
    condition = (
        "team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s) AND kind = ANY(%s) AND (counted OR NOT kind = ANY(%s))"
        " AND NOT is_aggregate"
    )
    values: list[Any] = [
        team_id,
        sorted({run.day for run in runs}),
        [run.trace_id for run in runs],
        list(_TOLD),
        list(_CALLS),
    ]
    after = " AND (started_at, trace_id, span_id) > (%s::timestamptz, %s::uuid, %s)" if position else ""
    until = " AND (started_at, trace_id, span_id) <= (%s::timestamptz, %s::uuid, %s)"
    with connection.cursor() as db:
        db.execute(
            f"{SELECT} WHERE {condition}{after} ORDER BY started_at, trace_id, span_id LIMIT %s",
            [*values, *(position or ()), ENTRIES + 1],
        )
        spans = [read_row(row) for row in db.fetchall()]
        if not position:
            return [], spans
        db.execute(
            f"{SELECT} WHERE {condition}{until} ORDER BY started_at DESC, trace_id DESC, span_id DESC LIMIT 3",
            [*values, *position],
        )
        before = [read_row(row) for row in db.fetchall()]
    return before[::-1], spans


def _entry(whole: WholeSpan, heard: set[bytes]) -> Entry:
    said = whole.contents
    entry = Entry(whole.span, asked_text=said.input_text, answer_text=said.output_text)
    if whole.span.kind is not Kind.LLM:
        return entry
    for message, mark in marked(said.input):
        if mark in heard:
            entry.repeated += 1
        else:
            heard.add(mark)
            entry.told.append(message)
    for message, mark in marked(said.output):
        heard.add(mark)
        entry.said.append(message)
    return entry


def marked(messages: Iterable[Message]) -> Iterable[tuple[Message, bytes]]:
    """Messages with a mark that is the same for the same words, whatever ids and wrappings they came with."""
    for message in messages:
        core: list[Any] = [message.role, [_core(part) for part in message.parts]]
        try:
            written = orjson.dumps(core, default=str, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:  # nested too deep: known by its outside
            written = orjson.dumps([message.role, [[part["type"], str(part.get("name"))] for part in message.parts]])
        yield message, blake2b(written, digest_size=16).digest()


def _core(part: dict[str, Any]) -> list[Any]:
    if part["type"] in ("text", "reasoning"):
        return [part["type"], str(part.get("text") or "").strip()]
    return [part["type"], part.get("name"), part.get("arguments"), part.get("result"), part.get("value")]


def first_error(team_id: int, run: RunRow) -> ReadSpan | None:
    """The step where it went wrong first: the earliest failed span that holds no failed one.

    The failed ones are found once and their parents put into a hash: a planner that takes a long run for a short one
    would else search the whole run for each.
    """
    with connection.cursor() as db:
        db.execute(
            f"WITH failed AS MATERIALIZED ({SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s AND status = %s)"
            " SELECT * FROM failed WHERE span_id NOT IN (SELECT parent_id FROM failed WHERE parent_id IS NOT NULL)"
            " ORDER BY started_at, span_id LIMIT 1",
            [team_id, run.day, run.trace_id, STATUS_CODES[Status.ERROR]],
        )
        row = db.fetchone()
    return read_row(row) if row is not None else None
