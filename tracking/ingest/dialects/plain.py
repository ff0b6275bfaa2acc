"""Spans of no agent framework's: messaging, HTTP, a program's own. Kept in the tree, never counted, with one
exception: a span that names a model and its tokens is a call, whoever wrote it."""

from __future__ import annotations

from tracking.ingest.dialects import genai
from tracking.ingest.dialects.fields import text, word
from wflo.spans import Kind, Span

_MODELS = ("gen_ai.request.model", "gen_ai.response.model")
_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.prompt_tokens")
_UPKEEP = frozenset({"compaction", "aggregation"})


def read(span: Span) -> None:
    attributes = span.attributes
    if any(key in attributes for key in _MODELS) and any(key in attributes for key in _TOKENS):
        genai.read_as(span, Kind.LLM)
        span.convention = genai.convention_of(span.scope)
        return
    span.kind = Kind.CHAIN
    span.convention = "none"
    span.agent = text(attributes, "gen_ai.agent.name", "agent.name")


def read_ag2_accounting(span: Span) -> None:
    """AG2 writes the usage of its calls a second time on spans of their own; they never enter a sum.

    What it spends on shortening its own history, outside of any call's span, is told there alone.
    """
    if word(span.attributes["ag2.usage.kind"]) in _UPKEEP:
        genai.read_as(span, Kind.LLM)
        span.convention = genai.convention_of(span.scope)
        return
    genai.read_as(span, Kind.CHAIN)
    span.convention = "ag2-accounting"
    span.is_aggregate = True
