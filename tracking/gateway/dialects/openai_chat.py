"""OpenAI's chat completions, the dialect most clients and most providers speak."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.errors import InvalidCall
from tracking.gateway.dialects.dialect import Reader, Seen, Wanted
from tracking.gateway.dialects.fields import count, model_of, text
from tracking.gateway.dialects.sse import Events, TooLong, data_of, event
from wflo.usage import Usage

CHOICES_MAX = 128
_DONE = b"[DONE]"


class OpenAiChat:
    name = "openai.chat"
    path = "/chat/completions"
    provider = "openai"
    is_embedding = False
    output_field = "max_tokens"

    def read(self, body: dict[str, Any]) -> Wanted:
        messages = body.get("messages")
        model = model_of(body)
        if not isinstance(messages, list) or not messages:
            raise InvalidCall("messages must be a list with at least one message.", field="messages")
        for place, message in enumerate(messages):
            if not isinstance(message, dict) or not isinstance(message.get("role"), str):
                raise InvalidCall(f"messages.{place} must be an object with a role.", field=f"messages.{place}.role")
        caps = [count(body, name) for name in ("max_completion_tokens", "max_tokens")]
        return Wanted(
            model=model,
            is_stream=body.get("stream") is True,
            output_tokens=next((cap for cap in caps if cap is not None), None),
            choices=count(body, "n", most=CHOICES_MAX) or 1,
            user=text(body, "user"),
        )

    def sent(self, body: dict[str, Any], *, model: str, output_tokens: int | None) -> dict[str, Any]:
        out = {**body, "model": model}
        if output_tokens is not None:
            # max_tokens where the caller used it or nothing: every compatible server knows that one.
            name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
            if name == "max_tokens" and _wants_new_name(model):
                name = "max_completion_tokens"
                out.pop("max_tokens", None)
            out[name] = output_tokens
        if body.get("stream") is True:
            options = body.get("stream_options")
            out["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return out

    def answered(self, answer: dict[str, Any]) -> Seen:
        choices = answer.get("choices")
        first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        message = first.get("message")
        content = message.get("content") if isinstance(message, dict) else None
        usage = usage_of(answer.get("usage"), answer.get("service_tier"))
        return Seen(
            usage=usage,
            is_usage_bad=usage is None and bool(answer.get("usage")),
            model=answer.get("model") or "",
            response_id=answer.get("id") or "",
            finish_reason=first.get("finish_reason") or "",
            text=content if isinstance(content, str) else "",
            message=[choice.get("message") for choice in choices if isinstance(choice, dict)]
            if isinstance(choices, list)
            else None,
            output_bytes=sum(len(orjson.dumps(c.get("message"))) for c in choices or [] if isinstance(c, dict)),
        )

    def reader(self, body: dict[str, Any]) -> Reader:
        options = body.get("stream_options")
        return ChatReader(is_usage_wanted=isinstance(options, dict) and options.get("include_usage") is True)

    def prompt(self, body: dict[str, Any]) -> Any:
        return body.get("messages")

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"error": error, "detail": {"error": error}}

    def error_event(self, error: dict[str, Any]) -> bytes:
        return event(orjson.dumps({"error": error}))

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        """The last chunk says finish_reason "budget", then comes the error, then the end."""
        chunk = {
            "id": seen.response_id, "object": "chat.completion.chunk", "created": 0, "model": seen.model,
            "choices": [{"index": 0, "delta": {}, "finish_reason": "budget"}],
        }  # fmt: skip
        return event(orjson.dumps(chunk)) + self.error_event(error) + event(_DONE)


class ChatReader:
    """Relays a stream untouched, less the usage chunk a client did not ask for, and reads it as it goes by."""

    def __init__(self, *, is_usage_wanted: bool) -> None:
        self.seen = Seen(is_complete=False)
        self.held_back = b""
        self._is_usage_wanted = is_usage_wanted
        self._events = Events()
        self._chunks: list[bytes] = []
        self._is_told = False

    def feed(self, data: bytes) -> bytes:
        out = []
        for one in self._events.cut(data):
            inside = data_of(one)
            if not inside:
                out.append(one)
            elif inside == _DONE:
                self.seen.is_complete = True
                self.held_back = one
            elif self._is_passed_on(inside):
                out.append(one)
        return b"".join(out)

    def _is_passed_on(self, inside: bytes) -> bool:
        seen = self.seen
        self._chunks.append(inside)
        seen.pieces += 1
        seen.output_bytes += max(len(inside) - 200, 1)  # a chunk's frame is about that long
        if b'"usage"' not in inside and b'"error"' not in inside:
            return True
        chunk = _object(inside)
        if chunk is None:
            return True
        if "error" in chunk and "choices" not in chunk:
            seen.error = str(chunk["error"])[:500]
            return True
        usage = usage_of(chunk.get("usage"), chunk.get("service_tier"))
        if usage is None:
            seen.is_usage_bad = seen.is_usage_bad or bool(chunk.get("usage"))
            return True
        seen.usage, seen.is_usage_bad = usage, False
        if chunk.get("choices"):
            return True
        return self._is_usage_wanted

    def end(self) -> Seen:
        """Puts the pieces together. Once."""
        if self._is_told:
            return self.seen
        self._is_told = True
        put_together(self.seen, [chunk for raw in self._chunks if (chunk := _object(raw)) is not None])
        return self.seen


def put_together(seen: Seen, chunks: list[dict[str, Any]]) -> None:
    """The message that a stream's chunks make, into ``seen``."""
    texts: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        seen.model = chunk.get("model") or seen.model
        seen.response_id = chunk.get("id") or seen.response_id
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict):
                continue
            seen.finish_reason = choice.get("finish_reason") or seen.finish_reason
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            if isinstance(delta.get("content"), str):
                texts.append(delta["content"])
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str):
                reasoning.append(thought)
            for part in delta.get("tool_calls") or ():
                _add_call(calls, part)
    seen.text = "".join(texts)
    message: dict[str, Any] = {"role": "assistant", "content": seen.text or None}
    if calls:
        message["tool_calls"] = [calls[place] for place in sorted(calls)]
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    seen.message = [message]
    said = [seen.text, *reasoning, *(call["function"]["arguments"] for call in calls.values())]
    seen.output_bytes = sum(len(part.encode("utf-8", "replace")) for part in said)


def _add_call(calls: dict[int, dict[str, Any]], part: Any) -> None:
    if not isinstance(part, dict):
        return
    index = part.get("index")
    place = index if isinstance(index, int) else len(calls)
    call = calls.setdefault(place, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] = part.get("id") or call["id"]
    function = part.get("function")
    if isinstance(function, dict):
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""


def usage_of(usage: Any, service_tier: Any = None) -> Usage | None:
    """OpenAI's usage object; None when it is missing or its counts are no counts (reliability B19)."""
    if not isinstance(usage, dict):
        return None
    tokens_in, tokens_out = _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens", 0))
    if tokens_in is None or tokens_out is None:
        return None
    inside = usage.get("prompt_tokens_details")
    inside = inside if isinstance(inside, dict) else {}
    outside = usage.get("completion_tokens_details")
    outside = outside if isinstance(outside, dict) else {}
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=_tokens(inside.get("cached_tokens", usage.get("cache_read_input_tokens"))),
        cache_write_tokens=_tokens(inside.get("cache_creation_tokens", usage.get("cache_creation_input_tokens"))),
        reasoning_tokens=_tokens(outside.get("reasoning_tokens")),
        audio_input_tokens=_tokens(inside.get("audio_tokens")),
        audio_output_tokens=_tokens(outside.get("audio_tokens")),
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )


TOKENS_MAX = 10**12


def _tokens(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= TOKENS_MAX:
        return None
    return value


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _wants_new_name(model: str) -> bool:
    """OpenAI's reasoning models refuse the old name of the cap."""
    name = model.rpartition("/")[2]
    return name.startswith(("o1", "o3", "o4", "gpt-5"))


__all__ = ["ChatReader", "OpenAiChat", "TooLong", "put_together", "usage_of"]
