"""Responses, messages and embeddings to makers that do not speak them, through LiteLLM."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway
from tests.tracking.gateway.foreign import foreign

PARAMETERS = {"type": "object", "properties": {"q": {"type": "string"}}}


@pytest.fixture(autouse=True)
def _patience(gateway: Gateway) -> None:
    gateway.client.timeout = 60  # the first call imports LiteLLM


def respond(gateway: Gateway, model: str, given: Any = "one two three", **fields: Any) -> Any:
    return gateway.post("/v1/responses", {"model": model, "input": given, **fields})


def message(gateway: Gateway, model: str, messages: Any = "one two three", **fields: Any) -> Any:
    told = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    return gateway.post("/v1/messages", {"model": model, "max_tokens": 50, "messages": told, **fields})


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_response_of_another_makers_model(gateway: Gateway, provider: str) -> None:
    budget = gateway.budget("1")
    answer = respond(gateway, foreign(gateway, provider=provider), max_output_tokens=50, instructions=None)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert [part["text"] for item in said["output"] for part in item["content"]] == ["one two three"]
    assert (said["object"], said["status"]) == ("response", "completed")
    assert gateway.spent(budget) == gateway.billed() == 4 * INPUT_USD + 3 * OUTPUT_USD
    assert len(gateway.provider.requests) == 1


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
def test_a_streamed_response_of_another_makers_model(gateway: Gateway, provider: str) -> None:
    budget = gateway.budget("1")
    got = events(respond(gateway, foreign(gateway, provider=provider), stream=True))
    assert "".join(event["delta"] for event in got if event["type"] == "response.output_text.delta").split() == [
        "one", "two", "three",
    ]  # fmt: skip
    assert (got[0]["type"], got[-1]["type"]) == ("response.created", "response.completed")
    assert [event["sequence_number"] for event in got] == list(range(len(got)))
    assert gateway.spent(budget) == gateway.billed()


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_tool_loop_in_responses(gateway: Gateway, is_stream: bool) -> None:
    model = foreign(gateway, "echo-tool")
    tools = [{"type": "function", "name": "search", "parameters": PARAMETERS}]
    answer = respond(gateway, model, "find it", tools=tools, stream=is_stream)
    output = events(answer)[-1]["response"]["output"] if is_stream else answer.json()["output"]
    call = next(item for item in output if item["type"] == "function_call")
    assert (call["name"], json.loads(call["arguments"])) == ("search", {"q": "x"})
    given = [
        {"role": "user", "content": "find it"},
        {key: call[key] for key in ("type", "call_id", "name", "arguments")},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "found"},
    ]
    last = respond(gateway, model, given, tools=tools)
    assert last.status_code == 200, last.text
    assert [item["type"] for item in last.json()["output"]] == ["message"]


def test_what_responses_cannot_do_elsewhere_is_named(gateway: Gateway) -> None:
    model = foreign(gateway)
    for field, value in {"tools": [{"type": "web_search"}], "top_logprobs": 3, "future_field": 1}.items():
        answer = respond(gateway, model, **{field: value})
        assert answer.status_code == 400, (field, answer.text)
        assert "runs itself" in answer.text or field in answer.text
    assert gateway.provider.requests == []


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_a_message_of_another_makers_model(gateway: Gateway, provider: str) -> None:
    budget = gateway.budget("1")
    answer = message(gateway, foreign(gateway, provider=provider))
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert [block["text"] for block in said["content"]] == ["one two three"]
    assert (said["type"], said["role"], said["stop_reason"]) == ("message", "assistant", "end_turn")
    assert gateway.spent(budget) == gateway.billed() == 4 * INPUT_USD + 3 * OUTPUT_USD
    assert len(gateway.provider.requests) == 1


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_a_streamed_message_of_another_makers_model(gateway: Gateway, provider: str) -> None:
    budget = gateway.budget("1")
    got = events(message(gateway, foreign(gateway, provider=provider), stream=True))
    text = "".join(event["delta"].get("text", "") for event in got if event["type"] == "content_block_delta")
    assert text.split() == ["one", "two", "three"]
    assert (got[0]["type"], got[-1]["type"]) == ("message_start", "message_stop")
    assert gateway.spent(budget) == gateway.billed()


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_a_tool_loop_in_messages(gateway: Gateway, provider: str) -> None:
    model = foreign(gateway, "echo-tool", provider)
    tools = [{"name": "search", "description": "Search", "input_schema": PARAMETERS}]
    answer = message(gateway, model, "find it", tools=tools)
    assert answer.status_code == 200, answer.text
    call = next(block for block in answer.json()["content"] if block["type"] == "tool_use")
    assert (call["name"], call["input"], answer.json()["stop_reason"]) == ("search", {"q": "x"}, "tool_use")
    history = [
        {"role": "user", "content": "find it"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "found"}]},
    ]
    last = message(gateway, model, history, tools=tools)
    assert last.status_code == 200, last.text
    assert last.json()["stop_reason"] == "end_turn"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_refusal_of_another_maker_in_the_callers_form(gateway: Gateway, is_stream: bool) -> None:
    """B47."""
    budget = gateway.budget("1")
    answer = message(gateway, foreign(gateway, "echo-fail429", "gemini"), stream=is_stream)
    assert answer.status_code == 429
    assert answer.json()["type"] == "error"
    assert answer.json()["error"]["message"] == "failed with 429"
    answer = respond(gateway, foreign(gateway, "echo-fail429"), stream=is_stream)
    assert (answer.status_code, answer.json()["error"]["message"]) == (429, "failed with 429")
    assert gateway.spent(budget) == 0
    assert len(gateway.provider.requests) == 2


def test_embeddings_of_another_maker(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    model = foreign(gateway, provider="jina_ai")
    answer = gateway.post("/v1/embeddings", {"model": model, "input": ["one two", "three"]})
    assert answer.status_code == 200, answer.text
    assert [item["embedding"] for item in answer.json()["data"]] == [[0.25, -0.5, 1.0]] * 2
    assert gateway.spent(budget) == gateway.billed() > 0
