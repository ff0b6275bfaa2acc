"""Senders of our own events are told which of their runs may not go on, and of no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_team
from tests.tracking.ingest.sender import Sender, a_sender
from tracking import run_control
from tracking.audit import SYSTEM
from tracking.models import Budget, Run, RunControl, Team


@pytest.fixture(scope="module")
def _sender(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sender]:
    with a_sender(tmp_path_factory.mktemp("server"), django_db_blocker) as sender:
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
    stopped = {"status": "killed", "kill_reason": "wrong customer", "budget_remaining_usd": None}
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
