"""LiteLLM's own callback: GenAI attributes, with the cached and reasoning tokens only in a Python ``repr``."""

from __future__ import annotations

import re

from tracking.ingest.dialects import genai
from tracking.ingest.dialects.fields import text, usage_of
from wflo.spans import Kind, Span

_COUNT = re.compile(
    r"'(cached_tokens|cache_read_input_tokens|cache_creation_input_tokens|reasoning_tokens)': (\d{1,10})\b"
)
_REPR_MAX = 8_000


def read(span: Span) -> None:
    """A ``litellm_request``; what the provider was sent and answered below it (``raw_gen_ai_request``) is the same
    call, told without a kind."""
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
