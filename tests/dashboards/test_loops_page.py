"""A run that goes round in circles: seen with its dollars, and stopped by the one who sees it."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.make import make_run, make_user, signed_in
from tracking import alerts, run_control
from tracking.audit import SYSTEM
from tracking.models import Alert, AuditEntry, Run, RunControl, Team, User

pytestmark = pytest.mark.django_db

LOOP = {
    "loop_type": "exact", "cycle": ["search(q)", "summarise(text)"], "times": 12, "steps": 30, "first_step": 7,
    "burned_usd": "0.4200", "usd_per_minute": "0.08", "why": "The same question, twelve times.", "action": "kill",
    "origin": "gateway",
}  # fmt: skip


@pytest.fixture
def run(team: Team) -> Run:
    """Running, and told of as a loop under the name its callers give it."""
    made = make_run(team, "nightly", loop_detected=True)
    alerts.open_once(team, "loop", "critical", "loop:nightly:1", payload=LOOP, run="nightly", agent="researcher")
    return made


def test_the_feed_tells_the_cycle_the_passes_and_the_dollars(team: Team, bob: User, run: Run) -> None:
    text = signed_in(bob).get("/loops").content.decode()
    assert "<b>1 loop</b> is open" in text
    assert "$0.42" in text
    assert "×12" in text
    assert "search(q)" in text
    assert "at step 7" in text
    assert f"/runs/{run.id}" in text


def test_nothing_turns_and_who_looks_only_has_no_button(team: Team, run: Run, other_team: Team, charlie: User) -> None:
    assert "Nothing turns in circles" in signed_in(charlie).get("/loops").content.decode()
    viewer = make_user("Vera", team=team, role="viewer")
    text = signed_in(viewer).get("/loops").content.decode()
    assert "search(q)" in text
    assert 'action="/kills' not in text
    assert signed_in(viewer).post("/kills", {"run": "nightly"}).status_code == 403


def test_a_cost_nobody_knows_is_unknown(team: Team, bob: User) -> None:
    alerts.open_once(team, "loop", "high", "loop:x:1", payload={**LOOP, "burned_usd": None}, run="x")
    assert "unknown cost" in signed_in(bob).get("/loops").content.decode()


def test_a_loop_of_no_named_run_is_told_without_a_link(team: Team, bob: User) -> None:
    alerts.open_once(team, "loop", "high", "loop::1", payload=LOOP)
    text = signed_in(bob).get("/loops").content.decode()
    assert "A run without a name" in text
    assert 'href="/runs/"' not in text
    assert 'action="/kills' not in text


def test_a_run_is_killed_from_the_feed_with_its_reason_on_record(team: Team, bob: User, run: Run) -> None:
    client = signed_in(bob)
    answer = client.post("/kills", {"run": "nightly", "reason": "burns money", "here": "/loops"}, follow=True)
    assert answer.redirect_chain == [("/loops", 302)]
    assert "The run is stopped" in answer.content.decode()
    control = RunControl.objects.get(team=team, run="nightly")
    assert (control.kill_reason, control.killed_by) == ("burns money", str(bob))
    assert AuditEntry.objects.filter(team=team, action="run.kill").exists()
    page = client.get(f"/runs/{run.id}").content.decode()
    assert "It was stopped by Bob" in page
    assert "burns money" in page
    assert 'data-open="kill"' not in page


def test_the_runs_page_shows_the_evidence_and_the_button_while_it_runs(team: Team, bob: User, run: Run) -> None:
    page = signed_in(bob).get(f"/runs/{run.id}").content.decode()
    assert "round in circles" in page
    assert "×12" in page
    assert 'data-open="kill"' in page
    assert 'data-dialog="kill"' in page


def test_ticked_runs_are_killed_together_and_a_strangers_is_none(team: Team, bob: User, other_team: Team) -> None:
    runs = [make_run(team, f"run-{n}") for n in range(3)]
    theirs = make_run(other_team, "theirs")
    client = signed_in(bob)
    listed = client.get("/runs").content.decode()
    assert listed.count('form="kill-runs"') == 3
    client.post("/kills", {"run": [str(run.id) for run in runs[:2]], "reason": "both"})
    assert sorted(Run.objects.filter(team=team).values_list("status", flat=True)) == ["killed", "killed", "running"]
    assert client.post("/kills", {"run": [str(theirs.id), str(runs[2].id)]}).status_code == 404
    assert Run.objects.get(team=team, id=runs[2].id).status == "running"


@pytest.mark.parametrize("here", ["https://evil.example", "//evil.example", "/settings", "", "javascript:alert(1)"])
def test_afterwards_one_lands_on_a_page_of_ours(team: Team, bob: User, here: str) -> None:
    make_run(team, "r")
    assert signed_in(bob).post("/kills", {"run": "r", "here": here}).headers["location"] == "/runs"


def test_none_ticked_and_a_reason_too_long_are_told(team: Team, bob: User) -> None:
    client = signed_in(bob)
    assert "None was ticked" in client.post("/kills", {}, follow=True).content.decode()
    make_run(team, "r")
    answer = client.post("/kills", {"run": "r", "reason": "x" * 501}, follow=True)
    assert "at most 500 characters" in answer.content.decode()


def test_a_killed_run_is_over_in_the_feed(team: Team, bob: User, run: Run) -> None:
    run_control.kill(team, ["nightly"], reason="x", actor=SYSTEM)
    text = signed_in(bob).get("/loops").content.decode()
    assert "the run was stopped" in text
    assert 'action="/kills' not in text
    Alert.objects.filter(team=team).update(resolved_at="2026-01-01T00:00:00Z")
    assert "the run was stopped" in signed_in(bob).get("/loops?state=resolved").content.decode()
    assert signed_in(bob).get("/loops?state=odd").status_code == 400


# --- what is done about them -----------------------------------------------------------------------------------------


def _limits(client: Client, **fields: object) -> dict[str, object]:
    return {
        "loop_action": "block", "guard": "off", "spans": "warn", "repeats": "4", "iterations": "", "exempt_tools": "wait_for_file\npoll", "workflows": "nightly = warn",
        "run_steps_max": "200", "run_minutes_max": "", "run_idle_minutes_max": "", "rpm_max": "60", **fields,
    }  # fmt: skip


def test_an_admin_says_what_is_done_about_loops(team: Team, alice: User, bob: User) -> None:
    client = signed_in(alice)
    assert client.post("/settings/limits/change", _limits(client)).status_code == 302
    team.refresh_from_db()
    assert (team.loop_action, team.run_steps_max, team.rpm_max) == ("block", 200, 60)
    assert team.loop_policy == {
        "exact_repeats_max": 4, "exempt_tools": ["wait_for_file", "poll"], "workflows": {"nightly": {"strongest": "warn"}},
    }  # fmt: skip
    shown = client.get("/settings/limits").content.decode()
    assert "at most <b>200 calls</b>" in shown
    assert "nightly = warn" in shown
    assert "wait_for_file" in shown
    assert "Admins of Core change this" in signed_in(bob).get("/settings/limits").content.decode()
    assert signed_in(bob).post("/settings/limits/change", _limits(client)).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"), [("workflows", "nightly"), ("workflows", "a = stop"), ("loop_action", "odd"), ("repeats", "0")]
)
def test_what_cannot_be_kept_to_is_said_at_its_field(team: Team, alice: User, field: str, value: str) -> None:
    client = signed_in(alice)
    refused = client.post("/settings/limits/change", _limits(client, **{field: value}))
    assert refused.status_code == 400
    assert refused.context["form"].errors[field]
    team.refresh_from_db()
    assert team.loop_policy == {}
