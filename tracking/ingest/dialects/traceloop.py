"""OpenLLMetry (Traceloop): ``traceloop.span.kind`` over GenAI attributes, and its releases before 0.50.

The kind comes from Traceloop's attribute: its tasks and workflows carry GenAI operations that say something else.
"""

from __future__ import annotations

import re

from tracking.ingest.dialects import genai, names
from tracking.ingest.dialects.common import read_error
from tracking.ingest.dialects.fields import Attributes, entries, text, usage_of, word
from wflo.spans import Kind, Span, Status

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
# CrewAI prints what a crew spent: "total_tokens=9 prompt_tokens=7 ...", or a dict's repr.
_CREW_COUNT = re.compile(r"(\w+_tokens)\W{1,4}(\d{1,10})\b")
_CREW_MAX = 1_000
# llama-index's steps say who and what in the JSON of what they passed on.
_LLAMA_AGENT = re.compile(r'"current_agent_name": "([^"\\]{1,200})"')
_LLAMA_CALL_ID = re.compile(r'"tool_id": "([^"\\]{1,200})"')
_LLAMA_WORDS = re.compile(r'"text": "([^"]{1,500})"')
_LLAMA_FAILED = '"is_error": true'
_LLAMA_TAIL = 2_000


def read(span: Span) -> None:
    """A span with ``traceloop.span.kind``."""
    attributes = span.attributes
    kind = _KINDS.get(word(attributes["traceloop.span.kind"]), Kind.CHAIN)
    operation = genai.OPERATIONS.get(word(attributes.get("gen_ai.operation.name")))
    if kind is Kind.CHAIN and operation in genai.CALLS and "gen_ai.request.model" in attributes:
        kind = operation  # llama-index's models are tasks too
    genai.read_as(span, kind)
    span.convention = "openllmetry"
    entity = text(attributes, "traceloop.entity.name")
    if kind is Kind.AGENT:
        span.agent = text(attributes, "gen_ai.agent.name", "crewai.agent.role") or entity or span.agent
    else:
        span.agent = _lead_agent(attributes)
        if kind is Kind.TOOL and span.kind is Kind.TOOL:
            span.tool_name = text(attributes, "gen_ai.tool.name") or entity or span.tool_name
        elif kind is Kind.CHAIN and span.agent and span.agent == entity:
            span.kind = Kind.AGENT  # LangGraph's agents come as tasks
        elif kind is Kind.CHAIN and span.scope.endswith("llamaindex"):
            _read_llama(span)
    read_properties(span)


def _lead_agent(attributes: Attributes) -> str | None:
    """Whose work it is in LangChain or LangGraph."""
    return text(attributes, _LEAD_AGENT) or names.graph_agent(
        attributes.get(_PROPERTIES + "langgraph_node"), attributes.get(_PROPERTIES + "langgraph_checkpoint_ns")
    )


def _read_llama(span: Span) -> None:
    """A step of a workflow of llama-index's: the running of a tool, or a change of who is at work."""
    attributes = span.attributes
    output = attributes.get("traceloop.entity.output")
    output = output if isinstance(output, str) else ""
    name = text(attributes, "tool.name")
    if name is None:
        found = _LLAMA_AGENT.search(output[-_LLAMA_TAIL:])
        span.agent = span.agent or (found[1] if found else None)
    elif name != "handoff":
        span.kind, span.tool_name = Kind.TOOL, name
        found = _LLAMA_CALL_ID.search(output)
        span.tool_call_id = found[1] if found else None
        if _LLAMA_FAILED in output[-_LLAMA_TAIL:]:
            found = _LLAMA_WORDS.search(output[-_LLAMA_TAIL:])
            span.status, span.error = Status.ERROR, found[1] if found else None
            read_error(span)


def read_genai(span: Span) -> None:
    """A GenAI span that also carries what the program around it said: the agent's name in LangChain, the session."""
    genai.read(span)
    attributes = span.attributes
    nodes = attributes.get("gen_ai.workflow.nodes")
    if "crewai.crew.id" in attributes:
        _read_crew(span)
    if span.kind is Kind.AGENT and nodes and not _is_one_agent(nodes):
        span.kind, span.agent = Kind.CHAIN, None  # a graph of several
    if not span.agent:
        span.agent = _lead_agent(attributes)
    read_properties(span)


def _read_crew(span: Span) -> None:
    """A crew invokes agents and is none; it knows the sum of what they spent."""
    span.kind, span.agent = Kind.CHAIN, None
    told = span.attributes.get("crewai.crew.token_usage") or span.attributes.get("crewai.crew.usage_metrics")
    told = told[:_CREW_MAX] if isinstance(told, str) else ""
    counts = {name: int(count) for name, count in _CREW_COUNT.findall(told)}
    span.usage = span.usage or usage_of(
        counts.get("prompt_tokens"),
        counts.get("completion_tokens"),
        cached=counts.get("cached_prompt_tokens"),
        cache_write=counts.get("cache_creation_tokens"),
        reasoning=counts.get("reasoning_tokens"),
    )
    span.is_aggregate = span.usage is not None


def _is_one_agent(nodes: object) -> bool:
    listed = nodes.strip("[]() ").replace('"', "").replace("'", "").split(",") if isinstance(nodes, str) else nodes
    if not isinstance(listed, list | tuple):
        return True
    return not names.AGENT_NODES.isdisjoint(str(node).strip() for node in listed)


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
