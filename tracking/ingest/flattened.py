"""Messages written as one attribute a leaf: ``llm.input_messages.0.message.content``. Indices may have gaps."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tracking.ingest.dialects.fields import parsed
from tracking.ingest.messages import Message, messages_of


def flattened(attributes: dict[str, Any], prefix: str) -> list[Message]:
    """OpenInference's indexed attributes, and the older GenAI form. Indices may have gaps."""
    groups: dict[int, dict[str, Any]] = defaultdict(dict)
    start = len(prefix)
    for key, value in attributes.items():
        if key.startswith(prefix):
            index, _, rest = key[start:].partition(".")
            if index.isdecimal() and len(index) < 7:
                groups[int(index)][rest.removeprefix("message.")] = value
    found = [_from_flat(groups[index]) for index in sorted(groups)]
    return [message for message in found if message.parts]


def _from_flat(group: dict[str, Any]) -> Message:
    """One message of dotted attributes, rebuilt as an object and read as one."""
    tree: dict[str, Any] = {}
    for path, value in group.items():
        steps = path.split(".")
        at = tree
        for step in steps[:-1]:
            inner = at.get(step)
            if not isinstance(inner, dict):
                inner = at[step] = {}
            at = inner
        at[steps[-1]] = value
    contents_by_index = _indexed(tree.get("contents"))
    if contents_by_index:
        tree["content"] = [_flat_content(item) for item in contents_by_index]
    elif isinstance(tree.get("content"), str):
        tree["content"] = _maybe_parts(tree["content"])
    tree["tool_calls"] = [item.get("tool_call", item) for item in _indexed(tree.get("tool_calls"))]
    role = str(tree.get("role") or "assistant")
    found = messages_of({**tree, "role": role, "content": tree.get("content", "")}, role=role)
    return found[0] if found else Message(role, ())


def _flat_content(item: dict[str, Any]) -> dict[str, Any]:
    inner = {
        **_map(item.get("message_content")),
        **{key: value for key, value in item.items() if key != "message_content"},
    }
    call = inner.pop("tool_call", None)
    if isinstance(call, dict):
        return {"type": "tool_call", **call}
    image = inner.get("image")
    if isinstance(image, dict):
        return {"type": "image", "url": _map(image.get("image")).get("url") or image.get("url")}
    return inner


def _maybe_parts(content: str) -> Any:
    """Content that is itself a JSON list of parts, as older emitters wrote it."""
    value = parsed(content) if content[:2] in ("[{", '{"') else None
    return value if isinstance(value, list) else content


def _indexed(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, dict):
        return []
    numbered = sorted((int(key), item) for key, item in value.items() if key.isdecimal() and isinstance(item, dict))
    return [item for _, item in numbered]


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
