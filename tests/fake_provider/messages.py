"""Anthropic's messages, whole and streamed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.fake_provider import wire
from tests.fake_provider.script import Script

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider


def script(body: dict[str, Any]) -> Script:
    last = body["messages"][-1].get("content")
    results = (
        [b for b in last if isinstance(b, dict) and b.get("type") == "tool_result"] if isinstance(last, list) else []
    )
    tools = [tool for tool in body.get("tools") or [] if "input_schema" in tool]
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return Script(
        body,
        prompt=[body.get("system"), body["messages"]],
        last=last,
        most=body.get("max_tokens"),
        tools=[(tool["name"], tool["input_schema"]) for tool in tools],
        is_tool_done=bool(results),
        schema=form.get("schema"),
    )


class Answer:
    def __init__(self, provider: Provider, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.provider, self.body, self.writer = provider, body, writer
        self.script = script(body)
        self._head = {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": body["model"]}

    @property
    def stop_reason(self) -> str:
        return "tool_use" if self.script.calls else "max_tokens" if self.script.is_cut_short else "end_turn"

    def usage(self, words: int) -> dict[str, Any]:
        script = self.script
        if script.has("badusage"):
            return {"input_tokens": -5, "output_tokens": "12"}
        usage: dict[str, Any] = {
            "input_tokens": script.tokens_in - script.cached - script.cache_written,
            "output_tokens": words + len(script.thoughts),
            "service_tier": "standard",
        }
        if script.has("cached"):
            usage |= {
                "cache_read_input_tokens": script.cached,
                "cache_creation_input_tokens": script.cache_written,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": script.cache_written},
            }
        return usage

    def _blocks(self) -> list[dict[str, Any]]:
        script = self.script
        blocks: list[dict[str, Any]] = []
        if script.thoughts:
            blocks.append({"type": "thinking", "thinking": " ".join(script.thoughts), "signature": "sig" * 40})
        blocks.append({"type": "text", "text": " ".join(script.words)})
        for n, (name, arguments) in enumerate(script.calls, 1):
            blocks.append({"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": arguments})
        return blocks

    async def give(self) -> None:
        if self.body.get("stream"):
            await self._stream()
            return
        script = self.script
        blocks = [b | {"input": json.loads(b["input"])} if b["type"] == "tool_use" else b for b in self._blocks()]
        said = {**self._head, "content": blocks, "stop_reason": self.stop_reason, "stop_sequence": None}
        if not script.has("nousage"):
            said["usage"] = self.usage(len(script.words))
        self.provider.paid(self.body, script.tokens_in, len(script.words) + len(script.thoughts))
        await wire.send(self.writer, 200, said)

    async def _stream(self) -> None:
        script = self.script
        events = wire.Events(self.writer, script.has("crlf"), 7 if script.has("torn") else 0)
        self.provider.streams.append(events.sent)
        events.begin()
        said = 0
        try:
            usage = {} if script.has("nousage") else {"usage": {**self.usage(0), "output_tokens": 1}}
            start = {**self._head, "content": [], "stop_reason": None, "stop_sequence": None, **usage}
            await events.event({"type": "message_start", "message": start}, "message_start")
            await events.event({"type": "ping"}, "ping")
            for place, block in enumerate(self._blocks()):
                async for is_word in _block(events, place, block):
                    said += is_word
                    if script.has("drip"):
                        await asyncio.sleep(0.02)
                    if said >= 3 and script.has("error"):
                        error = {"type": "overloaded_error", "message": "Overloaded"}
                        await events.event({"type": "error", "error": error}, "error")
                        await events.end()
                        return
                    if said >= 3 and script.has("cut"):
                        events.abort()
                        return
            await self._end(events)
        finally:
            self.provider.paid(self.body, script.tokens_in, said)

    async def _end(self, events: wire.Events) -> None:
        delta: dict[str, Any] = {
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": None},
        }
        if not self.script.has("nousage"):
            delta["usage"] = {"output_tokens": self.usage(len(self.script.words))["output_tokens"]}
        await events.event(delta, "message_delta")
        if not self.script.has("nodone"):
            await events.event({"type": "message_stop"}, "message_stop")
        await events.end()


async def _block(events: wire.Events, place: int, block: dict[str, Any]) -> Any:
    """A block's events, with 1 after each word of it and 0 after each other piece."""
    kind = block["type"]
    empty = {"thinking": {"type": kind, "thinking": "", "signature": ""}, "text": {"type": kind, "text": ""}}
    begun = empty.get(kind) or {**block, "input": {}}
    await events.event({"type": "content_block_start", "index": place, "content_block": begun}, "content_block_start")
    if kind == "tool_use":
        pieces = [
            ("input_json_delta", "partial_json", block["input"][i : i + 5]) for i in range(0, len(block["input"]), 5)
        ]
    else:
        words = block[kind].split(" ")
        spaced = [word + (" " if n < len(words) - 1 else "") for n, word in enumerate(words)]
        pieces = [(f"{kind}_delta", kind, word) for word in spaced]
        if kind == "thinking":
            pieces.append(("signature_delta", "signature", block["signature"]))
    for delta_kind, name, piece in pieces:
        delta = {"type": delta_kind, name: piece}
        await events.event({"type": "content_block_delta", "index": place, "delta": delta}, "content_block_delta")
        yield int(name in ("text", "thinking"))
    await events.event({"type": "content_block_stop", "index": place}, "content_block_stop")
