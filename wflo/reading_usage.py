"""Usage read from what a provider answered: objects, dicts, or the pieces of a stream; OpenAI's, Anthropic's, Gemini's,
LiteLLM's and LangChain's shapes. Never raises; what is not there is None, and a shape nobody knows gives None.

Buckets are inclusive (``wflo.usage``): Anthropic tells cached input beside the rest, so it is added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wflo.usage import Usage


@dataclass(slots=True)
class Answered:
    """What an answer says of itself."""

    usage: Usage | None = None
    model: str = ""
    response_id: str = ""
    finish_reason: str = ""


def usage_of(answer: Any) -> Usage | None:
    """The usage in a provider's answer, None when it tells none."""
    return answered(answer).usage


def answered(answer: Any) -> Answered:
    try:
        return _read(answer)
    except Exception:  # a stranger's object may do anything when it is asked
        return Answered()


def _read(answer: Any) -> Answered:
    found = Answered(
        usage=_usage(answer),
        model=_text(_get(answer, "model")) or _text(_get(answer, "model_version", "modelVersion")),
        response_id=_text(_get(answer, "id", "response_id", "responseId")),
    )
    choices = _get(answer, "choices")
    if isinstance(choices, list) and choices:
        found.finish_reason = _text(_get(choices[0], "finish_reason"))
    found.finish_reason = found.finish_reason or _text(_get(answer, "stop_reason"))
    meta = _get(answer, "response_metadata")  # LangChain's messages
    if meta is not None and not found.model:
        found.model = _text(_get(meta, "model_name", "model"))
    return found


def _usage(answer: Any) -> Usage | None:
    for name in ("usage", "usage_metadata", "usageMetadata"):
        told = _get(answer, name)
        if told is not None:
            found = _usage_of(told)
            if found.is_known:
                return found
    if _count(answer, "input_tokens", "prompt_tokens") is not None:
        found = _usage_of(answer)
        return found if found.is_known else None
    return None


def _usage_of(told: Any) -> Usage:
    if _has(told, "prompt_token_count", "promptTokenCount", "candidates_token_count", "candidatesTokenCount"):
        return _gemini(told)
    if _has(told, "cache_read_input_tokens", "cache_creation_input_tokens") and _has(told, "input_tokens"):
        return _anthropic(told)
    return _openai(told)


def _openai(told: Any) -> Usage:
    """Chat's and the Responses API's words, LiteLLM's and LangChain's too."""
    into = _get(told, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _get(told, "completion_tokens_details", "output_tokens_details", "output_token_details")
    return Usage(
        input_tokens=_count(told, "prompt_tokens", "input_tokens"),
        output_tokens=_count(told, "completion_tokens", "output_tokens"),
        cached_tokens=_count(into, "cached_tokens", "cache_read"),
        cache_write_tokens=_count(into, "cache_creation_tokens", "cache_creation", "cache_write_tokens"),
        reasoning_tokens=_count(out, "reasoning_tokens", "reasoning"),
        audio_input_tokens=_count(into, "audio_tokens", "audio"),
        audio_output_tokens=_count(out, "audio_tokens", "audio"),
    )


def _anthropic(told: Any) -> Usage:
    fresh, read = _count(told, "input_tokens"), _count(told, "cache_read_input_tokens")
    written = _count(told, "cache_creation_input_tokens")
    long = _count(_get(told, "cache_creation"), "ephemeral_1h_input_tokens")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=_count(told, "output_tokens"),
        cached_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=long,
        service_tier=_text(_get(told, "service_tier")) or None,
    )


def _gemini(told: Any) -> Usage:
    said = _count(told, "candidates_token_count", "candidatesTokenCount")
    thought = _count(told, "thoughts_token_count", "thoughtsTokenCount")
    asked = _count(told, "prompt_token_count", "promptTokenCount")
    tools = _count(told, "tool_use_prompt_token_count", "toolUsePromptTokenCount")
    return Usage(
        input_tokens=None if asked is None else asked + (tools or 0),
        output_tokens=None if said is None and thought is None else (said or 0) + (thought or 0),
        cached_tokens=_count(told, "cached_content_token_count", "cachedContentTokenCount"),
        reasoning_tokens=thought,
    )


class StreamReader:
    """What the pieces of a stream say, put together. ``text`` is what was said, as far as it is text."""

    CHARACTERS_MAX = 200_000

    def __init__(self) -> None:
        self.found = Answered()
        self.pieces = 0
        self._texts: list[str] = []
        self._length = 0
        self._anthropic: dict[str, int] = {}

    def feed(self, piece: Any) -> None:
        """One piece, as the provider's client gives it. Never raises."""
        self.pieces += 1
        try:
            self._feed(piece)
        except Exception:
            return

    def _feed(self, piece: Any) -> None:
        for part in (piece, _get(piece, "response"), _get(piece, "message")):  # Responses and Messages wrap it
            if part is None:
                continue
            told = _read(part)
            self.found.model = self.found.model or told.model
            self.found.response_id = self.found.response_id or told.response_id
            self.found.finish_reason = told.finish_reason or self.found.finish_reason
            if told.usage is not None:
                self._merge(told.usage)
        reason = _text(_get(_get(piece, "delta"), "stop_reason"))
        self.found.finish_reason = reason or self.found.finish_reason
        text = _said(piece)
        if text and self._length < self.CHARACTERS_MAX:
            self._texts.append(text)
            self._length += len(text)

    def _merge(self, usage: Usage) -> None:
        """Anthropic tells input at the start and output at the end; others all at the end: the later word on each counts."""
        before = self.found.usage
        if before is not None:
            names = Usage.__dataclass_fields__
            known: dict[str, Any] = {name: getattr(before, name) for name in names}
            known |= {name: value for name in names if (value := getattr(usage, name)) is not None}
            usage = Usage(**known)
        self.found.usage = usage

    @property
    def text(self) -> str:
        return "".join(self._texts)


def _said(piece: Any) -> str:
    if isinstance(piece, str):
        return piece
    choices = _get(piece, "choices")
    if isinstance(choices, list) and choices:
        return _text(_get(_get(choices[0], "delta"), "content"))
    delta = _get(piece, "delta")
    if isinstance(delta, str):
        return delta  # response.output_text.delta
    return _text(_get(delta, "text")) or (_text(_get(piece, "text")) if _get(piece, "candidates") is not None else "")


def _get(value: Any, *names: str) -> Any:
    """The first of the fields that is there and not None."""
    if value is None or isinstance(value, str | bytes | int | float):
        return None
    look: Callable[[str], Any]
    if isinstance(value, dict | Mapping):  # a dict is found out sooner
        look = value.get
    else:
        look = lambda name: getattr(value, name, None)  # noqa: E731
    for name in names:
        found = look(name)
        if found is not None:
            return found
    return None


def _has(value: Any, *names: str) -> bool:
    return _get(value, *names) is not None


def _count(value: Any, *names: str) -> int | None:
    found = _get(value, *names)
    return found if type(found) is int and found >= 0 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
