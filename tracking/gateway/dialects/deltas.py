"""Where an event of a stream carries pieces of text, whatever its dialect, and which texts it says are at their end.

A text of an answer is named by a lane: the choice, block or item it belongs to, then what of it. Lanes may take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Lane = tuple[Any, ...]
ALL: Lane = ()  # the beginning of every lane

_CHAT = ("content", "reasoning_content", "reasoning", "refusal")
_BLOCK = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


@dataclass(frozen=True, slots=True)
class Delta:
    """``box[key]`` is a piece of the lane's text."""

    lane: Lane
    box: dict[str, Any]
    key: str


def deltas_of(said: dict[str, Any]) -> list[Delta]:
    """The pieces an event carries, in their order."""
    if isinstance(said.get("choices"), list):
        return [delta for choice in said["choices"] if isinstance(choice, dict) for delta in _of_choice(choice)]
    kind, delta = said.get("type"), said.get("delta")
    if kind == "content_block_delta" and isinstance(delta, dict):
        key = _BLOCK.get(str(delta.get("type")))
        return list(_texts((said.get("index"),), delta, (key,))) if key is not None else []
    if isinstance(kind, str) and kind.startswith("response.") and kind.endswith(".delta"):
        place = (said.get("output_index"), said.get("content_index"), said.get("summary_index"), kind)
        return list(_texts(place, said, ("delta",)))
    return []


def ended_by(said: dict[str, Any]) -> list[Lane]:
    """Beginnings of the lanes that say no more after this event."""
    if isinstance(said.get("choices"), list):
        choices = [choice for choice in said["choices"] if isinstance(choice, dict)]
        return [(choice.get("index", 0),) for choice in choices if choice.get("finish_reason")]
    kind = str(said.get("type"))
    if kind == "content_block_stop":
        return [(said.get("index"),)]
    if kind.startswith("response.") and kind.endswith(".done"):
        return [(said.get("output_index"),)]
    is_end = kind in ("message_stop", "response.completed", "response.incomplete", "response.failed")
    return [ALL] if is_end or "error" in said else []


def without_odds(said: dict[str, Any]) -> None:
    """Leave out what tells a text a second time, token by token, of an event or of a whole answer."""
    if "logprobs" in said:
        said["logprobs"] = []
    for choice in said.get("choices") or ():
        if isinstance(choice, dict) and choice.get("logprobs") is not None:
            choice["logprobs"] = None
    for item in said.get("output") or ():
        for part in (item.get("content") if isinstance(item, dict) else None) or ():
            if isinstance(part, dict) and "logprobs" in part:
                part["logprobs"] = []


def _of_choice(choice: dict[str, Any]) -> Iterator[Delta]:
    index, delta = choice.get("index", 0), choice.get("delta")
    if not isinstance(delta, dict):
        yield from _texts((index,), choice, ("text",))
        return
    yield from _texts((index,), delta, _CHAT)
    for name, key in (("function_call", "arguments"), ("audio", "transcript")):
        if isinstance(delta.get(name), dict):
            yield from _texts((index, name), delta[name], (key,))
    for call in delta.get("tool_calls") or ():
        if isinstance(call, dict) and isinstance(call.get("function"), dict):
            yield from _texts((index, "tool", call.get("index", 0)), call["function"], ("arguments",))


def _texts(place: Lane, box: dict[str, Any], keys: tuple[str, ...]) -> Iterator[Delta]:
    for key in keys:
        if isinstance(box.get(key), str):
            yield Delta((*place, key), box, key)
