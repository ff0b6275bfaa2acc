"""ToolOffer: a tool that a model could have called, in whatever way the offer was written down."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from tracking.ingest.messages import decoded

_LISTS = ("gen_ai.tool.definitions", "mlflow.chat.tools", "ai.prompt.tools", "gen_ai.agent.tools")


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool the model could have called."""

    name: str
    description: str = ""
    parameters: Any = None


def tools_of(attributes: dict[str, Any]) -> list[ToolOffer]:
    """The tools offered with one call, from its raw attributes. Never raises."""
    offers: list[ToolOffer] = []
    for key in _LISTS:
        value = decoded(attributes.get(key))
        if isinstance(value, list) and value:
            offers = [_offer(decoded(item)) for item in value]
            break
    if not offers:
        offers = [_offer(decoded(value)) for key, value in attributes.items() if _is_schema(key)]
    if not offers:
        offers = [_offer(item) for item in _functions(attributes)]
    if not offers:
        offers = [_offer(item) for item in _in_langfuse(decoded(attributes.get("langfuse.observation.input")))]
    return [offer for offer in offers if offer.name]


def _in_langfuse(value: Any) -> list[Any]:
    """Beside the messages, or among them: the LangChain handler writes an offer as what a tool said."""
    if isinstance(value, dict):
        return value["tools"] if isinstance(value.get("tools"), list) else []
    return [item["content"] for item in value if is_offer(item)] if isinstance(value, list) else []


def is_offer(item: Any) -> bool:
    """Whether a message is no message but a tool offered, as Langfuse's LangChain handler lists them."""
    content = item.get("content") if isinstance(item, dict) and item.get("role") == "tool" else None
    return isinstance(content, dict) and content.get("type") == "function" and "function" in content


def _is_schema(key: str) -> bool:
    return key.startswith("llm.tools.") and key.endswith(".json_schema")


def _functions(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    prefix = "llm.request.functions."
    groups: dict[int, dict[str, Any]] = defaultdict(dict)
    for key, value in attributes.items():
        if key.startswith(prefix):
            index, _, part = key[len(prefix) :].partition(".")
            if index.isdecimal() and len(index) < 7:
                groups[int(index)][part] = decoded(value) if part == "parameters" else value
    return [groups[index] for index in sorted(groups)]


def _offer(item: Any) -> ToolOffer:
    if isinstance(item, str):
        return ToolOffer(name=item)
    item = _map(item)
    function = _map(item.get("function")) or _map(item.get("toolSpec")) or item
    parameters = next(
        (
            function[key]
            for key in ("parameters", "input_schema", "inputSchema", "parameters_json_schema")
            if key in function
        ),
        None,
    )
    return ToolOffer(
        name=str(function.get("name") or ""),
        description=str(function.get("description") or ""),
        parameters=decoded(parameters),
    )


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
