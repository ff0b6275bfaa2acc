"""Logfire: spans named by a template, their text in ``logfire.msg``, their parts in plain attributes."""

from __future__ import annotations

from tracking.ingest.dialects import genai
from tracking.ingest.dialects.common import read_error
from tracking.ingest.dialects.fields import parsed, text, tokens, usage_of
from wflo.spans import Kind, Span, Status

NAME_MAX = 300
# A log at the end of a streamed call. The call has a span of its own, which ended when the stream began and knows no
# tokens: the log is the better report of the two.
STREAM_END = "streaming response from"
STREAM = "logfire-stream"
_SECOND_NS = 10**9
_STREAM_MAX_S = 86_400
# The beginning of the template says what it is.
_TEMPLATES = (
    ("Agent run", Kind.AGENT),
    ("Function", Kind.TOOL),
    ("Guardrail", Kind.GUARDRAIL),
    ("Responses API", Kind.LLM),
    ("Chat completion", Kind.LLM),
    ("Chat Completion", Kind.LLM),
    ("Completion with", Kind.LLM),
    ("Message with", Kind.LLM),
    ("Embedding Creation", Kind.EMBEDDING),
)


def read(span: Span) -> None:
    """A span of Logfire's that names no GenAI operation, or is no call though it names one."""
    attributes = span.attributes
    template = text(attributes, "logfire.msg_template") or ""
    kind = next((kind for start, kind in _TEMPLATES if template.startswith(start)), Kind.CHAIN)
    name = text(attributes, "name")
    if template.startswith(STREAM_END):
        _read_stream_end(span)
        return
    if kind in genai.CALLS:
        genai.read_as(span, kind)
    else:
        span.kind = kind
    span.convention = "logfire"
    if kind is Kind.AGENT:
        span.agent = name
    elif kind is Kind.TOOL:
        span.tool_name = name
    else:
        span.agent = text(attributes, "agent_name") or span.agent
    if kind is Kind.CHAIN and "usage" in attributes:
        _read_sum(span)
    read_habits(span)


def _read_stream_end(span: Span) -> None:
    """It stands for the time the stream took. Alone in a trace, it is the sum of a call that stands in another."""
    genai.read_as(span, Kind.LLM if span.parent_id else Kind.CHAIN)
    span.convention = STREAM
    took = span.attributes.get("duration")
    if isinstance(took, int | float) and 0 < took < _STREAM_MAX_S:
        span.started_ns -= int(took * _SECOND_NS)
    read_habits(span)


def read_habits(span: Span) -> None:
    """What all its spans share: the text as name, the error as JSON, the group as session."""
    attributes = span.attributes
    message = attributes.get("logfire.msg")
    if isinstance(message, str) and message:
        span.name = message[:NAME_MAX]
    if span.session_id is None:
        span.session_id = text(attributes, "group_id")
    error = attributes.get("error")
    if span.status is Status.ERROR and error is not None:
        decoded = parsed(error)
        if isinstance(decoded, dict):
            inner = decoded.get("data")
            details = text(inner, "error") if isinstance(inner, dict) else None
            span.error = details or text(decoded, "message") or span.error
        else:
            span.error = text(attributes, "error") or span.error
        read_error(span)
    if span.parent_id is None and "metadata" in attributes:
        metadata = parsed(attributes["metadata"])
        span.metadata = metadata if isinstance(metadata, dict) and metadata else None


def _read_sum(span: Span) -> None:
    """The Agents SDK's tasks and turns repeat the sum of the calls below them."""
    usage = parsed(span.attributes["usage"])
    if not isinstance(usage, dict):
        return
    span.usage = usage_of(
        tokens(usage, "input_tokens"),
        tokens(usage, "output_tokens"),
        cached=tokens(usage, "cached_input_tokens"),
        cache_write=tokens(usage, "cache_write_input_tokens"),
    )
    span.is_aggregate = span.usage is not None
