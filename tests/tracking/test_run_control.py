"""Runs are stopped and ended by hand: one or many, by any of their names, and never another team's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from tests.make import make_key, make_team
from tests.told import a_store
from tests.tracking.ingest.spans import call, span, stored
from tracking import invariants, run_control
from tracking.audit import SYSTEM
from tracking.errors import Invalid, NotFound
from tracking.ingest.writer import Store
from tracking.models import Alert, AuditEntry, Run, RunControl, Team
from wflo.spans import Kind, Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Iterator[Team]:
    team = make_team("Core")
    yield team
    assert invariants.check(team.pk) == []


def post(team: Team, path: str, body: Any = None, *, status: int = 200, method: str = "POST") -> Any:
    headers = {"Authorization": f"Bearer {make_key(team)[1]}"}
    data = "" if body is None else json.dumps(body)
    answer = Client().generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return json.loads(answer.content)


def a_control(team: Team, run: str, *, minutes_ago: int = 0, **fields: Any) -> RunControl:
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return RunControl.objects.create(team=team, run=run, started_at=at, last_at=at, **fields)


def a_run(store: Store, team: Team) -> Run:
    agent = span(1, kind=Kind.AGENT, agent="mira", lasts=None, status=Status.UNSET)
    stored(store, team, agent, call(2, parent=1))
    return Run.objects.get(team=team)


def test_a_killed_run_is_killed_under_all_its_names_once_and_it_is_on_record(store: Store, team: Team) -> None:
    run = a_run(store, team)
    for reference in (str(run.id), run.trace_id.hex):
        run_control.kill(team, [reference], reason="wrong customer", actor=SYSTEM)
        run_control.kill(team, [reference], reason="again", actor=SYSTEM)
    run.refresh_from_db()
    assert (run.status, run.error) == ("killed", "wrong customer")
    assert set(RunControl.objects.values_list("kill_reason", flat=True)) == {"wrong customer"}
    assert run.trace_id.hex in set(RunControl.objects.values_list("run", flat=True))
    entry = AuditEntry.objects.get(team=team, action="run.kill")
    assert entry.after == {"reason": "wrong customer"}
    assert Alert.objects.get(team=team).kind == "killed"


def test_spans_that_come_late_leave_it_killed(store: Store, team: Team) -> None:
    run = a_run(store, team)
    run_control.kill(team, [str(run.id)], reason="enough", actor=SYSTEM)
    stored(store, team, call(3, parent=1))
    assert Run.objects.get(team=team).status == "killed"


def test_many_are_killed_or_none(team: Team) -> None:
    for name in ("a", "b"):
        a_control(team, name)
    with pytest.raises(NotFound):
        run_control.kill(team, ["a", "nobody's"], reason="", actor=SYSTEM)
    assert not RunControl.objects.filter(killed_at__isnull=False).exists()
    told = post(team, "kills", {"runs": ["a", "b", "a"], "reason": "all of them"})
    assert [(one["run"], one["status"], one["kill_reason"]) for one in told["runs"]] == [
        ("a", "killed", "all of them"),
        ("b", "killed", "all of them"),
    ]
    assert AuditEntry.objects.filter(team=team, action="run.kill").count() == 2
    with pytest.raises(Invalid):
        run_control.kill(team, ["a"] * 501, reason="", actor=SYSTEM)


def test_another_teams_run_of_the_same_name_is_left_alone(team: Team) -> None:
    """Trap 1 of the original."""
    others = make_team("Others")
    a_control(others, "mine")
    for path in ("runs/mine/kill", "runs/mine/complete"):
        assert post(team, path, status=404)["code"] == "not_found"
    assert post(team, "runs/mine/control", method="GET", status=404)["code"] == "not_found"
    a_control(team, "mine")
    assert post(team, "runs/mine/kill", {"reason": "ours"})["status"] == "killed"
    assert run_control.control(others, "mine").status == "running"


def test_a_run_that_is_done_is_completed_but_not_one_that_was_stopped(store: Store, team: Team) -> None:
    run = a_run(store, team)
    assert post(team, f"runs/{run.id}/complete")["status"] == "completed"
    a_control(team, "x")
    assert post(team, "runs/x/complete")["status"] == "completed"
    assert post(team, "runs/x/kill")["kill_reason"] == "stopped by hand"
    assert post(team, "runs/x/complete")["status"] == "killed"
    assert AuditEntry.objects.filter(team=team, action="run.complete").count() == 2


def test_a_run_that_went_quiet_is_over(team: Team) -> None:
    a_control(team, "quiet", minutes_ago=31)
    a_control(team, "busy", minutes_ago=29)
    assert [run_control.control(team, name).status for name in ("quiet", "busy")] == ["completed", "running"]


def test_control_says_what_each_run_may_still_spend(team: Team) -> None:
    a_control(team, "r")
    assert post(team, "runs/r/control", method="GET") == {
        "run": "r", "status": "running", "kill_reason": None, "rollback": None, "budget_remaining_usd": None,
        "approvals": {},
    }  # fmt: skip
    post(team, "budgets", {"name": "b", "scope": {"kind": "team"}, "window": "run", "limit_usd": 2.5}, status=201)
    assert post(team, "runs/r/control", method="GET")["budget_remaining_usd"] == 2.5
