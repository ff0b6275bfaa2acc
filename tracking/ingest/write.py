"""The one writer: batches in, rows committed, receipts out.

A transaction takes any number of batches. It locks the runs they touch, reads what those runs hold, derives
everything from the whole of each run (``share``), and writes: so a retry, a late span or another order changes nothing
but what should change. New runs, the ordinary case, are read and written once; where two writers begin one run in the
same moment, the second waits for the first to commit and adds to what it finds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import psycopg
from psycopg.errors import UniqueViolation

from tracking import ids
from tracking.codes import span_int
from tracking.ingest import charges, copying, growing
from tracking.ingest.batch import Batch, Receipt
from tracking.ingest.copying import PAYLOAD_COLUMNS, SPAN_COLUMNS, USAGE_COLUMNS
from tracking.ingest.run_state import RunState, new_day
from tracking.ingest.share import Arrival, PayloadRow, Share, worked_out
from tracking.ingest.story import Story
from tracking.models.runs import Payload
from tracking.sql import statements
from tracking.usage import slices
from tracking.usage.deltas import HOUR_US, ZERO, Deltas, Key

Connection = psycopg.Connection[Any]


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
    with connection.transaction(), connection.cursor() as cursor:
        _mark_over_quota(cursor, batches, receipts)
        arrivals = _by_run([b for b, r in zip(batches, receipts, strict=True) if not r.is_over_quota])
        states = lock_runs(cursor, arrivals, arrivals)
        begun = _begin(cursor, arrivals, {state.key for state in states})
        shares = [worked_out(cursor, state, arrivals[state.key]) for state in states]
        new = [worked_out(cursor, state, arrivals[state.key]) for state in begun]
        # From the first insert on another writer may wait for us: what can be worked out before it, is.
        shares += _save_begun(cursor, new, arrivals)
        _save_shares(cursor, shares)
        _count(batches, receipts, shares)
        save_usage(cursor, Deltas.of(share.deltas for share in shares), _door(batches, receipts))
        charges.save(cursor, [(state.team_id, state.named, state.moves) for state in (share.state for share in shares)])
    return Written(receipts, [share.state for share in shares])


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
        team_id, named = batch.caller.team_id, ""
        for place, span in enumerate(batch.spans):
            if span.trace_id != named:  # a run's spans mostly come together
                named = span.trace_id
                arrival = arrivals[team_id, UUID(hex=named)]
                arrival.sender = batch
            arrival.spans.append((span, place, batch))
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
    # Planned each time: a plan made while the table was small, and kept, would read all of it.
    cursor.execute(statements("ingest")["lock_runs"], {"teams": teams, "traces": traces}, prepare=False)
    states = [_state_from(columns) for columns in cursor.fetchall()]
    growing.load(cursor, states, None if arrivals is None else _arriving(arrivals))
    return states


def _arriving(arrivals: Mapping[tuple[int, UUID], Arrival]) -> Callable[[RunState], Iterable[int]]:
    return lambda state: (span_int(span.span_id) for span, _, _ in arrivals[state.key].spans)


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
            id=ids.uuid7(started_us // 1000),
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


# --- write -------------------------------------------------------------------------------------------------------------


def _save_begun(
    cursor: psycopg.Cursor[Any], shares: list[Share], arrivals: Mapping[tuple[int, UUID], Arrival]
) -> list[Share]:
    """Insert new runs. Those another writer began meanwhile, and has committed, are worked out again with its rows."""
    if not shares:
        return []
    runs = [{**_ids(s.state), **s.state.columns()} for s in shares]
    cursor.execute(statements("ingest")["insert_runs"], {"runs": orjson.dumps(runs, default=str).decode()})
    ours = set(cursor.fetchall())
    kept = [share for share in shares if share.state.key in ours]
    if len(kept) == len(shares):
        return kept
    lost = [share.state.key for share in shares if share.state.key not in ours]
    there = lock_runs(cursor, lost, arrivals)
    if len(there) < len(lost):
        raise UniqueViolation("a run was begun elsewhere and went away again")
    return kept + [worked_out(cursor, state, arrivals[state.key]) for state in there]


def _ids(state: RunState) -> dict[str, Any]:
    return {"team_id": state.team_id, "id": str(state.id), "trace_id": str(state.trace_id), "day": state.day}


def _save_shares(cursor: psycopg.Cursor[Any], shares: Sequence[Share]) -> None:
    """What belongs to runs that are inserted or locked."""
    old = [share.state for share in shares if not share.state.is_new]
    if old:
        runs = [{**_ids(state), **state.columns()} for state in old]
        parameters = {"runs": orjson.dumps(runs, default=str).decode()}
        cursor.execute(statements("ingest")["update_runs"], parameters, prepare=False)  # as lock_runs
    save_spans(cursor, [share.state for share in shares], "".join([share.lines for share in shares]))
    _save_payloads(cursor, [row for share in shares for row in share.payloads])


def save_spans(cursor: psycopg.Cursor[Any], states: Sequence[RunState], lines: str) -> None:
    """Write the ``span_lines`` of runs, over the rows that they replace."""
    replaced = [(s, i) for s in states for i in s.changed]
    if replaced:
        parameters = {
            "teams": [s.team_id for s, _ in replaced],
            "days": [s.day for s, _ in replaced],
            "traces": [s.trace_id for s, _ in replaced],
            "spans": [i for _, i in replaced],
        }
        cursor.execute(statements("ingest")["delete_spans"], parameters)
    if lines:
        with cursor.copy(f"COPY tracking_span ({SPAN_COLUMNS}) FROM STDIN") as copy:
            copy.write(lines)


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


def _count(batches: Sequence[Batch], receipts: Sequence[Receipt], shares: Iterable[Share]) -> None:
    """Each batch's receipt is the sum of what its runs say."""
    receipt_of = {id(batch): receipt for batch, receipt in zip(batches, receipts, strict=True)}
    for share in shares:
        for batch, part in share.receipts.items():
            receipt = receipt_of[batch]
            receipt.accepted += part.accepted
            receipt.known += part.known
            receipt.rejected += part.rejected


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
