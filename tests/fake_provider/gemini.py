"""Gemini's generateContent, whole and streamed."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from tests.fake_provider import wire
from tests.fake_provider.script import Script

if TYPE_CHECKING:
    from tests.fake_provider.provider import Provider

_PATH = re.compile(r"models/([^:/]+):(generateContent|streamGenerateContent)$")


def model_of(path: str) -> str:
    """The model that the address names; '' for another dialect's."""
    found = _PATH.search(path)
    return found[1] if found else ""


def _text(content: dict[str, Any]) -> str:
    return " ".join(str(part["text"]) for part in content.get("parts") or [] if "text" in part)


async def answer(provider: Provider, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
    contents = [body.get("system_instruction") or {}, *body["contents"]]
    tools = [declared for tool in body.get("tools") or [] for declared in tool.get("function_declarations") or []]
    script = Script(
        body,
        prompt=" ".join(_text(content) for content in contents),
        last=_text(contents[-1]),
        most=(body.get("generationConfig") or {}).get("max_output_tokens"),
        tools=[(tool["name"], tool.get("parameters")) for tool in tools],
        is_tool_done=any("function_response" in part for part in contents[-1].get("parts") or []),
    )
    provider.paid(body, script.tokens_in, len(script.words) + len(script.thoughts))
    if "streamGenerateContent" not in path:
        await wire.send(writer, 200, _said(script, _parts(script, " ".join(script.words)), is_last=True))
        return
    events = wire.Events(writer)
    provider.streams.append(events.sent)
    events.begin()
    words = [] if script.calls else script.words
    for word in words[:-1]:
        await events.event(_said(script, [{"text": f"{word} "}], is_last=False))
        if script.has("drip"):
            await asyncio.sleep(0.02)
    await events.event(_said(script, _parts(script, script.words[-1]), is_last=True))
    await events.end()


def _parts(script: Script, text: str) -> list[dict[str, Any]]:
    if script.calls:
        return [{"functionCall": {"name": name, "args": json.loads(arguments)}} for name, arguments in script.calls]
    return [{"text": text}]


def _said(script: Script, parts: list[dict[str, Any]], *, is_last: bool) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": parts}}
    said: dict[str, Any] = {"candidates": [candidate], "modelVersion": script.model, "responseId": "gemini-fake"}
    if is_last:
        candidate["finishReason"] = "MAX_TOKENS" if script.is_cut_short else "STOP"
        if not script.has("nousage"):
            said["usageMetadata"] = {
                "promptTokenCount": script.tokens_in,
                "cachedContentTokenCount": script.cached,
                "candidatesTokenCount": len(script.words),
                "thoughtsTokenCount": len(script.thoughts),
                "totalTokenCount": script.tokens_in + len(script.words) + len(script.thoughts),
            }
    return said
