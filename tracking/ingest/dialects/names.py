"""Names of models, providers and finish reasons, as senders write them and as we keep them."""

from __future__ import annotations

from functools import lru_cache

PROVIDER_MAX = 100
PROVIDER_PREFIXES = frozenset(
    [
        "ai21",
        "anthropic",
        "azure",
        "azure_ai",
        "bedrock",
        "bedrock_converse",
        "cerebras",
        "cohere",
        "cohere_chat",
        "databricks",
        "deepinfra",
        "deepseek",
        "fireworks_ai",
        "gemini",
        "github",
        "google",
        "groq",
        "hosted_vllm",
        "huggingface",
        "litellm_proxy",
        "lm_studio",
        "mistral",
        "nvidia_nim",
        "ollama",
        "ollama_chat",
        "openai",
        "openrouter",
        "perplexity",
        "replicate",
        "sagemaker",
        "sambanova",
        "text-completion-openai",
        "together_ai",
        "vertex_ai",
        "vertex_ai_beta",
        "vllm",
        "watsonx",
        "xai",
    ]
)
# What stands after the dot of these is part of the name; of all others ("openai.chat") it is the way of calling.
_DOTTED = frozenset({"aws", "az", "azure", "gcp", "ibm"})
# Frameworks that write their own name where the provider's belongs.
_FRAMEWORKS = frozenset(
    [
        "ag2",
        "agno",
        "autogen",
        "crewai",
        "dspy",
        "gcp.vertex.agent",
        "google_adk",
        "langchain",
        "langgraph",
        "litellm",
        "llama_index",
        "mastra",
        "microsoft.agent_framework",
        "openai_agents",
        "pydantic-ai",
        "pydantic_ai",
        "smolagents",
        "strands",
        "strands-agents",
        "unknown",
    ]
)
_REASONS = {
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "end_turn": "stop",
    "completed": "stop",
    "max_tokens": "length",
    "content-filter": "content_filter",
}


@lru_cache(maxsize=1024)
def provider_name(name: str) -> str | None:
    """Lower case; "openai.chat" and "openai.responses" are openai. None when it is a framework's name."""
    name = name.strip().lower()
    head, dot, _ = name.partition(".")
    name = head if dot and head and head not in _DOTTED and name not in _FRAMEWORKS else name
    return None if name in _FRAMEWORKS else name[:PROVIDER_MAX]


AGENT_NODES = frozenset({"model", "agent"})  # of a LangGraph that is one agent, as create_agent builds it


def graph_agent(node: object, namespace: object) -> str | None:
    """Whose work a node of an agent's own graph is: the graph above it, in LangGraph's "boss:<id>|agent:<id>"."""
    if node not in AGENT_NODES or not isinstance(namespace, str):
        return None
    return namespace.rpartition("|")[0].rpartition("|")[2].partition(":")[0][:200] or None


@lru_cache(maxsize=4096)
def model_name(name: str, provider: str | None) -> tuple[str, str | None]:
    """The model without the provider a router wrote before it, and the provider.

    "openai/gpt-4o" is gpt-4o of openai. "meta-llama/Llama-3" keeps its owner, and so does every name of OpenRouter,
    which sells under such names.
    """
    head, slash, rest = name.partition("/")
    if not slash or not rest or provider == "openrouter":
        return name, provider
    head = head.lower()
    if head == "openrouter":
        return rest, head
    if head not in PROVIDER_PREFIXES and head != provider:
        return name, provider
    return rest, provider or head


def finish_reason(value: object) -> str | None:
    """The first reason of a list, of a JSON list, or the only one; one word for what providers call differently."""
    if isinstance(value, list | tuple):
        value = value[0] if value else None
    if not isinstance(value, str) or value in ("", "None", "null"):
        return None
    reason = value.strip("[]\"' ").partition('"')[0].lower().removeprefix("finishreason.")
    return _REASONS.get(reason, reason)[:60] or None
