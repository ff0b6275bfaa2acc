"""Langfuse's SDK: ``langfuse.observation.*``, with values written as JSON."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from tracking.ingest.dialects import names
from tracking.ingest.dialects.common import read_error
from tracking.ingest.dialects.fields import (
    Attributes,
    BadField,
    entries,
    money,
    parsed,
    quoted,
    text,
    tokens,
    usage_of,
    word,
    words,
)
from wflo.spans import Kind, Span, Status
from wflo.usage import Usage

_KINDS = {
    "generation": Kind.LLM,
    "embedding": Kind.EMBEDDING,
    "agent": Kind.AGENT,
    "tool": Kind.TOOL,
    "retriever": Kind.RETRIEVER,
    "guardrail": Kind.GUARDRAIL,
    "evaluator": Kind.EVALUATOR,
}
_OBSERVATION = "langfuse.observation."
_METADATA = _OBSERVATION + "metadata."
_USAGE = _OBSERVATION + "usage_details"
_COST = _OBSERVATION + "cost_details"
_T = TypeVar("_T")


def read(span: Span) -> None:
    attributes = span.attributes
    span.convention = "langfuse"
    span.kind = _KINDS.get(word(attributes[_OBSERVATION + "type"]), Kind.CHAIN)
    if span.kind is Kind.LLM and span.name.endswith(".embeddings"):
        span.kind = Kind.EMBEDDING  # the OpenAI wrapper for JavaScript marks all it wraps as generations
    node = quoted(attributes, _METADATA + "langgraph_node")
    span.agent = quoted(attributes, _METADATA + "lc_agent_name") or names.graph_agent(
        node, quoted(attributes, _METADATA + "langgraph_checkpoint_ns")
    )
    if span.kind is Kind.AGENT and node is not None and (node != span.name or node in names.AGENT_NODES):
        span.kind = Kind.CHAIN  # a part of an agent, marked for its name
    if span.kind in (Kind.LLM, Kind.EMBEDDING):
        _read_call(span)
    elif span.kind is Kind.TOOL:
        span.tool_name = span.name[:200] or None
        span.tool_call_id = quoted(attributes, _METADATA + "tool_call_id")
    else:
        if span.kind is Kind.AGENT:
            span.agent = span.name[:200] or span.agent
        elif span.agent and span.agent == span.name:
            span.kind = Kind.AGENT  # LangGraph's agents come as chains
        span.usage = _usage(attributes)
        span.is_aggregate = span.usage is not None
    _read_trace(span)


def _read_trace(span: Span) -> None:
    attributes = span.attributes
    if attributes.get(_OBSERVATION + "level") == "ERROR":
        span.status = Status.ERROR
        span.error = span.error or text(attributes, _OBSERVATION + "status_message")
        read_error(span)
    span.session_id = span.session_id or quoted(attributes, "langfuse.trace.metadata.session_id")
    span.user_id = span.user_id or quoted(attributes, "langfuse.trace.metadata.user_id")
    span.environment = text(attributes, "langfuse.environment") or span.environment
    span.release = text(attributes, "langfuse.release", "langfuse.version") or span.release
    tags = attributes.get("langfuse.trace.tags")
    if tags:
        span.tags = words(tags)
    if span.parent_id is None:
        found = entries(attributes, "langfuse.trace.metadata.")
        span.metadata = {key: _plain(value) for key, value in found.items()} or None


def _plain(value: Any) -> Any:
    decoded = parsed(value)
    return value if decoded is None else decoded


def _read_call(span: Span) -> None:
    attributes = span.attributes
    provider = quoted(attributes, _METADATA + "ls_provider")
    provider = names.provider_name(provider) if provider else None
    requested = quoted(attributes, _METADATA + "ls_model_name")
    served = quoted(attributes, _OBSERVATION + "model.name")
    if requested is not None:
        requested, provider = names.model_name(requested, provider)
    if served is not None:
        served, provider = names.model_name(served, provider)
    span.requested_model, span.model, span.provider = requested or served, served or requested, provider
    span.usage = _usage(attributes)
    costs = parsed(attributes.get(_COST))
    if isinstance(costs, dict):
        span.reported_cost_usd = _named(_COST, lambda: money(costs, "total"))
    span.finish_reason = names.finish_reason(quoted(attributes, _METADATA + "finish_reason", _METADATA + "stop_reason"))
    _read_first_token(span)


def _read_first_token(span: Span) -> None:
    at = quoted(span.attributes, _OBSERVATION + "completion_start_time")
    if at is None:
        return
    try:
        elapsed_ms = datetime.fromisoformat(at).timestamp() * 1_000 - span.started_ns / 1e6
    except (ValueError, OverflowError):
        return  # a time nobody can read tells no first token; the rest of the span holds
    if elapsed_ms > 0:
        span.first_token_ms = round(elapsed_ms, 3)


def _usage(attributes: Attributes) -> Usage | None:
    details = parsed(attributes.get(_USAGE))
    if not isinstance(details, dict):
        return None
    return _named(_USAGE, lambda: _usage_of(details))


def _usage_of(details: Attributes) -> Usage | None:
    """Two conventions under one name: LangChain's handler and the OpenAI wrapper for JavaScript split the parts off
    (``input`` beside ``input_cache_read`` or ``input_cached_tokens``) and keep their sum as ``total``; the OpenAI
    wrapper for Python passes the provider's own figures on."""
    details = _flat(details)
    total = tokens(details, "total", "total_tokens")
    input_tokens = tokens(details, "input", "input_tokens", "prompt_tokens")
    output_tokens = tokens(details, "output", "output_tokens", "completion_tokens")
    is_split = total is None or total != (input_tokens or 0) + (output_tokens or 0)
    if is_split and "output" in details and output_tokens is not None:
        output_tokens += _parts(details, "output_")
    if is_split and "input" in details and input_tokens is not None:
        rest = (total or 0) - (output_tokens or 0)
        input_tokens = rest if rest >= input_tokens else input_tokens + _parts(details, "input_")
    return usage_of(
        input_tokens,
        output_tokens,
        cached=tokens(
            details,
            "input_cache_read",
            "input_cached_tokens",
            "cache_read_input_tokens",
            *_nested("input", "prompt", "cached_tokens"),
        ),
        cache_write=_cache_write(details),
        reasoning=tokens(
            details,
            "output_reasoning",
            "output_reasoning_tokens",
            "reasoning",
            *_nested("output", "completion", "reasoning_tokens"),
        ),
        total=total,
        audio_input_tokens=tokens(details, "input_audio", "input_audio_tokens") or None,
        audio_output_tokens=tokens(details, "output_audio", "output_audio_tokens") or None,
    )


def _cache_write(details: Attributes) -> int | None:
    """LangChain splits what Anthropic wrote to its cache by how long it is kept, and leaves 0 as the sum."""
    whole = tokens(
        details,
        "input_cache_creation",
        "input_cache_write_tokens",
        "cache_creation_input_tokens",
        *_nested("input", "prompt", "cache_write_tokens"),
    )
    split = sum(tokens(details, f"input_ephemeral_{kept}_input_tokens") or 0 for kept in ("5m", "1h"))
    return whole or split or whole


def _flat(details: Attributes) -> Attributes:
    """Details with one level of objects written with dots."""
    flat: Attributes = {}
    for key, value in details.items():
        if isinstance(value, dict):
            flat.update((f"{key}.{part}", count) for part, count in value.items())
        else:
            flat[key] = value
    return flat


def _parts(details: Attributes, prefix: str) -> int:
    """The parts split off one side; ``input_tokens`` and its like are totals."""
    return sum(
        tokens(details, key) or 0
        for key in details
        if key.startswith(prefix) and key != prefix + "tokens" and "." not in key
    )


def _nested(side: str, old_side: str, part: str) -> tuple[str, ...]:
    return (f"{side}_tokens_details.{part}", f"{old_side}_tokens_details.{part}")


def _named(attribute: str, read_value: Callable[[], _T]) -> _T:
    """A wrong figure inside a JSON attribute is reported with the attribute's name before it."""
    try:
        return read_value()
    except BadField as bad:
        raise BadField(f"{attribute}: {bad.attribute}", bad.what, code=bad.code) from None
