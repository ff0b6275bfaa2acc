"""OpenAI's chat completions, whole and streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.fake_provider import wire
from tests.fake_provider.script import Script

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider


def script(body: dict[str, Any]) -> Script:
    messages = body.get("messages") or [{"role": "user", "content": ""}]
    tools = [tool.get("function", tool) for tool in body.get("tools") or [] if isinstance(tool, dict)]
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return Script(
        body,
        prompt=messages,
        last=messages[-1].get("content"),
        most=body.get("max_completion_tokens") or body.get("max_tokens"),
        tools=[(tool["name"], tool.get("parameters")) for tool in tools],
        is_tool_done=messages[-1].get("role") == "tool",
        schema=schema,
        choices=body.get("n") or 1,
    )


class Answer:
    def __init__(self, provider: Provider, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.provider, self.body, self.writer = provider, body, writer
        self.script = script(body)
        self.id = f"chatcmpl-{uuid4().hex}"

    def usage(self, words: int) -> dict[str, Any] | None:
        script = self.script
        if script.has("nousage"):
            return None
        if script.has("badusage"):
            return {"prompt_tokens": -5, "completion_tokens": "12", "total_tokens": 1e18}
        out = (words + len(script.thoughts)) * script.choices
        usage = {"prompt_tokens": script.tokens_in, "completion_tokens": out, "total_tokens": script.tokens_in + out}
        if script.has("cached"):
            usage["prompt_tokens_details"] = {
                "cached_tokens": script.cached,
                "cache_write_tokens": script.cache_written,
            }
        if script.thoughts:
            usage["completion_tokens_details"] = {"reasoning_tokens": len(script.thoughts) * script.choices}
        return usage

    async def give(self) -> None:
        if self.body.get("stream"):
            await self._stream()
            return
        script = self.script
        message: dict[str, Any] = {"role": "assistant", "content": " ".join(script.words), "refusal": None}
        finish = "length" if script.is_cut_short else "stop"
        if script.calls:
            message |= {"content": None, "tool_calls": self._tool_calls()}
            finish = "tool_calls"
        choices = [{"index": n, "message": message, "finish_reason": finish} for n in range(script.choices)]
        answer = {"id": self.id, "object": "chat.completion", "created": 1, "model": self.body["model"],
                  "choices": choices}  # fmt: skip
        usage = self.usage(len(script.words))
        if usage is not None:
            answer["usage"] = usage
        self._paid(len(script.words))
        await wire.send(self.writer, 200, answer)

    def _paid(self, words: int) -> None:
        self.provider.paid(self.body, self.script.tokens_in, (words + len(self.script.thoughts)) * self.script.choices)

    def _tool_calls(self) -> list[dict[str, Any]]:
        return [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for n, (name, arguments) in enumerate(self.script.calls, self.script.results + 1)
        ]

    async def _stream(self) -> None:
        script = self.script
        events = wire.Events(self.writer, script.has("crlf"), 7 if script.has("torn") else 0)
        self.provider.streams.append(events.sent)
        events.begin()
        sent = 0
        try:
            for word in script.words:
                for choice in range(script.choices):
                    role = {} if sent else {"role": "assistant"}
                    await self._delta(events, choice, {**role, "content": word + " "})
                sent += 1
                if script.has("drip"):
                    await asyncio.sleep(0.02)
                if script.has("pause") and sent == 1:
                    await asyncio.sleep(30)
                if script.has("error") and sent >= 3:
                    await events.event({"error": {"message": "overloaded", "type": "server_error", "code": None}})
                    await events.end()
                    return
                if script.has("cut") and sent >= 3:
                    events.abort()
                    return
            await self._end(events)
        finally:
            self._paid(sent)

    async def _end(self, events: wire.Events) -> None:
        script = self.script
        for n, call in enumerate(self._tool_calls()):
            await self._delta(events, 0, {"tool_calls": [{"index": n, **call}]})
        finish = "tool_calls" if script.calls else "length" if script.is_cut_short else "stop"
        for choice in range(script.choices):
            await self._delta(events, choice, {}, finish)
        usage = self.usage(len(script.words))
        if (self.body.get("stream_options") or {}).get("include_usage") and usage is not None:
            await self._chunk(events, {"choices": [], "usage": usage})
        if not script.has("nodone"):
            await events.event("[DONE]")
        await events.end()

    async def _delta(self, events: wire.Events, choice: int, delta: dict[str, Any], finish: str | None = None) -> None:
        await self._chunk(events, {"choices": [{"index": choice, "delta": delta, "finish_reason": finish}]})

    async def _chunk(self, events: wire.Events, what: dict[str, Any]) -> None:
        frame = {"id": self.id, "object": "chat.completion.chunk", "created": 1, "model": self.body["model"]}
        await events.event({**frame, **what})
