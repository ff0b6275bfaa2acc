"""What a key may call, as OpenAI's clients and Anthropic's ask for it; and words that must not be taken for steering."""

from __future__ import annotations

from typing import Any

import httpx

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import Gateway, make_group


def get(gateway: Gateway, path: str, *, key: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.client.get(path, headers={"authorization": f"Bearer {key or gateway.key}", **named})


def test_models_are_the_teams_own(gateway: Gateway) -> None:
    """B48."""
    make_group(make_team("Others"), "secret-group", gateway.provider.url, "echo")
    listed = get(gateway, "/v1/models").json()
    assert listed["object"] == "list"
    names = [one["id"] for one in listed["data"]]
    assert "echo" in names
    assert "secret-group" not in names
    assert get(gateway, "/v1/models/secret-group").status_code == 404
    one = get(gateway, "/v1/models/echo").json()
    assert (one["id"], one["object"], one["owned_by"]) == ("echo", "model", "wflo")
    assert one["created"] > 1_600_000_000
    assert get(gateway, "/v1/models", authorization="Bearer no").status_code == 401
    posted = gateway.post("/v1/models", {})
    assert (posted.status_code, posted.json()["error"]["code"]) == (405, "method_not_allowed")


def test_a_name_with_a_slash_is_found_and_a_key_sees_what_it_may_call(gateway: Gateway) -> None:
    gateway.deploy("anthropic/echo")
    assert get(gateway, "/v1/models/anthropic/echo").json()["id"] == "anthropic/echo"
    assert get(gateway, "/v1/models/anthropic%2Fecho").json()["id"] == "anthropic/echo"
    assert get(gateway, "/v1/models/demo/echo").status_code == 200
    _, narrow = make_key(gateway.team, allowed_models=["echo-long"])
    assert [one["id"] for one in get(gateway, "/v1/models", key=narrow).json()["data"]] == ["echo-long"]
    assert get(gateway, "/v1/models/echo", key=narrow).status_code == 403


def test_anthropics_client_reads_them_in_its_own_form(gateway: Gateway) -> None:
    listed = get(gateway, "/v1/models", anthropic_version="2023-06-01").json()
    assert (listed["has_more"], listed["first_id"]) == (False, listed["data"][0]["id"])
    one = get(gateway, "/v1/models/echo", anthropic_version="2023-06-01").json()
    assert (one["type"], one["id"], one["display_name"]) == ("model", "echo", "echo")
    assert one["created_at"].endswith("Z")
    missing = get(gateway, "/v1/models/nothing", anthropic_version="2023-06-01").json()
    assert (missing["type"], missing["error"]["type"]) == ("error", "not_found_error")


def test_people_may_use_the_words_that_a_request_may_not(gateway: Gateway) -> None:
    """B45 the other way round: a tool has headers, a schema a field api_key, a label a timeout."""
    schema = {"type": "object", "properties": {"headers": {"type": "object"}, "api_key": {"type": "string"}}}
    fields: dict[str, Any] = {
        "tools": [{"type": "function", "function": {"name": "fetch", "parameters": schema}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        "metadata": {"timeout": "30", "headers": "none"},
        "agentwall_metadata": {"base_url": "https://example.org"},
    }
    assert gateway.chat("my api_base is", **fields).status_code == 200
    assert gateway.provider.requests[-1]["body"]["tools"] == fields["tools"]


def test_half_a_character_is_replaced_and_a_deep_schema_is_no_bomb(gateway: Gateway) -> None:
    body = b'{"model":"echo","messages":[{"role":"user","content":"cut \\ud83d here"}],"schema":%s}'
    deep = b'{"a":' * 60 + b"1" + b"}" * 60
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    answer = gateway.client.post("/v1/chat/completions", content=body % deep, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "cut \N{REPLACEMENT CHARACTER} here"
