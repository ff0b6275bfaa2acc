"""OpenAI's completions of before chat, whole and streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.fake_provider import wire
from tests.fake_provider.script import Script

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider


async def answer(provider: Provider, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    prompt = body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) else 1
    script = Script(body, prompt=prompt, last=prompt, most=body.get("max_tokens") or 16, tools=[], is_tool_done=True)
    made = prompts * max(body.get("n") or 1, body.get("best_of") or 1)
    shown = prompts * (body.get("n") or 1)
    usage = {"prompt_tokens": script.tokens_in, "completion_tokens": made * len(script.words),
             "total_tokens": script.tokens_in + made * len(script.words)}  # fmt: skip
    frame = {"id": "cmpl-fake", "object": "text_completion", "created": 1, "model": body["model"]}
    provider.paid(body, script.tokens_in, made * len(script.words))
    if not body.get("stream"):
        text, finish = " ".join(script.words), "length" if script.is_cut_short else "stop"
        choices = [{"index": n, "text": text, "finish_reason": finish, "logprobs": None} for n in range(shown)]
        await wire.send(writer, 200, {**frame, "choices": choices, "usage": usage})
        return
    events = wire.Events(writer)
    provider.streams.append(events.sent)
    events.begin()
    for word in script.words:
        await events.event({**frame, "choices": [{"index": 0, "text": word + " ", "finish_reason": None}]})
    await events.event({**frame, "choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    if (body.get("stream_options") or {}).get("include_usage"):
        await events.event({**frame, "choices": [], "usage": usage})
    await events.event("[DONE]")
    await events.end()
