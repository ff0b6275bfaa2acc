"""Agents that their team's breaker cuts off: at errors, loops, guardrails, by hand; and how they come back. Nobody else is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from django.conf import settings
from django.db import connection
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_user
from tests.server import running_server
from tests.tracking.gateway.conftest import Gateway, make_gateway
from tests.tracking.gateway.test_breakers import api, at_once
from tracking import agent_breaker
from tracking.audit import SYSTEM, Actor
from tracking.models import Agent, Alert, Approval, AuditEntry, Circuit, Refusal, Reservation, Team
from tracking.steering import approvals
from wflo_site.processes import wait_until

NAME = "agent:writer"


def breaker(gateway: Gateway, **given: Any) -> None:
    """Of the gateway's team; processes know of it when they have forgotten what the key said before."""
    agent_breaker.set_policy(gateway.team, {"mode": "on", **given}, actor=SYSTEM)
    wait_until(lambda: False, seconds=settings.LIMITS["key_cache_seconds"] + 0.2)


def call(
    gateway: Gateway, model: str = "echo", *, agent: str = "writer", words: str = "a b", **more: Any
) -> httpx.Response:
    return gateway.chat(words, model=model, headers={"x_wflo_agent": agent, **more.pop("headers", {})}, **more)


def is_in(gateway: Gateway, state: str, name: str = NAME) -> bool:
    rows = Circuit.objects.filter(team_id=gateway.team.pk, name=name, state=state)
    return wait_until(rows.exists, seconds=10)


def refused(gateway: Gateway, **more: Any) -> httpx.Response:
    """The first call that every process refuses: each looks again twice a second."""
    last: list[httpx.Response] = []

    def is_refused() -> bool:
        last[:] = [call(gateway, **more)]
        return last[0].status_code == 429

    assert wait_until(is_refused, seconds=10), last[0].text
    return last[0]


def failed(gateway: Gateway, times: int = 5, **more: Any) -> None:
    for _ in range(times):
        assert call(gateway, "echo-fail400", **more).status_code == 400


def due(gateway: Gateway, name: str = NAME) -> None:
    """Its rest is over."""
    Circuit.objects.filter(team_id=gateway.team.pk, name=name).update(retry_at=datetime.now(UTC) - timedelta(seconds=1))


def moves(gateway: Gateway, name: str = NAME) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(team=gateway.team, object_kind="circuit", object_id=name).order_by("id")
    return [(entry.action, (entry.after or {})["state"]) for entry in entries]


def test_nothing_is_cut_off_where_nobody_switched_it_on(gateway: Gateway) -> None:
    failed(gateway, 8)
    assert call(gateway).status_code == 200
    assert not Circuit.objects.filter(team_id=gateway.team.pk, name=NAME).exists()
    assert not Alert.objects.filter(team=gateway.team, kind="circuit").exists()


def test_calls_that_fail_in_a_row_cut_it_off_before_any_money_is_held(gateway: Gateway) -> None:
    budget = gateway.budget("1")
    breaker(gateway, failures_max=3)
    failed(gateway, 2)
    assert call(gateway).status_code == 200  # in between: the count begins anew
    failed(gateway, 3)
    assert is_in(gateway, "open")
    held, asked = Reservation.objects.filter(team=gateway.team).count(), len(gateway.provider.requests)
    answer = refused(gateway)
    error = answer.json()["error"]
    assert (error["code"], error["circuit"], error["needs_person"]) == ("circuit_open", NAME, False)
    assert answer.headers["x-should-retry"] == "false"
    assert "3 calls in a row failed." in error["message"]
    assert "may try it" in error["message"]
    assert datetime.fromisoformat(error["retry_at"]) > datetime.now(UTC) + timedelta(minutes=10)
    assert (Reservation.objects.filter(team=gateway.team).count(), len(gateway.provider.requests)) == (held, asked)
    rows = Refusal.objects.filter(team=gateway.team, id=error["request_id"], code="circuit_open", agent="writer")
    assert wait_until(rows.exists, seconds=10)
    gateway.at_rest()
    assert gateway.spent(budget) > 0
    alert = Alert.objects.get(team=gateway.team, kind="circuit")
    assert (alert.agent, alert.payload["why"], alert.payload["circuit"]) == (
        "writer",
        "3 calls in a row failed.",
        "writer",
    )
    entry = AuditEntry.objects.get(team=gateway.team, action="circuit.move", object_id=NAME)
    assert (entry.actor_kind, entry.before, (entry.after or {})["state"]) == ("system", {"state": "closed"}, "open")


def test_others_go_on(gateway: Gateway) -> None:
    breaker(gateway, failures_max=2)
    failed(gateway, 2)
    refused(gateway)
    assert call(gateway, agent="reader").status_code == 200
    assert gateway.chat("a b").status_code == 200
    stranger = make_gateway(gateway.server, gateway.provider, "Strangers")
    with stranger.client:
        assert call(stranger).status_code == 200
        assert api(stranger, "POST", f"circuits/{NAME}/reset").status_code == 404
        assert api(stranger, "GET", "circuits").json() == {"circuits": []}


def test_after_its_rest_one_call_tries_and_closes_it(gateway: Gateway) -> None:
    breaker(gateway, failures_max=2)
    failed(gateway, 2)
    refused(gateway)
    due(gateway)
    assert wait_until(lambda: call(gateway, "echo-fail400").status_code == 400, seconds=10)
    assert wait_until(lambda: len(moves(gateway)) == 3, seconds=10)
    assert "tried it failed" in refused(gateway).json()["error"]["message"]
    due(gateway)
    assert wait_until(lambda: call(gateway).status_code == 200, seconds=10)
    assert is_in(gateway, "closed")
    assert [state for _, state in moves(gateway)] == ["open", "half_open", "open", "half_open", "closed"]
    over = Alert.objects.filter(team=gateway.team, kind="circuit").exclude(resolved_at=None)
    assert wait_until(over.exists, seconds=10)


def test_a_person_is_asked_first_where_the_team_wants_that(gateway: Gateway) -> None:
    breaker(gateway, failures_max=2, needs_approval=True)
    failed(gateway, 2)
    error = refused(gateway).json()["error"]
    assert (error["needs_person"], error["retry_at"]) == (True, None)
    assert "Approvals" in error["message"]
    asked = Approval.objects.get(team=gateway.team)
    assert (asked.agent, asked.status, asked.id) == (
        "writer",
        "pending",
        Circuit.objects.get(name=NAME, team_id=gateway.team.pk).approval,
    )
    person = Actor.of(make_user(f"Ada{gateway.team.pk}", team=gateway.team))
    approvals.decide(gateway.team, asked.id, "approved", actor=person)
    assert is_in(gateway, "half_open")
    assert wait_until(lambda: call(gateway).status_code == 200, seconds=10)
    assert is_in(gateway, "closed")
    assert moves(gateway) == [("circuit.move", "open"), ("circuit.allow", "half_open"), ("circuit.move", "closed")]


def test_a_no_leaves_it_cut_off_until_somebody_resets_it(gateway: Gateway) -> None:
    breaker(gateway, failures_max=2, needs_approval=True)
    failed(gateway, 2)
    refused(gateway)
    approvals.decide(gateway.team, Approval.objects.get(team=gateway.team).id, "rejected", actor=SYSTEM)
    row = Circuit.objects.get(team_id=gateway.team.pk, name=NAME)
    assert (row.state, row.is_held, row.approval) == ("open", True, None)
    assert api(gateway, "POST", f"circuits/{NAME}/reset").json()["state"] == "closed"
    assert wait_until(lambda: call(gateway).status_code == 200, seconds=10)


def test_a_loop_cuts_it_off_and_its_other_runs_with_it(gateway: Gateway) -> None:
    breaker(gateway)
    run = {"x_wflo_run_id": f"circles {gateway.team.pk}"}
    codes = [call(gateway, words="the very same", headers=run) for _ in range(2)]
    assert codes[-1].json()["error"]["code"] == "loop_detected"
    assert is_in(gateway, "open")
    error = refused(gateway, headers={"x_wflo_run_id": "another"}).json()["error"]
    assert "It went round in circles" in error["why"]
    alert = Alert.objects.get(team=gateway.team, kind="circuit")
    assert alert.payload["loop"]["loop_type"] == "exact_prompt"


def test_loops_are_left_to_the_loop_guard_where_the_team_says_so(gateway: Gateway) -> None:
    breaker(gateway, on_loop=False)
    for _ in range(3):
        last = call(gateway, words="the very same", headers={"x_wflo_run_id": f"circles {gateway.team.pk}"})
    assert last.json()["error"]["code"] == "loop_detected"
    assert call(gateway, headers={"x_wflo_run_id": "another"}).status_code == 200


def test_guardrail_hits_cut_it_off(gateway: Gateway) -> None:
    Team.objects.filter(pk=gateway.team.pk).update(guard="block")
    breaker(gateway, hits_max=2)
    for number in range(2):
        assert call(gateway, words=f"mail ada{number}@example.org").json()["error"]["code"] == "dlp_violation"
    assert is_in(gateway, "open")
    assert "A guardrail stepped in 2 times." in refused(gateway).json()["error"]["message"]
    assert Alert.objects.get(team=gateway.team, kind="circuit").payload["guard"] == "prompt"


def test_a_breaker_that_only_tells_leaves_calls_alone(gateway: Gateway) -> None:
    breaker(gateway, mode="tell", failures_max=2)
    failed(gateway, 2)
    alerts = Alert.objects.filter(team=gateway.team, kind="circuit")
    assert wait_until(alerts.exists, seconds=10)
    assert alerts.get().payload["goes_on"] is True
    assert is_in(gateway, "closed")
    assert call(gateway).status_code == 200
    assert moves(gateway) == []


@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_provider_is_no_fault_of_the_agent_and_one_that_is_down_is(gateway: Gateway, status: int) -> None:
    breaker(gateway, failures_max=2)
    for _ in range(2):
        assert call(gateway, f"echo-fail{status}").status_code == status
    if status == 429:
        assert not Circuit.objects.filter(team_id=gateway.team.pk, name=NAME).exists()
    else:
        assert is_in(gateway, "open")


def test_streams_that_break_off_count_too(gateway: Gateway) -> None:
    breaker(gateway, failures_max=2)
    for _ in range(2):
        assert "upstream_error" in call(gateway, "echo-cut", words="a b c d e", stream=True).text
    assert is_in(gateway, "open")
    assert "circuit_open" in refused(gateway, stream=True).text


def test_by_hand_before_anything_failed_with_the_breaker_off(gateway: Gateway) -> None:
    Agent.objects.create(team=gateway.team, name="writer", colour=2, first_seen_at=datetime.now(UTC))
    missing = api(gateway, "POST", "circuits/agent:nobody/open")
    assert missing.status_code == 400  # no reason
    body = {"reason": "it mails customers"}

    def post(verb: str, name: str = NAME, json: Any = None) -> httpx.Response:
        return gateway.client.post(
            f"/api/v1/circuits/{name}/{verb}", json=json or {}, headers={"authorization": f"Bearer {gateway.key}"}
        )

    assert post("open", "agent:nobody", body).status_code == 404
    assert post("open", json={"reason": "x", "minutes": 0}).json()["field"] == "minutes"
    shown = post("open", json=body).json()
    assert (shown["state"], shown["kind"], shown["is_held"]) == ("open", "agent", True)
    assert "it mails customers" in refused(gateway).json()["error"]["message"]
    assert post("allow").json()["state"] == "half_open"
    assert wait_until(lambda: call(gateway).status_code == 200, seconds=10)
    assert is_in(gateway, "closed")
    assert post("allow").status_code == 409
    assert [action for action, _ in moves(gateway)] == ["circuit.open", "circuit.allow", "circuit.move"]


def test_the_policy_is_read_and_changed(gateway: Gateway) -> None:
    def put(**given: Any) -> httpx.Response:
        return gateway.client.put("/api/v1/breaker", json=given, headers={"authorization": f"Bearer {gateway.key}"})

    usual = api(gateway, "GET", "breaker").json()
    assert (usual["mode"], usual["speed_max"], usual["needs_approval"]) == ("off", 10, False)
    changed = put(mode="on", failures_max=None, speed_usd_min=2.5).json()
    assert (changed["mode"], changed["failures_max"], changed["speed_usd_min"]) == ("on", None, 2.5)
    assert put(mode="tell").json()["failures_max"] is None
    assert put(rest_minutes=0).json()["field"] == "rest_minutes"
    assert put(mode="perhaps").status_code == 400
    entries = AuditEntry.objects.filter(team=gateway.team, action="breaker.change").order_by("id")
    assert [entry.after for entry in entries] == [
        {"mode": "on", "failures_max": None, "speed_usd_min": "2.5"},
        {"mode": "tell"},
    ]


def test_a_call_waits_for_no_look_at_circuits_while_nothing_is_open(gateway: Gateway) -> None:
    """The table is locked for everybody else, and the call is answered all the same."""
    breaker(gateway)
    assert call(gateway, words="first").status_code == 200
    with psycopg.connect(**connection.get_connection_params() | {"cursor_factory": psycopg.Cursor}) as locker:
        locker.execute("LOCK TABLE tracking_circuit IN ACCESS EXCLUSIVE MODE")
        assert call(gateway, words="second").status_code == 200


@pytest.fixture
def four(gateway: Gateway, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Gateway]:
    """The same provider behind four processes."""
    with running_server(tmp_path, workers=4, app="tests.short_limits:application") as server:
        other = make_gateway(server, gateway.provider, "Four")
        with other.client:
            yield other
        other.at_rest()


def test_all_processes_refuse_it_and_let_one_call_through(four: Gateway) -> None:
    breaker(four, failures_max=2)
    failed(four, 2)
    agent = {"x_wflo_agent": "writer"}
    assert wait_until(lambda: at_once(four, 8, model="echo", headers=agent) == [429] * 8, seconds=20)
    four.provider.clear()
    due(four)
    answers: list[int] = []

    def is_tried() -> bool:
        answers[:] = at_once(four, 12, model="echo-hang", headers=agent)
        return 504 in answers

    assert wait_until(is_tried, seconds=20)
    assert (answers.count(504), answers.count(429), len(four.provider.requests)) == (1, 11, 1)
    assert is_in(four, "open")
