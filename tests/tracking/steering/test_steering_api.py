"""Approvals, dead letters, circuits, votes and shared values of a running Wflo, as the library uses them."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_key, make_team
from tests.server import Server
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.alerts.messages import webhook_body
from tracking.models import AuditEntry, Delivery
from wflo import config, exporter, letters, recording
from wflo.approvals import approval_gate, await_approval, wait_for_approval
from wflo.bell import bell
from wflo.breakers import circuit_breaker
from wflo.consensus import consensus_vote
from wflo.errors import ApprovalRequiredError, CircuitOpenError, RetryExhaustedError
from wflo.retry import with_retry
from wflo.runs import Run
from wflo.shared_state import ConflictError, SharedState
from wflo.webhooks import receive, sign
from wflo_site.processes import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    with a_sender(served, django_db_blocker) as sender:
        yield sender


@pytest.fixture(scope="module")
def keys(sender: Sender) -> dict[str, str]:
    """Of the team that may decide, and of another team."""
    stranger = make_key(make_team("Strangers"), scopes=["ingest", "read", "jobs"])[1]
    return {"jobs": make_key(sender.team, scopes=["jobs", "read", "admin"])[1], "stranger": stranger}


@pytest.fixture(autouse=True)
def library(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library of this process talks to the server; what it records is not sent."""
    monkeypatch.setattr(config, "_present", config.Config(endpoint=sender.server.url, api_key=sender.key))
    monkeypatch.setattr(exporter, "put", lambda event: None)


def call(sender: Sender, method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
    headers = {"authorization": f"Bearer {key or sender.key}"}
    answer = sender.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def asked(sender: Sender, **more: Any) -> dict[str, Any]:
    given = {"action": "send mail", "risk": "high", "question": "Send it?", "payload": {"to": "ada"}, **more}
    found: dict[str, Any] = call(sender, "POST", "runs/r1/approvals", given, status=201)
    return found


# --- approvals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decision", "status"), [("approve", "approved"), ("reject", "rejected")])
def test_an_agent_waits_until_somebody_decides(
    sender: Sender, keys: dict[str, str], decision: str, status: str
) -> None:
    done: list[str] = []
    outcome: list[Any] = []

    @approval_gate(action=f"{decision} this", risk="critical", question="May it?")
    def send(to: str) -> None:
        done.append(to)

    def agent() -> None:
        with recording.running(Run(id=f"waits for {decision}")):
            try:
                outcome.append(send("ada"))
            except ApprovalRequiredError as error:
                outcome.append(error)

    thread = threading.Thread(target=agent)
    thread.start()

    def pending() -> list[dict[str, Any]]:
        found = call(sender, "GET", f"approvals?status=pending&run=waits for {decision}", key=keys["jobs"])
        listed: list[dict[str, Any]] = found["approvals"]
        return listed

    wait_until(pending, seconds=15)
    (one,) = pending()
    assert (one["action"], one["risk"], one["payload"]) == (f"{decision} this", "critical", {"to": "ada"})
    told = call(sender, "POST", f"approvals/{one['id']}/{decision}", {"comment": "because"}, key=keys["jobs"])
    assert (told["status"], told["comment"]) == (status, "because")
    thread.join(15)
    if decision == "approve":
        assert done == ["ada"]
    else:
        assert (outcome[0].status, outcome[0].comment, done) == ("rejected", "because", [])


@pytest.mark.parametrize("is_async", [False, True])
def test_a_webhook_wakes_who_waits_at_once(
    sender: Sender, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, is_async: bool
) -> None:
    """It asks the server once in an hour, and hears of the answer all the same."""
    monkeypatch.setattr("wflo.approvals.ASK_SECONDS", 3_600.0)
    monkeypatch.setattr("wflo.approvals.ASK_MAX_SECONDS", 3_600.0)
    given = {
        "name": f"Agents {is_async}",
        "kind": "webhook",
        "address": "https://nobody.invalid/",
        "events": ["approval.decided"],
    }
    webhook = call(sender, "POST", "destinations", given, status=201, key=keys["jobs"])
    secret = webhook["signing_secret"]
    one = asked(sender, id=str(uuid.uuid4()))
    done: list[str] = []

    def wait() -> None:
        if is_async:
            asyncio.run(await_approval(one["id"]))
        else:
            wait_for_approval(one["id"])
        done.append("approved")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert wait_until(lambda: bool(bell._waiting), seconds=15)  # it has asked
    call(sender, "POST", f"approvals/{one['id']}/approve", {"comment": "go"}, key=keys["jobs"])
    told = Delivery.objects.get(destination=webhook["id"])
    body = webhook_body(
        str(told.id), told.event, sender.team.name, told.payload, told.created_at, "https://wflo.example"
    )
    event = receive(sign(secret, str(told.id), body, at=time.time()), body, secret)
    assert (event["type"], event["data"]["status"], event["data"]["comment"]) == ("approval.decided", "approved", "go")
    thread.join(30)
    assert done == ["approved"]


def test_a_decision_is_made_once_whoever_comes_second(sender: Sender, keys: dict[str, str]) -> None:
    one = asked(sender)
    barrier = threading.Barrier(8)

    def decide(number: int) -> int:
        barrier.wait()
        path = f"/api/v1/approvals/{one['id']}/{'approve' if number % 2 else 'reject'}"
        return sender.client.post(path, json={}, headers={"authorization": f"Bearer {keys['jobs']}"}).status_code

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(decide, range(8)))
    assert sorted(codes) == [200, *[409] * 7]
    assert AuditEntry.objects.filter(team=sender.team, action="approval.decide", object_id=one["id"]).count() == 1


def test_the_same_question_twice_is_one_and_strangers_see_none(sender: Sender, keys: dict[str, str]) -> None:
    given = {"id": str(uuid.uuid4()), "action": "x"}
    first = call(sender, "POST", "runs/r1/approvals", given, status=201)
    assert call(sender, "POST", "runs/r1/approvals", given) == first
    for path in (f"approvals/{first['id']}",):
        call(sender, "GET", path, status=404, key=keys["stranger"])
    call(sender, "POST", f"approvals/{first['id']}/approve", {}, status=404, key=keys["stranger"])
    call(sender, "POST", f"approvals/{first['id']}/approve", {}, status=403)  # who asks may not decide
    assert call(sender, "GET", "approvals", key=keys["stranger"])["approvals"] == []


@pytest.mark.parametrize(("on_timeout", "status"), [("reject", "expired"), ("approve", "approved")])
def test_whose_time_is_over_is_closed_and_never_decided_later(
    sender: Sender, keys: dict[str, str], on_timeout: str, status: str
) -> None:
    one = asked(sender, timeout_s=0.3, on_timeout=on_timeout)
    time.sleep(0.4)
    call(sender, "POST", f"approvals/{one['id']}/reject", {}, status=409, key=keys["jobs"])
    assert call(sender, "GET", f"approvals/{one['id']}")["status"] == status


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": 10**9}, "timeout_s"),
        ({"risk": "huge"}, "risk"),
        ({"payload": "x" * 70_000}, "payload"),
    ],
)
def test_wrong_questions_are_told_what_is_wrong(sender: Sender, wrong: dict[str, Any], field: str) -> None:
    headers = {"authorization": f"Bearer {sender.key}"}
    answer = sender.client.post("/api/v1/runs/r1/approvals", json={"action": "x", **wrong}, headers=headers)
    assert (answer.status_code in (400, 413), answer.json()["field"]) == (True, field)


# --- dead letters ---------------------------------------------------------------------------------------------------------


def test_what_was_given_up_is_tried_again_when_somebody_wants_it(sender: Sender, keys: dict[str, str]) -> None:
    name, failing, sent = f"send {uuid.uuid4()}", True, []

    @with_retry(max_attempts=2, initial_delay_ms=1, dead_letter=name)
    def send(to: str) -> None:
        raise OSError("the key sk-proj-abcdefghijklmnopqrstuvwxyz0123 is wrong")

    with recording.running(Run(id="writer-1")), pytest.raises(RetryExhaustedError):
        send("ada")
    (letter,) = call(sender, "GET", f"dead-letters?name={name}", key=keys["jobs"])["dead_letters"]
    assert (letter["status"], letter["attempts"], letter["run"]) == ("open", 2, "writer-1")
    assert letter["payload"] == {"to": "ada"}
    assert "sk-proj" not in letter["error"]

    @letters.on_dead_letter(name)
    def again(payload: dict[str, Any]) -> None:
        if failing:
            raise OSError("still down")
        sent.append(payload["to"])

    assert letters.take_dead_letters() == 0  # nobody wants it yet
    call(sender, "POST", f"dead-letters/{letter['id']}/retry", {}, key=keys["jobs"])
    assert letters.take_dead_letters() == 0
    one = call(sender, "GET", f"dead-letters/{letter['id']}")
    assert (one["status"], one["attempts"], one["error"]) == ("open", 3, "OSError: still down")
    failing = False
    call(sender, "POST", "dead-letters/retry", {"ids": [letter["id"]]}, key=keys["jobs"])
    assert letters.take_dead_letters() == 1
    assert sent == ["ada"]
    assert call(sender, "GET", f"dead-letters/{letter['id']}")["status"] == "retried"
    call(sender, "POST", f"dead-letters/{letter['id']}/discard", {}, status=409, key=keys["jobs"])


def test_a_letter_is_taken_by_one_at_a_time(sender: Sender, keys: dict[str, str]) -> None:
    name = f"many {uuid.uuid4()}"
    ids = [call(sender, "POST", "dead-letters", {"name": name, "payload": n}, status=201)["id"] for n in range(10)]
    call(sender, "POST", "dead-letters/retry", {"ids": ids}, key=keys["jobs"])

    def take(_: int) -> list[str]:
        found = call(sender, "GET", f"dead-letters/wanted?name={name}&limit=3")["dead_letters"]
        return [one["id"] for one in found]

    with ThreadPoolExecutor(6) as threads:
        taken = [id for some in threads.map(take, range(6)) for id in some]
    assert sorted(taken) == sorted(ids)


# --- circuits -------------------------------------------------------------------------------------------------------------


def test_a_circuit_is_shared_by_all_processes_of_the_team(sender: Sender, keys: dict[str, str]) -> None:
    name = f"planner {uuid.uuid4()}"

    def failing() -> None:
        raise OSError("down")

    guarded: Any = circuit_breaker(name, failure_threshold=2, recovery_timeout=60)(failing)
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            guarded()
    body = {"policy": {"failures_max": 2, "rest_seconds": 60}}
    told = call(sender, "POST", f"circuits/{name}/ask", body)
    assert (told["allowed"], told["state"], told["failure_count"]) == (False, "open", 2)
    assert 0 < told["retry_after_s"] <= 60
    with pytest.raises(CircuitOpenError):
        guarded()
    assert call(sender, "POST", f"circuits/{name}/ask", body, key=keys["stranger"])["allowed"]
    shown = call(sender, "GET", f"circuits/{name}/status", key=keys["jobs"])
    assert (shown["state"], "down" in shown["last_error"]) == ("open", True)
    call(sender, "POST", f"circuits/{name}/reset", {}, key=keys["jobs"])
    with pytest.raises(OSError, match="down"):
        guarded()
    assert call(sender, "POST", f"circuits/{name}/ask", {"policy": {"colour": 1}}, status=400)["field"] == "policy"
    call(sender, "POST", "circuits/deployment:x/ask", {})  # a component of that name; no deployment's
    assert AuditEntry.objects.filter(team=sender.team, action="circuit.move").exists()


def test_of_all_who_ask_one_is_the_probe(sender: Sender) -> None:
    name, policy = f"probed {uuid.uuid4()}", {"failures_max": 1, "rest_seconds": 0.05}
    call(sender, "POST", f"circuits/{name}/told", {"failures": 1, "error": "down", "policy": policy})
    time.sleep(0.1)

    def ask(_: int) -> Any:
        return call(sender, "POST", f"circuits/{name}/ask", {"policy": policy})["probe"]

    with ThreadPoolExecutor(8) as threads:
        probes = [probe for probe in threads.map(ask, range(8)) if probe]
    assert len(probes) == 1
    closed = call(sender, "POST", f"circuits/{name}/told", {"successes": 1, "probe": probes[0], "policy": policy})
    assert closed["state"] == "closed"


# --- votes and shared values ----------------------------------------------------------------------------------------------


def test_votes_come_from_other_processes(sender: Sender) -> None:
    results: list[Any] = []
    agents = ["a", "b", "c"]

    def vote() -> None:
        with recording.running(Run(id="voting run")):
            results.append(consensus_vote(agents, question="Ship it?", options=["yes", "no"], timeout=20))

    id = str(uuid.uuid4())
    body = {"id": id, "question": "Ship it?", "options": ["yes", "no"], "voters": agents, "quorum": 0.6}
    call(sender, "POST", "consensus", body, status=201)
    call(sender, "POST", f"consensus/{id}/votes", {"voter": "a", "choice": "yes"})
    call(sender, "POST", f"consensus/{id}/votes", {"voter": "a", "choice": "yes"})
    call(sender, "POST", f"consensus/{id}/votes", {"voter": "a", "choice": "no"}, status=409)
    assert call(sender, "POST", f"consensus/{id}/votes", {"voter": "z", "choice": "no"}, status=400)["field"] == "voter"
    assert (
        call(sender, "POST", f"consensus/{id}/votes", {"voter": "b", "choice": "maybe"}, status=400)["field"]
        == "choice"
    )
    call(sender, "POST", f"consensus/{id}/votes", {"voter": "b", "choice": "yes"})
    told = call(sender, "POST", f"consensus/{id}/votes", {"voter": "c", "choice": None})
    assert (told["decision"], told["closed"], told["participation"]) == ("yes", True, pytest.approx(2 / 3))
    call(sender, "POST", f"consensus/{id}/votes", {"voter": "c", "choice": "no"}, status=409)
    assert call(sender, "POST", "consensus", {**body, "id": None, "voters": []}, status=400)["field"] == "voters"


def test_agents_in_two_processes_share_what_they_write(sender: Sender, keys: dict[str, str]) -> None:
    one, two = SharedState("shared run"), SharedState("shared run")
    assert one.set("plan", {"steps": [1]}, version=0) == 1
    assert two.get("plan") == {"steps": [1]}
    with pytest.raises(ConflictError) as conflict:
        two.set("plan", {}, version=0)
    assert (conflict.value.present, conflict.value.version) == ({"steps": [1]}, 1)
    assert two.set("plan", {"by": "two"}, version=0, on_conflict="merge") == 2
    assert one.get("plan") == {"steps": [1], "by": "two"}
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: SharedState("shared run").update("count", lambda n: (n or 0) + 1), range(12)))
    assert one.get("count") == 12
    assert [row["key"] for row in call(sender, "GET", "runs/shared run/state")["values"]] == ["count", "plan"]
    assert call(sender, "GET", "runs/shared run/state", key=keys["stranger"])["values"] == []
    one.delete("plan")
    assert one.get("plan") is None
    assert call(sender, "PUT", "runs/shared run/state/big", {"value": "x" * 300_000}, status=413)["field"] == "value"
