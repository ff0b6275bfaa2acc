"""Deployments that fail are given a rest, by all processes together; and come back by one probe. B40."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from pytest_django.plugin import DjangoDbBlocker

from tests.server import running_server
from tests.tracking.gateway.conftest import Gateway, make_gateway, make_group
from tests.tracking.gateway.test_fallback import price
from tracking.circuits import DEPLOYMENT
from tracking.models import Alert, AuditEntry, Circuit, Deployment, Reservation
from wflo_site.processes import wait_until

FAILURES = 5


@pytest.fixture
def four(gateway: Gateway, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Gateway]:
    """The same provider behind four processes, in which a rest lasts a second."""
    with running_server(tmp_path, workers=4, app="tests.short_limits:application") as server:
        other = make_gateway(server, gateway.provider, "Four")
        with other.client:
            yield other
        other.at_rest()


def circuit(gateway: Gateway) -> Circuit:
    return Circuit.objects.get(team_id=gateway.team.pk)


def is_in(gateway: Gateway, state: str) -> bool:
    return wait_until(lambda: Circuit.objects.filter(team_id=gateway.team.pk, state=state).exists(), seconds=10)


def api(gateway: Gateway, method: str, path: str) -> httpx.Response:
    return gateway.client.request(method, f"/api/v1/{path}", headers={"authorization": f"Bearer {gateway.key}"})


def opened(gateway: Gateway, model: str = "broken") -> Circuit:
    make_group(gateway.team, model, gateway.provider.url, "echo-fail500")
    for _ in range(FAILURES):
        assert gateway.chat(model=model).json()["error"]["upstream_status"] == 500
    assert wait_until(lambda: Alert.objects.filter(team=gateway.team, kind="circuit").exists(), seconds=10)
    return circuit(gateway)


def test_it_opens_is_told_and_leaves_no_hold(gateway: Gateway) -> None:
    gateway.budget("1")
    row = opened(gateway)
    asked = len(gateway.provider.requests)
    answer = gateway.chat(model="broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "circuit_open")
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert len(gateway.provider.requests) == asked == FAILURES
    gateway.at_rest()
    assert Reservation.objects.filter(team=gateway.team).count() == FAILURES
    alert = Alert.objects.get(team=gateway.team, kind="circuit")
    assert (alert.payload["circuit"], alert.payload["errors"]) == ("openai/echo-fail500", FAILURES)
    assert row.last_error == "failed with 500"


def test_the_next_deployment_is_called_at_once(gateway: Gateway) -> None:
    make_group(gateway.team, "two", gateway.provider.url, "echo-fail500", "echo")
    for _ in range(FAILURES):
        assert gateway.chat("a b", model="two").status_code == 200
    assert is_in(gateway, "open")
    gateway.provider.clear()
    assert gateway.chat("a b", model="two").headers["x-wflo-model"] == "openai/echo"
    assert [request["body"]["model"] for request in gateway.provider.requests] == ["echo"]


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429])
def test_what_is_not_the_providers_fault_never_trips_it(gateway: Gateway, status: int) -> None:
    make_group(gateway.team, "wrong", gateway.provider.url, f"echo-fail{status}")
    price(gateway, f"echo-fail{status}")
    for _ in range(2 * FAILURES):
        assert gateway.chat(model="wrong").json()["error"]["upstream_status"] == status
    assert not Circuit.objects.filter(team_id=gateway.team.pk).exists()


def test_success_between_failures_keeps_it_closed(gateway: Gateway) -> None:
    make_group(gateway.team, "flaky", gateway.provider.url, "echo-flaky")
    price(gateway, "echo-flaky")
    for n in range(2 * FAILURES):
        words = f"number {gateway.team.pk} {n}"
        assert [gateway.chat(words, model="flaky").status_code for _ in range(2)] == [503, 200]
    assert is_in(gateway, "closed")
    assert circuit(gateway).failures <= 1


def test_streams_that_break_off_count(gateway: Gateway) -> None:
    for _ in range(FAILURES):
        assert "upstream_error" in gateway.chat("a b c d e", model="echo-cut", stream=True).text
    assert is_in(gateway, "open")
    assert gateway.chat("a b c d e", model="echo-cut", stream=True).status_code == 503


def test_other_teams_are_not_cut_off_by_it(gateway: Gateway) -> None:
    opened(gateway)
    other = make_gateway(gateway.server, gateway.provider, "Others")
    with other.client:
        make_group(other.team, "broken", gateway.provider.url, "echo-fail500")
        assert other.chat(model="broken").json()["error"]["upstream_status"] == 500
        assert api(other, "POST", f"circuits/{circuit(gateway).name}/reset").status_code == 404
        assert all(c["name"] != circuit(gateway).name for c in api(other, "GET", "circuits").json()["circuits"])


def test_it_is_listed_and_reset_by_hand(gateway: Gateway) -> None:
    row = opened(gateway)
    [shown] = api(gateway, "GET", "circuits").json()["circuits"]
    facts = (shown["name"], shown["model"], shown["state"], shown["failures"], shown["is_shared"])
    assert facts == (row.name, "openai/echo-fail500", "open", FAILURES, False)
    Deployment.objects.filter(group__team=gateway.team, group__name="broken").update(model="openai/echo")
    time.sleep(settings.LIMITS["route_cache_seconds"] + 0.1)  # processes remember where it was
    after = api(gateway, "POST", f"circuits/{row.name}/reset").json()
    assert (after["state"], after["failures"]) == ("closed", 0)
    assert wait_until(lambda: gateway.chat("a b", model="broken").status_code == 200, seconds=10)
    assert Alert.objects.get(team=gateway.team, kind="circuit").resolved_at is not None
    assert AuditEntry.objects.filter(team=gateway.team, action="circuit.reset", object_id=row.name).exists()
    assert row.name.startswith(DEPLOYMENT)


def at_once(gateway: Gateway, times: int, **call: Any) -> list[int]:
    def one(_: int) -> int:
        with httpx.Client(base_url=gateway.server.url, timeout=30) as client:
            mine = Gateway(gateway.server, gateway.provider, client, gateway.team, gateway.key)
            return mine.chat("a b", **call).status_code

    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(one, range(times)))


def test_four_processes_let_one_probe_through(four: Gateway) -> None:
    """B40: of forty calls one reaches a deployment that hangs; when a probe is answered it is whole for everybody."""
    opened(four)
    broken = Deployment.objects.filter(group__team=four.team, group__name="broken")
    broken.update(model="openai/echo-hang", timeout_seconds=10)
    assert wait_until(lambda: _is_due(four), seconds=10)
    four.provider.clear()
    answers = at_once(four, 40, model="broken")
    assert (answers.count(504), answers.count(503), len(four.provider.requests)) == (1, 39, 1)
    assert is_in(four, "open")
    broken.update(model="openai/echo")
    assert wait_until(lambda: at_once(four, 8, model="broken") == [200] * 8, seconds=20)
    over = Alert.objects.filter(team=four.team, kind="circuit").exclude(resolved_at=None)
    assert wait_until(over.exists, seconds=10)


def _is_due(gateway: Gateway) -> bool:
    """And every process has forgotten where the deployment was."""
    retry_at = circuit(gateway).retry_at
    return retry_at is not None and retry_at + timedelta(seconds=2) < datetime.now(UTC)
