"""The one writer: batches in, rows committed, receipts out.

A transaction takes any number of batches. It locks the runs they touch, reads what those runs hold, derives
everything from the whole of each run, and writes: so a retry, a late span or another order changes nothing but what
should change. New runs, the ordinary case, are read and written once.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import orjson
import psycopg

from tracking.codes import span_int
from tracking.ingest import copying, growing
from tracking.ingest.batch import Batch, LogContents, Receipt
from tracking.ingest.chunks import CHUNK_BYTES, compress, join, unpack
from tracking.ingest.contents import shortened
from tracking.ingest.copying import PAYLOAD_COLUMNS, SPAN_COLUMNS, USAGE_COLUMNS
from tracking.ingest.run_state import RunState, new_day, uuid7
from tracking.ingest.span_row import SpanRow, encode_payload, merge, row_of
from tracking.ingest.story import Story
from tracking.models.runs import Payload
from tracking.redaction import Redactor, redact_span, redactor
from tracking.sql import statements
from tracking.usage import slices
from tracking.usage.deltas import HOUR_US, ZERO, Deltas, Key
from wflo.spans import Rejected, Span

Connection = psycopg.Connection[Any]
PayloadRow = tuple[int, date, UUID, int, int, bytes]  # team, day, trace, chunk, kind, body

SPANS_PER_RUN_MAX = 200_000


@dataclass(slots=True)
class Arrival:
    """What one transaction brings to one run."""

    spans: list[tuple[Span, int, Batch]] = field(default_factory=list)  # span, place in its batch, batch
    logs: list[tuple[LogContents, Batch]] = field(default_factory=list)
    sender: Batch | None = None


@dataclass(slots=True)
class Written:
    """What a transaction did, for those who act after the commit."""

    receipts: list[Receipt]
    runs: list[RunState]


def write(connection: Connection, batches: Sequence[Batch]) -> Written:
    """Commit ``batches`` in one transaction on an autocommit connection.

    Raises psycopg errors with nothing written. ``UniqueViolation`` means that another writer began one of the runs in
    the same moment: call again.
    """
    receipts = [Receipt(rejected=list(batch.rejected)) for batch in batches]
    receipt_of = {id(batch): receipt for batch, receipt in zip(batches, receipts, strict=True)}
    with connection.transaction(), connection.cursor() as cursor:
        _mark_over_quota(cursor, batches, receipts)
        arrivals = _by_run([b for b, r in zip(batches, receipts, strict=True) if not r.is_over_quota])
        states = lock_runs(cursor, arrivals, arrivals)
        states += _begin(cursor, arrivals, {(s.team_id, s.trace_id) for s in states})
        for state in states:
            _take(state, arrivals[state.team_id, state.trace_id], receipt_of)
            growing.complete(cursor, state)
        _recall(cursor, states)
        deltas = Deltas.empty()
        for state in states:
            state.derive()
            state.contribute(deltas)
        payloads = _pack(states, arrivals)
        _save_runs(cursor, states)
        save_spans(cursor, states)
        _save_payloads(cursor, payloads)
        save_usage(cursor, deltas, _door(batches, receipts))
    return Written(receipts, states)


# --- read --------------------------------------------------------------------------------------------------------------


def _mark_over_quota(cursor: psycopg.Cursor[Any], batches: Sequence[Batch], receipts: Sequence[Receipt]) -> None:
    """Whole batches that come once a team's spans of today (UTC) are used up; the batch that reaches it is kept."""
    limits = {b.caller.team_id: b.caller.spans_per_day_max for b in batches if b.caller.spans_per_day_max is not None}
    if not limits:
        return
    cursor.execute(statements("ingest")["accepted_today"], {"teams": list(limits)})
    accepted = dict(cursor.fetchall())
    for batch, receipt in zip(batches, receipts, strict=True):
        limit = limits.get(batch.caller.team_id)
        if limit is not None and accepted.get(batch.caller.team_id, 0) >= limit:
            receipt.is_over_quota = True


def _by_run(batches: Sequence[Batch]) -> dict[tuple[int, UUID], Arrival]:
    arrivals: dict[tuple[int, UUID], Arrival] = defaultdict(Arrival)
    for batch in batches:
        team_id = batch.caller.team_id
        for place, span in enumerate(batch.spans):
            arrival = arrivals[team_id, UUID(hex=span.trace_id)]
            arrival.spans.append((span, place, batch))
            arrival.sender = batch
        for logs in batch.logs:
            arrival = arrivals[team_id, UUID(hex=logs.trace_id)]
            arrival.logs.append((logs, batch))
            arrival.sender = arrival.sender or batch
    return dict(sorted(arrivals.items(), key=lambda item: (item[0][0], item[0][1].int)))


def lock_runs(
    cursor: psycopg.Cursor[Any],
    wanted: Iterable[tuple[int, UUID]],
    arrivals: Mapping[tuple[int, UUID], Arrival] | None = None,
) -> list[RunState]:
    """Those of the runs (team, trace id) that are there, locked until the transaction ends, with all their rows; with
    ``arrivals`` a long run has those that its arrival tells of again."""
    wanted = list(wanted)
    teams, traces = [team for team, _ in wanted], [trace for _, trace in wanted]
    cursor.execute(statements("ingest")["lock_runs"], {"teams": teams, "traces": traces})
    states = [_state_from(columns) for columns in cursor.fetchall()]
    for state in states:
        if arrivals is None:
            growing.load(cursor, state)
        else:
            spans = arrivals[state.team_id, state.trace_id].spans
            growing.load(cursor, state, (span_int(span.span_id) for span, _, _ in spans))
    return states


def _state_from(columns: Sequence[Any]) -> RunState:
    (team_id, trace_id, run_id, day, origin, status, external_id, title, title_rank, output, output_rank, session_id,
     user_id, environment, release, service, key_id, tags, metadata, linked, is_hidden, span_count) = columns  # fmt: skip
    story = Story(
        external_id=external_id, title=title, title_rank=title_rank, output=output, output_rank=output_rank,
        session_id=session_id, user_id=user_id, environment=environment, release=release, service=service,
        key_id=key_id, tags=set(tags), metadata=metadata, linked={str(trace) for trace in linked},
    )  # fmt: skip
    return RunState(
        team_id=team_id, trace_id=trace_id, id=run_id, day=day, origin=origin, is_new=False, status=status,
        story=story, is_hidden=is_hidden, span_count=span_count,
    )  # fmt: skip


def _begin(
    cursor: psycopg.Cursor[Any], arrivals: dict[tuple[int, UUID], Arrival], there: set[tuple[int, UUID]]
) -> list[RunState]:
    states = []
    wanted: dict[tuple[int, str], RunState] = {}
    for (team_id, trace_id), arrival in arrivals.items():
        if (team_id, trace_id) in there or arrival.sender is None:
            continue
        started_us = min((s.started_ns for s, _, _ in arrival.spans), default=arrival.sender.received_ns) // 1000
        state = RunState(
            team_id=team_id,
            trace_id=trace_id,
            id=uuid7(started_us // 1000),
            day=new_day(started_us),
            origin=arrival.sender.origin,
            is_new=True,
        )
        states.append(state)
        for span, _, _ in arrival.spans:
            if span.run_id:
                wanted.setdefault((team_id, span.run_id[:128]), state)
    if wanted:
        _keep_external_ids_unique(cursor, wanted, arrivals)
    return states


def _keep_external_ids_unique(
    cursor: psycopg.Cursor[Any], wanted: dict[tuple[int, str], RunState], arrivals: dict[tuple[int, UUID], Arrival]
) -> None:
    """A second trace under an id that a run has already becomes a run of its own, linked to the first."""
    parameters = {"teams": [team for team, _ in wanted], "ids": [name for _, name in wanted]}
    cursor.execute(statements("ingest")["taken_external_ids"], parameters)
    owner = {(team, name): trace for team, name, trace in cursor.fetchall()}
    for (team_id, trace_id), arrival in arrivals.items():
        for span, _, _ in arrival.spans:
            if not span.run_id:
                continue
            name = (team_id, span.run_id[:128])
            first = owner.setdefault(name, wanted[name].trace_id if name in wanted else trace_id)
            if first != trace_id:
                span.run_id = None
                span.links.append({"trace_id": first.hex, "span_id": "", "attributes": {"wflo.link": "same run id"}})


# --- take in -----------------------------------------------------------------------------------------------------------


def _take(state: RunState, arrival: Arrival, receipt_of: dict[int, Receipt]) -> None:
    """Put an arrival's spans among the run's rows; tell new, changed and known apart."""
    taken: list[Span] = []
    for span, place, batch in arrival.spans:
        receipt = receipt_of[id(batch)]
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
        else:
            _put_together(state, old, row)
    for logs, batch in arrival.logs:
        receipt_of[id(batch)].accepted += len(logs.records)
    if taken:
        state.story.read(taken)


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


def _recall(cursor: psycopg.Cursor[Any], states: Iterable[RunState]) -> None:
    """Join the payloads of replaced spans with what was stored of them."""
    for state in states:
        if not state.replaced:
            continue
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


# --- write -------------------------------------------------------------------------------------------------------------


def _pack(states: Iterable[RunState], arrivals: dict[tuple[int, UUID], Arrival]) -> list[PayloadRow]:
    """Payload rows of every run, and each row's place in them."""
    rows = []
    for state in states:
        arrival = arrivals[state.team_id, state.trace_id]
        redact = redactor(arrival.sender.caller.redaction) if arrival.sender else redactor("off")
        unpacked = [row for i in (*state.fresh, *state.changed) if (row := state.rows[i]).payload is not None]
        for group in _chunks(unpacked):
            chunk = secrets.randbits(63)
            for position, row in enumerate(group):
                row.chunk, row.chunk_position = chunk, position
            body = redact.body(join([row.payload for row in group if row.payload is not None]))
            rows.append((state.team_id, state.day, state.trace_id, chunk, Payload.Kind.SPANS.value, compress(body)))
        if arrival.logs:
            rows.append(_log_chunk(state, [logs for logs, _ in arrival.logs], redact))
        state.story.title = shortened(redact.words(state.story.title))
        state.story.output = shortened(redact.words(state.story.output))
    return rows


def _chunks(rows: list[SpanRow]) -> Iterable[list[SpanRow]]:
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


def _door(batches: Sequence[Batch], receipts: Sequence[Receipt]) -> dict[Key, int]:
    """What reached each team's door: received = accepted + known + every kind of rejected."""
    counts: dict[Key, int] = defaultdict(int)
    for batch, receipt in zip(batches, receipts, strict=True):
        hour = batch.received_ns // 1000
        hour -= hour % HOUR_US
        team_id = batch.caller.team_id
        counts[Key(team_id, slices.DOOR, hour, "received")] += batch.received
        if receipt.is_over_quota:
            counts[Key(team_id, slices.DOOR, hour, "dropped: quota")] += batch.received
            continue
        counts[Key(team_id, slices.DOOR, hour, "accepted")] += receipt.accepted
        counts[Key(team_id, slices.DOOR, hour, "known")] += receipt.known
        for rejected in receipt.rejected:
            counts[Key(team_id, slices.DOOR, hour, f"rejected: {rejected.code}")] += 1
    return counts


def _save_payloads(cursor: psycopg.Cursor[Any], payloads: list[PayloadRow]) -> None:
    logs = [row for row in payloads if row[4] == Payload.Kind.LOGS]
    if logs:
        sql = f"INSERT INTO tracking_payload ({PAYLOAD_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
        cursor.executemany(sql, logs)
    spans = [row for row in payloads if row[4] == Payload.Kind.SPANS]
    if spans:
        with cursor.copy(f"COPY tracking_payload ({PAYLOAD_COLUMNS}) FROM STDIN (FORMAT binary)") as copy:
            copy.write(copying.payload_rows(spans))


def save_usage(cursor: psycopg.Cursor[Any], deltas: Deltas, door: dict[Key, int]) -> None:
    """Append usage deltas, and what reached the door."""
    lines = [copying.usage_line(key, measures) for key, measures in deltas.rows()]
    lines += [copying.usage_line(key, (0, n, *ZERO[2:])) for key, n in sorted(door.items()) if n]
    if lines:
        with cursor.copy(f"COPY tracking_usage_delta ({USAGE_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join(lines))


def _save_runs(cursor: psycopg.Cursor[Any], states: Sequence[RunState]) -> None:
    new = [s for s in states if s.is_new]
    if new:
        columns = [s.columns() for s in new]
        names = ", ".join(("team_id", "id", "trace_id", "day", *columns[0], "loop_detected", "budget_exceeded"))
        lines = [
            copying.run_line((s.team_id, s.id, s.trace_id, s.day, *c.values(), False, False))
            for s, c in zip(new, columns, strict=True)
        ]
        with cursor.copy(f"COPY tracking_run ({names}) FROM STDIN") as copy:
            copy.write("".join(lines))
    old = [s for s in states if not s.is_new]
    if old:
        runs = [{"team_id": s.team_id, "id": str(s.id), **s.columns()} for s in old]
        cursor.execute(statements("ingest")["update_runs"], {"runs": orjson.dumps(runs, default=str).decode()})


def save_spans(cursor: psycopg.Cursor[Any], states: Sequence[RunState]) -> None:
    """Write the rows of runs that are fresh or changed."""
    replaced = [(s, i) for s in states for i in s.changed]
    if replaced:
        parameters = {
            "teams": [s.team_id for s, _ in replaced],
            "days": [s.day for s, _ in replaced],
            "traces": [s.trace_id for s, _ in replaced],
            "spans": [i for _, i in replaced],
        }
        cursor.execute(statements("ingest")["delete_spans"], parameters)
    lines = []
    for state in states:
        prefix = f"{state.team_id}\t{state.day}\t{state.trace_id}\t"
        lines += [copying.span_line(prefix, state.rows[i]) for i in (*state.fresh, *state.changed)]
    if lines:
        with cursor.copy(f"COPY tracking_span ({SPAN_COLUMNS}) FROM STDIN") as copy:
            copy.write("".join(lines))


def merge_payloads(weaker: dict[str, Any], stronger: dict[str, Any]) -> bytes:
    """A span's payload from two reports: the stronger one's attributes over the other's, events of both."""
    merged = {**weaker, **stronger, "attributes": {**weaker.get("attributes", {}), **stronger.get("attributes", {})}}
    for many in ("events", "links"):
        extra = [e for e in weaker.get(many, []) if e not in stronger.get(many, [])]
        if extra:
            merged[many] = extra + stronger.get(many, [])
    return orjson.dumps(merged)
