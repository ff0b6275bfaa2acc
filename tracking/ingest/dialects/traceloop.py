"""OpenLLMetry (Traceloop): ``traceloop.span.kind`` over GenAI attributes, and its releases before 0.50.

The kind comes from Traceloop's attribute: its tasks and workflows carry GenAI operations that say something else.
"""

from __future__ import annotations

from tracking.ingest.dialects import genai
from tracking.ingest.dialects.fields import Attributes, entries, text, word
from wflo.spans import Kind, Span

_KINDS = {
    "agent": Kind.AGENT,
    "tool": Kind.TOOL,
    "workflow": Kind.CHAIN,
    "task": Kind.CHAIN,
}
_REQUESTS = {
    "chat": Kind.LLM,
    "completion": Kind.LLM,
    "embedding": Kind.EMBEDDING,
    "embeddings": Kind.EMBEDDING,
    "rerank": Kind.RERANKER,
}
_PROPERTIES = "traceloop.association.properties."
_LEAD_AGENT = _PROPERTIES + "lc_agent_name"
_AGENT_NODES = frozenset({"model", "agent"})  # of a graph that is one agent, as create_agent builds it


def read(span: Span) -> None:
    """A span with ``traceloop.span.kind``."""
    attributes = span.attributes
    kind = _KINDS.get(word(attributes["traceloop.span.kind"]), Kind.CHAIN)
    genai.read_as(span, kind)
    span.convention = "openllmetry"
    entity = text(attributes, "traceloop.entity.name")
    if kind is Kind.AGENT:
        span.agent = text(attributes, "gen_ai.agent.name", "crewai.agent.role") or entity or span.agent
    else:
        span.agent = text(attributes, _LEAD_AGENT)
        if kind is Kind.TOOL and span.kind is Kind.TOOL:
            span.tool_name = text(attributes, "gen_ai.tool.name") or entity or span.tool_name
        elif kind is Kind.CHAIN and span.agent and span.agent == entity:
            span.kind = Kind.AGENT  # LangGraph's agents come as tasks
    read_properties(span)


def read_genai(span: Span) -> None:
    """A GenAI span that also carries what the program around it said: the agent's name in LangChain, the session."""
    genai.read(span)
    attributes = span.attributes
    nodes = attributes.get("gen_ai.workflow.nodes")
    if span.kind is Kind.AGENT and nodes and not _is_one_agent(nodes):
        span.kind, span.agent = Kind.CHAIN, None  # a graph of several
    if _LEAD_AGENT in attributes and not span.agent:
        span.agent = text(attributes, _LEAD_AGENT)
    read_properties(span)


def _is_one_agent(nodes: object) -> bool:
    listed = nodes.strip("[]() ").replace('"', "").replace("'", "").split(",") if isinstance(nodes, str) else nodes
    if not isinstance(listed, list | tuple):
        return True
    return not _AGENT_NODES.isdisjoint(str(node).strip() for node in listed)


def read_old(span: Span) -> None:
    """Before 0.50: ``llm.request.type``, ``llm.usage.*``, flattened prompts."""
    request = word(span.attributes["llm.request.type"])
    genai.read_as(span, _REQUESTS.get(request, Kind.LLM))
    span.convention = "openllmetry"
    if span.model is None:
        span.model = text(span.attributes, "llm.response.model", "llm.request.model")
        span.requested_model = text(span.attributes, "llm.request.model") or span.model
    read_properties(span)


def read_properties(span: Span) -> None:
    """Session, user and metadata that the program tied to everything it traced."""
    attributes: Attributes = span.attributes
    if span.session_id is None:
        span.session_id = text(attributes, _PROPERTIES + "session_id", _PROPERTIES + "thread_id")
    if span.user_id is None:
        span.user_id = text(attributes, _PROPERTIES + "user_id")
    if span.parent_id is None:
        span.metadata = entries(attributes, _PROPERTIES) or None
