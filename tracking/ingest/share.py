"""A run's share of a transaction: what arrived of it, taken in and worked out, up to the rows to be written."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import orjson
import psycopg

from tracking import ids
from tracking.ingest import copying, growing
from tracking.ingest.batch import Batch, LogContents, Receipt
from tracking.ingest.chunks import CHUNK_BYTES, compress, join, unpack
from tracking.ingest.contents import shortened
from tracking.ingest.run_state import RunState
from tracking.ingest.span_row import SpanRow, encode_payload, merge, row_of
from tracking.models.runs import Payload
from tracking.redaction import Redactor, redact_span, redactor
from tracking.usage.deltas import Deltas
from wflo.spans import Rejected, Span

PayloadRow = tuple[int, date, UUID, int, int, bytes]  # team, day, trace, chunk, kind, body

SPANS_PER_RUN_MAX = 200_000


@dataclass(slots=True)
class Arrival:
    """What one transaction brings to one run."""

    spans: list[tuple[Span, int, Batch]] = field(default_factory=list)  # span, place in its batch, batch
    logs: list[tuple[LogContents, Batch]] = field(default_factory=list)
    sender: Batch | None = None


@dataclass(slots=True)
class Share:
    """A run with its rows, ready to be written, and what became of the spans of each batch, by the batch's id()."""

    state: RunState
    receipts: dict[int, Receipt]
    deltas: Deltas
    payloads: list[PayloadRow]
    lines: str  # of tracking_span, for COPY


def worked_out(cursor: psycopg.Cursor[Any], state: RunState, arrival: Arrival) -> Share:
    """Take an arrival into its run and derive everything from the whole. Reads what else that takes; writes nothing."""
    receipts = _take(state, arrival)
    growing.complete(cursor, state)
    _recall(cursor, state)
    state.derive()
    deltas = Deltas.empty()
    state.contribute(deltas)
    payloads = list(_pack(state, arrival))
    return Share(state, receipts, deltas, payloads, span_lines(state))


def _take(state: RunState, arrival: Arrival) -> dict[int, Receipt]:
    """Put an arrival's spans among the run's rows; tell new, changed and known apart."""
    receipts: dict[int, Receipt] = defaultdict(Receipt)
    taken: list[Span] = []
    for span, place, batch in arrival.spans:
        receipt = receipts[id(batch)]
        redact_span(span, redactor(batch.caller.redaction))
        payload = encode_payload(span)
        row = row_of(span, payload)
        old = state.rows.get(row.span_id)
        if old is not None and old.digest == row.digest:
            receipt.known += 1
            continue
        if old is None and state.span_count + len(state.fresh) >= SPANS_PER_RUN_MAX:
            message = f"the run holds {SPANS_PER_RUN_MAX} spans already, the most a run may have"
            receipt.rejected.append(Rejected(index=place, code="run_full", message=message))
            continue
        receipt.accepted += 1
        state.story.hear(span, str(batch.caller.key_id) if batch.caller.key_id else None)
        taken.append(span)
        if old is None:
            state.rows[row.span_id] = row
            state.fresh.add(row.span_id)
            if batch.hold is not None:
                state.holds[row.span_id] = batch.hold
        else:
            _put_together(state, old, row)
    for logs, batch in arrival.logs:
        receipts[id(batch)].accepted += len(logs.records)
    if taken:
        state.story.read(taken)
    return receipts


def _put_together(state: RunState, old: SpanRow, new: SpanRow) -> None:
    """A second report of a span: the row of both, and what each came with."""
    state.will_change(old)
    if old.span_id not in state.fresh:
        state.told_before.setdefault(old.span_id, old)
    row = merge(old, new)
    if old.payload is not None and new.payload is not None:
        first, last = (new.payload, old.payload) if row.digest == old.digest else (old.payload, new.payload)
        row.payload = merge_payloads(orjson.loads(first), orjson.loads(last))
    else:
        row.payload = new.payload
        state.replaced[row.span_id] = (old.chunk, old.chunk_position)
    state.rows[row.span_id] = row
    if row.span_id not in state.fresh:
        state.changed.add(row.span_id)


def _recall(cursor: psycopg.Cursor[Any], state: RunState) -> None:
    """Join the payloads of replaced spans with what was stored of them."""
    if not state.replaced:
        return
    cursor.execute(
        "SELECT chunk, body FROM tracking_payload WHERE team_id = %s AND day = %s AND trace_id = %s AND chunk = ANY(%s)",
        (state.team_id, state.day, state.trace_id, [chunk for chunk, _ in state.replaced.values()]),
    )
    stored = {chunk: unpack(body) for chunk, body in cursor.fetchall()}
    for span_id, (chunk, position) in state.replaced.items():
        row = state.rows[span_id]
        if row.payload is None or chunk not in stored:
            continue
        before, after = stored[chunk][position], orjson.loads(row.payload)
        is_late_start = row.chunk == chunk  # the stored report had ended the span and stays the stronger one
        row.payload = merge_payloads(after, before) if is_late_start else merge_payloads(before, after)


def _pack(state: RunState, arrival: Arrival) -> Iterator[PayloadRow]:
    """Payload rows of a run, and each row's place in them."""
    redact = redactor(arrival.sender.caller.redaction) if arrival.sender else redactor("off")
    unpacked = [row for i in (*state.fresh, *state.changed) if (row := state.rows[i]).payload is not None]
    for group in _chunks(unpacked):
        chunk = ids.chunk_number()
        parts = []
        for position, row in enumerate(group):
            row.chunk, row.chunk_position = chunk, position
            parts.append(row.payload or b"")
            row.payload = None
        body = compress(redact.body(join(parts)))
        yield (state.team_id, state.day, state.trace_id, chunk, Payload.Kind.SPANS.value, body)
    if arrival.logs:
        yield _log_chunk(state, [logs for logs, _ in arrival.logs], redact)
    state.story.title = _shown(redact, state.story.title)
    state.story.output = _shown(redact, state.story.output)


def _chunks(rows: list[SpanRow]) -> Iterator[list[SpanRow]]:
    group: list[SpanRow] = []
    size = 0
    for row in rows:
        length = len(row.payload or b"")
        if group and size + length > CHUNK_BYTES:
            yield group
            group, size = [], 0
        group.append(row)
        size += length
    if group:
        yield group


def _log_chunk(state: RunState, logs: list[LogContents], redact: Redactor) -> PayloadRow:
    body = redact.body(orjson.dumps([record for one in logs for record in one.records], default=str))
    # The same records sent again fall on the same row, and are left out when it is written.
    chunk = int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big") >> 1
    return (state.team_id, state.day, state.trace_id, chunk, Payload.Kind.LOGS.value, compress(body))


def _shown(redact: Redactor, words: str) -> str:
    """Words of a run's own, cut out of contents: with nothing in them that a text of PostgreSQL's cannot hold."""
    words = shortened(redact.words(words))
    return words if words.isprintable() else words.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def span_lines(state: RunState) -> str:
    """The rows that are fresh or changed, as COPY takes them."""
    prefix = f"{state.team_id}\t{state.day}\t{state.trace_id}\t"
    return "".join([copying.span_line(prefix, state.rows[i]) for i in (*state.fresh, *state.changed)])


def merge_payloads(weaker: dict[str, Any], stronger: dict[str, Any]) -> bytes:
    """A span's payload from two reports: the stronger one's attributes over the other's, events of both."""
    merged = {**weaker, **stronger, "attributes": {**weaker.get("attributes", {}), **stronger.get("attributes", {})}}
    for many in ("events", "links"):
        extra = [e for e in weaker.get(many, []) if e not in stronger.get(many, [])]
        if extra:
            merged[many] = extra + stronger.get(many, [])
    return orjson.dumps(merged)
