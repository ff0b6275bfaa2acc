"""One span whole: its row, its payload, and the messages made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import connection

from tracking.codes import span_int
from tracking.errors import NotFound
from tracking.ingest.chunks import unpack
from tracking.ingest.contents import Contents, contents
from tracking.models import Payload
from tracking.reports.runs import RunRow
from tracking.reports.spans import SELECT, ReadSpan, read_row

LOG_CHUNKS_MAX = 200


@dataclass(frozen=True, slots=True)
class WholeSpan:
    """A span with everything it came with. ``entry`` is its payload; see ``tracking.ingest.span_row``."""

    span: ReadSpan
    entry: dict[str, Any]
    contents: Contents
    run_id: UUID | None = None


def find_span(team_id: int, trace_id: str, span_id: str) -> WholeSpan:
    """One span of the team by the two ids it was sent with, in hex. Raises NotFound."""
    try:
        trace, number = UUID(trace_id), span_int(span_id)
    except ValueError:
        raise NotFound("This team has no such span.") from None
    if not -(1 << 63) <= number < 1 << 63:
        raise NotFound("This team has no such span.")
    with connection.cursor() as db:
        db.execute("SELECT day, id FROM tracking_run WHERE team_id = %s AND trace_id = %s", [team_id, trace])
        run = db.fetchone()
        if run is not None:
            db.execute(
                f"{SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s AND span_id = %s",
                [team_id, run[0], trace, number],
            )
        found = db.fetchone() if run is not None else None
    if run is None or found is None:
        raise NotFound("This team has no such span.")
    return replace(whole_spans(team_id, [read_row(found)])[0], run_id=run[1])


def run_contents(team_id: int, run: RunRow) -> tuple[str, str]:
    """What the run was asked and what it answered, whole where its root says so, else the first words kept of it."""
    with connection.cursor() as db:
        db.execute(
            f"{SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s AND parent_id IS NULL"
            " ORDER BY started_at, span_id LIMIT 1",
            [team_id, run.day, run.trace_id],
        )
        root = db.fetchone()
    said = whole_spans(team_id, [read_row(root)])[0].contents if root is not None else None
    return (said and said.input_text) or run.title, (said and said.output_text) or run.output


def whole_spans(team_id: int, spans: Sequence[ReadSpan]) -> list[WholeSpan]:
    """``spans`` (of one run or several) with their payloads, in the order given."""
    entries = _entries(team_id, spans)
    logs = _logs(team_id, spans)
    whole = []
    for span in spans:
        entry = entries.get((span.trace_id, span.chunk, span.chunk_position), {})
        said = logs.get((span.trace_id, span.id))
        if said:
            entry = {**entry, "logs": said}
        whole.append(WholeSpan(span, entry, contents(entry, convention=span.convention, kind=span.kind)))
    return whole


def _entries(team_id: int, spans: Sequence[ReadSpan]) -> dict[tuple[UUID, int, int], dict[str, Any]]:
    wanted = sorted({(span.day, span.trace_id, span.chunk) for span in spans})
    if not wanted:
        return {}
    with connection.cursor() as db:
        db.execute(
            "SELECT trace_id, chunk, body FROM tracking_payload WHERE team_id = %s AND day = ANY(%s)"
            " AND trace_id = ANY(%s) AND chunk = ANY(%s) AND kind = %s",
            [
                team_id,
                sorted({day for day, _, _ in wanted}),
                sorted({trace for _, trace, _ in wanted}),
                sorted({chunk for _, _, chunk in wanted}),
                Payload.Kind.SPANS,
            ],
        )
        chunks = {(trace, chunk): unpack(body) for trace, chunk, body in db.fetchall()}
    return {
        (trace, chunk, position): entry
        for (trace, chunk), entries in chunks.items()
        for position, entry in enumerate(entries)
    }


def _logs(team_id: int, spans: Sequence[ReadSpan]) -> dict[tuple[UUID, str], list[dict[str, Any]]]:
    """Log records that carry the spans' contents, by trace and span id."""
    traces = sorted({(span.day, span.trace_id) for span in spans})
    if not traces:
        return {}
    with connection.cursor() as db:
        db.execute(
            "SELECT trace_id, body FROM tracking_payload WHERE team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s)"
            " AND kind = %s ORDER BY chunk LIMIT %s",
            [team_id, [day for day, _ in traces], [trace for _, trace in traces], Payload.Kind.LOGS, LOG_CHUNKS_MAX],
        )
        found: dict[tuple[UUID, str], list[dict[str, Any]]] = {}
        for trace, body in db.fetchall():
            for record in unpack(body):
                found.setdefault((trace, record.get("span_id", "")), []).append(record)
    return found
