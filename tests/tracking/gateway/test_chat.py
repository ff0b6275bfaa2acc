"""Chat completions through a running gateway: answered, priced, recorded, charged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway
from tracking.models import Alert, LedgerEntry, Refusal, Run, Span
from wflo_site.processes import wait_until


def test_an_answer_comes_as_the_provider_gave_it_with_what_it_cost(gateway: Gateway) -> None:
    answer = gateway.chat("one two three", headers={"x_wflo_run_id": "run-1", "x_wflo_agent": "reader"})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["choices"][0]["message"]["content"] == "one two three"
    cost = Decimal(str(said["agentwall"]["cost_usd"]))
    assert cost == gateway.billed() == 4 * INPUT_USD + 3 * OUTPUT_USD
    assert said["agentwall"]["run_id"] == answer.headers["x-agentwall-run-id"] == "run-1"
    assert (said["agentwall"]["step"], said["agentwall"]["provider"]) == (1, "openai")
    assert gateway.chat("four", headers={"x_wflo_run_id": "run-1"}).json()["agentwall"]["total_run_steps"] == 2


def test_the_call_is_a_span_of_its_run(gateway: Gateway) -> None:
    gateway.chat("one two", headers={"x_wflo_run_id": "run-9", "x_wflo_agent": "reader"}, user="u-7")
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    run, span = Run.objects.get(team=gateway.team), Span.objects.get(team=gateway.team)
    assert (run.external_id, run.origin, run.user_id) == ("run-9", "gateway", "u-7")
    assert (span.agent, span.model, span.requested_model, span.input_tokens, span.output_tokens) == (
        "reader", "echo", "echo", 2, 2,
    )  # fmt: skip
    assert span.cost_usd == gateway.billed()


def test_fields_nobody_knows_reach_the_provider_and_ours_do_not(gateway: Gateway) -> None:
    gateway.chat(agentwall_run_id="r", agentwall_metadata={"a": 1}, future_field={"x": [1]}, logit_bias={"5": 1})
    body = gateway.provider.requests[-1]["body"]
    assert body["future_field"] == {"x": [1]}
    assert body["logit_bias"] == {"5": 1}
    assert not [name for name in body if name.startswith("agentwall")]
    assert "max_tokens" not in body
    assert "authorization: bearer sk-provider" in gateway.provider.requests[-1]["head"].lower()


def lines(answer: Any) -> list[str]:
    return [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]


def test_a_stream_comes_untouched_and_its_usage_is_asked_for_and_kept_back(gateway: Gateway) -> None:
    """B46."""
    budget = gateway.budget("1")
    answer = gateway.chat("a b c d", stream=True)
    got = lines(answer)
    assert got[-1] == "[DONE]"
    assert not [line for line in got if '"usage"' in line]
    assert gateway.provider.requests[-1]["body"]["stream_options"] == {"include_usage": True}
    assert gateway.spent(budget) == gateway.billed() > 0
    asked = lines(gateway.chat("a b", stream=True, stream_options={"include_usage": True}))
    assert len([line for line in asked if '"usage"' in line]) == 1


def test_what_was_spent_is_what_the_provider_billed(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    for words in ("a b", "c d e", "f"):
        assert gateway.chat(words).status_code == 200
    assert gateway.spent(budget) == gateway.billed()
    assert LedgerEntry.objects.filter(team=gateway.team).count() == 3


def test_a_broke_team_is_told_which_budget_and_how_it_stands(gateway: Gateway) -> None:
    budget = gateway.budget("0.0000001")
    answer = gateway.chat("hello", headers={"x_wflo_run_id": "r"})
    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    error = answer.json()["detail"]["error"]
    assert error == answer.json()["error"]
    assert (error["type"], error["budget_id"], error["run_id"]) == ("budget_exceeded", str(budget.pk), "r")
    assert error["limit"] == 1e-07
    assert gateway.provider.requests == []
    assert error["request_id"] == answer.headers["x-wflo-call-id"]
    assert wait_until(lambda: Refusal.objects.filter(team=gateway.team, id=error["request_id"]).exists(), seconds=5)
    assert Alert.objects.get(team=gateway.team).payload["budget"] == "all"


def test_max_tokens_is_lowered_to_what_is_left(gateway: Gateway) -> None:
    budget = gateway.budget("0.001")
    answer = gateway.chat("hello", model="echo-long", max_tokens=5000)
    sent = gateway.provider.requests[-1]["body"]["max_tokens"]
    assert 50 < sent < 100
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert answer.json()["agentwall"]["is_cut"] is True
    assert gateway.spent(budget) == gateway.billed() <= Decimal("0.001")
