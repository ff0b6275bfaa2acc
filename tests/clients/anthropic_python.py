"""Anthropic's own Python client before a gateway."""

from __future__ import annotations

from typing import Any

import anthropic
from told import run

TOOLS: Any = [
    {
        "name": name,
        "description": "looks",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    for name in ("weather", "time")
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="


def asked(words: Any = "one two three") -> Any:
    return [{"role": "user", "content": words}]


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def do_plain(client: anthropic.Anthropic) -> Any:
    raw = client.messages.with_raw_response.create(model="anthropic/echo", max_tokens=50, messages=asked(), system="be brief")  # fmt: skip
    said = raw.parse()
    return {
        "type": type(said).__name__,
        "text": text_of(said),
        "tokens": said.usage.output_tokens,
        "stop": said.stop_reason,
        "is_priced": float(raw.headers["x-wflo-cost-usd"]) > 0,
    }


def do_stream(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(model="anthropic/echo-think", max_tokens=50, messages=asked()) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    return {"text": text, "final": text_of(final), "tokens": final.usage.output_tokens, "blocks": [b.type for b in final.content]}  # fmt: skip


def do_tool_loop(client: anthropic.Anthropic) -> Any:
    return _loop(client, "anthropic/echo-tool")


def do_parallel_tools(client: anthropic.Anthropic) -> Any:
    return _loop(client, "anthropic/echo-tools")


def _loop(client: anthropic.Anthropic, model: str) -> Any:
    messages, called = asked("weather"), []
    for _ in range(5):
        said = client.messages.create(model=model, max_tokens=100, messages=messages, tools=TOOLS)
        calls = [block for block in said.content if block.type == "tool_use"]
        if not calls:
            return {"called": called, "said": text_of(said)}
        messages.append(
            {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in said.content]}
        )
        called += [[call.name, call.input["city"]] for call in calls]
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "is fine"} for call in calls]
        messages.append({"role": "user", "content": results})
    return "no end"


def do_streamed_tools(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(model="anthropic/echo-tools", max_tokens=50, messages=asked(), tools=TOOLS) as stream:
        said = stream.get_final_message()
    return [said.stop_reason, [[block.name, block.input] for block in said.content if block.type == "tool_use"]]


def do_cached(client: anthropic.Anthropic) -> Any:
    system: Any = [{"type": "text", "text": "long " * 100, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    usage = client.messages.create(model="anthropic/echo-cached", max_tokens=50, messages=asked(), system=system).usage
    return [bool(usage.cache_read_input_tokens), bool(usage.cache_creation and usage.cache_creation.ephemeral_1h_input_tokens)]  # fmt: skip


def do_vision(client: anthropic.Anthropic) -> Any:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    parts = asked([{"type": "text", "text": "what is it"}, picture])
    return text_of(client.messages.create(model="anthropic/echo", max_tokens=50, messages=parts))


def do_count_tokens(client: anthropic.Anthropic) -> Any:
    return client.messages.count_tokens(model="anthropic/echo", messages=asked()).input_tokens


def do_models(client: anthropic.Anthropic) -> Any:
    listed = [one.id for one in client.models.list()]
    return ["anthropic/echo" in listed, client.models.retrieve("echo").display_name]


def do_bearer(client: anthropic.Anthropic) -> Any:
    other = anthropic.Anthropic(base_url=str(client.base_url), auth_token=client.api_key)
    return text_of(other.messages.create(model="anthropic/echo", max_tokens=50, messages=asked()))


def do_wrong_key(client: anthropic.Anthropic) -> Any:
    return client.with_options(api_key="nonsense").messages.create(
        model="anthropic/echo", max_tokens=5, messages=asked()
    )


def do_wrong_model(client: anthropic.Anthropic) -> Any:
    return client.messages.create(model="nothing", max_tokens=5, messages=asked())


def do_broken_stream(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(model="anthropic/echo-cut", max_tokens=50, messages=asked("a b c d e")) as stream:
        return text_of(stream.get_final_message())


def do_broke(client: anthropic.Anthropic) -> Any:
    return client.messages.create(model="anthropic/echo", max_tokens=50, messages=asked())


def do_provider_down(client: anthropic.Anthropic) -> Any:
    return client.messages.create(model="anthropic/echo-fail503", max_tokens=50, messages=asked())


if __name__ == "__main__":
    run(globals(), lambda url, key: anthropic.Anthropic(base_url=url, api_key=key))
