"""Report values as the JSON of the reading doors. Money is written digit by digit: no float ever holds it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson

from tracking.reports.run import Breakdown, Share
from tracking.reports.runs import RunRow
from tracking.reports.span import WholeSpan
from tracking.reports.span_tree import Place
from tracking.reports.spans import ReadSpan

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


def write(value: Any) -> bytes:
    return orjson.dumps(value, default=_other, option=_OPTIONS)


def _other(value: Any) -> Any:
    if isinstance(value, Decimal):
        return money(value)
    raise TypeError(f"{type(value).__name__} has no place in an answer")


def money(value: Decimal | None) -> orjson.Fragment | None:
    """A JSON number with at most 10 decimals and no exponent; None stays null."""
    if value is None:
        return None
    text = f"{value:f}"
    return orjson.Fragment(text.rstrip("0").rstrip(".") or "0" if "." in text else text)


def run_json(run: RunRow) -> dict[str, Any]:
    return {
        "id": run.id,
        "external_id": run.external_id,
        "trace_id": run.trace_id.hex,
        "name": run.name,
        "title": run.title,
        "origin": run.origin,
        "status": run.status,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "duration_ms": run.duration_ms,
        "session_id": run.session_id,
        "user_id": run.user_id,
        "environment": run.environment,
        "tags": run.tags,
        "agents": run.agents,
        "models": run.model_names,
        "span_count": run.span_count,
        "llm_calls": run.llm_calls,
        "tool_calls": run.tool_calls,
        "errors": run.errors,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cached_tokens": run.cached_tokens,
        "cache_write_tokens": run.cache_write_tokens,
        "reasoning_tokens": run.reasoning_tokens,
        "embedding_tokens": run.embedding_tokens,
        "total_tokens": run.total_tokens,
        "cost_usd": money(run.cost_usd),
        "cost_status": run.cost_status,
        "unpriced_calls": run.unpriced_calls,
        "estimated_calls": run.estimated_calls,
        "loop_detected": run.loop_detected,
        "budget_exceeded": run.budget_exceeded,
        "parent_run_id": run.parent_run_id,
        "job_id": run.job_id,
    }


def _share_json(share: Share) -> dict[str, Any]:
    return {
        "key": share.key,
        "llm_calls": share.llm_calls,
        "tool_calls": share.tool_calls,
        "input_tokens": share.input_tokens,
        "output_tokens": share.output_tokens,
        "cached_tokens": share.cached_tokens,
        "cost_usd": money(share.cost_usd),
        "cost_status": share.cost_status,
        "unpriced_calls": share.unpriced_calls,
    }


def run_whole_json(
    run: RunRow, parts: Breakdown, metadata: dict[str, Any], asked: str, answered: str, linked: list[RunRow]
) -> dict[str, Any]:
    """``asked`` and ``answered``: the run's whole input and output, '' when it carries none."""
    return {
        **run_json(run),
        "by_agent": [_share_json(share) for share in parts.by_agent],
        "by_model": [_share_json(share) for share in parts.by_model],
        "by_tool": [_share_json(share) for share in parts.by_tool],
        "metadata": metadata,
        "input": asked or None,
        "output": answered or None,
        "error": run.error,
        "entry_agent": run.entry_agent,
        "release": run.release,
        "service": run.service,
        "linked_run_ids": [other.id for other in linked],
    }


def span_json(span: ReadSpan) -> dict[str, Any]:
    return {
        "span_id": span.id,
        "parent_id": span.parent,
        "trace_id": span.trace_id.hex,
        "kind": span.kind,
        "name": span.name,
        "agent": span.agent,
        "model": span.model,
        "requested_model": span.requested_model,
        "provider": span.provider,
        "started_at": span.started_at,
        "ended_at": span.ended_at,
        "duration_ms": span.duration_ms,
        "first_token_ms": span.first_token_ms,
        "status": span.status,
        "error": span.error,
        "input_tokens": span.input_tokens,
        "output_tokens": span.output_tokens,
        "cached_tokens": span.cached_tokens,
        "cache_write_tokens": span.cache_write_tokens,
        "reasoning_tokens": span.reasoning_tokens,
        "cost_usd": money(span.cost_usd),
        "cost_status": span.cost_status,
        "tool_name": span.tool_name,
        "purpose": span.purpose,
        "attempt": span.attempt,
        "finish_reason": span.finish_reason,
        "counted": span.counted,
    }


def placed_json(place: Place, span: ReadSpan) -> dict[str, Any]:
    return {**span_json(span), "depth": place.depth, "place": place.how}


def span_whole_json(whole: WholeSpan) -> dict[str, Any]:
    entry, said = whole.entry, whole.contents
    return {
        **span_json(whole.span),
        "run_id": whole.run_id,
        "convention": whole.span.convention,
        "reported_cost_usd": money(whole.span.reported_cost_usd),
        "input": said.input_text or None,
        "output": said.output_text or None,
        "input_messages": [{"role": message.role, "parts": message.parts} for message in said.input],
        "output_messages": [{"role": message.role, "parts": message.parts} for message in said.output],
        "attributes": entry.get("attributes") or {},
        "events": entry.get("events") or [],
        "links": entry.get("links") or [],
        "resource": entry.get("resource") or {},
        "scope": entry.get("scope") or "",
        "notes": list(entry.get("notes") or ()),
        "metadata": entry.get("metadata"),
    }
