"""Anthropic's messages: blocks in, blocks out; its counts leave out what came from the cache."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from tracking.errors import InvalidCall
from tracking.gateway.dialects import counts
from tracking.gateway.dialects.dialect import Reader, Seen, Wanted, pieces_of
from tracking.gateway.dialects.fields import count, model_of
from tracking.gateway.dialects.sse import Events, event, name_and_data
from wflo.usage import Usage

# Tools that the caller runs; whatever else is offered runs at the provider, at prices of its own.
_CALLERS_TOOLS = ("custom", "bash_", "text_editor_", "computer_", "memory_", "browser_")
THINKING_LEAST = 1_024  # tokens that Anthropic lets be set apart for thoughts
PIECE_CHARACTERS = 5  # of a token; a delta is several
_TYPES = {
    "validation_error": "invalid_request_error",
    "server_error": "api_error",
    "internal_error": "api_error",
    "upstream_error": "api_error",
    "circuit_open": "overloaded_error",
    "loop_detected": "rate_limit_error",
    "budget_exceeded": "rate_limit_error",
    "run_killed": "rate_limit_error",
    "run_limit_exceeded": "rate_limit_error",
    "rate_limit_exceeded": "rate_limit_error",
}
_BY_CODE = {"model_not_found": "not_found_error", "too_large": "request_too_large", "not_found": "not_found_error"}


class AnthropicMessages:
    name = "anthropic.messages"
    path = "/messages"
    provider = "anthropic"
    is_common = False
    is_embedding = False
    output_field = "max_tokens"
    output_least = 1
    passed_headers: tuple[str, ...] = ("anthropic-version", "anthropic-beta")

    def read(self, body: dict[str, Any]) -> Wanted:
        messages = body.get("messages")
        model = model_of(body)
        if not isinstance(messages, list) or not messages:
            raise InvalidCall("messages must be a list with at least one message.", field="messages")
        for place, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise InvalidCall(f"messages.{place} must be an object with a role.", field=f"messages.{place}.role")
        if body.get("container") is not None:
            raise InvalidCall(
                "container is not taken: a provider's containers belong to its key, which teams share.",
                field="container",
            )
        metadata = body.get("metadata")
        user = metadata.get("user_id") if isinstance(metadata, dict) else None
        return Wanted(
            model=model,
            is_stream=body.get("stream") is True,
            output_tokens=count(body, "max_tokens"),
            user=user[:256].replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(user, str) else "",
        )

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        out = {**body, "model": model}
        if output_tokens is not None:
            out["max_tokens"] = output_tokens
            _think_within(out, output_tokens)
        return out

    def answered(self, answer: dict[str, Any]) -> Seen:
        content = answer.get("content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        usage = usage_of(answer.get("usage"))
        return Seen(
            usage=usage,
            is_usage_bad=usage is None and bool(answer.get("usage")),
            model=_text(answer.get("model")),
            response_id=_text(answer.get("id")),
            finish_reason=_text(answer.get("stop_reason")),
            text="".join(_text(block.get("text")) for block in blocks),
            message=[{"role": "assistant", "content": blocks}],
            output_bytes=len(orjson.dumps(blocks)),
        )

    def reader(self, body: dict[str, Any]) -> Reader:
        return MessagesReader()

    def prompt(self, body: dict[str, Any]) -> Any:
        messages = list(body.get("messages") or ())
        system = body.get("system")
        return [{"role": "system", "content": system}, *messages] if system else messages

    def counted(self, body: dict[str, Any]) -> list[Any]:
        return [self.prompt(body), body.get("tools"), body.get("output_config"), body.get("output_format")]

    def unforeseen(self, body: dict[str, Any]) -> str:
        for tool in body.get("tools") or ():
            kind = tool.get("type") if isinstance(tool, dict) else None
            if kind is not None and not str(kind).startswith(_CALLERS_TOOLS):
                return f'the tool "{kind}"'
        if body.get("mcp_servers"):
            return '"mcp_servers"'
        return '"speed", whose price is another' if body.get("speed") not in (None, "standard") else ""

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"type": "error", "error": {**error, "type": _type(error)}, "detail": {"error": error}}

    def error_event(self, error: dict[str, Any]) -> bytes:
        said = {"type": "error", "error": {**error, "type": _type(error)}}
        return event(orjson.dumps(said), "error")

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        """The block under way ends, the message says why, then comes the error, then the end."""
        events: list[dict[str, Any]] = []
        if seen.open_block is not None:
            events.append({"type": "content_block_stop", "index": seen.open_block})
        delta = {"stop_reason": "max_tokens", "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": seen.pieces}})
        before = b"".join(event(orjson.dumps(said), str(said["type"])) for said in events)
        return before + self.error_event(error) + event(orjson.dumps({"type": "message_stop"}), "message_stop")


def _think_within(out: dict[str, Any], output_tokens: int) -> None:
    """Thoughts are part of the answer: a cap that was lowered below what was set apart for them lowers that too."""
    thinking = out.get("thinking")
    set_apart = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or not isinstance(set_apart, int) or set_apart < output_tokens:
        return
    if output_tokens > THINKING_LEAST:
        out["thinking"] = {**thinking, "budget_tokens": max(THINKING_LEAST, output_tokens // 2)}
    else:
        out["thinking"] = {"type": "disabled"}


def _type(error: dict[str, Any]) -> str:
    kind = str(error.get("type") or "api_error")
    return _BY_CODE.get(str(error.get("code"))) or _TYPES.get(kind, kind)


class MessagesReader:
    """Relays a stream untouched and puts its blocks together as they go by."""

    def __init__(self) -> None:
        self.seen = Seen(is_complete=False)
        self.held_back = b""
        self._events = Events()
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[int, list[str]] = {}
        self._open: int | None = None
        self._is_told = False

    def feed(self, data: bytes) -> bytes:
        out = []
        for one in self._events.cut(data):
            name, inside = name_and_data(one)
            if not inside or name == b"ping":
                out.append(one)
                continue
            if self._is_end(counts.loaded(inside) or {}):
                self.held_back += one
            else:
                out.append(one)
        return b"".join(out)

    def _is_end(self, said: dict[str, Any]) -> bool:
        seen, kind = self.seen, said.get("type")
        if kind == "content_block_delta":
            self._add(said.get("index"), said.get("delta"))
        elif kind == "content_block_start":
            self._begin(said.get("index"), said.get("content_block"))
        elif kind == "content_block_stop":
            self._open = None
        elif kind == "message_start" and isinstance(said.get("message"), dict):
            message = said["message"]
            seen.model, seen.response_id = _text(message.get("model")), _text(message.get("id"))
            self._add_usage(message.get("usage"), is_last=False)
        elif kind == "message_delta":
            delta = said.get("delta")
            seen.finish_reason = _text(delta.get("stop_reason")) if isinstance(delta, dict) else ""
            self._add_usage(said.get("usage"), is_last=True)
        elif kind == "error":
            error = said.get("error")
            seen.error = (_text(error.get("message")) if isinstance(error, dict) else str(error))[:500] or "error"
        elif kind == "message_stop":
            seen.is_complete = True
            return True
        return False

    def _add_usage(self, usage: Any, *, is_last: bool) -> None:
        """The first event counts the prompt, the last one the answer, and the prompt again where tools added to it."""
        if not isinstance(usage, dict):
            return
        self._usage |= {name: value for name, value in usage.items() if value is not None}
        known = usage_of(self._usage)
        if not is_last:
            self.seen.prompt_usage = known
            return
        self.seen.usage = known
        self.seen.is_usage_bad = known is None

    def _begin(self, place: Any, block: Any) -> None:
        if isinstance(place, int) and isinstance(block, dict):
            self._open = place
            self._blocks[place] = block
            self._pieces[place] = []

    def _add(self, place: Any, delta: Any) -> None:
        if not isinstance(delta, dict) or place not in self._pieces:
            return
        kind = delta.get("type")
        if kind in ("text_delta", "thinking_delta", "input_json_delta"):
            name = {"text_delta": "text", "thinking_delta": "thinking"}.get(kind, "partial_json")
            piece = _text(delta.get(name))
            self.seen.pieces += pieces_of(piece, characters=PIECE_CHARACTERS)
            self.seen.output_bytes += len(piece)
            self._pieces[place].append(piece)
        elif kind == "signature_delta":
            self._blocks[place]["signature"] = _text(delta.get("signature"))

    def end(self) -> Seen:
        """Puts the blocks together. Once."""
        if self._is_told:
            return self.seen
        self._is_told = True
        seen = self.seen
        blocks = [self._whole(place) for place in sorted(self._blocks)]
        seen.message = [{"role": "assistant", "content": blocks}]
        seen.text = "".join(_text(block.get("text")) for block in blocks)
        if seen.usage is None:
            seen.text = "".join(piece for pieces in self._pieces.values() for piece in pieces)
        seen.open_block = self._open
        return seen

    def _whole(self, place: int) -> dict[str, Any]:
        block, said = self._blocks[place], "".join(self._pieces[place])
        if block.get("type") in ("text", "thinking"):
            return {**block, block["type"]: _text(block.get(block["type"])) + said}
        return {**block, "input": counts.loaded(said.encode()) or said} if said else block


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def usage_of(usage: Any) -> Usage | None:
    """With what was read from and written to the cache among the input. None when the counts are no counts."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = counts.tokens(usage.get("input_tokens")), counts.tokens(usage.get("output_tokens", 0))
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    cached, cache_write = counts.tokens(read), counts.tokens(written)
    is_odd = (cached is None and read is not None) or (cache_write is None and written is not None)
    if tokens_in is None or tokens_out is None or is_odd:
        return None
    by_life = counts.details(usage, "cache_creation")
    parts = [counts.tokens(by_life.get(f"ephemeral_{life}_input_tokens")) for life in ("5m", "1h")]
    if cache_write is None and any(parts):
        cache_write = sum(part or 0 for part in parts)
    tier = usage.get("service_tier")
    found = Usage(
        input_tokens=tokens_in + (cached or 0) + (cache_write or 0),
        output_tokens=tokens_out,
        cached_tokens=cached,
        cache_write_tokens=cache_write,
        reasoning_tokens=counts.tokens(counts.details(usage, "output_tokens_details").get("thinking_tokens")),
        service_tier=tier if isinstance(tier, str) else None,
    )
    return replace(found, cache_write_1h_tokens=parts[1]) if parts[1] else found
