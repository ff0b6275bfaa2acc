"""Rows as COPY wants them: text for narrow rows, the binary format for compressed bodies."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from datetime import UTC, date, datetime
from functools import lru_cache
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


_NULL = "\\N"


def span_line(prefix: str, row: SpanRow) -> str:
    """``prefix`` is "team<TAB>day<TAB>trace<TAB>". Most cells of most spans are NULL, which takes no call here."""
    parent, key, tin, tout = row.parent_id, row.response_key, row.input_tokens, row.output_tokens
    cached, written, reasoning, first = (
        row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens, row.first_token_ms,
    )  # fmt: skip
    own, agent, tool, model, asked = row.own_agent, row.agent, row.tool_name, row.model, row.requested_model
    provider, finish, purpose, error = row.provider, row.finish_reason, row.purpose, row.error
    reported, detail = row.reported_cost_usd, row.usage_detail
    return (
        f"{prefix}{row.span_id}\t{_NULL if parent is None else parent}\t{row.chunk}\t{row.digest}"
        f"\t{_NULL if key is None else key}\t{moment(row.started_us)}\t{moment(row.ended_us)}"
        f"\t{_NULL if tin is None else tin}\t{_NULL if tout is None else tout}\t{_NULL if cached is None else cached}"
        f"\t{_NULL if written is None else written}\t{_NULL if reasoning is None else reasoning}"
        f"\t{_NULL if first is None else first}\t{row.chunk_position}\t{row.kind}\t{row.status}\t{row.cost_status}"
        f"\t{_NULL if row.attempt is None else row.attempt}\t{'t' if row.is_aggregate else 'f'}"
        f"\t{'t' if row.is_declaration else 'f'}\t{'t' if row.counted else 'f'}\t{money(row.cost_units)}"
        f"\t{_NULL if reported is None else reported}\t{text(row.convention)}\t{text(row.name)}"
        f"\t{_NULL if own is None else text(own)}\t{_NULL if agent is None else text(agent)}"
        f"\t{_NULL if tool is None else text(tool)}\t{_NULL if model is None else text(model)}"
        f"\t{_NULL if asked is None else text(asked)}\t{_NULL if provider is None else text(provider)}"
        f"\t{_NULL if finish is None else text(finish)}\t{_NULL if purpose is None else text(purpose)}"
        f"\t{_NULL if error is None else text(error)}\t{_NULL if detail is None else text(json.dumps(detail))}\n"
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
