"""LiteLLM's library as a client of a gateway."""

from __future__ import annotations

from typing import Any

import litellm
from told import run

TOOLS = [{"type": "function", "function": {"name": "weather", "description": "looks",
          "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]  # fmt: skip


class Place:
    def __init__(self, url: str, key: str) -> None:
        self.openai: dict[str, Any] = {"api_base": f"{url}/v1", "api_key": key, "max_retries": 2}
        self.anthropic: dict[str, Any] = {"api_base": url, "api_key": key}


def asked(words: str = "one two three") -> Any:
    return [{"role": "user", "content": words}]


def do_plain(place: Place) -> Any:
    said = litellm.completion("openai/echo", asked(), **place.openai)
    return {"text": said.choices[0].message.content, "tokens": said.usage.completion_tokens}


def do_stream(place: Place) -> Any:
    made = litellm.completion(
        "openai/echo", asked(), stream=True, stream_options={"include_usage": True}, **place.openai
    )
    chunks = list(made)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    return {"text": text.strip(), "tokens": [c.usage.completion_tokens for c in chunks if getattr(c, "usage", None)]}


def do_tool_loop(place: Place) -> Any:
    messages, called = asked(), []
    for _ in range(5):
        said = litellm.completion("openai/openai/echo-tool", messages, tools=TOOLS, **place.openai).choices[0].message
        if not said.tool_calls:
            return {"called": called, "said": said.content}
        messages.append(said.model_dump())
        for call in said.tool_calls:
            called.append(call.function.name)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "is fine"})
    return "no end"


def do_anthropic(place: Place) -> Any:
    return litellm.completion("anthropic/anthropic/echo", asked(), max_tokens=50, **place.anthropic).choices[0].message.content  # fmt: skip


def do_embeddings(place: Place) -> Any:
    made = litellm.embedding("openai/echo", input=["one two"], encoding_format="float", **place.openai)
    return made.data[0]["embedding"]


def do_broke(place: Place) -> Any:
    return litellm.completion("openai/echo", asked(), **place.openai)


if __name__ == "__main__":
    run(globals(), Place)
