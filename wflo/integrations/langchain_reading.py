"""What LangChain tells its callbacks, read: names, agents, models, messages, usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_openai_messages
from langchain_core.outputs import LLMResult

from wflo.reading_usage import Answered, answered, usage_of
from wflo.usage import Usage

NOTHING: tuple[Answered, Any] = (Answered(), None)
# Parts of chains and graphs that say nothing of what an agent does.
_PLUMBING = ("Runnable", "ChannelWrite", "ChannelRead", "Branch<", "__", "_write")
_PLUMBING_ENDS = ("PromptTemplate", "OutputParser")


def name_of(serialized: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> str:
    named = kwargs.get("name") or (serialized or {}).get("name")
    if named:
        return str(named)
    path = (serialized or {}).get("id") or []
    return str(path[-1]) if path else ""


def agent_of(metadata: Mapping[str, Any] | None) -> str:
    """Who acts: the agent's name, else the outermost node of the graph; "" outside of both."""
    told = metadata or {}
    if told.get("lc_agent_name"):
        return str(told["lc_agent_name"])
    outermost = str(told.get("langgraph_checkpoint_ns") or "").partition("|")[0].partition(":")[0]
    return outermost or str(told.get("langgraph_node") or "")


def is_plumbing(name: str, tags: list[str] | None) -> bool:
    hidden = "langsmith:hidden" in (tags or ())
    return hidden or name.startswith(_PLUMBING) or name.endswith(_PLUMBING_ENDS)


def is_a_pause(error: BaseException) -> bool:
    """Whether a graph stops to ask somebody, or hands over: no failure."""
    return any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


def model_of(metadata: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """(model, provider) that are asked."""
    told, asked = metadata or {}, kwargs.get("invocation_params") or {}
    model = asked.get("model") or asked.get("model_name") or told.get("ls_model_name") or ""
    return str(model), str(told.get("ls_provider") or "")


def messages_of(messages: list[BaseMessage]) -> Any:
    return convert_to_openai_messages(messages)


def said_by(message: Any) -> Any:
    return convert_to_openai_messages(message) if isinstance(message, BaseMessage) else message


def result_of(output: Any) -> Any:
    """Of a tool: what it gave, without the message around it."""
    return output.content if isinstance(output, BaseMessage) else output


def answer_of(response: LLMResult | None) -> tuple[Answered, Any]:
    """What a model's answer tells of itself, and the answer: a message, or a text."""
    generations = response.generations if response is not None else []
    if response is None or not generations or not generations[0]:
        return NOTHING
    first = generations[0][0]
    message = getattr(first, "message", None)
    told = answered(message) if message is not None else Answered()
    told.usage = _usage(message, response.llm_output)
    meta = {**(first.generation_info or {}), **(getattr(message, "response_metadata", None) or {})}
    told.model = told.model or str(meta.get("model_name") or (response.llm_output or {}).get("model_name") or "")
    told.response_id = str(meta.get("id") or told.response_id)
    told.finish_reason = told.finish_reason or str(meta.get("finish_reason") or meta.get("stop_reason") or "")
    return told, first.text if message is None else message


def _usage(message: Any, output: Mapping[str, Any] | None) -> Usage | None:
    told = getattr(message, "usage_metadata", None)
    if told is None:
        spoken = output or {}
        return usage_of({"usage": spoken.get("token_usage") or spoken.get("usage")})
    if told.get("total_cost") == 0:  # LangChain's own cache answered
        return None
    usage = usage_of(message)
    details = told.get("input_token_details") or {}
    hour, minutes = (details.get(f"ephemeral_{life}_input_tokens") for life in ("1h", "5m"))
    if usage is None or hour is None and minutes is None:
        return usage
    written = (hour or 0) + (minutes or 0) or usage.cache_write_tokens  # Anthropic's: told by lifetime, else together
    return replace(usage, cache_write_tokens=written, cache_write_1h_tokens=hour)
