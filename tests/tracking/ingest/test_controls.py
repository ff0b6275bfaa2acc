"""Senders of our own events are told which of their runs may not go on, and of no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_key, make_team
from tests.server import Server
from tests.tracking.ingest.sender import Sender, a_sender
from tracking import run_control
from tracking.audit import SYSTEM, Actor
from tracking.models import Approval, Budget, Run, RunControl, Team
from tracking.steering import approvals


@pytest.fixture(scope="module")
def _sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    with a_sender(served, django_db_blocker) as sender:
        yield sender


@pytest.fixture
def sender(_sender: Sender, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    """What a test does is committed: the server sees it."""
    with django_db_blocker.unblock():
        yield _sender


def told(sender: Sender, number: int, *runs: str) -> Any:
    events = [
        {"kind": "tool_call", "event_id": f"{number}", "run_id": run, "ts": f"2026-11-20T10:00:{number:02d}Z",
         "tool": "search", "duration_ms": 5}
        for run in runs
    ]  # fmt: skip
    answer = sender.post("/api/v1/ingest", json.dumps({"events": events}).encode(), content_type="application/json")
    assert answer.status_code == 200
    return answer.json()["control"]


def kill(team: Team, run: str) -> None:
    run_control.kill(team, [run], reason="wrong customer", actor=SYSTEM)


def test_a_sender_is_told_of_its_runs_that_were_stopped(sender: Sender) -> None:
    assert told(sender, 1, "a", "b") == {}
    kill(sender.team, "a")
    stopped = {
        "status": "killed", "kill_reason": "wrong customer", "budget_remaining_usd": None, "rollback": None, "approvals": {},
    }  # fmt: skip
    assert told(sender, 2, "a", "b") == {"runs": {"a": stopped}}
    assert told(sender, 2, "a") == {"runs": {"a": stopped}}  # the same events once more
    assert told(sender, 3, "b") == {}
    assert Run.objects.get(team=sender.team, external_id="a").status == "killed"


def test_a_stopped_run_of_the_same_name_of_another_team_is_another(sender: Sender) -> None:
    assert told(sender, 1, "same") == {}
    others = make_team("Others")
    mine = Run.objects.get(team=sender.team, external_id="same")
    RunControl.objects.create(team=others, run="same", started_at=mine.started_at, last_at=mine.started_at)
    kill(others, "same")
    assert told(sender, 2, "same") == {}


def test_what_each_run_may_spend_comes_with_it(sender: Sender) -> None:
    team = sender.team
    Budget.objects.create(
        organization=team.organization, team=team, name="each", scope_kind="team", window="run", limit_usd=2
    )
    told(sender, 1, "c")
    kill(team, "c")
    assert told(sender, 2, "c")["runs"]["c"]["budget_remaining_usd"] == 2.0


def ask(team: Team, run: str, action: str, **more: Any) -> Approval:
    asked = {"action": action, "agent": "", "risk": "low", "question": "", "timeout_s": 600, "on_timeout": "reject"}
    return approvals.request(team, run, asked | more)[0]


def test_what_was_asked_and_decided_comes_with_it(sender: Sender) -> None:
    team, ada = sender.team, Actor("person", "1", "Ada")
    yes, no, waits = (ask(team, "asks", action) for action in ("yes", "no", "waits"))
    approvals.decide(team, yes.id, "approved", actor=ada, comment="go")
    approvals.decide(team, no.id, "rejected", actor=ada)
    ask(team, "another", "elsewhere")
    ask(make_team("Others"), "asks", "theirs")
    expected = {
        str(yes.id): {"status": "approved", "decided_by": "Ada", "comment": "go"},
        str(no.id): {"status": "rejected", "decided_by": "Ada", "comment": ""},
        str(waits.id): {"status": "pending", "decided_by": "", "comment": ""},
    }
    block = told(sender, 1, "asks")["runs"]["asks"]
    assert (block["status"], block["approvals"]) == ("running", expected)
    key = make_key(team, scopes=["read"])[1]
    answer = sender.client.get("/api/v1/runs/asks/control", headers={"authorization": f"Bearer {key}"})
    assert answer.json()["approvals"] == expected


def test_old_decisions_and_more_than_the_limit_are_left_out(sender: Sender, settings: Settings) -> None:
    team, hours = sender.team, timedelta(hours=2)
    for number in range(60):
        ask(team, "many", f"step {number}")
    old = ask(team, "many", "old")
    approvals.decide(team, old.id, "approved", actor=SYSTEM)
    Approval.objects.filter(team=team, id=old.id).update(decided_at=old.requested_at - hours)
    late = ask(team, "many", "late")
    Approval.objects.filter(team=team, id=late.id).update(expires_at=late.requested_at - hours)
    found = told(sender, 1, "many")["runs"]["many"]["approvals"]
    assert len(found) == settings.LIMITS["approvals_told"]
    assert not {str(old.id), str(late.id)} & set(found)
