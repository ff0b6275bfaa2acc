"""OpenAI's chat completions, as a demo model reads and answers them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from wflo.demo.reading import content_tokens, count, of_tool, text_of
from wflo.demo.scripts import Called, Said, Told, tokens_of, words_of


def read(body: dict[str, Any]) -> Told:
    told = Told(cap=body.get("max_completion_tokens") or body.get("max_tokens"))
    told.tools = [
        of_tool(function.get("name"), function.get("parameters"), function.get("description"))
        for tool in body.get("tools") or ()
        if isinstance(tool, dict) and isinstance(function := tool.get("function"), dict)
    ]
    told.choice = _choice(body.get("tool_choice"))
    wanted = body.get("response_format")
    if isinstance(wanted, dict):
        told.is_json = wanted.get("type") in ("json_object", "json_schema")
        named = wanted.get("json_schema")
        told.schema = named.get("schema") if isinstance(named, dict) else None
    messages = [message for message in body.get("messages") or () if isinstance(message, dict)]
    for message in messages:
        _hear(told, message)
    count(told, (_tokens(message) for message in messages), told.tools)
    return told


def _choice(choice: Any) -> str:
    if isinstance(choice, dict):
        function = choice.get("function")
        return str(function.get("name")) if isinstance(function, dict) else "required"
    return choice if isinstance(choice, str) else "auto"


def _hear(told: Told, message: dict[str, Any]) -> None:
    role = message.get("role")
    if role == "user":
        told.question = text_of(message.get("content"))
        told.called, told.results = [], []
    elif role in ("tool", "function"):
        told.results.append(text_of(message.get("content")))
    for call in message.get("tool_calls") or ():
        told.called.append(str((call.get("function") or {}).get("name")))


def _tokens(message: dict[str, Any]) -> int:
    calls = ((call.get("function") or {}) for call in message.get("tool_calls") or ())
    return content_tokens(message.get("content")) + sum(tokens_of(str(call.get("arguments"))) for call in calls)


def whole(said: Said, id: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.thought:
        message["reasoning_content"] = said.thought
    if said.calls:
        message["tool_calls"] = [_call(call) for call in said.calls]
    choices = body.get("n") or 1
    return {
        "id": f"chatcmpl-{id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {"index": place, "message": message, "logprobs": None, "finish_reason": _finish(said)}
            for place in range(choices)
        ],
        "usage": _usage(said, choices),
    }


def chunks(said: Said, id: str, model: str, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A word each; the last has the usage, where it was asked for."""
    choices = body.get("n") or 1
    frame = {"id": f"chatcmpl-{id}", "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**frame, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}

    for index in range(choices):
        yield chunk(index, {"role": "assistant", "content": None if said.calls else ""})
        for word in words_of(said.thought):
            yield chunk(index, {"reasoning_content": word})
        for word in words_of(said.text):
            yield chunk(index, {"content": word})
        for place, call in enumerate(said.calls):
            begun = _call(call) | {"function": {"name": call.name, "arguments": ""}}
            yield chunk(index, {"tool_calls": [{"index": place, **begun}]})
            for word in words_of(call.arguments):
                yield chunk(index, {"tool_calls": [{"index": place, "function": {"arguments": word}}]})
        yield chunk(index, {}, _finish(said))
    options = body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        yield {**frame, "choices": [], "usage": _usage(said, choices)}


def _call(call: Called) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish(said: Said) -> str:
    return "tool_calls" if said.calls else "length" if said.is_cut else "stop"


def _usage(said: Said, choices: int) -> dict[str, Any]:
    answered = said.output_tokens * choices
    found: dict[str, Any] = {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": answered,
        "total_tokens": said.input_tokens + answered,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": said.reasoning_tokens * choices},
    }
    if said.written_tokens:
        found["prompt_tokens_details"]["cache_creation_tokens"] = said.written_tokens
    return found
