"""A deployment that does not speak the caller's dialect: the client reads its own all the same, and pays what it costs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.tracking.gateway.clients import told
from tests.tracking.gateway.conftest import OUTPUT_USD, Gateway

TOOL = {"name": "weather", "description": "looks", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip


def events(text: str) -> list[tuple[str, Any]]:
    found = [part.split("\n") for part in text.split("\n\n") if part.startswith("event: ")]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in found]


def message(gateway: Gateway, model: str, words: str, **fields: Any) -> Any:
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": words}], **fields}
    return gateway.post("/v1/messages", body, anthropic_version="2023-06-01")


def test_anthropics_client_is_answered_by_openais_model(gateway: Gateway) -> None:
    """Its own client, against deployments of OpenAI's that answer to Anthropic's names."""
    for script in ("echo", "echo-tools"):
        gateway.deploy(f"openai/{script}", name=f"anthropic/{script}")
    budget = gateway.budget("1")
    seen = told(gateway, "anthropic_python.py", "plain", "parallel_tools", "streamed_tools", "vision")
    assert (seen["plain"]["text"], seen["plain"]["type"], seen["plain"]["tokens"]) == ("one two three", "Message", 3)
    assert seen["parallel_tools"]["called"] == [["weather", "x"], ["time", "x"]]
    assert seen["streamed_tools"] == ["tool_use", [["weather", {"city": "x"}], ["time", {"city": "x"}]]]
    assert seen["vision"] == "what is it"
    assert "/v1/messages" not in {request["path"] for request in gateway.provider.requests}
    assert gateway.spent(budget) == gateway.billed()


def test_a_stream_of_openais_comes_as_anthropics_with_its_usage(gateway: Gateway) -> None:
    gateway.deploy("openai/echo", name="claude")
    budget = gateway.budget("1")
    got = events(message(gateway, "claude", "a b c", stream=True).text)
    assert (got[0][0], got[-1][0]) == ("message_start", "message_stop")
    text = "".join(said["delta"].get("text", "") for name, said in got if name == "content_block_delta")
    assert text.split() == ["a", "b", "c"]
    assert gateway.spent(budget) == gateway.billed() > 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_openais_responses_are_answered_by_anthropics_model(gateway: Gateway, is_stream: bool) -> None:
    gateway.deploy("anthropic/echo", name="gpt")
    budget = gateway.budget("1")
    answer = gateway.post(
        "/v1/responses", {"model": "gpt", "input": "a b c", "stream": is_stream, "max_output_tokens": 50}
    )
    assert answer.status_code == 200, answer.text
    said = events(answer.text)[-1][1]["response"] if is_stream else answer.json()
    words = "".join(part["text"] for item in said["output"] if item["type"] == "message" for part in item["content"])
    assert (words, said["object"]) == ("a b c", "response")
    assert gateway.provider.requests[-1]["path"] == "/v1/messages"
    assert gateway.spent(budget) == gateway.billed() >= 3 * OUTPUT_USD


def test_a_broken_stream_ends_in_the_callers_own_error(gateway: Gateway) -> None:
    """B17 across dialects."""
    gateway.deploy("anthropic/echo-cut", name="gpt")
    answer = gateway.post("/v1/responses", {"model": "gpt", "input": "a b c d e", "stream": True})
    assert events(answer.text)[-1][0] == "error"


def test_what_cannot_be_carried_over_is_refused_and_costs_nothing(gateway: Gateway) -> None:
    gateway.deploy("anthropic/echo", name="gpt")
    budget = gateway.budget("1")
    for door, body in (("/v1/completions", {"prompt": "a"}), ("/v1/embeddings", {"input": "a"})):
        answer = gateway.post(door, {"model": "gpt", **body})
        assert answer.status_code in (400, 502), answer.text
        assert answer.json()["error"]["message"]
    assert gateway.provider.requests == []
    assert gateway.spent(budget) == 0
