"""OpenAI's responses, whole and streamed, and those it keeps."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

from tests.fake_provider import wire
from tests.fake_provider.script import Script

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider

PIECE = 5  # characters of arguments in an event


def script(body: dict[str, Any]) -> Script:
    given = body.get("input")
    items = given if isinstance(given, list) else [{"role": "user", "content": given}]
    tools = [tool for tool in body.get("tools") or [] if tool.get("type") == "function"]
    return Script(
        body,
        prompt=[body.get("instructions"), items],
        last=items[-1].get("content", items[-1].get("output")),
        most=body.get("max_output_tokens"),
        tools=[(tool["name"], tool.get("parameters")) for tool in tools],
        is_tool_done=items[-1].get("type") == "function_call_output",
        schema=((body.get("text") or {}).get("format") or {}).get("schema"),
    )


class Answer:
    def __init__(self, provider: Provider, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.provider, self.body, self.writer = provider, body, writer
        self.script = script(body)
        earlier = provider.responses.get(str(body.get("previous_response_id")))
        if earlier is not None:
            self.script.tokens_in += earlier["usage"]["total_tokens"]
        self.id = f"resp_{uuid.uuid4().hex}"
        self._number = -1

    def usage(self, words: int) -> dict[str, Any] | None:
        script = self.script
        if script.has("nousage"):
            return None
        if script.has("badusage"):
            return {"input_tokens": -5, "output_tokens": "12", "total_tokens": 1e18}
        out = words + len(script.thoughts)
        return {
            "input_tokens": script.tokens_in,
            "input_tokens_details": {"cached_tokens": script.cached, "cache_write_tokens": script.cache_written},
            "output_tokens": out,
            "output_tokens_details": {"reasoning_tokens": len(script.thoughts)},
            "total_tokens": script.tokens_in + out,
        }

    def _output(self) -> list[dict[str, Any]]:
        script = self.script
        output: list[dict[str, Any]] = []
        if script.thoughts:
            summary = [{"type": "summary_text", "text": " ".join(script.thoughts)}]
            output.append({"type": "reasoning", "id": "rs_1", "summary": summary})
        for n, (name, arguments) in enumerate(script.calls, 1):
            output.append({"type": "function_call", "id": f"fc_{n}", "call_id": f"call_{n}", "name": name,
                           "arguments": arguments, "status": "completed"})  # fmt: skip
        if not script.calls:
            part = {"type": "output_text", "text": " ".join(script.words), "annotations": []}
            output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]})  # fmt: skip
        return output

    def _response(self, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
        reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self.id, "object": "response", "created_at": 1, "status": status, "error": None,
            "incomplete_details": reason, "instructions": self.body.get("instructions"), "model": self.body["model"],
            "output": output, "parallel_tool_calls": True, "previous_response_id": self.body.get("previous_response_id"),
            "text": self.body.get("text") or {"format": {"type": "text"}}, "tool_choice": "auto",
            "tools": self.body.get("tools") or [], "metadata": {}, "usage": usage,
        }  # fmt: skip

    def _finished(self) -> dict[str, Any]:
        status = "incomplete" if self.script.is_cut_short else "completed"
        response = self._response(status, self._output(), self.usage(len(self.script.words)))
        if self.body.get("store") is not False and response["usage"] is not None:
            self.provider.responses[self.id] = response
        return response

    async def give(self) -> None:
        if self.body.get("stream"):
            await self._stream()
            return
        response = self._finished()
        self.provider.paid(self.body, self.script.tokens_in, len(self.script.words) + len(self.script.thoughts))
        await wire.send(self.writer, 200, response)

    async def _stream(self) -> None:
        script = self.script
        events = wire.Events(self.writer, script.has("crlf"), 7 if script.has("torn") else 0)
        self.provider.streams.append(events.sent)
        events.begin()
        said = 0
        try:
            await self._event(events, "response.created", response=self._response("in_progress", [], None))
            for place, item in enumerate(self._output()):
                async for is_word in self._item(events, place, item):
                    said += is_word
                    if script.has("drip"):
                        await asyncio.sleep(0.02)
                    if said >= 3 and script.has("error"):
                        await self._event(events, "error", code="server_error", message="overloaded", param=None)
                        await events.end()
                        return
                    if said >= 3 and script.has("cut"):
                        events.abort()
                        return
            if not script.has("nodone"):
                finished = self._finished()
                await self._event(events, f"response.{finished['status']}", response=finished)
            await events.end()
            said = len(script.words) + len(script.thoughts)
        finally:
            self.provider.paid(self.body, script.tokens_in, said)

    async def _item(self, events: wire.Events, place: int, item: dict[str, Any]) -> Any:
        """An item's events, with 1 after each word of it and 0 after each other piece."""
        where = {"item_id": item["id"], "output_index": place}
        empty = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}
        begun = {**item, **empty[item["type"]]}
        await self._event(events, "response.output_item.added", output_index=place, item=begun)
        if item["type"] == "function_call":
            arguments = item["arguments"]
            for start in range(0, len(arguments), PIECE):
                piece = arguments[start : start + PIECE]
                await self._event(events, "response.function_call_arguments.delta", **where, delta=piece)
                yield 0
            await self._event(events, "response.function_call_arguments.done", **where, arguments=arguments, name=item["name"])  # fmt: skip
        elif item["type"] == "message":
            where["content_index"] = 0
            part = item["content"][0]
            await self._event(events, "response.content_part.added", **where, part={**part, "text": ""})
            for word in _spaced(part["text"]):
                await self._event(events, "response.output_text.delta", **where, delta=word, logprobs=[])
                yield 1
            await self._event(events, "response.output_text.done", **where, text=part["text"], logprobs=[])
            await self._event(events, "response.content_part.done", **where, part=part)
        else:
            where["summary_index"] = 0
            part = item["summary"][0]
            await self._event(events, "response.reasoning_summary_part.added", **where, part={**part, "text": ""})
            for word in _spaced(part["text"]):
                await self._event(events, "response.reasoning_summary_text.delta", **where, delta=word)
                yield 1
            await self._event(events, "response.reasoning_summary_text.done", **where, text=part["text"])
            await self._event(events, "response.reasoning_summary_part.done", **where, part=part)
        await self._event(events, "response.output_item.done", output_index=place, item=item)

    async def _event(self, events: wire.Events, kind: str, **what: Any) -> None:
        self._number += 1
        await events.event({"type": kind, "sequence_number": self._number, **what}, kind)


def _spaced(text: str) -> list[str]:
    words = text.split(" ")
    return [word + (" " if n < len(words) - 1 else "") for n, word in enumerate(words)]


async def kept(provider: Provider, method: str, id: str, writer: asyncio.StreamWriter) -> None:
    """GET and DELETE of a kept response, and its input items."""
    id, _, more = id.partition("/")
    found = provider.responses.get(id)
    if found is None:
        error = {"message": f"Response with id '{id}' not found.", "type": "invalid_request_error", "code": None}
        await wire.send(writer, 404, {"error": error})
    elif method == "DELETE":
        del provider.responses[id]
        await wire.send(writer, 200, {"id": id, "object": "response.deleted", "deleted": True})
    elif more == "input_items":
        await wire.send(writer, 200, {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None})  # fmt: skip
    else:
        await wire.send(writer, 200, found)
