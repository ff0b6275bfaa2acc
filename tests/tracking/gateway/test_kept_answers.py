"""Idempotency keys: one call however often it is asked for, by however many at once; never another's answer."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings

from tests.tracking.gateway.conftest import Gateway, make_gateway
from tracking import retention
from tracking.models import KeptAnswer, LedgerEntry, Reservation
from wflo_site.processes import wait_until


def ask(gateway: Gateway, key: str = "order-17", words: str = "a b", **fields: Any) -> httpx.Response:
    return gateway.chat(words, headers={"idempotency-key": key}, **fields)


def kept(gateway: Gateway) -> bool:
    return wait_until(lambda: KeptAnswer.objects.filter(team=gateway.team, status=200).exists(), seconds=10)


def freed(gateway: Gateway) -> bool:
    return wait_until(lambda: not KeptAnswer.objects.filter(team=gateway.team).exists(), seconds=10)


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_same_request_again_is_answered_with_the_same_bytes_and_costs_nothing(
    gateway: Gateway, is_stream: bool
) -> None:
    budget = gateway.budget("1")
    first = ask(gateway, stream=is_stream)
    assert kept(gateway)
    spent = gateway.spent(budget)
    again = ask(gateway, stream=is_stream)
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-wflo-call-id"] == first.headers["x-wflo-call-id"]
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert len(gateway.provider.requests) == 1
    assert gateway.spent(budget) == spent > 0


def test_two_hundred_at_once_make_one_call(gateway: Gateway) -> None:
    """B3."""
    gateway.budget("1")

    def one(_: int) -> httpx.Response:
        with httpx.Client(base_url=gateway.server.url, timeout=60) as client:
            return ask(Gateway(gateway.server, gateway.provider, client, gateway.team, gateway.key), model="echo-slow")

    with ThreadPoolExecutor(200) as threads:
        answers = list(threads.map(one, range(200)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert all(
        answer.json()["error"]["code"] == "idempotency_key_in_use" for answer in answers if answer.status_code == 409
    )
    assert len(gateway.provider.requests) == 1
    gateway.at_rest()
    assert Reservation.objects.filter(team=gateway.team).count() == 1
    assert LedgerEntry.objects.filter(team=gateway.team, usd__gt=0).count() == 1


def test_another_body_under_the_same_key_is_refused(gateway: Gateway) -> None:
    """B4."""
    assert ask(gateway).status_code == 200
    for changed in ({"words": "a c"}, {"temperature": 0.5}, {"stream": True}):
        answer = ask(gateway, **changed)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (
        gateway.post("/v1/embeddings", {"model": "echo", "input": "a"}, idempotency_key="order-17").status_code == 422
    )
    assert len(gateway.provider.requests) == 1
    assert ask(gateway).status_code == 200  # the key still has its answer


def test_another_teams_key_of_the_same_name_is_another(gateway: Gateway) -> None:
    """B5."""
    assert ask(gateway, words="ours").status_code == 200
    other = make_gateway(gateway.server, gateway.provider, "Others")
    with other.client:
        answer = ask(other, words="theirs")
        assert answer.json()["choices"][0]["message"]["content"] == "theirs"
        other.at_rest()


@pytest.mark.parametrize("model", ["echo-fail500", "echo-fail429", "echo-fail400", "no such model"])
def test_what_failed_may_be_tried_again(gateway: Gateway, model: str) -> None:
    assert ask(gateway, model=model).status_code >= 400
    assert freed(gateway)
    assert ask(gateway).status_code == 200


def test_a_stream_that_broke_off_may_be_tried_again(gateway: Gateway) -> None:
    assert "upstream_error" in ask(gateway, words="a b c d e", model="echo-cut", stream=True).text
    assert freed(gateway)


def test_a_stream_whose_reader_left_may_be_tried_again(gateway: Gateway) -> None:
    body = {"model": "echo-drip", "stream": True, "messages": [{"role": "user", "content": "a " * 40}]}
    headers = {"authorization": f"Bearer {gateway.key}", "idempotency-key": "order-17"}
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        next(answer.iter_bytes())
    assert freed(gateway)


def test_an_answer_is_kept_for_a_day_and_its_text_is_sealed(gateway: Gateway) -> None:
    ask(gateway, words="nobody reads this in the store")
    row = KeptAnswer.objects.get(team=gateway.team)
    assert b"nobody reads this" not in bytes(row.body or b"")
    assert abs(row.expires_at - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    KeptAnswer.objects.filter(team=gateway.team).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert "idempotent-replayed" not in ask(gateway, words="another").headers
    KeptAnswer.objects.filter(team=gateway.team).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert retention.clear_kept_answers() >= 1
    assert freed(gateway)


def test_the_key_of_a_process_that_died_is_free_again(gateway: Gateway) -> None:
    now = datetime.now(UTC)
    KeptAnswer.objects.create(
        team=gateway.team, key="order-17", request_hash=bytes(32), started_at=now, expires_at=now + timedelta(seconds=1)
    )
    assert ask(gateway).status_code == 422  # it is somebody's still
    time.sleep(1.1)
    assert ask(gateway).status_code == 200


def test_without_a_key_nothing_is_kept(gateway: Gateway) -> None:
    assert gateway.chat("a b").status_code == 200
    assert not KeptAnswer.objects.filter(team=gateway.team).exists()
    assert settings.LIMITS["kept_answer_hours"] == 24
