"""What LiteLLM's functions give back, as the bytes that the dialect's provider would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from tracking.gateway.dialects.sse import event

# Of a chat answer, what OpenAI's has; the rest is LiteLLM's own.
_CHAT_FIELDS = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})


# What adapters begin a stream with by themselves, before the provider has said anything.
_BEGINNINGS = {
    "anthropic.messages": ("message_start", "content_block_start", "ping"),
    "openai.responses": (
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ),
}  # fmt: skip


class Pieces:
    """A stream of LiteLLM's. Its Anthropic adapter turns errors into events, so what that one wraps is read instead."""

    def __init__(self, answer: Any) -> None:
        self._read = getattr(answer, "_anthropic_wrapper", answer)
        self._iterator = aiter(self._read)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._iterator)

    @property
    def is_usage_told(self) -> bool:
        """Whether the usage is the provider's: where it says nothing, LiteLLM counts by itself and does not tell."""
        pieces = getattr(self._read, "chunks", None)
        return pieces is None or any(getattr(piece, "usage", None) is not None for piece in pieces)

    async def aclose(self) -> None:
        """Hangs up, whoever holds the connection."""
        for holder in (self._read, getattr(self._read, "completion_stream", None)):
            close = getattr(holder, "aclose", None)
            if close is not None:
                await close()


def is_made_up(piece: Any, dialect: str) -> bool:
    kind = piece.get("type") if isinstance(piece, dict) else getattr(piece, "type", "")
    return str(kind) in _BEGINNINGS.get(dialect, ())


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

    def __init__(self, dialect: str, pieces: Pieces) -> None:
        self._dialect = dialect
        self._pieces = pieces
        self._number = 0

    def events(self, piece: Any) -> Iterator[bytes]:
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
        if usage is not None and self._pieces.is_usage_told:
            yield event(orjson.dumps({**chunk, "choices": [], "usage": usage}, default=str))
