"""What LiteLLM's functions give back, as the bytes that the dialect's provider would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from tracking.gateway.dialects.sse import event

# Of a chat answer, what OpenAI's has; the rest is LiteLLM's own.
_CHAT_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})


def whole(answer: Any, dialect: str) -> bytes:
    found = plain(answer)
    if dialect == "openai.chat":
        found = {name: value for name, value in found.items() if name in _CHAT_FIELDS}
        for choice in found.get("choices") or ():
            choice.pop("provider_specific_fields", None)
            (choice.get("message") or {}).pop("provider_specific_fields", None)
    return orjson.dumps(found, default=str)


def plain(answer: Any, *, is_bare: bool = False) -> dict[str, Any]:
    """``is_bare``: without what is null."""
    if hasattr(answer, "model_dump"):
        found: dict[str, Any] = answer.model_dump(mode="json", exclude_none=is_bare)
        return found
    return dict(answer)


class Writer:
    """Turns the pieces of one stream into events."""

    def __init__(self, dialect: str, answer: Any) -> None:
        self._dialect = dialect
        self._answer = answer
        self._number = 0

    def events(self, piece: Any) -> Iterator[bytes]:
        if piece is None:
            return
        if isinstance(piece, bytes | str):  # Anthropic's messages are events already
            yield piece.encode() if isinstance(piece, str) else piece
        elif self._dialect == "openai.responses":
            yield self._numbered(plain(piece, is_bare=True))
        elif self._dialect == "anthropic.messages":
            found = plain(piece)
            yield event(orjson.dumps(found, default=str), str(found.get("type", "")))
        else:
            yield from self._chunk(plain(piece, is_bare=True))

    def end(self) -> Iterator[bytes]:
        if self._dialect == "openai.chat":
            yield event(b"[DONE]")

    def _numbered(self, found: dict[str, Any]) -> bytes:
        found["sequence_number"] = self._number
        self._number += 1
        return event(orjson.dumps(found, default=str), str(found.get("type", "")))

    def _chunk(self, found: dict[str, Any]) -> Iterator[bytes]:
        chunk = {name: value for name, value in found.items() if name in _CHAT_FIELDS}
        usage = chunk.pop("usage", None)
        choices = chunk.get("choices") or []
        for choice in choices:
            choice.setdefault("finish_reason", None)
            choice.get("delta", {}).pop("provider_specific_fields", None)
        if usage is None or any(choice.get("delta") or choice["finish_reason"] for choice in choices):
            yield event(orjson.dumps(chunk, default=str))
        if usage is not None and self._is_told():
            yield event(orjson.dumps({**chunk, "choices": [], "usage": usage}, default=str))

    def _is_told(self) -> bool:
        """Whether the usage is the provider's: where it says nothing, LiteLLM counts by itself and does not tell."""
        pieces = getattr(self._answer, "chunks", None)
        return pieces is None or any(getattr(piece, "usage", None) is not None for piece in pieces)
