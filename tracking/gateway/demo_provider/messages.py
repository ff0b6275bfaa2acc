"""Anthropic's messages, as a demo model reads and answers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from tracking.gateway.demo_provider.wire import named
from wflo.demo.reading import content_tokens, count, of_tool, text_of
from wflo.demo.scripts import Said, Told, tokens_of, words_of


def read(body: dict[str, Any]) -> Told:
    told = Told(cap=body.get("max_tokens"))
    told.tools = [
        of_tool(tool.get("name"), tool.get("input_schema"), tool.get("description"))
        for tool in body.get("tools") or ()
        if isinstance(tool, dict)
    ]
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        kind = str(choice.get("type"))
        told.choice = {"any": "required", "tool": str(choice.get("name"))}.get(kind, kind)
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if isinstance(wanted, dict):
        told.is_json, told.schema = True, wanted.get("schema")
    messages = [message for message in body.get("messages") or () if isinstance(message, dict)]
    for message in messages:
        _hear(told, message)
    system = tokens_of(text_of(body.get("system")))
    count(told, (_tokens(message) for message in messages), told.tools, system_tokens=system)
    told.is_kept_an_hour = _keeps_an_hour(body.get("system"))
    return told


def _hear(told: Told, message: dict[str, Any]) -> None:
    blocks = message.get("content")
    parts = [part for part in blocks if isinstance(part, dict)] if isinstance(blocks, list) else []
    results = [text_of(part.get("content")) for part in parts if part.get("type") == "tool_result"]
    if message.get("role") == "user" and not results:
        told.question = text_of(blocks)
        told.called, told.results = [], []
    told.results += results
    told.called += [str(part.get("name")) for part in parts if part.get("type") == "tool_use"]


def _tokens(message: dict[str, Any]) -> int:
    blocks = message.get("content")
    parts = [part for part in blocks if isinstance(part, dict)] if isinstance(blocks, list) else []
    told = (text_of(part.get("content")) for part in parts if part.get("type") == "tool_result")
    called = (orjson.dumps(part.get("input"), default=str).decode() for part in parts if part.get("type") == "tool_use")
    return content_tokens(blocks) + sum(tokens_of(text) for text in (*told, *called))


def _keeps_an_hour(system: Any) -> bool:
    parts = system if isinstance(system, list) else []
    return any((part.get("cache_control") or {}).get("ttl") == "1h" for part in parts if isinstance(part, dict))


def whole(said: Said, id: str, model: str, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _blocks(said),
        "stop_reason": _stop(said),
        "stop_sequence": None,
        "usage": _usage(said, said.output_tokens),
    }


def stream(said: Said, id: str, model: str, body: dict[str, Any]) -> Iterator[bytes]:
    """Events, a word each; input is told at the start, output at the end."""
    begun = whole(said, id, model, body) | {"content": [], "stop_reason": None, "usage": _usage(said, 1)}
    yield named({"type": "message_start", "message": begun})
    yield named({"type": "ping"})
    for index, block in enumerate(_blocks(said)):
        is_text = block["type"] == "text"
        empty: dict[str, Any] = {"text": ""} if is_text else {"input": {}}
        yield named({"type": "content_block_start", "index": index, "content_block": block | empty})
        told = block["text"] if is_text else orjson.dumps(block["input"]).decode()
        for word in words_of(told):
            delta = (
                {"type": "text_delta", "text": word} if is_text else {"type": "input_json_delta", "partial_json": word}
            )
            yield named({"type": "content_block_delta", "index": index, "delta": delta})
        yield named({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": _stop(said), "stop_sequence": None}
    yield named({"type": "message_delta", "delta": ended, "usage": {"output_tokens": said.output_tokens}})
    yield named({"type": "message_stop"})


def _blocks(said: Said) -> list[dict[str, Any]]:
    texts = [{"type": "text", "text": said.text}] if said.text else []
    return texts + [
        {"type": "tool_use", "id": call.id.replace("call_", "toolu_"), "name": call.name,
         "input": orjson.loads(call.arguments)}
        for call in said.calls
    ]  # fmt: skip


def _stop(said: Said) -> str:
    return "tool_use" if said.calls else "max_tokens" if said.is_cut else "end_turn"


def _usage(said: Said, output_tokens: int) -> dict[str, Any]:
    """Anthropic's input leaves out what a cache was read for or took in."""
    hour = said.written_tokens if said.is_kept_an_hour else 0
    return {
        "input_tokens": said.input_tokens - said.cached_tokens - said.written_tokens,
        "cache_creation_input_tokens": said.written_tokens,
        "cache_read_input_tokens": said.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": said.written_tokens - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": output_tokens,
    }
