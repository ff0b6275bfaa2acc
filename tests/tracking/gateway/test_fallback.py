"""Several deployments behind one name: which failures go to the next, what each attempt costs, who is told what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.server import running_server
from tests.tracking.gateway.conftest import INPUT_USD, MODELS, OUTPUT_USD, Gateway, make_gateway, make_group
from tests.tracking.gateway.peer import a_peer
from tracking import pricing
from tracking.audit import SYSTEM
from tracking.codes import STATUS_CODES
from tracking.gateway import failures
from tracking.gateway.routing import Route, Routes
from tracking.models import Deployment, LedgerEntry, Reservation, Span
from wflo.spans import Status
from wflo_site.processes import wait_until

OK, ERROR = STATUS_CODES[Status.OK], STATUS_CODES[Status.ERROR]


def two(gateway: Gateway, first: str, second: str = "echo", **fields: Any) -> str:
    make_group(gateway.team, "two", gateway.provider.url, first, second, **fields)
    price(gateway, first)
    return "two"


def price(gateway: Gateway, *models: str) -> None:
    figures = {"input_usd_per_million": "1", "output_usd_per_million": "10"}
    for model in set(models) - set(MODELS):
        pricing.set_price(SYSTEM, gateway.team, f"openai/{model}", figures, valid_from="2020-01-01T00:00:00Z")


def spans(gateway: Gateway, count: int) -> list[Span]:
    found = Span.objects.filter(team=gateway.team).order_by("attempt", "started_at")
    assert wait_until(lambda: found.count() >= count, seconds=10)
    assert found.count() == count
    return list(found)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("first", ["echo-fail429", "echo-fail500", "echo-fail503", "echo-fail529", "echo-ctxlen"])
def test_the_next_deployment_answers_and_is_the_one_that_is_paid_and_told(
    gateway: Gateway, first: str, is_stream: bool
) -> None:
    budget = gateway.budget("1")
    answer = gateway.chat("one two", model=two(gateway, first), stream=is_stream)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-wflo-model"] == "openai/echo"
    assert len(gateway.provider.requests) == 2  # one a deployment: nobody else tries again
    assert gateway.spent(budget) == gateway.billed() == 2 * INPUT_USD + 2 * OUTPUT_USD
    failed, answered = spans(gateway, 2)
    assert (failed.attempt, failed.model, failed.status, failed.cost_usd) == (1, first, ERROR, None)
    assert (answered.attempt, answered.model, answered.status) == (2, "echo", OK)
    assert answered.cost_usd == gateway.billed()
    assert {failed.requested_model, answered.requested_model} == {"two"}
    states = Reservation.objects.filter(team=gateway.team).values_list("state", flat=True)
    assert len(states) == 2  # a hold an attempt, none of them open
    assert 0 not in states


def test_each_is_charged_at_its_own_price(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    dear = {"input_usd_per_million": "100", "output_usd_per_million": "100"}
    pricing.set_price(SYSTEM, gateway.team, "openai/echo-dear", dear, valid_from="2020-01-01T00:00:00Z")
    answer = gateway.chat("one two", model=two(gateway, "echo-fail500", "echo-dear"))
    assert Decimal(str(answer.json()["agentwall"]["cost_usd"])) == Decimal("0.0004") == gateway.spent(budget)


def test_a_provider_that_is_not_there_or_never_answers_gives_way(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    name = two(gateway, "echo-hang")
    Deployment.objects.filter(group__team=gateway.team, model="openai/echo-hang").update(timeout_seconds=1)
    answer = gateway.chat("one two", model=name, max_tokens=10)
    assert (answer.status_code, answer.headers["x-wflo-model"]) == (200, "openai/echo")
    spent = gateway.spent(budget)
    kept = LedgerEntry.objects.get(team=gateway.team, is_estimated=True)  # it may bill for what it never sent
    assert spent == gateway.billed() + kept.usd
    assert kept.usd > 0
    Deployment.objects.filter(group__team=gateway.team, model="openai/echo-hang").update(api_base="http://127.0.0.1:9")
    assert wait_until(lambda: gateway.chat("one two", model=name).elapsed.total_seconds() < 0.9, seconds=10)
    assert LedgerEntry.objects.filter(team=gateway.team, is_estimated=True).count() >= 1


def test_an_answer_that_breaks_off_is_not_handed_on_and_may_have_cost(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    half = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id": "x"'
    with a_peer(half) as address:
        make_group(gateway.team, "half", address, "echo")
        answer = gateway.chat(model="half", max_tokens=20)
    assert (answer.status_code, answer.json()["error"]["upstream_status"]) == (502, None)
    assert gateway.spent(budget) > 0
    assert LedgerEntry.objects.get(team=gateway.team).is_estimated


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_is_the_callers_or_the_operators_fault_does_not_go_on(gateway: Gateway, status: int) -> None:
    budget = gateway.budget("1")
    answer = gateway.chat(model=two(gateway, f"echo-fail{status}"))
    assert (answer.status_code, answer.json()["error"]["upstream_status"]) == (status, status)
    assert len(gateway.provider.requests) == 1
    assert gateway.spent(budget) == 0


@pytest.mark.parametrize(("status", "requests"), [(401, 2), (403, 2), (400, 1)])
def test_a_refused_key_goes_on_where_the_group_says_so(gateway: Gateway, status: int, requests: int) -> None:
    answer = gateway.chat(model=two(gateway, f"echo-fail{status}", fallback_on_auth=True))
    assert len(gateway.provider.requests) == requests
    assert answer.status_code == (200 if requests == 2 else status)


def test_a_deployment_without_a_price_is_passed_over_after_a_failure_and_named_before_one(gateway: Gateway) -> None:
    gateway.budget("1")
    make_group(gateway.team, "unpriced", gateway.provider.url, "echo-fail500", "new", "echo")
    assert gateway.chat(model="unpriced").headers["x-wflo-model"] == "openai/echo"
    make_group(gateway.team, "failing", gateway.provider.url, "echo-fail500", "new")
    assert gateway.chat(model="failing").json()["error"]["upstream_status"] == 500
    make_group(gateway.team, "priceless", gateway.provider.url, "new", "echo")
    assert gateway.chat(model="priceless").json()["error"]["code"] == "model_unpriced"


def test_when_all_fail_the_last_one_is_told_and_no_more_are_tried_than_the_limit(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    make_group(gateway.team, "many", gateway.provider.url, *["echo-fail500"] * 3, "echo-fail503", "echo")
    price(gateway, "echo-fail503")
    answer = gateway.chat(model="many")
    assert (answer.status_code, answer.json()["error"]["upstream_status"]) == (503, 503)
    assert len(gateway.provider.requests) == 4
    assert gateway.spent(budget) == 0


def test_lower_priorities_come_first_and_weights_share_out_among_equals() -> None:
    def route(name: str, priority: int, weight: int) -> Route:
        return Route(id=name, provider="openai", name=name, api_base="", priority=priority, weight=weight)

    last = route("last", 5, 1000)
    group = Routes(
        asked="g", meant="g", group="g", cache_seconds=0, deployments=(last, route("a", 0, 1), route("b", 0, 3))
    )
    draws = 4_000
    orders = [[one.name for one in group.in_order()] for _ in range(draws)]
    assert {order[2] for order in orders} == {"last"}
    firsts = Counter(order[0] for order in orders)
    assert abs(firsts["b"] - draws * 3 / 4) < 6 * (draws * 3 / 16) ** 0.5  # six standard deviations


@pytest.mark.parametrize(
    ("given", "told"),
    [("3600", "60"), ("7", "7"), ("0.2", "1"), ("-1", None), ("NaN", None), ("inf", None), ("1e9", "60"),
     ("Thu, 01 Jan 1970 00:00:00 GMT", None), ("", None)],
)  # fmt: skip
def test_a_providers_retry_after_is_bounded(gateway: Gateway, given: str, told: str | None) -> None:
    """B42."""
    body = b'{"error": {"message": "slow down"}}'
    head = f"HTTP/1.1 429 X\r\nretry-after: {given}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with a_peer(head.encode() + body) as address:
        make_group(gateway.team, "busy", address, "echo")
        answer = gateway.chat(model="busy")
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, told)
    assert answer.json()["error"]["message"] == "slow down"


def test_no_retry_after_is_longer_than_a_minute() -> None:
    """B42."""
    assert [failures.retry_after(text) for text in ("86400", "5", "x", None)] == [60.0, 5.0, None, None]


@pytest.fixture
def impatient(gateway: Gateway, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Gateway]:
    """The same provider behind a server that waits for nothing longer than a second."""
    with running_server(tmp_path, app="tests.short_limits:application") as server:
        other = make_gateway(server, gateway.provider, "Impatient")
        with other.client:
            yield other
        other.at_rest()


def test_a_provider_that_hangs_or_drips_is_given_up_at_our_deadline_and_settled(impatient: Gateway) -> None:
    """B41."""
    budget = impatient.budget("1")
    answer = impatient.chat(model="echo-hang", max_tokens=10)
    assert (answer.status_code, answer.json()["error"]["upstream_status"]) == (504, None)
    hung = impatient.spent(budget)
    assert hung > 0  # nobody knows whether it will bill
    with a_peer(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{", pause_s=30
    ) as address:
        make_group(impatient.team, "drips", address, "echo")
        assert impatient.chat(model="drips", max_tokens=10).status_code == 504
    begun = b'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {"choices": []}\n\n'
    with a_peer(begun, pause_s=30) as address:
        make_group(impatient.team, "silent", address, "echo")
        answer = impatient.chat(model="silent", max_tokens=10, stream=True)
    assert answer.status_code == 200
    assert "nothing came for too long" in answer.text
    assert "[DONE]" not in answer.text
    assert impatient.spent(budget) > hung
    assert impatient.chat("a b", model="echo").status_code == 200  # and the server is free for others
