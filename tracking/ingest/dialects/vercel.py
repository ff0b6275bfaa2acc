"""Vercel's AI SDK, versions 5 and 6, and 7 with its legacy telemetry: ``ai.operationId``.

Each call comes twice: ``ai.generateText`` with the sum of its steps, and below it ``ai.generateText.doGenerate`` for
each call made. What version 7 writes by default is plain GenAI.
"""

from __future__ import annotations

from tracking.ingest.dialects import genai, names
from tracking.ingest.dialects.fields import Attributes, entries, text, tokens, usage_of, word
from wflo.spans import Kind, Span
from wflo.usage import Usage

_SUFFIXES = {
    "dogenerate": Kind.LLM,
    "dostream": Kind.LLM,
    "doembed": Kind.EMBEDDING,
    "dorerank": Kind.RERANKER,
    "toolcall": Kind.TOOL,
}
_METADATA = "ai.telemetry.metadata."


def read(span: Span) -> None:
    attributes = span.attributes
    span.convention = "vercel-ai"
    operation = word(attributes["ai.operationId"])
    span.kind = _SUFFIXES.get(operation.rpartition(".")[2], Kind.CHAIN)
    span.agent = text(attributes, "ai.telemetry.functionId", "resource.name")
    if span.kind is Kind.TOOL:
        span.tool_name = text(attributes, "ai.toolCall.name") or span.name[:200]
        span.tool_call_id = text(attributes, "ai.toolCall.id")
    else:
        _read_call(span)
        if span.kind is Kind.CHAIN and operation.startswith("ai.embed"):
            span.usage = None  # the sum of the embeddings below, and no call of a chat model's
        span.is_aggregate = span.kind is Kind.CHAIN and span.usage is not None
    session, user = _METADATA + "sessionId", _METADATA + "userId"
    span.session_id = span.session_id or text(attributes, session, _METADATA + "session_id", _METADATA + "threadId")
    span.user_id = span.user_id or text(attributes, user, _METADATA + "user_id")
    if operation.count(".") == 1:
        # The wrapper only: the root of a trace is the program's own span as often as not.
        span.metadata = entries(attributes, _METADATA) or None


def _read_call(span: Span) -> None:
    attributes = span.attributes
    provider = text(attributes, "ai.model.provider", "gen_ai.system", "gen_ai.provider.name")
    span.provider = names.provider_name(provider) if provider else None
    span.requested_model = text(attributes, "ai.model.id", "gen_ai.request.model")
    span.model = text(attributes, "ai.response.model", "gen_ai.response.model") or span.requested_model
    span.response_id = text(attributes, "ai.response.id", "gen_ai.response.id")
    span.finish_reason = names.finish_reason(
        attributes.get("ai.response.finishReason") or attributes.get("ai.finishReason")
    )
    first_token = attributes.get("ai.response.msToFirstChunk", attributes.get("ai.stream.msToFirstChunk"))
    if isinstance(first_token, int | float) and 0 < first_token < float("inf"):
        span.first_token_ms = float(first_token)
    span.usage = usage(attributes)


def usage(attributes: Attributes) -> Usage | None:
    """Tokens of one span from ``ai.usage.*``, else from ``gen_ai.usage.*``."""
    input_tokens = tokens(attributes, "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens")
    output_tokens = tokens(attributes, "ai.usage.outputTokens", "ai.usage.completionTokens")
    if input_tokens is None and output_tokens is None:
        return genai.usage(attributes)
    return usage_of(
        input_tokens,
        output_tokens,
        cached=tokens(attributes, "ai.usage.inputTokenDetails.cacheReadTokens", "ai.usage.cachedInputTokens"),
        cache_write=tokens(attributes, "ai.usage.inputTokenDetails.cacheWriteTokens"),
        reasoning=tokens(attributes, "ai.usage.outputTokenDetails.reasoningTokens", "ai.usage.reasoningTokens"),
        total=tokens(attributes, "ai.usage.totalTokens"),
    )
