"""OpenInference (Arize Phoenix): ``openinference.span.kind``, flattened messages, ``llm.token_count.*``."""

from __future__ import annotations

import re
from typing import Any

from tracking.ingest.dialects import genai, names, vercel
from tracking.ingest.dialects.fields import (
    METADATA_MAX,
    Attributes,
    money,
    parsed,
    text,
    tokens,
    usage_of,
    word,
    words,
)
from wflo.spans import Kind, Span, Status
from wflo.usage import Usage

_KINDS = {
    "AGENT": Kind.AGENT,
    "LLM": Kind.LLM,
    "TOOL": Kind.TOOL,
    "CHAIN": Kind.CHAIN,
    "RETRIEVER": Kind.RETRIEVER,
    "EMBEDDING": Kind.EMBEDDING,
    "GUARDRAIL": Kind.GUARDRAIL,
    "RERANKER": Kind.RERANKER,
    "EVALUATOR": Kind.EVALUATOR,
    "PROMPT": Kind.CHAIN,
}
_RESPONSE_ID = re.compile(r'\{\s*"id"\s*:\s*"([^"\\]{1,200})"')
# crewai: "Role.task._execute_core"; others: "name.run", "name.on_messages_stream"
_METHOD = re.compile(
    r"\.(?:[^.]*\.)?(?:_execute_core|a?run|a?run_stream|on_messages(?:_stream)?|a?print_response|a?invoke)$"
)
_BRACKETED = re.compile(r"^(?:agent_run|invoke_agent) \[?([^\]]+)\]?$")  # google-adk
_OPAQUE_ID = re.compile(r"^[0-9a-fA-F-]{16,}$")  # agno draws its node ids
_BEE = "metadata.usage."  # where BeeAI keeps the parts
_LLAMA_AGENT = "current_agent_name='"


def read(span: Span) -> None:
    attributes = span.attributes
    span.convention = "openinference"
    kind = _KINDS.get(word(attributes.get("openinference.span.kind", "LLM")).upper(), Kind.CHAIN)
    if "metadata.path" in attributes and "metadata.class_name" not in attributes and span.scope.endswith("beeai"):
        span.kind = Kind.CHAIN  # an event of what is at work, marked as what it happened to
        return
    if kind is Kind.LLM:
        kind = _llm_or_not(span)
    span.kind = kind
    metadata = parsed(attributes.get("metadata")) if "metadata" in attributes else None
    metadata = metadata if isinstance(metadata, dict) else {}
    span.agent = _agent(span, metadata)
    if kind in genai.CALLS:
        _read_call(span)
        if span.status is Status.ERROR and text(attributes, "ai.response.id"):
            span.status, span.error = Status.OK, None  # marked for a tool's failure, and answered all the same
    elif kind is Kind.TOOL:
        _read_tool(span)
    else:
        span.usage = _usage(attributes)
        span.is_aggregate = span.usage is not None
        if kind is Kind.CHAIN and span.agent and span.agent == span.name and "lc_agent_name" in metadata:
            span.kind = Kind.AGENT  # LangGraph's agents come as chains
    if span.session_id is None:
        span.session_id = text(metadata, "session_id", "conversation_id", "thread_id")
    if span.user_id is None:
        span.user_id = text(metadata, "user_id")
    if "tag.tags" in attributes:
        span.tags = words(attributes["tag.tags"])
    if metadata and span.parent_id is None:
        span.metadata = dict(list(metadata.items())[:METADATA_MAX])


def _llm_or_not(span: Span) -> Kind:
    """google-adk marks its agents' spans LLM, where the operation is right; llama-index marks the preparing of a call
    (a method that begins with an underscore), which calls nobody."""
    operation = span.attributes.get("gen_ai.operation.name")
    if operation == "invoke_agent":
        return Kind.AGENT
    if operation == "execute_tool":
        return Kind.TOOL
    method = span.name.rpartition(".")[2]
    return Kind.CHAIN if method.startswith("_") and not method.startswith("__") else Kind.LLM


def _agent(span: Span, metadata: Attributes) -> str | None:
    """The agent's name. Chains are agents in LangGraph (``lc_agent_name``); the root of OpenAI's Agents SDK is marked
    AGENT and is the workflow: it alone has neither node nor name."""
    attributes = span.attributes
    name = text(attributes, "agent.name", "gen_ai.agent.name", "ai.telemetry.functionId")
    if name is None and metadata:
        node = metadata.get("langgraph_node")
        name = text(metadata, "lc_agent_name") or names.graph_agent(node, metadata.get("langgraph_checkpoint_ns"))
        if span.kind is Kind.AGENT and node is not None and (node != span.name or node in names.AGENT_NODES):
            span.kind = Kind.CHAIN  # a part of an agent, marked for its name
    if name is not None:
        return name
    if span.kind is not Kind.AGENT:
        return _llama_agent(span) if span.kind is Kind.CHAIN else None
    name = text(attributes, "graph.node.name", "graph.node.id")
    if name is not None and not _OPAQUE_ID.match(name):
        return name
    if span.scope.endswith("openai_agents"):
        span.kind = Kind.CHAIN
        return None
    return _from_span_name(span.name)


def _from_span_name(name: str) -> str | None:
    bracketed = _BRACKETED.match(name)
    if bracketed:
        return bracketed[1][:200]
    return _METHOD.sub("", name)[:200].strip() or None


def _llama_agent(span: Span) -> str | None:
    """llama-index says who is at work only inside the printed event that a workflow's step was given."""
    if not span.name.endswith("run_agent_step"):
        return None
    value = span.attributes.get("input.value")
    if not isinstance(value, str):
        return None
    start = value.rfind(_LLAMA_AGENT)
    if start < 0:
        return None
    start += len(_LLAMA_AGENT)
    end = value.find("'", start, start + 201)
    return value[start:end] if end > start else None


def _read_call(span: Span) -> None:
    attributes = span.attributes
    provider = text(attributes, "llm.provider", "llm.system", "gen_ai.provider.name", "gen_ai.system")
    if provider is not None:
        provider = names.provider_name(provider)
    requested = text(attributes, "llm.request.model_name", "gen_ai.request.model")
    if "llm.invocation_parameters" in attributes:
        requested = _read_parameters(span, requested)
    served = text(
        attributes,
        "llm.response.model_name",
        "llm.model_name",
        "embedding.model_name",
        "reranker.model_name",
        "gen_ai.response.model",
    )
    if requested is not None:
        requested, provider = names.model_name(requested, provider)
    if served is not None:
        served, provider = names.model_name(served, provider)
    span.requested_model, span.model, span.provider = requested, served or requested, provider
    span.usage = _usage(attributes) or vercel.usage(attributes)
    span.finish_reason = names.finish_reason(
        attributes.get("llm.finish_reason") or attributes.get("gen_ai.response.finish_reasons")
    )
    span.response_id = text(attributes, "gen_ai.response.id") or _response_id(attributes.get("output.value"))
    span.reported_cost_usd = money(attributes, "llm.cost.total", "gen_ai.usage.cost")


def _read_parameters(span: Span, requested: str | None) -> str | None:
    """The model asked for, and the user it was for, stand in the call's parameters."""
    parameters = parsed(span.attributes["llm.invocation_parameters"])
    if not isinstance(parameters, dict):
        return requested
    if span.user_id is None:
        inner = parameters.get("metadata")
        span.user_id = text(parameters, "user") or (text(inner, "user_id") if isinstance(inner, dict) else None)
    return requested or text(parameters, "model", "model_name")


def _response_id(value: Any) -> str | None:
    """The provider's id, where the whole answer was kept and begins with it."""
    if not isinstance(value, str):
        return None
    found = _RESPONSE_ID.match(value)
    return found[1] if found else None


def _usage(attributes: Attributes) -> Usage | None:
    input_tokens = tokens(attributes, "llm.token_count.prompt")
    output_tokens = tokens(attributes, "llm.token_count.completion")
    if input_tokens is None and output_tokens is None:
        return genai.usage(attributes)
    told = usage_of(
        input_tokens,
        output_tokens,
        cached=tokens(attributes, "llm.token_count.prompt_details.cache_read", _BEE + "cached_prompt_tokens"),
        cache_write=tokens(attributes, "llm.token_count.prompt_details.cache_write", _BEE + "cached_creation_tokens"),
        reasoning=tokens(attributes, "llm.token_count.completion_details.reasoning"),
        total=tokens(attributes, "llm.token_count.total"),
        audio_input_tokens=tokens(attributes, "llm.token_count.prompt_details.audio") or None,
        audio_output_tokens=tokens(attributes, "llm.token_count.completion_details.audio") or None,
    )
    if told is None or told.cached_tokens is not None:
        return told
    # Written over a GenAI span or one of Vercel's, whose figures have parts that these leave out.
    beside = vercel.usage(attributes)
    is_same = beside and (beside.input_tokens, beside.output_tokens) == (told.input_tokens, told.output_tokens)
    return beside if is_same else told


def _read_tool(span: Span) -> None:
    attributes = span.attributes
    name = text(attributes, "tool.name", "gen_ai.tool.name") or span.name[:200] or None
    if span.name.startswith("handoff to ") or (name == "handoff" and span.scope.endswith("llama_index")):
        span.kind = Kind.CHAIN  # passing on to another agent: no tool ran
        return
    if name and name.startswith("(merged"):  # google-adk's second span over tools that ran side by side
        span.kind = Kind.CHAIN
        return
    span.tool_name = name.removesuffix(".__call__") if name else None  # DSPy's are named by the method called
    span.tool_call_id = text(attributes, "tool.id", "tool_call.id", "gen_ai.tool.call.id")
