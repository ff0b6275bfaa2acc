"""GlueLLM's spans: ``llm.provider``, ``llm.model``, ``llm.tokens.*`` of calls, ``tool.*`` of tools."""

from __future__ import annotations

from tracking.ingest.dialects import names
from tracking.ingest.dialects.common import read_error
from tracking.ingest.dialects.fields import money, text, tokens, usage_of
from wflo.spans import Kind, Span, Status


def read(span: Span) -> None:
    attributes = span.attributes
    span.convention = "gluellm"
    span.agent = text(attributes, "agent.name", "gen_ai.agent.name")
    if "tool.success" in attributes or span.name.startswith("tool."):
        span.kind = Kind.TOOL
        span.tool_name = text(attributes, "tool.name") or span.name.removeprefix("tool.")[:200]
        if attributes.get("tool.success") in (False, "false", "False"):
            span.status = Status.ERROR
            read_error(span)
        return
    span.kind = Kind.EMBEDDING if "embed" in span.name else Kind.LLM
    provider = text(attributes, "llm.provider")
    provider = names.provider_name(provider) if provider else None
    model = text(attributes, "llm.model")
    if model is not None:
        model, provider = names.model_name(model, provider)
    span.model, span.requested_model, span.provider = model, model, provider
    span.usage = usage_of(
        tokens(attributes, "llm.tokens.prompt"),
        tokens(attributes, "llm.tokens.completion"),
        cached=tokens(attributes, "llm.tokens.cached"),
        reasoning=tokens(attributes, "llm.tokens.reasoning"),
        total=tokens(attributes, "llm.tokens.total"),
    )
    span.reported_cost_usd = money(attributes, "llm.cost.usd")
    span.finish_reason = names.finish_reason(attributes.get("llm.response.finish_reason"))
