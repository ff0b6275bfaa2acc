"""What a tool was given and what it answered, out of what frameworks wrap round it.

A wrapping is taken off only when it is known; a value that nobody knows stays as it was sent.
"""

from __future__ import annotations

from typing import Any

from tracking.ingest.messages import decoded

_DEPTH_MAX = 5  # a result in a message in a callback's output
_CALL = frozenset({"args", "kwargs", "sanitize_inputs_outputs"})  # of smolagents' and DSPy's tools, which are methods


def arguments(value: Any) -> Any:
    """The arguments themselves: by name, where nothing was given by place."""
    given = decoded(value)
    if not isinstance(given, dict):
        return value
    if given.keys() <= _CALL and isinstance(given.get("kwargs"), dict) and not given.get("args"):
        return given["kwargs"]
    if given.keys() == {"input", "options"}:  # BeeAI
        return given["input"]
    if "input_str" in given:  # LangChain's callback, under OpenLLMetry
        return given.get("inputs") or given["input_str"]
    return value


def result(value: Any) -> Any:
    """The answer itself; texts in a list of nothing else are one text."""
    found = value
    for _ in range(_DEPTH_MAX):
        inner = _inside(decoded(found))
        if inner is None:
            break
        found = inner
    parts = decoded(found)
    if isinstance(parts, list) and parts and all(_is_text(part) for part in parts):
        return "\n".join(part["text"] for part in parts)
    return found


def _inside(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        return value["kwargs"]
    if "content" in value and ("tool_call_id" in value or "additional_kwargs" in value):
        return value["content"]
    if isinstance(value.get("data"), dict):
        return value["data"] if "content" in value["data"] else None
    if isinstance(value.get("output"), dict) and value.keys() <= {"output", "kwargs"}:
        return value["output"]
    if isinstance(value.get("tool_output"), dict):  # llama-index
        return value["tool_output"]
    if "raw_output" in value and "tool_name" in value:
        return value["raw_output"]
    if value.keys() == {"id", "name", "response"}:  # Gemini's shape, of google-adk
        return value["response"]
    return None


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str) and part.keys() <= {"text", "type"}
