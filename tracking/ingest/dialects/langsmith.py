"""LangSmith's exporter: ``langsmith.span.kind`` over GenAI attributes."""

from __future__ import annotations

from tracking.ingest.dialects import genai, names
from tracking.ingest.dialects.fields import Attributes, entries, parsed, text, tokens, usage_of, word, words
from wflo.spans import Kind, Span

_KINDS = {
    "llm": Kind.LLM,
    "tool": Kind.TOOL,
    "chain": Kind.CHAIN,
    "retriever": Kind.RETRIEVER,
    "embedding": Kind.EMBEDDING,
    "agent": Kind.AGENT,
}
_METADATA = "langsmith.metadata."


def read(span: Span) -> None:
    """Session means a project to LangSmith, so only what the metadata calls a session or a thread is one."""
    attributes: Attributes = span.attributes
    kind = _KINDS.get(word(attributes["langsmith.span.kind"]), Kind.CHAIN)
    genai.read_as(span, kind)
    span.convention = "langsmith"
    agent = text(attributes, _METADATA + "lc_agent_name") or names.graph_agent(
        attributes.get(_METADATA + "langgraph_node"), attributes.get(_METADATA + "langgraph_checkpoint_ns")
    )
    if agent:
        span.agent = agent
        if kind is Kind.CHAIN and span.name == agent:
            span.kind = Kind.AGENT
    elif kind is Kind.AGENT:
        span.agent = text(attributes, "langsmith.trace.name") or span.name[:200] or None
    if span.kind in genai.CALLS:
        provider = text(attributes, _METADATA + "ls_provider")
        if provider:
            span.provider = names.provider_name(provider)
        span.requested_model = text(attributes, _METADATA + "ls_model_name") or span.requested_model
        span.model = span.model or span.requested_model
        _read_parts(span)
    span.session_id = span.session_id or text(
        attributes, _METADATA + "session_id", _METADATA + "thread_id", _METADATA + "conversation_id"
    )
    span.user_id = span.user_id or text(attributes, _METADATA + "user_id")
    if "langsmith.span.tags" in attributes:
        span.tags = words(attributes["langsmith.span.tags"])
    if span.parent_id is None:
        span.metadata = entries(attributes, _METADATA) or None


def _read_parts(span: Span) -> None:
    """Cached and reasoning tokens stand only in LangChain's own usage, which the metadata repeats."""
    usage, told = span.usage, parsed(span.attributes.get(_METADATA + "usage_metadata"))
    if usage is None or usage.cached_tokens is not None or not isinstance(told, dict):
        return
    inputs, outputs = told.get("input_token_details"), told.get("output_token_details")
    inputs = inputs if isinstance(inputs, dict) else {}
    span.usage = usage_of(
        usage.input_tokens,
        usage.output_tokens,
        cached=tokens(inputs, "cache_read"),
        cache_write=genai.langchain_cache_write(inputs),
        reasoning=tokens(outputs, "reasoning") if isinstance(outputs, dict) else None,
        cache_write_1h_tokens=tokens(inputs, "ephemeral_1h_input_tokens") or None,
        service_tier=usage.service_tier,
    )
