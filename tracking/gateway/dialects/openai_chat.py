"""OpenAI's chat completions, the dialect most clients and most providers speak."""

from __future__ import annotations

from typing import Any

import orjson

from tracking.errors import InvalidCall, RunKilled
from tracking.gateway.dialects import counts
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
    is_common = True
    is_embedding = False
    output_field = "max_tokens"
    output_least = 1
    passed_headers: tuple[str, ...] = ()

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

    def counted(self, body: dict[str, Any]) -> list[Any]:
        return [self.prompt(body), body.get("tools"), body.get("functions"), body.get("response_format")]

    def unforeseen(self, body: dict[str, Any]) -> str:
        return next((f'"{name}"' for name in ("web_search_options", "plugins") if body.get(name)), "")

    def error_body(self, error: dict[str, Any]) -> dict[str, Any]:
        return {"error": error, "detail": {"error": error}}

    def error_event(self, error: dict[str, Any]) -> bytes:
        return event(orjson.dumps({"error": error}))

    def cut_event(self, seen: Seen, error: dict[str, Any]) -> bytes:
        """The last chunk says finish_reason "budget" or "killed", then comes the error, then the end."""
        finish = "killed" if error.get("code") == RunKilled.code else "budget"
        chunk = {
            "id": seen.response_id, "object": "chat.completion.chunk", "created": 0, "model": seen.model,
            "choices": [{"index": 0, "delta": {}, "finish_reason": finish}],
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
        chunk = counts.loaded(inside)
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
        put_together(self.seen, [chunk for raw in self._chunks if (chunk := counts.loaded(raw)) is not None])
        return self.seen


def put_together(seen: Seen, chunks: list[dict[str, Any]]) -> None:
    """The messages that a stream's chunks make, one for each choice, into ``seen``."""
    made: dict[int, _Choice] = {}
    for chunk in chunks:
        seen.model = chunk.get("model") or seen.model
        seen.response_id = chunk.get("id") or seen.response_id
        for choice in chunk.get("choices") or ():
            if isinstance(choice, dict):
                place = choice.get("index")
                made.setdefault(place if isinstance(place, int) else 0, _Choice()).add(choice)
    choices = [made[place] for place in sorted(made)] or [_Choice()]
    seen.finish_reason = choices[0].finish_reason
    seen.text = "".join(choice.text for choice in choices)
    seen.message = [choice.message() for choice in choices]
    seen.output_bytes = sum(choice.size() for choice in choices)


class _Choice:
    def __init__(self) -> None:
        self.finish_reason = ""
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def add(self, choice: dict[str, Any]) -> None:
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}  # of completions before chat
        if isinstance(delta.get("content"), str):
            self._texts.append(delta["content"])
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str):
            self._thoughts.append(thought)
        for part in delta.get("tool_calls") or ():
            _add_call(self._calls, part)

    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self._calls:
            message["tool_calls"] = [self._calls[place] for place in sorted(self._calls)]
        if self._thoughts:
            message["reasoning_content"] = "".join(self._thoughts)
        return message

    def size(self) -> int:
        arguments = [call["function"]["arguments"] for call in self._calls.values()]
        return sum(len(part.encode("utf-8", "replace")) for part in [self.text, *self._thoughts, *arguments])


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
    tokens_in, tokens_out = counts.tokens(usage.get("prompt_tokens")), counts.tokens(usage.get("completion_tokens", 0))
    if tokens_in is None or tokens_out is None:
        return None
    inside = counts.details(usage, "prompt_tokens_details")
    outside = counts.details(usage, "completion_tokens_details")
    written = counts.details(inside, "cache_creation_token_details")
    return Usage(
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        cached_tokens=counts.tokens(inside.get("cached_tokens", usage.get("cache_read_input_tokens"))),
        cache_write_tokens=counts.tokens(
            _first(
                inside.get("cache_write_tokens"),
                inside.get("cache_creation_tokens"),
                usage.get("cache_creation_input_tokens"),
            )
        ),  # fmt: skip
        cache_write_1h_tokens=counts.tokens(written.get("ephemeral_1h_input_tokens")),  # as LiteLLM tells Anthropic's
        reasoning_tokens=counts.tokens(outside.get("reasoning_tokens")),
        audio_input_tokens=counts.tokens(inside.get("audio_tokens")),
        audio_output_tokens=counts.tokens(outside.get("audio_tokens")),
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _wants_new_name(model: str) -> bool:
    """OpenAI's reasoning models refuse the old name of the cap."""
    name = model.rpartition("/")[2]
    return name.startswith(("o1", "o3", "o4", "gpt-5"))


__all__ = ["ChatReader", "OpenAiChat", "TooLong", "put_together", "usage_of"]
