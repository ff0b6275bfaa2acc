"""What each demo model says to what it was told. Pure; a token is a word."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from wflo.demo.schema import value_of

TOOLS_USED_MAX = 3  # by demo/agent for one question
MESSAGE_TOKENS = 3
IMAGE_TOKENS = 85
OUTPUT_TOKENS = 1_000  # where the caller names no cap
QUESTION_WORDS = 24  # of a question that are repeated in answers and arguments
RESULT_CHARS = 400

SLOW_SECONDS = 0.06  # between the words of demo/slow
FAILURES = (
    (503, "The demo model is overloaded."),
    (429, "The demo model is asked too often."),
)  # of demo/error, by turns

MODELS = frozenset({"agent", "echo", "loop", "slow", "error", "json"})
_WORD = re.compile(r"\S+\s*|\s+")
_FIT = re.compile(r"[a-z0-9]{3,}")

_LOOP = "Let me look at that once more."
_SLOW = (
    "Here is what I make of it, one word at a time, so that you can watch an answer arrive, see its cost rise while it "
    "does, and stop it whenever you have seen enough: you asked about"
)
_THOUGHT = "The question is plain, so I take it word by word and then say it back slowly."


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: Any
    description: str = ""


@dataclass(slots=True, kw_only=True)
class Told:
    """A request in any dialect. What is told of tools is what happened since the person last spoke."""

    question: str = ""
    tools: list[Tool] = field(default_factory=list)
    choice: str = "auto"  # auto, none, required, or a tool's name
    called: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    schema: Any = None  # the answer is to fit it
    is_json: bool = False
    cap: int | None = None
    messages: int = 0
    tokens: int = 0
    cached: int = 0  # of them, seen in the turn before
    written: int = 0  # of them, that a cache takes in now
    is_kept_an_hour: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    id: str
    name: str
    arguments: str  # JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    text: str = ""
    thought: str = ""
    calls: tuple[Called, ...] = ()
    is_cut: bool = False
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    reasoning_tokens: int = 0
    is_kept_an_hour: bool = False


def words_of(text: str) -> list[str]:
    """A text as the pieces it is streamed in; each counts as a token."""
    return _WORD.findall(text)


def tokens_of(text: str) -> int:
    return len(text.split())


def say(model: str, told: Told) -> Said:
    """The answer of ``model``, one of MODELS. demo/error's failures are its server's."""
    told = _cached(model, told)
    if model == "loop":
        tool = _chosen(told) or (told.tools[0] if told.tools and told.choice != "none" else None)
        return _call(told, tool) if tool is not None else _answer(told, _LOOP)
    if model == "agent":
        tool = _chosen(told) or _next_tool(told)
        if tool is not None:
            return _call(told, tool)
        return _answer(told, _in_json(told) if told.schema is not None else _conclusion(told))
    forced = _chosen(told)
    if forced is not None:
        return _call(told, forced)
    if told.schema is not None or told.is_json or model == "json":
        return _answer(told, _in_json(told))
    if model == "slow":
        return _answer(told, f"{_SLOW} {_short(told.question)}", _THOUGHT)
    return _answer(told, told.question or "ok")


def _cached(model: str, told: Told) -> Told:
    """Which models remember what they were told: all that have a price for it, and demo/json writes it down first."""
    if model not in ("agent", "loop", "json"):
        return replace(told, cached=0)
    if model == "json" and not told.cached:
        return replace(told, written=told.tokens // 2)
    return told


def _chosen(told: Told) -> Tool | None:
    """The tool the caller insists on."""
    if told.choice == "required":
        return told.tools[0] if told.tools else None
    return next((tool for tool in told.tools if tool.name == told.choice), None)


def _next_tool(told: Told) -> Tool | None:
    """Of the tools that fit the question best, the first that was not called yet."""
    if told.choice == "none":
        return None
    asked = set(_FIT.findall(told.question.lower()))

    def fit(tool: Tool) -> int:
        return -len(asked & set(_FIT.findall(f"{tool.name} {tool.description}".lower())))

    best = sorted(told.tools, key=fit)[:TOOLS_USED_MAX]
    return next((tool for tool in best if tool.name not in told.called), None)


def _conclusion(told: Told) -> str:
    if not told.results:
        return f"You asked: {_short(told.question)} This is the demo model's answer; it was offered no tool to use."
    found = "; ".join(
        f"{name} said: {' '.join(result.split())[:RESULT_CHARS]}"
        for name, result in zip(told.called, told.results, strict=False)
    )
    return f"I looked into it. {found}. That answers: {_short(told.question)}"


def _in_json(told: Told) -> str:
    words = _short(told.question)
    value = {"answer": words} if told.schema is None else value_of(told.schema, words)
    return json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return " ".join(text.split()[:QUESTION_WORDS])


def _answer(told: Told, text: str, thought: str = "") -> Said:
    cap = OUTPUT_TOKENS if told.cap is None else told.cap
    thoughts = words_of(thought)[:cap]
    words = words_of(text)
    kept = words[: cap - len(thoughts)]
    return Said(
        text="".join(kept),
        thought="".join(thoughts),
        is_cut=len(kept) < len(words),
        input_tokens=told.tokens,
        output_tokens=len(kept) + len(thoughts),
        cached_tokens=told.cached,
        written_tokens=told.written,
        reasoning_tokens=len(thoughts),
        is_kept_an_hour=told.is_kept_an_hour,
    )


def _call(told: Told, tool: Tool) -> Said:
    arguments = value_of(tool.schema, _short(told.question))
    text = json.dumps(arguments if isinstance(arguments, dict) else {}, ensure_ascii=False)
    tokens = 2 + len(words_of(text))
    if told.cap is not None and tokens > told.cap:
        return _answer(told, f"I would call {tool.name}, and have no tokens left for its arguments.")
    seed = f"{tool.name}\0{text}\0{told.messages}"
    call = Called(f"call_{hashlib.sha256(seed.encode()).hexdigest()[:24]}", tool.name, text)
    return Said(
        calls=(call,),
        input_tokens=told.tokens,
        output_tokens=tokens,
        cached_tokens=told.cached,
        written_tokens=told.written,
        is_kept_an_hour=told.is_kept_an_hour,
    )
