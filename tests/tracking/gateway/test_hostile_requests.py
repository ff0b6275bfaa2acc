"""Requests that nobody honest sends, at every door: refused before anything is held or sent on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.make import make_key
from tests.tracking.gateway.conftest import Gateway
from tracking.models import Reservation

DOORS = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}]},
    "/v1/completions": {"prompt": "a"},
    "/v1/embeddings": {"input": "a"},
    "/v1/responses": {"input": "a"},
    "/v1/messages": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 5},
}
everywhere = pytest.mark.parametrize("door", DOORS)


@pytest.fixture(autouse=True)
def _nothing_held_or_sent(gateway: Gateway) -> Iterator[None]:
    gateway.budget("1")
    yield
    assert not Reservation.objects.filter(team=gateway.team).exists()
    assert gateway.provider.requests == []


def raw(gateway: Gateway, door: str, body: bytes | Iterator[bytes], **headers: str) -> httpx.Response:
    named = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json", **headers}
    return gateway.client.post(door, content=body, headers=named)


def refused(answer: httpx.Response, status: int) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]
    return answer.json()["error"]


@everywhere
def test_fifty_megabytes_are_too_many(gateway: Gateway, door: str) -> None:
    """B44."""
    body = json.dumps({"model": "echo", **DOORS[door], "user": "x" * 50_000_000}).encode()
    assert refused(raw(gateway, door, body), 413)["code"] == "too_large"
    assert refused(raw(gateway, door, iter([body[:1000], body[1000:]])), 413)["code"] == "too_large"


BOMBS = {
    "depth": (b"[" * 100_000, 400),
    "depth of objects": (b'{"model":"echo","metadata":' + b'{"a":' * 150 + b"1" + b"}" * 151, 400),
    "no UTF-8": (b'{"model":"echo","messages":[{"role":"user","content":"\xff\xfe"}]}', 400),
    "a million things": (b'{"model":"echo","messages":[' + b"{}," * 1_500_000 + b"{}]}", 413),
    "a list": (b"[]", 400),
    "nothing": (b"", 400),
    "no JSON": (b'{"model":"echo",}', 400),
    "no number": (b'{"model":"echo","max_tokens":NaN}', 400),
}


@everywhere
def test_bombs_and_nonsense_are_refused(gateway: Gateway, door: str) -> None:
    """B44."""
    for body, status in BOMBS.values():
        refused(raw(gateway, door, body), status)


@pytest.mark.parametrize("door", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_ten_thousand_messages_are_too_many(gateway: Gateway, door: str) -> None:
    """B44."""
    name = "input" if door == "/v1/responses" else "messages"
    many = [{"role": "user", "content": "a"}] * 10_000
    assert refused(gateway.post(door, {"model": "echo", "max_tokens": 5, name: many}), 400)["param"] == name


STEERING = [
    "api_base", "base_url", "api_key", "headers", "extra_headers", "extra_body", "custom_llm_provider", "mock_response",
    "litellm_params", "litellm_credential_name", "aws_access_key_id", "vertex_credentials", "azure_ad_token", "fallbacks",
]  # fmt: skip


@everywhere
def test_a_request_does_not_choose_where_it_goes_or_with_which_key(gateway: Gateway, door: str) -> None:
    """B45, at any depth."""
    body = {"model": "echo", **DOORS[door]}
    for field in STEERING:
        inside: dict[str, Any] = {field: "http://127.0.0.1:9/"}
        places = [inside, {"options": inside}, {"a": {"b": [{"c": {"d": {"e": inside}}}]}}, {"stream_options": inside}]
        if field not in ("headers", "fallbacks"):
            places.append({"metadata": {"x": inside}})  # there, those two are people's words
        for place in places:
            assert refused(gateway.post(door, {**body, **place}), 400)["param"] == field, place


@everywhere
def test_a_model_is_a_name(gateway: Gateway, door: str) -> None:
    for model in (None, "", 5, "a" * 201, "a\nb", ["echo"], {"name": "echo"}):
        assert refused(gateway.post(door, {**DOORS[door], "model": model}), 422)["param"] == "model", model
    assert refused(gateway.post(door, {**DOORS[door], "model": "nothing"}), 404)["code"] == "model_not_found"


@pytest.mark.parametrize("door", ["/v1/completions", "/v1/responses", "/v1/messages"])
def test_odd_caps_are_refused(gateway: Gateway, door: str) -> None:
    """B21, beside chat."""
    name = "max_output_tokens" if door == "/v1/responses" else "max_tokens"
    for cap in (0, -1, 10**9, "12", True, 1.5):
        assert refused(gateway.post(door, {**DOORS[door], "model": "echo", name: cap}), 422)["param"] == name, cap


def test_more_answers_than_anyone_wants_are_refused(gateway: Gateway) -> None:
    """B22."""
    many = {"model": "echo", "prompt": ["a"] * 10, "n": 13}
    assert refused(gateway.post("/v1/completions", many), 422)["param"] == "prompt"
    assert refused(gateway.post("/v1/completions", {"model": "echo", "prompt": "a", "best_of": 1000}), 422)["param"] == "best_of"  # fmt: skip


@everywhere
def test_who_calls_and_how_is_asked_first(gateway: Gateway, door: str) -> None:
    body = {"model": "echo", **DOORS[door]}
    assert refused(gateway.post(door, body, authorization=""), 401)
    assert refused(gateway.client.post(f"{door}?api_key={gateway.key}", json=body), 401)
    _, reader = make_key(gateway.team, scopes=("read",))
    assert refused(gateway.post(door, body, authorization=f"Bearer {reader}"), 403)["type"] == "permission_error"
    assert refused(gateway.client.get(door, headers={"authorization": f"Bearer {gateway.key}"}), 405)
    plain = raw(gateway, door, json.dumps(body).encode(), **{"content-type": "text/plain"})
    assert refused(plain, 415)
    _, narrow = make_key(gateway.team, allowed_models=["other"])
    assert refused(gateway.post(door, body, authorization=f"Bearer {narrow}"), 403)["code"] == "model_not_allowed"
