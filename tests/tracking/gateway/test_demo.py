"""The demo models through a running gateway: what each says, whole and streamed, what it costs, and again the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.tracking.gateway.conftest import Gateway
from tracking import pricing
from tracking.gateway.demo_provider import embeddings
from tracking.pricing import DEMO_RATES
from wflo.demo.schema import value_of
from wflo.pricing import cost_usd
from wflo.usage import Usage

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Search the web",
        "parameters": {"type": "object", "properties": {"query": {"type": "string"}, "count": {"type": "integer"}}},
    },
}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(autouse=True)
def _prices(gateway: Gateway) -> None:
    pricing.load_bundled()


def said(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


def chunks(answer: Any) -> Iterator[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return (json.loads(line) for line in lines[:-1])


def streamed(answer: Any) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks(answer) for choice in chunk["choices"])


def usage_of(answer: Any) -> Usage:
    told = answer.json()["usage"]
    inside = told["prompt_tokens_details"]
    return Usage(
        input_tokens=told["prompt_tokens"],
        output_tokens=told["completion_tokens"],
        cached_tokens=inside["cached_tokens"],
        cache_write_tokens=inside.get("cache_creation_tokens"),
        reasoning_tokens=told["completion_tokens_details"]["reasoning_tokens"],
    )


def cost_of(answer: Any) -> Decimal:
    return Decimal(str(answer.json()["agentwall"]["cost_usd"]))


def test_echo_says_what_it_was_told_and_costs_what_its_list_says(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    answer = gateway.chat("one two three", model="demo/echo")
    assert said(answer)["content"] == "one two three"
    assert (answer.json()["model"], answer.json()["agentwall"]["provider"]) == ("demo/echo", "demo")
    assert cost_of(answer) == cost_usd(usage_of(answer), DEMO_RATES["demo/echo"]).total == gateway.spent(budget)
    assert gateway.chat("one two three", model="demo/echo").json()["choices"] == answer.json()["choices"]
    assert gateway.provider.requests == []


def test_a_demo_answer_keeps_to_its_cap_and_gives_as_many_choices_as_asked_for(gateway: Gateway) -> None:
    answer = gateway.chat("one two three four", model="demo/echo", max_tokens=2, n=3).json()
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["one two "] * 3
    assert {choice["finish_reason"] for choice in answer["choices"]} == {"length"}
    assert answer["usage"]["completion_tokens"] == 6
    assert streamed(gateway.chat("one two three four", model="demo/echo", max_tokens=2, stream=True)) == "one two "


def run_tools(gateway: Gateway, model: str, question: str, turns: int) -> list[dict[str, Any]]:
    """An agent's loop: calls the tools it is asked to call and hands back what they say; the messages at the end."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for _ in range(turns):
        message = said(
            gateway.post("/v1/chat/completions", {"model": model, "messages": messages, "tools": [CLOCK, SEARCH]})
        )
        messages.append(message)
        for call in message.get("tool_calls") or ():
            result = f"result of {call['function']['name']}"
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})
        if not message.get("tool_calls"):
            break
    return messages


def test_the_agent_uses_the_tools_it_is_offered_and_then_answers(gateway: Gateway) -> None:
    messages = run_tools(gateway, "demo/agent", "search the web for otters", 9)
    calls = [call["function"] for message in messages for call in message.get("tool_calls") or ()]
    assert [call["name"] for call in calls] == ["search", "clock"]  # the one that fits comes first
    assert json.loads(calls[0]["arguments"]) == {"query": "search the web for otters", "count": 1}
    assert "result of search" in messages[-1]["content"]
    assert "result of clock" in messages[-1]["content"]
    ids = [call["id"] for message in messages for call in message.get("tool_calls") or ()]
    assert len(set(ids)) == len(ids)


def test_the_agent_answers_at_once_where_there_is_no_tool_or_none_may_be_called(gateway: Gateway) -> None:
    assert "no tool" in said(gateway.chat("hello", model="demo/agent"))["content"]
    assert said(gateway.chat("hello", model="demo/agent", tools=[SEARCH], tool_choice="none"))["content"]
    chosen = {"type": "function", "function": {"name": "clock"}}
    forced = said(gateway.chat("hello", model="demo/agent", tools=[SEARCH, CLOCK], tool_choice=chosen))
    assert forced["tool_calls"][0]["function"]["name"] == "clock"


def test_what_the_agent_was_told_before_is_cheaper(gateway: Gateway) -> None:
    history = [
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": "three"},
        {"role": "user", "content": "four"},
    ]
    answer = gateway.post("/v1/chat/completions", {"model": "demo/agent", "messages": history})
    usage = usage_of(answer)
    assert usage.cached_tokens == 2 + 3 + 1 + 3
    assert cost_of(answer) == cost_usd(usage, DEMO_RATES["demo/agent"]).total


def test_the_loop_never_stops_calling_the_same_tool(gateway: Gateway) -> None:
    body = {"model": "demo/loop", "messages": [{"role": "user", "content": "go"}], "tools": [SEARCH, CLOCK]}
    calls = []
    for turn in range(4):
        message = said(gateway.post("/v1/chat/completions", body, x_wflo_run_id=f"each-its-own-{turn}"))
        calls.append(message["tool_calls"][0]["function"])
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "nothing found"}
        body["messages"] += [message, result]
    assert calls == [calls[0]] * 4
    assert said(gateway.chat("go", model="demo/loop"))["content"] == "Let me look at that once more."


def test_tool_calls_come_in_pieces_in_a_stream(gateway: Gateway) -> None:
    answer = gateway.chat("find otters now", model="demo/agent", tools=[SEARCH], stream=True)
    deltas = [choice["delta"] for chunk in chunks(answer) for choice in chunk["choices"]]
    parts = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert parts[0]["function"] == {"name": "search", "arguments": ""}
    assert len(parts) > 3
    arguments = "".join(part["function"]["arguments"] for part in parts)
    assert json.loads(arguments) == {"query": "find otters now", "count": 1}


def test_slow_comes_word_by_word_with_its_reasoning(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    with gateway.client.stream(
        "POST",
        "/v1/chat/completions",
        json={
            "model": "demo/slow", "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": "rivers"}],
        },
        headers={"authorization": f"Bearer {gateway.key}"},
    ) as answer:  # fmt: skip
        pieces = list(answer.iter_raw())
    assert len(pieces) > 30
    events = [json.loads(line[6:]) for line in b"".join(pieces).decode().split("\n") if line.startswith("data: {")]
    reasoning = [delta for event in events for c in event["choices"] if (delta := c["delta"].get("reasoning_content"))]
    usage = events[-1]["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == len(reasoning) > 10
    told = Usage(input_tokens=usage["prompt_tokens"], output_tokens=usage["completion_tokens"],
                 reasoning_tokens=len(reasoning))  # fmt: skip
    assert gateway.spent(budget) == cost_usd(told, DEMO_RATES["demo/slow"]).total


def test_error_fails_and_answers_by_turns(gateway: Gateway) -> None:
    answers = [gateway.chat("hello", model="demo/error") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [503, 200, 429, 200, 503]
    assert answers[0].json()["error"]["code"] == "demo_error"


def test_json_answers_the_schema_asked_for(gateway: Gateway) -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 5},
            "mood": {"enum": ["calm", "wild"]},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}, "minItems": 2},
            "score": {"type": "number", "minimum": 3},
            "when": {"anyOf": [{"type": "null"}, {"type": "string", "format": "date"}]},
        },
        "$defs": {"Tag": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "page", "schema": schema, "strict": True}}
    answer = gateway.chat("a page", model="demo/json", response_format=wanted)
    assert json.loads(said(answer)["content"]) == {
        "title": "a pag", "mood": "calm", "tags": [{"name": "a page"}] * 2, "score": 3, "when": "2026-01-01",
    }  # fmt: skip
    usage = usage_of(answer)
    assert usage.cache_write_tokens
    assert cost_of(answer) == cost_usd(usage, DEMO_RATES["demo/json"]).total
    assert json.loads(said(gateway.chat("x", model="demo/json"))["content"]) == {"answer": "x"}
    other = gateway.chat("x", model="demo/echo", response_format=wanted)  # the others do so too when asked
    assert json.loads(said(other)["content"])["mood"] == "calm"


def test_a_schema_that_has_no_end_has_a_value() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    assert value_of(endless, "x")["next"]["next"]
    assert value_of({"$ref": "#/nowhere"}, "x") is None
    assert value_of({"type": "integer", "exclusiveMinimum": 4}, "x") == 5
    assert value_of(True, "x") == "x"


def test_an_embedding_is_the_texts_own_and_of_length_one() -> None:
    one, other = embeddings.vector("one", 64), embeddings.vector("other", 64)
    assert one != other
    assert sum(value * value for value in one) == pytest.approx(1)
    body = {"input": ["one", "two words"], "dimensions": 8, "encoding_format": "base64"}
    answer = embeddings.whole(body, "demo/echo")
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert [type(item["embedding"]) for item in answer["data"]] == [str, str]


# --- the other dialects ------------------------------------------------------------------------------------------------


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]


def test_responses_of_demo_models(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    body = {"model": "demo/slow", "input": "rivers", "instructions": "be brief", "max_output_tokens": 20}
    whole = gateway.post("/v1/responses", body).json()
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    usage = whole["usage"]
    assert usage["output_tokens"] == 20 > usage["output_tokens_details"]["reasoning_tokens"] > 10
    got = events(gateway.post("/v1/responses", {**body, "stream": True}))
    assert [event["sequence_number"] for event in got] == list(range(len(got)))
    assert (got[0]["type"], got[-1]["type"]) == ("response.created", "response.incomplete")
    text = "".join(event["delta"] for event in got if event["type"] == "response.output_text.delta")
    assert text == whole["output"][1]["content"][0]["text"]
    told = Usage(input_tokens=usage["input_tokens"], output_tokens=20,
                 reasoning_tokens=usage["output_tokens_details"]["reasoning_tokens"])  # fmt: skip
    cost = cost_usd(told, DEMO_RATES["demo/slow"]).total
    assert cost is not None
    assert gateway.spent(budget) == cost * 2


def test_the_agents_loop_in_responses(gateway: Gateway) -> None:
    tools = [{"type": "function", **tool["function"]} for tool in (SEARCH, CLOCK)]  # type: ignore[dict-item]
    given: list[Any] = [{"role": "user", "content": "search for otters"}]
    for turn in range(3):
        answer = gateway.post(
            "/v1/responses", {"model": "demo/agent", "input": given, "tools": tools, "stream": turn == 1}
        )
        response = events(answer)[-1]["response"] if turn == 1 else answer.json()
        given += response["output"]
        for call in response["output"]:
            if call["type"] == "function_call":
                given.append(
                    {"type": "function_call_output", "call_id": call["call_id"], "output": f"from {call['name']}"}
                )
    assert [item["name"] for item in given if item.get("type") == "function_call"] == ["search", "clock"]
    assert "from search" in response["output"][0]["content"][0]["text"]


def test_messages_of_demo_models(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    system = [{"type": "text", "text": "You answer in JSON.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    body = {
        "model": "demo/json",
        "max_tokens": 50,
        "system": system,
        "messages": [{"role": "user", "content": "a page"}],
    }
    whole = gateway.post("/v1/messages", body).json()
    assert json.loads(whole["content"][0]["text"]) == {"answer": "a page"}
    usage = whole["usage"]
    written = usage["cache_creation"]["ephemeral_1h_input_tokens"]
    assert written == usage["cache_creation_input_tokens"] > 0
    told = Usage(input_tokens=usage["input_tokens"] + written, output_tokens=usage["output_tokens"],
                 cache_write_tokens=written, cache_write_1h_tokens=written)  # fmt: skip
    assert gateway.spent(budget) == cost_usd(told, DEMO_RATES["demo/json"]).total
    got = events(gateway.post("/v1/messages", {**body, "stream": True}))
    text = "".join(event["delta"]["text"] for event in got if event["type"] == "content_block_delta")
    assert json.loads(text) == {"answer": "a page"}
    assert (got[0]["type"], got[-1]["type"]) == ("message_start", "message_stop")


def test_the_agents_loop_in_messages(gateway: Gateway) -> None:
    tools = [{"name": "search", "description": "Search the web", "input_schema": SEARCH["function"]["parameters"]}]  # type: ignore[index]
    messages: list[Any] = [{"role": "user", "content": "search for otters"}]
    body = {"model": "demo/agent", "max_tokens": 200, "tools": tools, "messages": messages}
    first = gateway.post("/v1/messages", body).json()
    call = first["content"][0]
    assert (first["stop_reason"], call["name"], call["input"]["query"]) == ("tool_use", "search", "search for otters")
    messages += [
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "three otters"}]},
    ]
    last = gateway.post("/v1/messages", body).json()
    assert last["stop_reason"] == "end_turn"
    assert "three otters" in last["content"][0]["text"]


def test_completions_and_embeddings_of_demo_models(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    body = {"model": "demo/echo", "prompt": ["one two", "three"], "n": 2, "stream_options": {"include_usage": True}}
    whole = gateway.post("/v1/completions", body).json()
    assert [choice["text"] for choice in whole["choices"]] == ["one two"] * 4
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 8, "total_tokens": 11}
    got = events(gateway.post("/v1/completions", {**body, "stream": True}))
    assert got[-1]["usage"] == whole["usage"]
    one = cost_usd(Usage(input_tokens=3, output_tokens=8), DEMO_RATES["demo/echo"]).total
    assert one is not None
    assert gateway.spent(budget) == one * 2
    answer = gateway.post("/v1/embeddings", {"model": "demo/echo", "input": ["one", "two words"]}).json()
    assert [len(item["embedding"]) for item in answer["data"]] == [64, 64]
    three = cost_usd(Usage(input_tokens=3, output_tokens=0), DEMO_RATES["demo/echo"]).total
    assert three is not None
    assert gateway.spent(budget) == one * 2 + three


def test_a_demo_model_nobody_knows_is_not_found(gateway: Gateway) -> None:
    gateway_price = {"input_usd_per_million": "1"}
    pricing.set_price(pricing.audit.SYSTEM, gateway.team, "demo/nothing", gateway_price)
    answer = gateway.chat("hello", model="demo/nothing")
    assert answer.status_code == 404
    assert "demo/echo" in answer.json()["error"]["message"]
