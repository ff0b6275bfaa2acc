"""Anthropic's messages through a running gateway: answered, streamed byte for byte, priced with what the cache saved."""

from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import httpx
import pytest

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway
from tracking.models import LedgerEntry, Reservation, Span
from wflo_site.processes import wait_until

TOOL = {"name": "look", "description": "looks", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}  # fmt: skip


def messages(gateway: Gateway, model: str, words: str = "one two three", *, headers: Any = None, **fields: Any) -> httpx.Response:  # fmt: skip
    body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": words}], **fields}
    return gateway.post("/v1/messages", body, anthropic_version="2023-06-01", **(headers or {}))


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    found = [part.split("\n") for part in answer.text.split("\n\n") if part]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in found]


def span(gateway: Gateway) -> Span:
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    return Span.objects.get(team=gateway.team)


def test_an_answer_comes_as_anthropic_gave_it_with_what_it_cost(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo")
    budget = gateway.budget("1")
    answer = messages(gateway, model, headers={"x_wflo_run_id": "r1", "anthropic_beta": "fine-grained-2025"}, system="be brief")  # fmt: skip
    said = answer.json()
    assert answer.status_code == 200, answer.text
    assert (said["type"], said["content"][0]["text"], said["stop_reason"]) == ("message", "one two three", "end_turn")
    assert D(str(said["agentwall"]["cost_usd"])) == gateway.billed() == gateway.spent(budget) > 0
    sent = gateway.provider.requests[-1]
    assert sent["path"] == "/v1/messages"
    head = sent["head"].lower()
    assert "x-api-key: sk-provider" in head
    assert "anthropic-version: 2023-06-01" in head
    assert "anthropic-beta: fine-grained-2025" in head
    assert "authorization" not in head
    assert (sent["body"]["system"], sent["body"]["max_tokens"], sent["body"]["model"]) == ("be brief", 100, "echo")
    found = span(gateway)
    assert (found.provider, found.model, found.cost_usd) == ("anthropic", "echo", gateway.billed())


@pytest.mark.parametrize("way", ["whole", "streamed"])
def test_what_the_cache_gave_and_took_is_counted_in_and_priced_apart(gateway: Gateway, way: str) -> None:
    model = gateway.deploy(
        "anthropic/echo-cached", cache_read_usd_per_million="0.1", cache_write_usd_per_million="1.25",
        cache_write_1h_usd_per_million="2",
    )  # fmt: skip
    budget = gateway.budget("1")
    answer = messages(gateway, model, "a b c d e f g h " * 8, stream=way == "streamed")
    assert answer.status_code == 200, answer.text
    assert gateway.billed() > 0, "the provider wrote it down"
    tokens_in, tokens_out = gateway.provider.tokens()
    read, written = tokens_in // 2, tokens_in // 8
    cost = (tokens_in - read - written) * INPUT_USD + tokens_out * OUTPUT_USD + read * D("1e-7") + written * D("2e-6")
    assert gateway.spent(budget) == cost
    found = span(gateway)
    assert (found.input_tokens, found.cached_tokens, found.cache_write_tokens) == (tokens_in, read, written)
    assert found.cost_usd == cost


@pytest.mark.parametrize("script", ["echo", "echo-think", "echo-crlf", "echo-torn", "echo-tool", "echo-cached"])
def test_a_stream_is_the_providers_byte_for_byte(gateway: Gateway, script: str) -> None:
    model = gateway.deploy(f"anthropic/{script}")
    answer = messages(gateway, model, "a bé c 漢字", stream=True, tools=[TOOL])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == bytes(gateway.provider.streams[-1])
    assert b"message_stop" in answer.content


def test_a_stream_is_put_together_for_the_record(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo-think-tool")
    messages(gateway, model, "a b", stream=True, tools=[TOOL])
    found = span(gateway)
    assert found.finish_reason == "tool_use"
    said = gateway.recorded(found)
    assert '{"type": "reasoning", "text": "calling"}, {"type": "text", "text": "calling"}' in said
    assert '"name": "look", "arguments": {"city": "x"}' in said


@pytest.mark.parametrize(("script", "kind"), [("echo-cut", "api_error"), ("echo-nodone", "api_error"), ("echo-error", "overloaded_error")])  # fmt: skip
def test_a_broken_stream_ends_in_anthropics_error_event(gateway: Gateway, script: str, kind: str) -> None:
    """B17 in this dialect: never half an answer that looks whole."""
    model = gateway.deploy(f"anthropic/{script}")
    budget = gateway.budget("1")
    got = events(messages(gateway, model, "a b c d e f", stream=True))
    assert (got[-1][0], got[-1][1]["type"], got[-1][1]["error"]["type"]) == ("error", "error", kind)
    assert gateway.spent(budget) == gateway.billed() > 0
    assert span(gateway).error


def test_max_tokens_is_lowered_and_the_reader_told(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo-long")
    budget = gateway.budget("0.001")
    got = events(messages(gateway, model, "hello", stream=True, max_tokens=5000))
    assert 50 < gateway.provider.requests[-1]["body"]["max_tokens"] < 100
    assert [name for name, _ in got[-3:]] == ["message_delta", "error", "message_stop"]
    assert got[-3][1]["delta"]["stop_reason"] == "max_tokens"
    assert got[-2][1]["error"]["code"] == "budget_exceeded"
    assert gateway.spent(budget) == gateway.billed() <= D("0.001")


def test_a_stream_whose_money_ends_is_ended_as_a_message_ends(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo-long-drip")
    budget = gateway.budget("0.0025", mode="elastic")
    got = events(messages(gateway, model, "hello", stream=True, max_tokens=5000))
    names = [name for name, _ in got]
    assert names[-4:] == ["content_block_stop", "message_delta", "error", "message_stop"]
    assert got[-2][1]["error"]["code"] == "budget_exceeded"
    assert names.count("content_block_stop") == names.count("content_block_start")
    assert gateway.spent(budget) <= D("0.0025") + 64 * OUTPUT_USD
    assert not Reservation.objects.filter(team=gateway.team, state=0).exists()


def test_refusals_are_anthropics_errors_and_keep_our_fields(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo")
    budget = gateway.budget("0.0000001")
    answer = messages(gateway, model, headers={"x_wflo_run_id": "r"})
    said = answer.json()
    assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
    assert (said["type"], said["error"]["type"], said["error"]["code"]) == ("error", "rate_limit_error", "budget_exceeded")  # fmt: skip
    assert said["detail"]["error"]["budget_id"] == said["error"]["budget_id"] == str(budget.pk)
    unknown = messages(gateway, "no-such-model")
    assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found_error")
    wrong = messages(gateway, model, max_tokens="12")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (422, "invalid_request_error")
    stranger = gateway.post("/v1/messages", {}, authorization="Bearer nonsense")
    assert (stranger.status_code, stranger.json()["error"]["type"]) == (401, "authentication_error")


def test_the_key_may_come_in_anthropics_header(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo")
    answer = messages(gateway, model, headers={"authorization": "", "x_api_key": gateway.key})
    assert answer.status_code == 200
    assert gateway.key not in gateway.provider.requests[-1]["head"]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
        {"mcp_servers": [{"type": "url", "url": "https://example.org", "name": "x"}]},
        {"speed": "fast"},
    ],
)
def test_what_the_provider_runs_at_its_own_price_is_refused_under_a_hard_budget(gateway: Gateway, fields: Any) -> None:
    model = gateway.deploy("anthropic/echo")
    assert messages(gateway, model, **fields).status_code == 200
    gateway.budget("1")
    answer = messages(gateway, model, **fields)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_unpriced")
    assert "beforehand" in answer.json()["error"]["message"]
    assert len(gateway.provider.requests) == 1
    client_run = [TOOL, {"type": "bash_20250124", "name": "bash"}]
    assert messages(gateway, model, tools=client_run).status_code == 200


def test_counting_tokens_costs_nothing(gateway: Gateway) -> None:
    model = gateway.deploy("anthropic/echo")
    gateway.budget("0.0000001")
    body = {"model": model, "messages": [{"role": "user", "content": "one two three"}]}
    answer = gateway.post("/v1/messages/count_tokens", body)
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 4})
    assert gateway.provider.requests[-1]["path"] == "/v1/messages/count_tokens"
    here = gateway.post("/v1/messages/count_tokens", {**body, "model": "echo"})
    assert here.status_code == 200
    assert 0 < here.json()["input_tokens"] < 40
    assert (gateway.provider.bill, len(gateway.provider.requests)) == ([], 1)
    assert not Reservation.objects.filter(team=gateway.team).exists()


@pytest.mark.parametrize("is_stream", [False, True])
def test_counts_that_are_missing_or_mad_are_estimated(gateway: Gateway, is_stream: bool) -> None:
    """B18: about what it was. B19: all that was held."""
    budget = gateway.budget("1")
    none = gateway.deploy("anthropic/echo-nousage")
    messages(gateway, none, "a b c", stream=is_stream)
    estimate = gateway.spent(budget)
    assert 0 < estimate < 60 * INPUT_USD + 10 * OUTPUT_USD
    mad = gateway.deploy("anthropic/echo-badusage")
    messages(gateway, mad, "a b c", stream=is_stream)
    assert gateway.spent(budget) - estimate > 100 * OUTPUT_USD  # max_tokens, and the prompt beside
    entries = LedgerEntry.objects.filter(team=gateway.team)
    assert [entry.is_estimated for entry in entries] == [True, True]
