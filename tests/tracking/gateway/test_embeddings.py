"""Embeddings and the completions of before chat through a running gateway."""

from __future__ import annotations

import json
from decimal import Decimal as D
from typing import Any

import pytest

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway
from tracking.codes import KINDS
from tracking.models import Span
from wflo.spans import Kind
from wflo_site.processes import wait_until


def test_embeddings_come_as_the_provider_gave_them_with_what_they_cost(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    answer = gateway.post("/v1/embeddings", {"model": "echo", "input": ["one two", "three"], "dimensions": 3})
    said = answer.json()
    assert answer.status_code == 200, answer.text
    assert [one["embedding"] for one in said["data"]] == [[0.25, -0.5, 1.0]] * 2
    assert D(str(said["agentwall"]["cost_usd"])) == gateway.billed() == gateway.spent(budget) == 4 * INPUT_USD
    assert gateway.provider.requests[-1]["body"] == {"model": "echo", "input": ["one two", "three"], "dimensions": 3}
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    span = Span.objects.get(team=gateway.team)
    assert (KINDS[span.kind], span.input_tokens, span.cost_usd) == (Kind.EMBEDDING, 4, gateway.billed())
    assert "0.25" not in gateway.recorded(span)


@pytest.mark.parametrize(("given", "tokens"), [([5, 6, 7], 3), ([[1, 2], [3, 4, 5]], 5), ("one two", 2)])
def test_tokens_may_be_sent_instead_of_text(gateway: Gateway, given: Any, tokens: int) -> None:
    budget = gateway.budget("1")
    answer = gateway.post("/v1/embeddings", {"model": "echo", "input": given, "encoding_format": "base64"})
    assert answer.json()["usage"]["prompt_tokens"] == tokens
    assert gateway.spent(budget) == tokens * INPUT_USD


@pytest.mark.parametrize("given", [None, "", [], 5, [{"a": 1}], [None], {"text": "a"}])
def test_an_input_that_is_none_is_refused(gateway: Gateway, given: Any) -> None:
    answer = gateway.post("/v1/embeddings", {"model": "echo", "input": given})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "input")


def test_a_broke_team_embeds_nothing_and_without_a_count_it_is_estimated(gateway: Gateway) -> None:
    model = gateway.deploy("openai/echo-nousage")
    budget = gateway.budget("1")
    said = gateway.post("/v1/embeddings", {"model": model, "input": "one two three"}).json()
    assert said["agentwall"]["cost_status"] == "estimated"
    assert 0 < gateway.spent(budget) < 20 * INPUT_USD
    gateway.budget("0.0000001", name="broke")
    assert gateway.post("/v1/embeddings", {"model": model, "input": "one two three"}).status_code == 429
    assert len(gateway.provider.requests) == 1


def test_a_completion_of_before_chat_counts_each_answer_of_each_prompt(gateway: Gateway) -> None:
    """B22: best_of makes more answers than it shows."""
    budget = gateway.budget("1")
    body = {"model": "echo", "prompt": ["one two", "three"], "n": 2, "best_of": 3, "max_tokens": 20}
    answer = gateway.post("/v1/completions", body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["object"], len(answer.json()["choices"])) == ("text_completion", 4)
    assert gateway.spent(budget) == gateway.billed()
    near = 20 * 6 * OUTPUT_USD  # of six answers, less than the prompt costs beside
    gateway.budget(str(near), name="near")
    assert gateway.post("/v1/completions", body).status_code == 200
    assert gateway.provider.requests[-1]["body"]["max_tokens"] < 20


def test_a_completion_of_before_chat_streams(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    answer = gateway.post("/v1/completions", {"model": "echo", "prompt": "one two", "stream": True, "stream_options": {"include_usage": True}})  # fmt: skip
    assert answer.content == bytes(gateway.provider.streams[-1])
    assert gateway.spent(budget) == gateway.billed()
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)
    assert "one two" in gateway.recorded(Span.objects.get(team=gateway.team))
    assert json.loads(answer.text.split("\n\n")[0][6:])["choices"][0]["text"] == "one "
