"""MLflow's own tracing, exported over OTLP: ``mlflow.spanType``, every value a JSON text."""

from __future__ import annotations

import re
from typing import Any

from tracking.ingest.dialects import names
from tracking.ingest.dialects.fields import (
    Attributes,
    BadField,
    money,
    parsed,
    quoted,
    text,
    tokens,
    usage_of,
    word,
)
from wflo.spans import Kind, Span
from wflo.usage import Usage

_KINDS = {
    "AGENT": Kind.AGENT,
    "CHAT_MODEL": Kind.LLM,
    "LLM": Kind.LLM,
    "TOOL": Kind.TOOL,
    "RETRIEVER": Kind.RETRIEVER,
    "EMBEDDING": Kind.EMBEDDING,
    "RERANKER": Kind.RERANKER,
    "GUARDRAIL": Kind.GUARDRAIL,
    "EVALUATOR": Kind.EVALUATOR,
}
_METHODS = ("run", "arun", "kickoff", "execute", "invoke", "ainvoke")
_STARTERS = frozenset({"Agent", "AgentRunner", "Runner", "Crew", "Flow"})
_USAGE = "mlflow.chat.tokenUsage"
# The provider's answer is kept whole; its usage closes it. Read without parsing what was said.
_TAIL = 2_000
_REASONING = re.compile(r'"reasoning_tokens"\s*:\s*(\d{1,10})\b')
_PROMPT_TOKENS = re.compile(r'"usage"\s*:\s*\{[^{}]*"prompt_tokens"\s*:\s*(\d{1,10})\b')
_RESPONSE_ID = re.compile(r'\{\s*"id"\s*:\s*"([^"\\]{1,200})"')


def read(span: Span) -> None:
    attributes = span.attributes
    span.convention = "mlflow"
    span.kind = _KINDS.get(word(attributes["mlflow.spanType"]).upper(), Kind.CHAIN)
    if span.kind in (Kind.LLM, Kind.EMBEDDING, Kind.RERANKER):
        _read_call(span)
    elif span.kind is Kind.TOOL:
        span.tool_name = span.name.removesuffix(".__call__")[:200] or None
        span.tool_call_id = quoted(attributes, "tool_call_id")
    else:
        if span.kind is Kind.AGENT:
            read_agent(span)
        span.usage = _usage(attributes)
        span.is_aggregate = span.usage is not None
    read_metadata(span)
    span.session_id = quoted(attributes, "mlflow.trace.session") or span.session_id
    span.user_id = quoted(attributes, "mlflow.trace.user") or span.user_id


def read_genai(span: Span) -> None:
    """What MLflow writes by itself stays on its spans when it is told to write GenAI attributes."""
    if span.kind is Kind.AGENT:
        read_agent(span)
    read_metadata(span)


def read_agent(span: Span) -> None:
    """An agent's name, which the span has, or its ``name`` where the span is called after a method ("Agent.run"). What
    starts agents and has no name of its own is none."""
    called = (span.agent or span.name)[:200]
    owner, dot, method = called.rpartition(".")
    is_method = bool(dot) and method.startswith(_METHODS)
    span.agent = (quoted(span.attributes, "name") or owner) if is_method else called or None
    if is_method and span.agent in _STARTERS:
        span.kind, span.agent = Kind.CHAIN, None


def read_metadata(span: Span) -> None:
    """LangChain's metadata, kept as one JSON text: the agent at work, the session, the user."""
    metadata = parsed(span.attributes.get("metadata"))
    if not isinstance(metadata, dict):
        return
    agent = text(metadata, "lc_agent_name") or names.graph_agent(
        metadata.get("langgraph_node"), metadata.get("langgraph_checkpoint_ns")
    )
    if agent and span.kind is not Kind.AGENT:
        span.agent = agent
        if span.kind is Kind.CHAIN and span.name == agent:
            span.kind = Kind.AGENT  # LangGraph's agents come as chains
    span.session_id = span.session_id or text(metadata, "session_id", "thread_id", "conversation_id")
    span.user_id = span.user_id or text(metadata, "user_id")


def _read_call(span: Span) -> None:
    attributes = span.attributes
    provider = quoted(attributes, "mlflow.llm.provider")
    provider = names.provider_name(provider) if provider else None
    requested, served = quoted(attributes, "model"), quoted(attributes, "mlflow.llm.model")
    if requested is not None:
        requested, provider = names.model_name(requested, provider)
    if served is not None:
        served, provider = names.model_name(served, provider)
    span.requested_model, span.model, span.provider = requested or served, served or requested, provider
    outputs = attributes.get("mlflow.spanOutputs")
    tail = outputs[-_TAIL:] if isinstance(outputs, str) else ""
    span.usage = _usage(attributes, tail=tail)
    if span.usage is None and span.kind is Kind.EMBEDDING:
        prompt = _PROMPT_TOKENS.search(tail)
        span.usage = usage_of(int(prompt[1]), None) if prompt else None
    if isinstance(outputs, str):
        found = _RESPONSE_ID.match(outputs)
        span.response_id = found[1] if found else None
    costs = parsed(attributes.get("mlflow.llm.cost"))
    if isinstance(costs, dict):
        span.reported_cost_usd = money(costs, "total_cost", "total")


def _usage(attributes: Attributes, *, tail: str = "") -> Usage | None:
    details: Any = parsed(attributes.get(_USAGE))
    if not isinstance(details, dict):
        return None
    reasoning = _REASONING.search(tail)
    try:
        return usage_of(
            tokens(details, "input_tokens"),
            tokens(details, "output_tokens"),
            cached=tokens(details, "cache_read_input_tokens"),
            cache_write=tokens(details, "cache_creation_input_tokens"),
            reasoning=int(reasoning[1]) if reasoning else None,
            total=tokens(details, "total_tokens"),
        )
    except BadField as bad:
        raise BadField(f"{_USAGE}: {bad.attribute}", bad.what, code=bad.code) from None
