"""Rows as COPY wants them: text for narrow rows, the binary format for compressed bodies."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from tracking.ingest.span_row import COST_SCALE, SpanRow
from tracking.usage.deltas import Key, Measures

SPAN_COLUMNS = (
    "team_id, day, trace_id, span_id, parent_id, chunk, digest, response_key, started_at, ended_at, input_tokens,"
    " output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, first_token_ms, chunk_position, kind, status,"
    " cost_status, attempt, is_aggregate, is_declaration, counted, cost_usd, reported_cost_usd, convention, name,"
    " own_agent, agent, tool_name, model, requested_model, provider, finish_reason, purpose, error, usage_detail"
)
USAGE_COLUMNS = (
    "team_id, slice, period, agent, model, provider, tool, kind, user_id, key_id, environment, runs, spans, llm_calls,"
    " tool_calls, errors, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,"
    " embedding_tokens, cost_usd, unpriced_calls, estimated_calls, latency"
)
PAYLOAD_COLUMNS = "team_id, day, trace_id, chunk, kind, body"

_EPOCH = date(2000, 1, 1).toordinal()
_SPECIAL = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": "\ufffd"})


def text(value: str | None) -> str:
    if value is None:
        return "\\N"
    return value if value.isprintable() and "\\" not in value else value.translate(_SPECIAL)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment(us: int | None) -> str:
    if us is None:
        return "\\N"
    seconds, fraction = divmod(us, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}+00"


def money(units: int | None) -> str:
    """Units of 1e-10 USD as NUMERIC reads them."""
    return "\\N" if units is None else f"{units}e-{COST_SCALE}"


def _number(value: object) -> str:
    return "\\N" if value is None else str(value)


def span_line(prefix: str, row: SpanRow) -> str:
    """``prefix`` is "team<TAB>day<TAB>trace<TAB>"."""
    n = _number
    flags = f"{'t' if row.is_aggregate else 'f'}\t{'t' if row.is_declaration else 'f'}\t{'t' if row.counted else 'f'}"
    detail = "\\N" if row.usage_detail is None else text(json.dumps(row.usage_detail))
    return (
        f"{prefix}{row.span_id}\t{n(row.parent_id)}\t{row.chunk}\t{row.digest}\t{n(row.response_key)}"
        f"\t{moment(row.started_us)}\t{moment(row.ended_us)}\t{n(row.input_tokens)}\t{n(row.output_tokens)}"
        f"\t{n(row.cached_tokens)}\t{n(row.cache_write_tokens)}\t{n(row.reasoning_tokens)}\t{n(row.first_token_ms)}"
        f"\t{row.chunk_position}\t{row.kind}\t{row.status}\t{row.cost_status}\t{n(row.attempt)}\t{flags}"
        f"\t{money(row.cost_units)}\t{n(row.reported_cost_usd)}\t{text(row.convention)}\t{text(row.name)}"
        f"\t{text(row.own_agent)}\t{text(row.agent)}\t{text(row.tool_name)}\t{text(row.model)}"
        f"\t{text(row.requested_model)}\t{text(row.provider)}\t{text(row.finish_reason)}\t{text(row.purpose)}"
        f"\t{text(row.error)}\t{detail}\n"
    )


def usage_line(key: Key, measures: Measures) -> str:
    (
        runs,
        spans,
        llm,
        tool,
        errors,
        tin,
        tout,
        cached,
        written,
        reasoning,
        embedding,
        cost,
        unpriced,
        estimated,
        latency,
    ) = measures
    return (
        f"{key.team_id}\t{key.slice}\t{moment(key.hour_us)}\t{text(key.agent)}\t{text(key.model)}\t{text(key.provider)}"
        f"\t{text(key.tool)}\t{key.kind}\t{text(key.user_id)}\t{key.key_id}\t{text(key.environment)}\t{runs}\t{spans}"
        f"\t{llm}\t{tool}\t{errors}\t{tin}\t{tout}\t{cached}\t{written}\t{reasoning}\t{embedding}\t{money(cost)}"
        f"\t{unpriced}\t{estimated}\t{latency}\n"
    )


_BINARY_HEAD = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_PAYLOAD = struct.Struct("!hiqiii16siqihi")


def payload_rows(rows: Iterable[tuple[int, date, UUID, int, int, bytes]]) -> bytes:
    """COPY BINARY of (team, day, trace, chunk, kind, body)."""
    parts = [_BINARY_HEAD]
    for team_id, day, trace_id, chunk, kind, body in rows:
        days = day.toordinal() - _EPOCH
        parts.append(_PAYLOAD.pack(6, 8, team_id, 4, days, 16, trace_id.bytes, 8, chunk, 2, kind, len(body)))
        parts.append(body)
    parts.append(b"\xff\xff")
    return b"".join(parts)


def array(values: Iterable[str]) -> str:
    """A text array, for a COPY line."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(quoted) + "}"


def run_line(values: Iterable[Any]) -> str:
    """Any run column: None, bool, int, text, dict (JSON), list (array), datetimes as text already."""
    cells = []
    for value in values:
        if value is None:
            cells.append("\\N")
        elif isinstance(value, bool):
            cells.append("t" if value else "f")
        elif isinstance(value, dict):
            cells.append(text(json.dumps(value, default=str)))
        elif isinstance(value, list):
            cells.append(text(array(value)))
        else:
            cells.append(text(str(value)))
    return "\t".join(cells) + "\n"
