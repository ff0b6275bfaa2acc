"""Messages of a span as a page shows them: parts as text, values as JSON, long ones cut with what is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from tracking.ingest.messages import Message

CHARACTERS_MAX = 20_000  # of one part; the raw JSON of the span has the rest
SUMMARY_CHARACTERS = 140
FOLDED_FROM = 1_200  # characters


@dataclass(frozen=True, slots=True)
class SpokenPart:
    """``style``: text, reasoning, call, result, other. ``cut`` is how many characters are left out."""

    style: str
    text: str
    name: str = ""
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Spoken:
    role: str
    name: str
    parts: tuple[SpokenPart, ...]

    @property
    def summary(self) -> str:
        words = next((part.text or part.name for part in self.parts if part.text or part.name), "")
        return " ".join(words[: SUMMARY_CHARACTERS * 2].split())[:SUMMARY_CHARACTERS]

    @property
    def is_folded(self) -> bool:
        """Shown closed at first: instructions, and what is long."""
        return self.role == "system" or sum(len(part.text) for part in self.parts) > FOLDED_FROM


def spoken(messages: Iterable[Message]) -> list[Spoken]:
    return [
        Spoken(message.role, message.name or "", tuple(_part(part) for part in message.parts)) for message in messages
    ]


def _part(part: dict[str, Any]) -> SpokenPart:
    kind = part.get("type")
    name = str(part.get("name") or "")
    if kind in ("text", "reasoning"):
        return cut(str(part.get("text") or ""), style=str(kind))
    if kind == "tool_call":
        return cut(written(part.get("arguments")), style="call", name=name)
    if kind == "tool_result":
        return cut(written(part.get("result")), style="result", name=name)
    if kind == "image":
        shown = {key: value for key, value in part.items() if key != "type"}
        return cut(written(shown), style="other", name="image")
    return cut(written(part.get("value")), style="other", name=name)


def cut(text: str, *, style: str = "text", name: str = "") -> SpokenPart:
    return SpokenPart(style, text[:CHARACTERS_MAX], name, max(len(text) - CHARACTERS_MAX, 0))


def written(value: Any) -> str:
    """A value to read: text as it is, anything else as indented JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        stripped = value.strip()
        if stripped[:1] in "{[" and len(stripped) <= CHARACTERS_MAX * 4:
            try:
                return written(orjson.loads(stripped))
            except orjson.JSONDecodeError:
                return value
        return value
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:
        return "(nested too deep to be written)"
