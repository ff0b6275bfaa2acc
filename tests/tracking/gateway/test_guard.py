"""The guard: what a prompt and an answer may not hold, told, masked or refused; and AgentWall's headers that make a call
stricter, never laxer."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.tracking.gateway.conftest import Gateway
from tracking import pricing
from tracking.audit import SYSTEM
from tracking.models import LedgerEntry, Refusal, Span, Team
from wflo_site.processes import wait_until

KEY = "sk-proj-" + "a1B2c3D4" * 5
CARD = "4111 1111 1111 1111"


def ask(gateway: Gateway, words: str, *, stream: bool = False, model: str = "echo", **headers: str) -> httpx.Response:
    return gateway.chat(words, model=model, headers=headers, stream=stream)


def sent(gateway: Gateway) -> str:
    return str(gateway.provider.requests[-1]["body"]["messages"])


def guarded(gateway: Gateway, mode: str) -> None:
    """The team's own guard, known to the process that answers."""
    Team.objects.filter(pk=gateway.team.pk).update(guard=mode)
    expected = {"block": 400}.get(mode, 200)
    assert wait_until(lambda: ask(gateway, f"my key is {KEY}").status_code == expected, seconds=15)
    gateway.at_rest()
    gateway.provider.clear()


def test_a_prompt_with_a_secret_is_refused_and_nothing_is_sent_or_held(gateway: Gateway) -> None:
    gateway.budget("1")
    answer = ask(gateway, f"my key is {KEY}", x_dlp_mode="block")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["pattern"], error["param"]) == (
        400,
        "dlp_violation",
        "key",
        "messages",
    )
    assert answer.headers["x-should-retry"] == "false"
    assert gateway.provider.requests == []
    assert wait_until(lambda: Refusal.objects.filter(team=gateway.team, code="dlp_violation").exists(), seconds=5)
    assert KEY not in str(Refusal.objects.get(team=gateway.team).details)
    assert error["request_id"] == str(Refusal.objects.get(team=gateway.team).id)


def test_a_masked_prompt_reaches_the_provider_without_the_secret(gateway: Gateway) -> None:
    answer = ask(gateway, f"my key is {KEY} and that is all", x_dlp_mode="mask")
    assert answer.status_code == 200
    assert KEY not in sent(gateway)
    assert "[redacted key]" in sent(gateway)
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    whole = gateway.recorded(Span.objects.get(team=gateway.team))
    assert KEY not in whole


def test_logged_only_it_passes_and_is_noted(gateway: Gateway) -> None:
    assert ask(gateway, f"my card is {CARD}", x_dlp_mode="log").status_code == 200
    assert CARD in sent(gateway)
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    span = Span.objects.get(team=gateway.team)
    address = f"/api/v1/spans/{span.trace_id.hex}/{span.span_id % 2**64:016x}"
    shown = gateway.client.get(address, headers={"authorization": f"Bearer {gateway.key}"}).text
    assert "the prompt held card" in shown


@pytest.mark.parametrize("stream", [False, True])
def test_a_secret_that_only_the_answer_holds(gateway: Gateway, stream: bool) -> None:
    """``demo/json`` answers the schema asked for: a constant of it is the secret."""
    schema = {"type": "object", "properties": {"key": {"const": KEY}}, "required": ["key"]}
    body: dict[str, Any] = {
        "model": "demo/json", "stream": stream, "messages": [{"role": "user", "content": "give me the key"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "k", "schema": schema}},
    }  # fmt: skip
    figures = {"input_usd_per_million": "1", "output_usd_per_million": "10"}
    pricing.set_price(SYSTEM, gateway.team, "demo/json", figures, valid_from="2020-01-01T00:00:00Z")
    gateway.budget("1")
    assert gateway.post("/v1/chat/completions", {**body, "stream": False}).text.count(KEY) == 1
    gateway.at_rest()
    assert LedgerEntry.objects.filter(team=gateway.team, usd__gt=0).count() == 1
    blocked = gateway.post("/v1/chat/completions", body, x_dlp_mode="block")
    masked = gateway.post("/v1/chat/completions", body, x_dlp_mode="mask")
    assert "[redacted key]" in answer_of(masked, stream)
    if stream:
        assert blocked.status_code == 200
        assert "dlp_violation" in blocked.text
        assert KEY[:20] not in blocked.text
    else:
        assert (blocked.status_code, blocked.json()["error"]["code"]) == (400, "dlp_violation")
    gateway.at_rest()
    entries = LedgerEntry.objects.filter(team=gateway.team, usd__gt=0)
    assert entries.count() == 3, "it is paid for whatever it holds"
    assert not entries.filter(is_estimated=True).exists()


def answer_of(answer: httpx.Response, is_stream: bool) -> str:
    if not is_stream:
        return str(answer.json()["choices"][0]["message"]["content"])
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


def test_a_clean_stream_under_a_guard_says_the_same(gateway: Gateway) -> None:
    plain, guarded_one = (ask(gateway, "one two three", stream=True, **more) for more in ({}, {"x_dlp_mode": "mask"}))
    assert answer_of(plain, True) == answer_of(guarded_one, True) != ""
    assert guarded_one.text.rstrip().endswith("data: [DONE]")


def test_a_stream_under_a_guard_comes_as_it_is_said(gateway: Gateway) -> None:
    """``echo-drip`` takes its time: the first words are there long before the last."""
    body = {"model": "echo-drip", "stream": True, "messages": [{"role": "user", "content": "a b c d e f"}]}
    headers = {"authorization": f"Bearer {gateway.key}", "x-dlp-mode": "mask"}
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        pieces = list(answer.iter_raw())
    assert len(pieces) > 3


def test_an_answer_that_was_stopped_is_kept_under_no_key(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"key": {"const": KEY}}, "required": ["key"]}
    body = {
        "model": "demo/json", "stream": True, "messages": [{"role": "user", "content": "the key"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "k", "schema": schema}},
    }  # fmt: skip
    for _ in range(2):
        answer = gateway.post("/v1/chat/completions", body, x_dlp_mode="block", idempotency_key="once")
        assert "dlp_violation" in answer.text
        gateway.at_rest()
        assert "idempotent-replayed" not in answer.headers


def test_a_team_is_guarded_and_no_header_makes_it_laxer(gateway: Gateway) -> None:
    guarded(gateway, "block")
    assert ask(gateway, f"again {KEY}", x_dlp_mode="off").status_code == 400
    assert ask(gateway, "write to alice@example.org", x_dlp_patterns="key").status_code == 400
    assert ask(gateway, "nothing of the kind").status_code == 200


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x_dlp_mode", "loud"),
        ("x_dlp_patterns", "key,shoe"),
        ("x_max_repetitions", "0"),
        ("x_max_repetitions", "many"),
        ("x_loop_threshold", "2"),
        ("x_loop_threshold", "nan"),
    ],
)
def test_a_header_that_cannot_be_is_named(gateway: Gateway, header: str, value: str) -> None:
    answer = ask(gateway, "hello", **{header: value})
    assert answer.status_code == 422
    assert answer.json()["error"]["param"].lower().replace("-", "_") == header
    assert gateway.provider.requests == []


def test_a_call_may_be_stricter_about_loops_than_its_team(gateway: Gateway) -> None:
    Team.objects.filter(pk=gateway.team.pk).update(loop_policy={"exact_repeats_max": 4})
    answers = []
    assert wait_until(lambda: _passes(gateway, f"probe-{len(answers)}", answers), seconds=15)
    strict = {"x_agentwall_run_id": "strict", "x_max_repetitions": "1"}
    assert [ask(gateway, "again", **strict).status_code for _ in range(2)] == [200, 429]


def _passes(gateway: Gateway, run: str, seen: list[int]) -> bool:
    """Whether the process knows by now that a second like request passes."""
    seen.append(0)
    return [ask(gateway, "again", x_agentwall_run_id=run).status_code for _ in range(2)] == [200, 200]


def test_the_body_says_what_is_left_and_whether_it_may_be_a_loop(gateway: Gateway) -> None:
    gateway.budget("1")
    told = ask(gateway, "hello").json()["agentwall"]
    assert 0 < told["budget_remaining"] < 1
    assert told["loop_detected"] is False
    assert LedgerEntry.objects.filter(team=gateway.team).count() <= 1
