"""OpenTelemetry's GenAI conventions, old and new, and the emitters that write them with habits of their own.

``gen_ai.system`` marks the old, ``gen_ai.provider.name`` the new; several libraries write both, or neither.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tracking.ingest.dialects import names
from tracking.ingest.dialects.fields import (
    Attributes,
    money,
    parsed,
    seconds_as_ms,
    text,
    tokens,
    usage_of,
    word,
)
from wflo.spans import Kind, Span
from wflo.usage import Usage

OPERATIONS = {
    "invoke_agent": Kind.AGENT,
    "create_agent": Kind.AGENT,
    "agent": Kind.AGENT,
    "chat": Kind.LLM,
    "chat_model": Kind.LLM,
    "llm": Kind.LLM,
    "completion": Kind.LLM,
    "acompletion": Kind.LLM,  # LiteLLM's callback writes its function's name
    "text_completion": Kind.LLM,
    "atext_completion": Kind.LLM,
    "generate_content": Kind.LLM,
    "responses": Kind.LLM,
    "aresponses": Kind.LLM,
    "anthropic_messages": Kind.LLM,
    "execute_tool": Kind.TOOL,
    "tool": Kind.TOOL,
    "embeddings": Kind.EMBEDDING,
    "embedding": Kind.EMBEDDING,
    "aembedding": Kind.EMBEDDING,
    "retrieval": Kind.RETRIEVER,
    "retriever": Kind.RETRIEVER,
    "rerank": Kind.RERANKER,
    "arerank": Kind.RERANKER,
    "reranker": Kind.RERANKER,
    "guardrail": Kind.GUARDRAIL,
    "evaluator": Kind.EVALUATOR,
    "evaluate": Kind.EVALUATOR,
}
CALLS = frozenset({Kind.LLM, Kind.EMBEDDING, Kind.RERANKER})
_OFFICIAL = (
    "ag2",
    "openai_v2",
    "vertexai",
    "google_genai",
    "openai_agents_v2",
    "anthropic_v2",
    "langchain_v2",
    "weaviate",
)
# OpenLLMetry's libraries for frameworks and for SDKs tell one call twice, as two libraries of different houses do.
_OPENLLMETRY_FRAMEWORKS = ("langchain", "llamaindex", "llama_index", "crewai", "haystack", "agno", "openai_agents")
_GROUPS = ("group", "workflow", "graph", "swarm", "crew", "team")  # invoke_swarm, invoke_graph: work, but no agent
_OPENLIT_ANTHROPIC = "openlit.instrumentation.anthropic"
_ADK = "gcp.vertex.agent"
_GOOGLE = ("google", "gemini", "vertex", "gcp")
_NO_AGENTS = names.AGENT_NODES | {"tools", "default"}  # "default": a graph without a name
_PLACEHOLDER = "OpenAI Agent"  # the Agents SDK's instrumentation has one name for all it cannot name
_MERGED_TOOLS = "(merged"  # google-adk's second span over tools that ran side by side


def read(span: Span) -> None:
    """A span with ``gen_ai.operation.name``."""
    attributes = span.attributes
    operation = word(attributes.get("gen_ai.operation.name"))
    kind = OPERATIONS.get(operation, Kind.CHAIN)
    if operation == "create_agent":
        span.is_declaration = True
    span.convention = convention_of(span.scope)
    read_as(span, kind)


def read_as(span: Span, kind: Kind) -> None:
    """Fill a span whose kind is known from ``gen_ai.*`` attributes."""
    attributes = span.attributes
    span.kind = kind
    span.agent = text(attributes, "gen_ai.agent.name", "agent_name", "gen_ai.agent_name")
    if span.agent == _PLACEHOLDER:
        span.agent = None
    if kind in CALLS:
        read_call(span)
    elif kind is Kind.TOOL:
        read_tool(span)
    else:
        read_model(span)
        if is_no_agent(span):
            span.kind, span.agent = Kind.CHAIN, None
        elif kind is Kind.AGENT and not span.agent:
            span.agent = agent_from_name(span)
        elif kind is Kind.CHAIN and span.agent and is_group(span):
            span.agent = None
        span.usage = usage(attributes) or _aggregated(attributes)
        span.is_aggregate = span.usage is not None
    span.environment = text(attributes, "gen_ai.environment", "deployment.environment") or span.environment


def is_group(span: Span) -> bool:
    """Whether the operation runs several agents, so that its name is no agent's."""
    operation = word(span.attributes.get("gen_ai.operation.name"))
    return operation.startswith("invoke_") and operation[7:] in _GROUPS


def is_no_agent(span: Span) -> bool:
    """OpenLIT calls the turns of an agent, the methods of CrewAI's flows and the nodes of LangGraph agents too; the
    root of OpenAI's Agents SDK is the workflow."""
    if span.kind is not Kind.AGENT:
        return False
    if span.convention == "openlit":
        return span.agent is None or (span.scope.endswith("langgraph") and span.agent in _NO_AGENTS)
    return span.agent is None and span.scope.endswith("openai_agents")


def read_call(span: Span) -> None:
    """Model, usage, response and cost of one call to a model."""
    attributes = span.attributes
    read_model(span)
    span.usage = usage(attributes)
    if span.scope == _OPENLIT_ANTHROPIC and span.usage is not None:
        span.usage = _with_cache(span.usage, attributes)
    if span.scope == _ADK and span.usage is not None and not (span.provider or "").startswith(_GOOGLE):
        span.usage = _without_thoughts_twice(span.usage)
    span.response_id = text(attributes, "gen_ai.response.id", "response_id")
    span.finish_reason = names.finish_reason(
        attributes.get("gen_ai.response.finish_reasons")
        or attributes.get("anthropic.message.stop_reason")
        or attributes.get("llm.response.finish_reason")
        or attributes.get("gen_ai.response.finish_reason")
    )
    span.reported_cost_usd = money(
        attributes, "operation.cost", "gen_ai.usage.cost", "gen_ai.cost.total_cost", "llm.cost.total", "llm.cost.usd"
    )
    first_token = seconds_as_ms(
        attributes, "gen_ai.response.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk"
    )
    if first_token is None and attributes.get("gen_ai.request.stream") is not False:
        first_token = seconds_as_ms(attributes, "gen_ai.server.time_to_first_token")
        if first_token is not None and span.scope.startswith("strands"):
            first_token /= 1_000  # Strands writes milliseconds there
    if first_token is not None:
        span.first_token_ms = first_token


def read_model(span: Span) -> None:
    attributes = span.attributes
    provider = text(attributes, "gen_ai.provider.name", "gen_ai.system")
    if provider is not None:
        provider = names.provider_name(provider)
    requested = text(attributes, "gen_ai.request.model", "model_name")
    served = text(attributes, "gen_ai.response.model")
    if requested is not None:
        requested, provider = names.model_name(requested, provider)
    if served is not None:
        served, provider = names.model_name(served, provider)
    span.requested_model, span.model, span.provider = requested, served or requested, provider


def read_tool(span: Span) -> None:
    attributes = span.attributes
    name = text(attributes, "gen_ai.tool.name", "tool.name")
    if name is None:
        name = span.name.removeprefix("execute_tool ").strip() or None
    if name and name.startswith(_MERGED_TOOLS):
        span.kind = Kind.CHAIN
        return
    span.tool_name = name
    span.tool_call_id = text(attributes, "gen_ai.tool.call.id", "tool_call.id", "tool_call_id")


def agent_from_name(span: Span) -> str | None:
    """ "invoke_agent researcher" says who, unless what follows is only the model."""
    name = span.name.removeprefix("invoke_agent").removeprefix("create_agent").strip()
    if not name or name in (span.requested_model, span.model, span.attributes.get("gen_ai.request.model")):
        return None
    return name[:200]


def usage(attributes: Attributes) -> Usage | None:
    """Tokens of one span from ``gen_ai.usage.*`` in all spellings seen."""
    input_tokens = tokens(
        attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"
    )
    output_tokens = tokens(
        attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"
    )
    if input_tokens is None and output_tokens is None:
        return None
    cached = tokens(
        attributes,
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens",
    )
    cache_write = tokens(
        attributes,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
    )
    reasoning = tokens(
        attributes,
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.thinking_tokens",
    )
    if "gen_ai.usage.raw" in attributes or "gen_ai.usage.input_token_details" in attributes:
        cached, cache_write, reasoning = _details(attributes, cached, cache_write, reasoning)
    hour = tokens(attributes, "anthropic.usage.cache_creation.ephemeral_1h_input_tokens") if cache_write else None
    return usage_of(
        input_tokens,
        output_tokens,
        cached=cached,
        cache_write=cache_write,
        reasoning=reasoning,
        total=tokens(attributes, "gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
        cache_write_1h_tokens=hour or None,
        service_tier=_tier(attributes),
    )


def _with_cache(told: Usage, attributes: Attributes) -> Usage:
    """OpenLIT passes on Anthropic's own input, which leaves out what was read from the cache and written to it."""
    alone = tokens(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens") or 0
    return replace(told, input_tokens=alone + (told.cached_tokens or 0) + (told.cache_write_tokens or 0))


def _without_thoughts_twice(told: Usage) -> Usage:
    """google-adk adds the thoughts to the answer, as Gemini's figures ask; others' output holds them already."""
    output, thoughts = told.output_tokens or 0, told.reasoning_tokens or 0
    return replace(told, output_tokens=output - thoughts) if thoughts and output >= 2 * thoughts else told


def _details(
    attributes: Attributes, cached: int | None, cache_write: int | None, reasoning: int | None
) -> tuple[int | None, int | None, int | None]:
    """Parts of the usage sent as JSON: the provider's own object (Logfire), LangChain's details (LangSmith)."""
    raw = parsed(attributes.get("gen_ai.usage.raw"))
    raw = raw if isinstance(raw, dict) else {}
    inputs = raw.get("input_tokens_details") or raw.get("prompt_tokens_details") or _map(attributes, "input")
    outputs = raw.get("output_tokens_details") or raw.get("completion_tokens_details") or _map(attributes, "output")
    if isinstance(inputs, dict):
        cached = cached if cached is not None else tokens(inputs, "cached_tokens", "cache_read")
        if cache_write is None:
            cache_write = tokens(inputs, "cache_write_tokens")
        if cache_write is None:
            cache_write = langchain_cache_write(inputs)
    if isinstance(outputs, dict) and reasoning is None:
        reasoning = tokens(outputs, "reasoning_tokens", "reasoning")
    return cached, cache_write, reasoning


def langchain_cache_write(details: Attributes) -> int | None:
    """Tokens written to a cache. For Anthropic, LangChain splits them by how long they are kept and leaves 0 as sum."""
    whole = tokens(details, "cache_creation")
    split = [tokens(details, f"ephemeral_{kept}_input_tokens") for kept in ("5m", "1h")]
    return whole or sum(part or 0 for part in split) or whole


def _map(attributes: Attributes, side: str) -> Any:
    return parsed(attributes.get(f"gen_ai.usage.{side}_token_details"))


def _aggregated(attributes: Attributes) -> Usage | None:
    """pydantic-ai's agents keep the sum of their calls under names of its own."""
    input_tokens = tokens(attributes, "gen_ai.aggregated_usage.input_tokens")
    if input_tokens is None:
        return None
    return usage_of(
        input_tokens,
        tokens(attributes, "gen_ai.aggregated_usage.output_tokens"),
        cached=tokens(attributes, "gen_ai.aggregated_usage.cache_read.input_tokens"),
        cache_write=tokens(attributes, "gen_ai.aggregated_usage.cache_creation.input_tokens"),
    )


def _tier(attributes: Attributes) -> str | None:
    return text(
        attributes,
        "openai.response.service_tier",
        "gen_ai.openai.response.service_tier",
        "gen_ai.response.service_tier",
        "anthropic.response.service_tier",
    )


def convention_of(scope: str) -> str:
    """Who wrote it, where two reports of one call must be told apart."""
    if scope.startswith("openlit"):
        return "openlit"
    if scope == "litellm":
        return "litellm"
    if scope.startswith("com.anthropic"):
        return "anthropic-sdk"
    if scope.startswith("opentelemetry.instrumentation.") and not scope[30:].startswith(_OFFICIAL):
        return "openllmetry-frameworks" if scope[30:].startswith(_OPENLLMETRY_FRAMEWORKS) else "openllmetry"
    return "otel-genai"
