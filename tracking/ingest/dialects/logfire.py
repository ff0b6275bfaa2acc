"""Logfire: spans named by a template, their text in ``logfire.msg``, their parts in plain attributes."""

from __future__ import annotations

from tracking.ingest.dialects import genai
from tracking.ingest.dialects.common import read_error
from tracking.ingest.dialects.fields import parsed, text, tokens, usage_of
from wflo.spans import Kind, Span, Status

NAME_MAX = 300
STREAM_END = "streaming response from"  # a log at the end of a streamed call: the call has its own span
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
    if kind in genai.CALLS or template.startswith(STREAM_END):
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
