"""OpenAI's responses through a running gateway: answered, streamed byte for byte, gone on from, and whose they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import httpx
import pytest

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway, make_group
from tracking.gateway import kept_responses
from tracking.models import LedgerEntry, ModelGroup, Reservation, Span, StoredResponse
from wflo_site.processes import wait_until

TOOL = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def respond(gateway: Gateway, model: str = "echo", given: Any = "one two three", *, headers: Any = None, **fields: Any) -> httpx.Response:  # fmt: skip
    return gateway.post("/v1/responses", {"model": model, "input": given, **fields}, **(headers or {}))


def events(answer: httpx.Response) -> list[tuple[str, Any]]:
    found = [part.split("\n") for part in answer.text.split("\n\n") if part]
    return [(lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))) for lines in found]


def get(gateway: Gateway, path: str, *, key: str = "", method: str = "GET") -> httpx.Response:
    return gateway.client.request(method, path, headers={"authorization": f"Bearer {key or gateway.key}"})


def span(gateway: Gateway) -> Span:
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    return Span.objects.get(team=gateway.team)


def test_an_answer_comes_as_openai_gave_it_with_what_it_cost(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    answer = respond(gateway, instructions="be brief", reasoning={"effort": "low"}, headers={"x_wflo_run_id": "r1"})
    said = answer.json()
    assert answer.status_code == 200, answer.text
    assert (said["object"], said["status"], said["output"][0]["content"][0]["text"]) == ("response", "completed", "one two three")  # fmt: skip
    assert D(str(said["agentwall"]["cost_usd"])) == gateway.billed() == gateway.spent(budget) > 0
    sent = gateway.provider.requests[-1]
    assert (sent["path"], sent["body"]["reasoning"]) == ("/v1/responses", {"effort": "low"})
    assert (span(gateway).cost_usd, span(gateway).output_tokens) == (gateway.billed(), 3)
    assert "one two three" in gateway.recorded(span(gateway))


@pytest.mark.parametrize("script", ["echo", "echo-think", "echo-crlf", "echo-torn", "echo-tool", "echo-cached"])
def test_a_stream_is_the_providers_byte_for_byte(gateway: Gateway, script: str) -> None:
    model = gateway.deploy(f"openai/{script}")
    budget = gateway.budget("1")
    answer = respond(gateway, model, "a bé c 漢字", stream=True, tools=[TOOL])
    assert answer.content == bytes(gateway.provider.streams[-1])
    assert b"response.completed" in answer.content
    assert gateway.spent(budget) == span(gateway).cost_usd
    if script != "echo-cached":
        assert gateway.spent(budget) == gateway.billed()


def test_a_stream_is_put_together_for_the_record(gateway: Gateway) -> None:
    model = gateway.deploy("openai/echo-think-tool")
    respond(gateway, model, stream=True, tools=[TOOL])
    assert span(gateway).reasoning_tokens == 1
    assert "look" in gateway.recorded(span(gateway))


@pytest.mark.parametrize("script", ["echo-cut", "echo-nodone", "echo-error"])
def test_a_broken_stream_ends_in_an_error_event(gateway: Gateway, script: str) -> None:
    """B17 in this dialect."""
    model = gateway.deploy(f"openai/{script}")
    budget = gateway.budget("1")
    got = events(respond(gateway, model, "a b c d e f", stream=True))
    assert (got[-1][0], got[-1][1]["type"]) == ("error", "error")
    assert gateway.spent(budget) > 3 * OUTPUT_USD
    assert span(gateway).error


def test_the_cap_is_lowered_and_the_reader_told(gateway: Gateway) -> None:
    budget = gateway.budget("0.001")
    got = events(respond(gateway, "echo-long", "hello", stream=True, max_output_tokens=5000))
    assert 50 < gateway.provider.requests[-1]["body"]["max_output_tokens"] < 100
    assert [name for name, _ in got[-2:]] == ["error", "response.incomplete"]
    assert got[-2][1]["code"] == got[-2][1]["error"]["code"] == "budget_exceeded"
    assert gateway.spent(budget) == gateway.billed() <= D("0.001")


def test_a_stream_whose_money_ends_is_ended_incomplete(gateway: Gateway) -> None:
    gateway.budget("0.0025", mode="elastic")
    got = events(respond(gateway, "echo-long-drip", "hello", stream=True, max_output_tokens=5000))
    assert [name for name, _ in got[-2:]] == ["error", "response.incomplete"]
    response = got[-1][1]["response"]
    assert (response["status"], response["id"]) == ("incomplete", got[0][1]["response"]["id"])
    assert response["output"][0]["content"][0]["text"].startswith("the quick brown")


def test_a_call_goes_on_from_an_answer_the_provider_kept(gateway: Gateway) -> None:
    """What the provider kept of it is part of the next prompt: held for before, and in the bill."""
    budget = gateway.budget("1")
    first = respond(gateway, given="a long question about something " * 20).json()
    second = respond(gateway, given="and then", previous_response_id=first["id"])
    assert second.status_code == 200, second.text
    assert second.json()["usage"]["input_tokens"] > first["usage"]["total_tokens"]
    assert gateway.spent(budget) == gateway.billed()
    assert wait_until(lambda: StoredResponse.objects.filter(team=gateway.team).count() == 2, seconds=10)
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).count() == 2, seconds=10)
    near = gateway.budget("0.0004", name="near")
    refused = respond(gateway, given="and then", previous_response_id=first["id"], max_output_tokens=16)
    error = refused.json()["error"]
    assert (refused.status_code, error["budget"], error["current_cost"]) == (429, near.name, 0)
    assert respond(gateway, given="and then", max_output_tokens=16).status_code == 200


def test_a_kept_answer_is_read_and_deleted_by_its_team_alone(gateway: Gateway) -> None:
    """Though both call the same deployment, with the same key of the provider's."""
    stranger = make_team("Strangers")
    _, key = make_key(stranger)
    make_group(stranger, "shared", gateway.provider.url, "echo")
    shared = ModelGroup.objects.get(team=stranger, name="shared")
    ModelGroup.objects.filter(pk=shared.pk).update(team=None)
    shared.teams.set([stranger, gateway.team])
    id = respond(gateway, "shared").json()["id"]
    assert get(gateway, f"/v1/responses/{id}").json()["id"] == id
    assert get(gateway, f"/v1/responses/{id}/input_items?limit=5").json()["object"] == "list"
    assert gateway.provider.requests[-1]["path"] == f"/v1/responses/{id}/input_items?limit=5"
    for method in ("GET", "DELETE"):
        theirs = get(gateway, f"/v1/responses/{id}", key=key, method=method)
        assert (theirs.status_code, theirs.json()["error"]["code"]) == (404, "not_found")
    headers = {"authorization": f"Bearer {key}"}
    body = {"model": "shared", "input": "a", "previous_response_id": id}
    goes_on = gateway.client.post("/v1/responses", json=body, headers=headers)
    assert (goes_on.status_code, goes_on.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert get(gateway, f"/v1/responses/{id}", method="DELETE").json()["deleted"] is True
    assert get(gateway, f"/v1/responses/{id}").status_code == 404
    assert get(gateway, "/v1/responses/resp_nothing").status_code == 404
    assert get(gateway, "/v1/responses/../keys").status_code == 404
    assert get(gateway, f"/v1/responses/{id}?stream=true").status_code in (400, 404)


def test_what_is_not_to_be_kept_is_not(gateway: Gateway) -> None:
    id = respond(gateway, store=False).json()["id"]
    assert get(gateway, f"/v1/responses/{id}").status_code == 404
    assert not StoredResponse.objects.filter(team=gateway.team).exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search"}]},
        {"tools": [TOOL, {"type": "file_search", "vector_store_ids": ["v"]}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://example.org"}]},
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
        {"prompt": {"id": "pmpt_1"}},
        {"input": [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "a"}]},
    ],
)
def test_what_the_provider_runs_at_its_own_price_is_refused_under_a_hard_budget(gateway: Gateway, fields: Any) -> None:
    body = {"model": "echo", "input": "hello", **fields}
    assert gateway.post("/v1/responses", body).status_code == 200
    assert span(gateway)
    budget = gateway.budget("1")
    answer = gateway.post("/v1/responses", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "model_unpriced")
    assert "beforehand" in answer.json()["error"]["message"]
    assert len(gateway.provider.requests) == 1
    assert gateway.spent(budget) == 0
    local = [TOOL, {"type": "shell", "environment": {"type": "local"}}, {"type": "local_shell"}]
    assert respond(gateway, tools=local).status_code == 200


@pytest.mark.parametrize(
    "field", [{"background": True}, {"conversation": "conv_1"}, {"input": 5}, {"max_output_tokens": 0}]
)
def test_what_could_not_be_billed_or_would_be_shared_is_refused(gateway: Gateway, field: dict[str, Any]) -> None:
    answer = gateway.post("/v1/responses", {"model": "echo", "input": "a", **field})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, next(iter(field)))
    assert gateway.provider.requests == []


@pytest.mark.parametrize("is_stream", [False, True])
def test_counts_that_are_missing_or_mad_are_estimated(gateway: Gateway, is_stream: bool) -> None:
    """B18: about what it was. B19: all that was held."""
    budget = gateway.budget("1")
    respond(gateway, "echo-nousage", "a b c", stream=is_stream)
    estimate = gateway.spent(budget)
    assert 0 < estimate < 60 * INPUT_USD + 10 * OUTPUT_USD
    respond(gateway, "echo-badusage", "a b c", stream=is_stream, max_output_tokens=100)
    assert gateway.spent(budget) - estimate > 100 * OUTPUT_USD
    assert [entry.is_estimated for entry in LedgerEntry.objects.filter(team=gateway.team)] == [True, True]


def test_less_than_openai_takes_is_not_asked_for(gateway: Gateway) -> None:
    """A cap under 16 would be answered with an error of the provider's; the refusal says why instead."""
    gateway.budget(str(10 * INPUT_USD + 12 * OUTPUT_USD))
    answer = respond(gateway, "echo", "a", max_output_tokens=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "budget_exceeded")
    assert gateway.chat("a", max_tokens=20).status_code == 200


def test_what_providers_keep_no_longer_is_cleared(gateway: Gateway) -> None:
    respond(gateway)
    assert wait_until(lambda: StoredResponse.objects.filter(team=gateway.team).exists(), seconds=10)
    kept_responses.clear()
    assert StoredResponse.objects.filter(team=gateway.team).exists()
    StoredResponse.objects.filter(team=gateway.team).update(made_at=datetime.now(UTC) - timedelta(days=31))
    kept_responses.clear()
    assert not StoredResponse.objects.filter(team=gateway.team).exists()


@pytest.mark.parametrize("door", ["/v1/responses", "/v1/chat/completions"])
def test_what_openai_writes_to_its_cache_unasked_is_held_for_and_paid(gateway: Gateway, door: str) -> None:
    """B24: some of its models charge more for that than for input."""
    model = gateway.deploy("openai/echo-cached", cache_read_usd_per_million="0.1", cache_write_usd_per_million="40")
    budget = gateway.budget("1")
    words = "word " * 200
    name = "input" if door == "/v1/responses" else "messages"
    assert gateway.post(door, {"model": model, name: [{"role": "user", "content": words}], "max_tokens": 20, "max_output_tokens": 20}).status_code == 200  # fmt: skip
    tokens_in, tokens_out = gateway.provider.tokens()
    read, written = tokens_in // 2, tokens_in // 8
    cost = (tokens_in - read - written) * INPUT_USD + read * D("1e-7") + written * D("4e-5") + tokens_out * OUTPUT_USD
    assert gateway.spent(budget) == cost
    held = Reservation.objects.get(team=gateway.team).held_usd
    assert held >= tokens_in * D("4e-5")
