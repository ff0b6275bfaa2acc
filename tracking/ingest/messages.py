"""Message: what was said to a model, by it, and by tools, in one shape for all providers.

Readers here take a value that was decoded from JSON (or from a Python ``repr``) and know the shapes of OpenAI's chat and
responses, Anthropic, Gemini, LangChain, and the parts of OpenTelemetry's GenAI messages. What nobody knows becomes text.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

REPR_MAX = 64 * 1024  # characters of a Python repr that are evaluated
REPR_DEPTH_MAX = 60
MESSAGES_MAX = 2_000
# What somebody said stands under one of these, the most telling first.
_SAID_UNDER = (
    *("prompt", "user_prompt", "input", "content", "text", "query"),
    *("task", "question", "answer", "result", "response", "raw"),
)
DEPTH_MAX = 12  # messages inside messages

Part = dict[str, Any]  # {"type": text | tool_call | tool_result | reasoning | image | other, ...}

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "developer": "system"}
_CLASS_ROLES = {
    "SystemMessage": "system",
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal", "summary_text"})
_REASONING = frozenset({"reasoning", "thinking", "redacted_thinking", "reasoning_content"})
_CALLS = frozenset({"tool_call", "tool_use", "tool-call", "function_call", "server_tool_use", "function"})
_RESULTS = frozenset(
    {"tool_call_response", "tool_result", "tool-result", "function_call_output", "tool_response", "function_response"}
)
_IMAGES = frozenset({"image", "image_url", "input_image", "blob", "file", "uri", "image-url", "media"})
_HOLDERS = (
    "messages",
    "input_messages",
    "output_messages",
    "choices",
    "generations",
    "output",
    "candidates",
    "message",
    "update",
)


@dataclass(frozen=True, slots=True)
class Message:
    role: str  # system, user, assistant, tool
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """What it says in words; calls and results are no words."""
        return "\n".join(part["text"] for part in self.parts if part["type"] == "text" and part["text"])


def decoded(value: Any) -> Any:
    """The value of a JSON text, else of a Python repr, else the text itself. Never raises."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text or text[0] not in "[{\"('":
        return value
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    if len(text) > REPR_MAX or _depth(text) > REPR_DEPTH_MAX:
        return value
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value


def _depth(text: str) -> int:
    deepest = depth = 0
    for char in text:
        if char in "[{(":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]})":
            depth -= 1
    return deepest


def messages_of(value: Any, *, role: str) -> list[Message]:
    """The messages a decoded value holds; ``role`` is whose words they are when it does not say. Never raises."""
    found: list[Message] = []
    for message in _messages(value, role, 0):
        if message.parts:
            found.append(message)
            if len(found) == MESSAGES_MAX:
                break
    return found


def _messages(value: Any, role: str, depth: int) -> Iterator[Message]:
    if depth > DEPTH_MAX or value is None:
        return
    if isinstance(value, str):
        if value:
            yield Message(role, ({"type": "text", "text": value},))
    elif isinstance(value, list | tuple):
        if _is_pair(value):
            yield Message(_role(value[0]), tuple(parts_of(value[1])))
        elif value and all(isinstance(item, dict) and _is_part(item) for item in value):
            yield Message(role, tuple(parts_of(list(value))))
        else:
            for item in value:
                yield from _messages(item, role, depth + 1)
    elif isinstance(value, dict):
        yield from _of_object(value, role, depth)
    else:
        yield Message(role, ({"type": "text", "text": as_json(value)},))


def _of_object(value: dict[str, Any], role: str, depth: int) -> Iterator[Message]:
    if "kwargs" in value and isinstance(value.get("id"), list):  # LangChain's serialised constructor
        yield _message({**value["kwargs"], "role": _CLASS_ROLES.get(str(value["id"][-1]), role)}, role)
    elif isinstance(value.get("data"), dict) and _word(value.get("type")) in (
        "human",
        "ai",
        "system",
        "tool",
        "function",
    ):
        yield _message({**value["data"], "role": value["type"]}, role)
    elif "role" in value and any(key in value for key in ("content", "parts", "tool_calls", "blocks")):
        yield _message(value, role)
    elif _word(value.get("type")) in ("human", "ai", "system", "tool") and "content" in value:
        yield _message({**value, "role": value["type"]}, role)
    elif isinstance(value.get("message"), dict):  # a choice, a generation
        yield from _messages(value["message"], role, depth + 1)
    elif _is_part(value):
        yield Message(role, tuple(parts_of([value])))
    else:
        for holder in _HOLDERS:
            if isinstance(value.get(holder), list | dict) and value[holder]:
                if holder in ("messages", "input_messages") and value.get("system"):
                    yield Message("system", tuple(parts_of(value["system"])))
                yield from _messages(value[holder], role, depth + 1)
                return
        for words in _SAID_UNDER:
            if value.get(words) and isinstance(value[words], str | list):
                yield from _messages(value[words], role, depth + 1)
                return
        only = next(iter(value.values())) if len(value) == 1 else None
        yield Message(role, ({"type": "text", "text": only if isinstance(only, str) else as_json(value)},))


def _message(value: dict[str, Any], role: str) -> Message:
    said_by = _role(value.get("role") or role)
    name = value.get("name")
    content = value.get("parts") or value.get("content") or value.get("blocks")
    call_id = value.get("tool_call_id")
    if said_by == "tool" and not _has_results(content):
        part = {"type": "tool_result", "id": _word(call_id), "name": _word(name), "result": _answer(content)}
        return Message("tool", (part,), _word(name))
    parts = list(parts_of(content))
    known = {part.get("id") for part in parts if part["type"] == "tool_call"}
    calls = value.get("tool_calls")
    for call in calls if isinstance(calls, list | tuple) else []:
        if isinstance(call, dict):
            part = _call(call)
            if part["id"] is None or part["id"] not in known:
                parts.append(part)
    if isinstance(value.get("function_call"), dict):
        parts.append(_call(value["function_call"]))
    if isinstance(value.get("reasoning_content"), str) and value["reasoning_content"]:
        parts.insert(0, {"type": "reasoning", "text": value["reasoning_content"]})
    return Message(said_by, tuple(parts), _word(name))


def _has_results(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(item, dict) and item.get("type") in _RESULTS for item in content
    )


def parts_of(content: Any) -> Iterator[Part]:
    """The parts of one message's content: text, or a list of text and objects."""
    if content is None or content == "":
        return
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif isinstance(content, list | tuple):
        for item in content:
            if isinstance(item, dict):
                yield _part(item)
            elif item not in (None, ""):
                yield {"type": "text", "text": item if isinstance(item, str) else as_json(item)}
    elif isinstance(content, dict):
        yield _part(content)
    else:
        yield {"type": "text", "text": as_json(content)}


def _part(item: dict[str, Any]) -> Part:
    kind = _word(item.get("type"))
    if kind in _CALLS or "functionCall" in item or "function_call" in item or "toolUse" in item:
        inner = item.get("functionCall") or item.get("function_call") or item.get("toolUse")
        return _call(inner if isinstance(inner, dict) else item)
    if kind in _RESULTS or "functionResponse" in item or "toolResult" in item:
        inner = item.get("functionResponse") or item.get("toolResult")
        return _result(inner if isinstance(inner, dict) else item)
    if kind in _REASONING:
        return {"type": "reasoning", "text": _first_text(item, "text", "thinking", "content", "reasoning", "summary")}
    if kind in _IMAGES:
        return {"type": "image", **_image(item)}
    if kind in _TEXTS or kind is None and isinstance(item.get("text"), str):
        return {"type": "text", "text": _first_text(item, "text", "content", "refusal")}
    return {"type": "other", "value": item}


def _is_part(item: dict[str, Any]) -> bool:
    kind = _word(item.get("type"))
    if "role" in item:
        return False
    return (
        kind in _TEXTS
        or kind in _REASONING
        or kind in _RESULTS
        or kind in _IMAGES
        or (kind in _CALLS and ("name" in item or "function" in item))
    )


def _call(call: dict[str, Any]) -> Part:
    function = call.get("function")
    function = function if isinstance(function, dict) else call
    arguments = next((function[key] for key in ("arguments", "args", "input", "parameters") if key in function), None)
    identity = next(
        (call[key] for key in ("call_id", "id", "toolCallId", "toolUseId", "tool_call_id") if call.get(key)), None
    )
    name = function.get("name") or function.get("toolName") or call.get("name")
    return {"type": "tool_call", "id": _word(identity), "name": _word(name), "arguments": decoded(arguments)}


def _result(item: dict[str, Any]) -> Part:
    value = next(
        (item[key] for key in ("response", "result", "output", "content", "tool_output") if key in item),
        None,
    )
    identity = next(
        (
            item[key]
            for key in ("id", "tool_use_id", "call_id", "tool_call_id", "toolCallId", "toolUseId")
            if item.get(key)
        ),
        None,
    )
    return {"type": "tool_result", "id": _word(identity), "name": _word(item.get("name")), "result": _answer(value)}


def _answer(value: Any) -> Any:
    """What a tool answered. A list of nothing but texts is the text, and a text that is JSON is what it says."""
    value = decoded(value)
    if isinstance(value, list) and value and all(isinstance(i, dict) and i.get("type") in _TEXTS for i in value):
        return decoded("\n".join(_first_text(item, "text", "content") for item in value))
    return value


def _image(item: dict[str, Any]) -> dict[str, Any]:
    """Where an image is, never its bytes."""
    url = item.get("image_url") or item.get("url") or item.get("uri") or item.get("file_uri")
    url = url.get("url") if isinstance(url, dict) else url
    source = item.get("source")
    if url is None and isinstance(source, dict):
        url = source.get("url")
    mime = (
        item.get("mime_type")
        or item.get("media_type")
        or (source.get("media_type") if isinstance(source, dict) else None)
    )
    is_inline = not isinstance(url, str) or url.startswith("data:")
    return {"url": None if is_inline else url, "mime_type": mime if isinstance(mime, str) else None}


def _first_text(item: dict[str, Any], *keys: str) -> str:
    for key in keys:
        value = item.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return "\n".join(part["text"] for part in parts_of(value) if part["type"] == "text")
        if isinstance(value, dict) and isinstance(value.get("value"), str):
            return str(value["value"])
    return ""


def _is_pair(value: list[Any] | tuple[Any, ...]) -> bool:
    """LangChain's short form: ["user", "what was said"]."""
    return (
        len(value) == 2
        and isinstance(value[0], str)
        and value[0] in ("user", "human", "ai", "assistant", "system", "tool")
        and isinstance(value[1], str | list)
    )


def _word(value: Any) -> str | None:
    """A name, an id or a type; senders put anything there."""
    return value if isinstance(value, str) else None


def _role(role: Any) -> str:
    said_by = str(role).rpartition(".")[2].lower()
    return _ROLES.get(said_by, said_by)[:40] or "user"


def as_json(value: Any) -> str:
    """The value as JSON text, else as Python prints it. Never raises."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str).decode()
    except TypeError:  # orjson.JSONEncodeError is one: a whole number beyond 64 bits, nested too deep
        return str(value)
