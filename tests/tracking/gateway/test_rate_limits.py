"""Calls and tokens a minute, and calls at once: of keys, teams and deployments, over processes, with and without Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker
from redis import Redis

from tests.make import make_key
from tests.server import free_port, running_server
from tests.tracking.gateway.conftest import Gateway, make_gateway, make_group
from tracking.models import ApiKey, Deployment, Reservation, Team
from wflo_site.processes import wait_until


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis.from_url(os.environ["WFLO_REDIS_URL"]) as client:
        yield client


def limit(gateway: Gateway, *, team_rpm: int | None = None, **limits: int) -> None:
    """Before the gateway's first call, so that no process remembers another limit."""
    ApiKey.objects.filter(team=gateway.team).update(**limits)
    Team.objects.filter(pk=gateway.team.pk).update(rpm_max=team_rpm)


def at_once(gateway: Gateway, times: int, **call: Any) -> list[httpx.Response]:
    def one(_: int) -> httpx.Response:
        with httpx.Client(base_url=gateway.server.url, timeout=30) as client:
            mine = Gateway(gateway.server, gateway.provider, client, gateway.team, gateway.key)
            return mine.chat("a b", **call)

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def test_a_key_makes_so_many_calls_a_minute(gateway: Gateway) -> None:
    gateway.budget("1")
    limit(gateway, rpm_max=3)
    answers = [gateway.chat("a b") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    refused = gateway.chat("a b")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "x-should-retry" not in refused.headers
    assert (refused.json()["error"]["limit"], refused.json()["error"]["unit"]) == (3, "requests")
    assert len(gateway.provider.requests) == 3
    assert Reservation.objects.filter(team=gateway.team).count() == 3  # a refusal holds nothing


def test_a_stream_says_what_is_left_too(gateway: Gateway) -> None:
    limit(gateway, rpm_max=9)
    assert gateway.chat("a b", stream=True).headers["x-ratelimit-remaining-requests"] == "8"


def test_a_team_of_two_keys_shares_its_limit(gateway: Gateway) -> None:
    limit(gateway, team_rpm=2)
    _, other = make_key(gateway.team, name="other")
    assert gateway.chat("a b").status_code == 200
    gateway.key = other
    assert [gateway.chat("a b").status_code for _ in range(2)] == [200, 429]


def test_no_limit_means_no_words_about_it_and_nothing_in_redis(gateway: Gateway, redis: Redis) -> None:
    answer = gateway.chat("a b")
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    assert not list(redis.scan_iter(f"wflo:rate:team:{gateway.team.pk}:*"))
    assert not list(redis.scan_iter(f"wflo:rate:key:{ApiKey.objects.get(team=gateway.team).pk}:*"))


def test_tokens_are_those_of_the_answer(gateway: Gateway, redis: Redis) -> None:
    limit(gateway, tpm_max=400)
    first = gateway.chat("a b", model="echo-long", max_tokens=300)
    assert first.status_code == 200
    key = f"wflo:rate:key:{ApiKey.objects.get(team=gateway.team).pk}:tokens"
    used = first.json()["usage"]["total_tokens"]
    assert wait_until(lambda: int(redis.hget(key, "now") or 0) == used, seconds=10)
    second = gateway.chat("a b", model="echo-long", max_tokens=300)
    assert second.status_code == 200
    assert wait_until(lambda: int(redis.hget(key, "now") or 0) > 400, seconds=10)
    third = gateway.chat("a b", model="echo-long", max_tokens=300)
    assert (third.status_code, third.json()["error"]["unit"]) == (429, "tokens")


@pytest.mark.parametrize("is_stream", [False, True])
def test_so_many_at_once_and_a_place_is_free_again_however_a_call_ends(gateway: Gateway, is_stream: bool) -> None:
    limit(gateway, concurrent_max=2)
    statuses = [answer.status_code for answer in at_once(gateway, 6, model="echo-slow", stream=is_stream)]
    assert statuses.count(200) >= 2
    assert statuses.count(429) >= 1
    for model in ("echo-fail500", "echo-fail400", "no such model", "echo-cut"):
        for _ in range(3):
            gateway.chat("a b", model=model, stream=is_stream)
    assert wait_until(lambda: {a.status_code for a in at_once(gateway, 2, model="echo-slow")} == {200}, seconds=10)


def test_a_deployment_that_is_full_gives_way_to_the_next(gateway: Gateway) -> None:
    make_group(gateway.team, "two", gateway.provider.url, "echo", "free")
    Deployment.objects.filter(group__team=gateway.team, group__name="two", model="openai/echo").update(rpm=2)
    models = [gateway.chat("a b", model="two").headers["x-wflo-model"] for _ in range(4)]
    assert models == ["openai/echo", "openai/echo", "openai/free", "openai/free"]
    Deployment.objects.filter(group__team=gateway.team, group__name="echo").update(tpm=1)
    answers = [gateway.chat("a b", model="echo") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["error"]["code"] == "rate_limit_exceeded"


def test_three_processes_count_together(gateway: Gateway, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    with running_server(tmp_path, workers=3) as server:
        other = make_gateway(server, gateway.provider, "Three")
        with other.client:
            limit(other, rpm_max=10)
            statuses = [answer.status_code for answer in at_once(other, 30)]
            assert (statuses.count(200), statuses.count(429)) == (10, 20)
            other.at_rest()


def test_without_redis_calls_pass_and_are_counted_and_money_is_decided_the_same(
    gateway: Gateway, django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    """B13."""
    away = {"WFLO_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with running_server(tmp_path, extra=away) as server:
        other = make_gateway(server, gateway.provider, "Without")
        with other.client:
            limit(other, rpm_max=1, concurrent_max=1)
            budget = other.budget("0.000050")
            answers = [other.chat("a b", max_tokens=2) for _ in range(4)]
            assert [a.json().get("error", {}).get("code") for a in answers] == [
                None,
                None,
                "budget_exceeded",
                "budget_exceeded",
            ]
            assert other.spent(budget) == 2 * Decimal(answers[0].headers["x-wflo-cost-usd"])
            assert "Redis is away: rate limits are not kept" in server.log.read_text()


def test_a_flushed_redis_forgets_rates_and_no_money(gateway: Gateway, redis: Redis) -> None:
    """B14."""
    limit(gateway, rpm_max=1)
    budget = gateway.budget("1")
    assert [gateway.chat("a b").status_code for _ in range(2)] == [200, 429]
    spent = gateway.spent(budget)
    redis.flushall()
    assert gateway.spent(budget) == spent > 0
    assert gateway.chat("a b").status_code == 200
