"""What is answered, before anybody says in which format: words, calls of tools, counts."""

from __future__ import annotations

import json
from typing import Any

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "on", "through", "the", "wood"]  # fmt: skip
DEAF_WORDS, LONG_WORDS_MAX = 200, 2000


def text_of(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(text_of(part) for part in value)
    if isinstance(value, dict):
        return text_of(value.get("text", value.get("content", value.get("output", ""))))
    return ""


def tokens_of(text: str) -> int:
    return max(1, (len(text.encode()) + 3) // 4)


def example(schema: Any) -> Any:
    """A value that fits a JSON schema, the plainest one."""
    if not isinstance(schema, dict):
        return "x"
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example(schema["anyOf"][0])
    if "$ref" in schema:
        return "x"
    plain = {"integer": 1, "number": 1.5, "boolean": True, "null": None}
    kind = schema.get("type")
    if kind == "object":
        return {name: example(inside) for name, inside in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [example(schema.get("items"))]
    return plain.get(str(kind), "x")


class Script:
    """One answer: ``thoughts`` and ``words`` in order, or ``calls`` of tools as (name, arguments)."""

    def __init__(
        self,
        body: dict[str, Any],
        *,
        prompt: Any,
        last: Any,
        most: int | None,
        tools: list[tuple[str, Any]],
        is_tool_done: bool,
        schema: Any = None,
        choices: int = 1,
    ) -> None:
        self.words_of = set(str(body.get("model", "")).split("/")[-1].split("-"))
        self.model = str(body.get("model"))
        self.tokens_in = tokens_of(text_of(prompt))
        self.most = most or 1000
        self.choices = choices
        self.results = sum(
            1 for one in body.get("messages") or () if isinstance(one, dict) and one.get("role") == "tool"
        )
        is_walk = any(word.startswith("walk") for word in self.words_of)
        self.calls = [] if is_tool_done and not is_walk else self._calls(tools)
        self.words = self._words(last, schema)
        self.thoughts = self.words if "think" in self.words_of else []
        if len(self.words) + len(self.thoughts) > self.most and "deaf" not in self.words_of:
            self.words = self.words[: self.most - len(self.thoughts)] if self.thoughts else self.words[: self.most]

    def has(self, word: str) -> bool:
        return word in self.words_of

    def _calls(self, tools: list[tuple[str, Any]]) -> list[tuple[str, str]]:
        walk = next((word for word in self.words_of if word.startswith("walk")), None)
        if walk is not None and tools:
            return self._step(tools, int(walk.removeprefix("walk")))
        if not tools or not ({"tool", "tools"} & self.words_of):
            return []
        wanted = tools if "tools" in self.words_of else tools[:1]
        return [(name, json.dumps(example(schema) if (schema or {}).get("properties") else {"q": "x"})) for name, schema in wanted]  # fmt: skip

    def _step(self, tools: list[tuple[str, Any]], steps: int) -> list[tuple[str, str]]:
        """The next of so many steps: each asks for another thing, by turns of the tools that are offered."""
        if self.results >= steps:
            return []
        name, schema = tools[self.results % len(tools)]
        properties = (schema or {}).get("properties") or {"q": {}}
        return [(name, json.dumps(dict.fromkeys(properties, str(self.results + 1))))]

    def _words(self, last: Any, schema: Any) -> list[str]:
        if self.calls:
            return ["calling"]
        if self.has("deaf"):
            return [WORDS[n % len(WORDS)] for n in range(DEAF_WORDS)]
        if self.has("long"):
            return [WORDS[n % len(WORDS)] for n in range(min(self.most, LONG_WORDS_MAX))]
        if self.has("json"):
            return json.dumps(example(schema) if schema else {"answer": text_of(last)}).split(" ")
        return text_of(last).split() or ["ok"]

    @property
    def is_cut_short(self) -> bool:
        return len(self.words) + len(self.thoughts) >= self.most

    @property
    def cached(self) -> int:
        return self.tokens_in // 2 if self.has("cached") else 0

    @property
    def cache_written(self) -> int:
        return self.tokens_in // 8 if self.has("cached") else 0
