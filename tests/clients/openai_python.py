"""OpenAI's own Python client, 2.x and 3.x, before a gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from pydantic import BaseModel
from told import run

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "description": "looks", "parameters": CITY}}
    for name in ("weather", "time")
]
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)


class Answer(BaseModel):
    name: str
    number: int


def asked(words: str = "one two three") -> Any:
    return [{"role": "user", "content": words}]


def do_plain(client: openai.OpenAI) -> Any:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=asked())
    said = raw.parse()
    return {
        "type": type(said).__name__,
        "text": said.choices[0].message.content,
        "tokens": said.usage and said.usage.completion_tokens,
        "is_priced": float(raw.headers["x-wflo-cost-usd"]) > 0,
        "agentwall": sorted(said.model_extra or {}),
    }


def do_stream(client: openai.OpenAI) -> Any:
    chunks = list(client.chat.completions.create(model="echo", messages=asked(), stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    return {"text": text, "usages": sum(chunk.usage is not None for chunk in chunks)}


def do_stream_with_usage(client: openai.OpenAI) -> Any:
    made = client.chat.completions.create(model="echo", messages=asked(), stream=True, stream_options={"include_usage": True})  # fmt: skip
    chunks = list(made)
    usages = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage is not None]
    return {"usages": usages, "last has no choice": chunks[-1].choices == []}


def do_tool_loop(client: openai.OpenAI) -> Any:
    return _loop(client, "openai/echo-tool")


def do_parallel_tools(client: openai.OpenAI) -> Any:
    return _loop(client, "openai/echo-tools")


def _loop(client: openai.OpenAI, model: str) -> Any:
    messages, called = asked("weather"), []
    for _ in range(5):
        said = client.chat.completions.create(model=model, messages=messages, tools=TOOLS).choices[0].message
        if not said.tool_calls:
            return {"called": called, "said": said.content}
        messages.append(said.model_dump(exclude_none=True))
        for call in said.tool_calls:
            called.append([call.function.name, json.loads(call.function.arguments)["city"]])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": f"{call.function.name} is fine"})
    return "no end"


def do_streamed_tools(client: openai.OpenAI) -> Any:
    with client.chat.completions.stream(model="openai/echo-tools", messages=asked(), tools=TOOLS) as stream:
        for _ in stream:
            pass
        said = stream.get_final_completion().choices[0]
    return [said.finish_reason, [call.function.name for call in said.message.tool_calls or ()]]


def do_two_choices(client: openai.OpenAI) -> Any:
    whole = client.chat.completions.create(model="echo", messages=asked(), n=2)
    streamed = client.chat.completions.create(model="echo", messages=asked(), n=2, stream=True)
    texts = ["", ""]
    for chunk in streamed:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    return {"whole": [choice.message.content for choice in whole.choices], "streamed": texts}


def do_json(client: openai.OpenAI) -> Any:
    loose = client.chat.completions.create(model="openai/echo-json", messages=asked("a b"), response_format={"type": "json_object"})  # fmt: skip
    strict = client.chat.completions.parse(model="openai/echo-json", messages=asked(), response_format=Answer)
    parsed = strict.choices[0].message.parsed
    return {"loose": json.loads(loose.choices[0].message.content or ""), "strict": parsed and parsed.model_dump()}


def do_vision(client: openai.OpenAI) -> Any:
    parts: Any = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    said = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": parts}])
    return said.choices[0].message.content


def do_embeddings(client: openai.OpenAI) -> Any:
    made = client.embeddings.create(model="echo", input=["one two", "three"])
    return {"vectors": [one.embedding for one in made.data], "tokens": made.usage.total_tokens}


def do_completions(client: openai.OpenAI) -> Any:
    return client.completions.create(model="echo", prompt="one two").choices[0].text


def do_models(client: openai.OpenAI) -> Any:
    names = [one.id for one in client.models.list()]
    return {"echo": "echo" in names, "others": "secret-group" in names, "one": client.models.retrieve("echo").id}


def do_responses(client: openai.OpenAI) -> Any:
    first = client.responses.create(model="echo", input="one two three", instructions="be brief")
    second = client.responses.create(model="echo", input="and", previous_response_id=first.id)
    kept = client.responses.retrieve(first.id)
    client.responses.delete(first.id)
    strict = client.responses.parse(model="openai/echo-json", input="a", text_format=Answer)
    return {
        "text": first.output_text,
        "grew": (second.usage and first.usage and second.usage.input_tokens > first.usage.total_tokens),
        "kept": kept.output_text,
        "strict": strict.output_parsed and strict.output_parsed.model_dump(),
    }


def do_streamed_responses(client: openai.OpenAI) -> Any:
    with client.responses.stream(model="openai/echo-think", input="one two three") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    return {"text": text, "final": final.output_text, "thought": final.usage and final.usage.output_tokens_details.reasoning_tokens}  # fmt: skip


def do_responses_tool_loop(client: openai.OpenAI) -> Any:
    tools: Any = [{"type": "function", **tool["function"], "strict": False} for tool in TOOLS]
    items, called = asked("weather"), []
    for _ in range(5):
        said = client.responses.create(model="openai/echo-tools", input=items, tools=tools, store=False)
        calls = [item for item in said.output if item.type == "function_call"]
        if not calls:
            return {"called": called, "said": said.output_text}
        for call in calls:
            called.append(call.name)
            items.append(call.model_dump(exclude_none=True))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": f"{call.name} is fine"})
    return "no end"


def do_many_at_once(client: openai.OpenAI) -> Any:
    async def all_of_them() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=str(client.base_url), api_key=client.api_key) as many:
            calls = [many.chat.completions.create(model="echo", messages=asked(f"number {n}")) for n in range(10)]
            return [said.choices[0].message.content for said in await asyncio.gather(*calls)]

    return asyncio.run(all_of_them())


def do_abort(client: openai.OpenAI) -> Any:
    stream = client.chat.completions.create(model="echo-long-drip", messages=asked(), stream=True, max_tokens=400)
    got = [next(stream).choices[0].delta.content for _ in range(3)]
    stream.close()
    return got


def do_wrong_key(client: openai.OpenAI) -> Any:
    return client.with_options(api_key="nonsense").chat.completions.create(model="echo", messages=asked())


def do_wrong_model(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="nothing", messages=asked())


def do_wrong_field(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="echo", messages=asked(), max_tokens=0)


def do_broke(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="echo", messages=asked())


def do_provider_down(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="openai/echo-fail503", messages=asked())


def do_impatient(client: openai.OpenAI) -> Any:
    return client.with_options(timeout=0.2, max_retries=1).chat.completions.create(model="echo-slow", messages=asked())


def do_broken_stream(client: openai.OpenAI) -> Any:
    return [chunk.id for chunk in client.chat.completions.create(model="echo-cut", messages=asked("a b c d e"), stream=True)]  # fmt: skip


def do_broken_response(client: openai.OpenAI) -> Any:
    return [event.type for event in client.responses.create(model="echo-cut", input="a b c d e", stream=True)]


if __name__ == "__main__":
    run(globals(), lambda url, key: openai.OpenAI(base_url=f"{url}/v1", api_key=key))
