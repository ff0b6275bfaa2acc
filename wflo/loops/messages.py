"""The messages of a request, whoever's dialect it is in: OpenAI's chat and responses, Anthropic's messages, and messages
read from recorded spans. Readers are lax: what has an unknown shape is text or nothing, and never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from wflo.loops.text import DEPTH_MAX

_ROLES = {"developer": "system", "function": "tool", "human": "user", "ai": "assistant", "model": "assistant"}
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})
_SILENT = frozenset({"thinking", "redacted_thinking", "reasoning", "item_reference"})
_CALLS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "tool_call", "function_call", "custom_tool_call"})
_RESULTS = frozenset(
    {"tool_result", "mcp_tool_result", "tool_call_response", "function_call_output", "custom_tool_call_output"}
)


class Asked(NamedTuple):
    """A tool's call inside a message."""

    id: str
    name: str
    arguments: Any


class Told(NamedTuple):
    """A tool's answer inside a message."""

    id: str
    value: Any
    is_error: bool


class Said(NamedTuple):
    """One message."""

    role: str  # system, user, assistant, tool
    text: str = ""
    calls: tuple[Asked, ...] = ()
    results: tuple[Told, ...] = ()

    @property
    def is_answer(self) -> bool:
        """Whether a model ended its turn with it."""
        return self.role == "assistant" and not self.calls


def chat_messages(body: Mapping[str, Any]) -> list[Said]:
    """Of a chat completion's request: ``messages`` with ``tool_calls`` and tool messages, old ``function_call`` too."""
    return [_chat_message(message) for message in _list(body.get("messages")) if isinstance(message, Mapping)]


def anthropic_messages(body: Mapping[str, Any]) -> list[Said]:
    """Of Anthropic's messages request: ``system``, and content blocks with ``tool_use`` and ``tool_result``."""
    system = [Said("system", _text(body["system"]))] if body.get("system") else []
    return system + [
        _of_parts(_role(message.get("role")), message.get("content"))
        for message in _list(body.get("messages"))
        if isinstance(message, Mapping)
    ]


def responses_messages(body: Mapping[str, Any]) -> list[Said]:
    """Of a responses request: ``instructions``, and ``input`` as text or items. One answer's items become one message."""
    said = [Said("system", _text(body["instructions"]))] if body.get("instructions") else []
    given = body.get("input")
    if isinstance(given, str):
        return [*said, Said("user", given)]
    for item in _list(given):
        if isinstance(item, Mapping):
            _add_item(said, item)
    return said


def recorded_messages(messages: Iterable[Any]) -> list[Said]:
    """Of messages as spans carry them: objects or mappings with ``role`` and ``parts`` (OpenTelemetry's GenAI parts:
    text, tool_call, tool_call_response), or with ``content``."""
    said = []
    for message in messages:
        if isinstance(message, Mapping):
            parts = message.get("parts")
            said.append(_chat_message(message) if parts is None else _of_parts(_role(message.get("role")), parts))
        else:
            said.append(_of_parts(_role(getattr(message, "role", "user")), list(getattr(message, "parts", ()))))
    return said


def _chat_message(message: Mapping[str, Any]) -> Said:
    role = _role(message.get("role"))
    content = message.get("content")
    if role == "tool":
        call_id = str(message.get("tool_call_id") or message.get("name") or "")
        is_error = message.get("status") == "error"  # LangChain's
        return Said(role, results=(Told(call_id, _value(content), is_error),))
    said = _of_parts(role, content)
    calls = [_asked(call) for call in _list(message.get("tool_calls")) if isinstance(call, Mapping)]
    if isinstance(message.get("function_call"), Mapping):
        calls.append(_asked(message["function_call"])._replace(id=str(message["function_call"].get("name") or "")))
    name = message.get("name")
    text = f"{name}: {said.text}" if name and said.text else said.text
    return said._replace(text=text, calls=said.calls + tuple(calls))


def _of_parts(role: str, content: Any) -> Said:
    """A message from its content: a text, or a list of texts and typed parts."""
    if isinstance(content, str):
        return Said(role, content)
    texts: list[str] = []
    calls: list[Asked] = []
    results: list[Told] = []
    for part in _list(content):
        kind = _kind(part)
        if kind in _SILENT:
            continue
        if kind in _CALLS:
            calls.append(_asked(part))
        elif kind in _RESULTS:
            results.append(_told(part))
        else:
            texts.append(_text(part))
    return Said(role, "\n".join(filter(None, texts)), tuple(calls), tuple(results))


def _add_item(said: list[Said], item: Mapping[str, Any]) -> None:
    kind = _kind(item)
    last = said[-1] if said else None
    if kind in _SILENT:
        return
    if kind in _CALLS:
        if last is not None and last.role == "assistant":
            said[-1] = last._replace(calls=(*last.calls, _asked(item)))
        else:
            said.append(Said("assistant", calls=(_asked(item),)))
    elif kind in _RESULTS:
        said.append(Said("tool", results=(_told(item),)))
    elif "role" in item:
        said.append(_of_parts(_role(item["role"]), item.get("content")))
    else:
        said.append(Said("user", _text(item)))


def _asked(call: Mapping[str, Any]) -> Asked:
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else call
    arguments = next((inner[key] for key in ("arguments", "input", "args") if inner.get(key) is not None), None)
    identity = call.get("call_id") or call.get("id") or ""
    return Asked(str(identity), str(inner.get("name") or ""), arguments)


def _told(part: Mapping[str, Any]) -> Told:
    value = next((part[key] for key in ("content", "output", "response", "result") if key in part), None)
    identity = part.get("tool_use_id") or part.get("call_id") or part.get("id") or ""
    return Told(str(identity), _value(value), part.get("is_error") is True)


def _value(content: Any) -> Any:
    """A tool's answer: a list of texts is one text, everything else is what it is."""
    if isinstance(content, list) and content and all(_kind(part) in _TEXTS for part in content):
        return "\n".join(_text(part) for part in content)
    return content


def _text(part: Any, depth: int = 0) -> str:
    """The words of a part; of images, files and what nobody knows, the part itself as JSON."""
    if isinstance(part, str):
        return part
    if isinstance(part, list) and depth < DEPTH_MAX:
        return "\n".join(filter(None, (_text(inner, depth + 1) for inner in part)))
    if isinstance(part, Mapping):
        for key in ("text", "content", "refusal"):
            if isinstance(part.get(key), str) and (_kind(part) in _TEXTS or part.get("type") is None):
                return str(part[key])
    try:
        return "" if part is None else json.dumps(part, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError):
        return str(part)


def _kind(part: Any) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else ""


def _role(role: Any) -> str:
    said_by = str(role or "user").lower()
    return _ROLES.get(said_by, said_by)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []
