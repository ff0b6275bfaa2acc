"""A group that keeps its answers gives the same question the same answer, for nothing; what binds calls binds it."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.tracking.gateway.conftest import Gateway, make_gateway, make_group
from tracking.models import CacheDay, LedgerEntry, ModelGroup, Run, RunControl, Span
from wflo_site.processes import wait_until


@pytest.fixture
def cached(gateway: Gateway) -> Gateway:
    make_group(gateway.team, "kept", gateway.provider.url, "echo", cache_seconds=60)
    make_group(gateway.team, "kept-nousage", gateway.provider.url, "echo-nousage", cache_seconds=60)
    gateway.budget("1")
    return gateway


def ask(gateway: Gateway, words: str = "what is it", *, model: str = "kept", **fields: Any) -> httpx.Response:
    return gateway.chat(words, model=model, **fields)


def test_the_same_question_is_answered_once_and_given_again_for_nothing(cached: Gateway) -> None:
    first, second = ask(cached), ask(cached, user="somebody else")
    assert [one.headers["x-wflo-cache"] for one in (first, second)] == ["miss", "hit"]
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["agentwall"]["cost_usd"] == 0
    assert second.json()["agentwall"]["is_cached"] is True
    assert second.headers["x-wflo-cost-usd"] == "0"
    cached.at_rest()
    assert len(cached.provider.bill) == LedgerEntry.objects.filter(team=cached.team).count() == 1
    assert wait_until(lambda: CacheDay.objects.filter(team=cached.team, hits=1, misses=1).exists(), seconds=10)
    assert CacheDay.objects.get(team=cached.team).saved_usd == cached.billed()


@pytest.mark.parametrize("fields", [{"temperature": 0.5}, {"max_tokens": 3}, {"tools": []}, {"seed": 1}])
def test_another_question_is_another(cached: Gateway, fields: dict[str, Any]) -> None:
    assert ask(cached).headers["x-wflo-cache"] == "miss"
    assert ask(cached, **fields).headers["x-wflo-cache"] == "miss"
    assert ask(cached, "what is it then").headers["x-wflo-cache"] == "miss"


def test_a_stream_comes_again_byte_for_byte(cached: Gateway) -> None:
    first = ask(cached, stream=True)
    cached.at_rest()
    assert wait_until(lambda: ask(cached, stream=True).headers["x-wflo-cache"] == "hit", seconds=5)
    again = ask(cached, stream=True)
    assert again.text == first.text
    assert again.headers["content-type"].startswith("text/event-stream")
    assert ask(cached).headers["x-wflo-cache"] == "miss", "a whole answer is asked for apart"


def test_a_client_may_ask_anew_or_have_nothing_kept(cached: Gateway) -> None:
    ask(cached)
    assert ask(cached, headers={"cache_control": "no-cache"}).headers["x-wflo-cache"] == "miss"
    assert "x-wflo-cache" not in ask(cached, headers={"cache_control": "no-store"}).headers
    assert ask(cached, "only once", headers={"cache_control": "no-store"}).status_code == 200
    assert ask(cached, "only once").headers["x-wflo-cache"] == "miss"


def test_a_group_that_keeps_none_and_another_team_do_not_share(cached: Gateway) -> None:
    assert "x-wflo-cache" not in ask(cached, model="echo").headers
    ask(cached)
    other = make_gateway(cached.server, cached.provider, "Others")
    make_group(other.team, "kept", other.provider.url, "echo", cache_seconds=60)
    with other.client:
        assert ask(other).headers["x-wflo-cache"] == "miss"
        other.at_rest()


def test_it_is_forgotten_after_its_time(cached: Gateway) -> None:
    ModelGroup.objects.filter(team=cached.team, name="kept-nousage").update(cache_seconds=1)
    assert ask(cached, model="kept-nousage").headers["x-wflo-cache"] == "miss"
    time.sleep(1.2)
    assert ask(cached, model="kept-nousage").headers["x-wflo-cache"] == "miss"


@pytest.mark.parametrize("model", ["echo-fail500", "echo-cut", "echo-long"])
def test_what_failed_broke_off_or_was_cut_is_not_kept(cached: Gateway, model: str) -> None:
    make_group(cached.team, f"kept-{model}", cached.provider.url, model, cache_seconds=60)
    if model == "echo-long":
        cached.budget("0.001", scope_kind="model", scope_id="kept-echo-long")
    for _ in range(2):
        answer = ask(cached, "one two three four five", model=f"kept-{model}", stream=model != "echo-fail500")
        assert answer.headers.get("x-wflo-cache") != "hit"
        cached.at_rest()


def test_a_stopped_run_gets_none(cached: Gateway) -> None:
    run = {"x_wflo_run_id": "nightly"}
    ask(cached, headers=run)
    killed = cached.post("/v1/runs/nightly/kill", {"reason": "enough"})
    assert killed.status_code == 200
    assert ask(cached, headers=run).status_code == 429
    assert ask(cached).headers["x-wflo-cache"] == "hit"


def test_a_loop_is_noticed_though_it_costs_nothing(cached: Gateway) -> None:
    run = {"x_wflo_run_id": "round"}
    assert ask(cached, headers=run).status_code == 200
    assert wait_until(
        lambda: RunControl.objects.filter(team=cached.team, run="round", version__gt=0).exists(), seconds=5
    )
    assert any(ask(cached, headers=run).json().get("error", {}).get("code") == "loop_detected" for _ in range(3))


def test_a_hit_under_an_idempotency_key_is_kept_under_it(cached: Gateway) -> None:
    ask(cached)
    again = [ask(cached, headers={"idempotency_key": "order-7"}) for _ in range(2)]
    assert [one.status_code for one in again] == [200, 200]
    assert again[0].content == again[1].content


def test_a_hit_is_a_step_of_its_run_and_no_call(cached: Gateway) -> None:
    ask(cached)
    ask(cached, headers={"x_wflo_run_id": "second", "x_wflo_agent": "finder"})
    assert wait_until(lambda: Run.objects.filter(team=cached.team, external_id="second").exists(), seconds=10)
    run = Run.objects.get(team=cached.team, external_id="second")
    assert (run.llm_calls, run.span_count, run.unpriced_calls) == (0, 1, 0)
    assert Span.objects.get(team=cached.team, trace_id=run.trace_id).name == "cached kept"
