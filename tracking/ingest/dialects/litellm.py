"""LiteLLM's own callback: GenAI attributes, with the cached and reasoning tokens only in a Python ``repr``.

A call has a span of its own when it is the root of its trace. Below a program's span LiteLLM writes the call onto that
span, each over the one before; what is left of each is what the provider was sent and answered.
"""

from __future__ import annotations

import re

from tracking.ingest.dialects import genai, names
from tracking.ingest.dialects.fields import text, usage_of
from wflo.spans import Kind, Span
from wflo.usage import Usage

_COUNT = re.compile(
    r"'(cached_tokens|cache_read_input_tokens|cache_creation_input_tokens|reasoning_tokens)': (\d{1,10})\b"
)
_REPR_MAX = 8_000
RAW_NAME = "raw_gen_ai_request"
RAW = "litellm-raw"
_ANY_COUNT = re.compile(r"'([a-z_]+_tokens)': (\d{1,10})\b")


def read(span: Span) -> None:
    """A ``litellm_request``; what the provider was sent and answered below it is the same call."""
    genai.read(span)
    attributes = span.attributes
    if span.kind is Kind.CHAIN and "litellm.call_id" in attributes:
        genai.read_as(span, Kind.LLM)
    span.convention = "litellm"
    usage, told = span.usage, attributes.get("metadata.usage_object")
    if usage is not None and usage.cached_tokens is None and isinstance(told, str):
        counts: dict[str, int] = {}
        for name, count in _COUNT.findall(told[:_REPR_MAX]):
            counts.setdefault(name, int(count))
        span.usage = usage_of(
            usage.input_tokens,
            usage.output_tokens,
            cached=counts.get("cached_tokens", counts.get("cache_read_input_tokens")),
            cache_write=counts.get("cache_creation_input_tokens"),
            reasoning=counts.get("reasoning_tokens"),
            service_tier=usage.service_tier,
        )
    span.session_id = span.session_id or text(attributes, "metadata.session_id", "metadata.litellm_session_id")
    span.user_id = span.user_id or text(
        attributes, "metadata.user_api_key_end_user_id", "metadata.user_api_key_user_id"
    )


def read_host(span: Span) -> None:
    """A program's span that LiteLLM wrote its latest call onto: what it was before, as far as that is left."""
    agent = text(span.attributes, "gen_ai.agent.name")
    span.kind = Kind.AGENT if agent else Kind.CHAIN
    span.agent, span.convention = agent, "litellm"


def read_raw(span: Span) -> None:
    """What the provider was sent and answered: ``llm.<provider>.<field>``, objects as ``repr``. Empty for a stream."""
    said: dict[str, object] = {}
    for key, value in span.attributes.items():
        _, provider, field = (*key.split(".", 2), "", "")[:3] if key.startswith("llm.") else ("", "", "")
        if field:
            said[field] = value
            span.provider = names.provider_name(provider) if provider not in ("None", "") else None
    is_embedding = "input" in said and not said.keys() & {"messages", "choices", "output", "content"}
    span.kind = Kind.EMBEDDING if is_embedding else Kind.LLM
    span.convention = RAW
    span.model = span.requested_model = text(said, "model")
    span.response_id = text(said, "id")
    span.finish_reason = names.finish_reason(said.get("stop_reason"))
    span.usage = _raw_usage(said.get("usage"))


def _raw_usage(told: object) -> Usage | None:
    if not isinstance(told, str):
        return None
    counts: dict[str, int] = {}
    for name, count in _ANY_COUNT.findall(told[:_REPR_MAX]):
        counts.setdefault(name, int(count))
    cached, write = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
    input_tokens = counts.get("prompt_tokens")
    if input_tokens is None and "input_tokens" in counts:
        input_tokens = counts["input_tokens"] + (cached or 0) + (write or 0)  # Anthropic leaves them out
    return usage_of(
        input_tokens,
        counts.get("completion_tokens", counts.get("output_tokens")),
        cached=counts.get("cached_tokens", cached),
        cache_write=write,
        reasoning=counts.get("reasoning_tokens"),
    )
