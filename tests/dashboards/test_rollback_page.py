"""The sheet "Roll back": of a job's run, and of a run that another process drives."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from tests.make import make_key, make_run, make_user, signed_in
from tests.told import a_store, agent, call, tool
from tests.tracking.ingest.spans import stored
from tests.tracking.queue.walked import walk
from tracking.audit import SYSTEM
from tracking.checkpoints import rollbacks, store
from tracking.checkpoints.new import NewCheckpoint
from tracking.models import AgentJob, AuditEntry, Checkpoint, JobRun, JobStep, Rollback, Run, Team, User
from tracking.queue import forks, states, steps
from tracking.queue.forks import Wish


@pytest.fixture
def page(bob: User) -> Client:
    return signed_in(bob)


@pytest.fixture
def walked(team: Team) -> AgentJob:
    """Three steps: an answer, a tool that changed the world, an answer."""
    return walk(team, budget_usd=Decimal(2))


def wished(**fields: Any) -> dict[str, Any]:
    return {"checkpoint": "1", "wish": str(uuid4()), "act": "rollback", "instructions": "Be brief.", **fields}


# --- a job's run ------------------------------------------------------------------------------------------------------


def test_who_may_see_it(team: Team, charlie: User, walked: AgentJob, page: Client) -> None:
    stranger, viewer = signed_in(charlie), signed_in(make_user("Vera", team=team, role="viewer"))
    for client, status in ((stranger, 404), (viewer, 403)):
        assert client.get(f"/runs/{walked.run}/rollback").status_code == status
        for act in ("go", "difference", "withdraw"):
            assert client.post(f"/runs/{walked.run}/rollback/{act}", wished()).status_code == status
    assert page.get(f"/runs/{walked.run}/rollback?checkpoint=99").status_code == 404
    assert page.get("/runs/nobody/rollback").status_code == 404


def test_it_says_what_is_reused_what_stays_and_what_it_costs(page: Client, team: Team, walked: AgentJob) -> None:
    address = f"/runs/{walked.run}/rollback?checkpoint=1"
    said = page.get(address).content.decode()
    for words in (
        "Roll back to step 1", "Reuse 1 step", "already paid", "Give up 2 steps", "as this run took", "spent, stays spent",
        "Step 2 called <bdi>write_down</bdi>; it can be undone", "nothing is undone unless you tick it", "wrote it",
        "Step 1 is not made again", "Be brief.", "$2.00 left of the job's $2.00", "The run is cut off now",
    ):  # fmt: skip
        assert words in said, words
    assert '"role": "system"' not in said.replace("&quot;", '"'), "instructions have a field of their own"
    for usd in ("0.1", "0.2", "0.3"):
        other = walk(team, price=usd)
        states.ended(other, AgentJob.Status.COMPLETED)
    said = page.get(address).content.decode()
    for words in (
        "Roll back to step 1 (about $0.2000 more)",
        "9 in 10 stay under",
        "from 3 past jobs",
        "Run about 2 more",
    ):
        assert words in said, words
    part = page.get(address, headers={"HX-Request": "true"}).content.decode()
    assert part.startswith("<form")
    assert "<html" not in part


def test_what_is_not_known_is_no_figure(page: Client, team: Team) -> None:
    job = walk(team, price=None, has_undo=False)
    said = page.get(f"/runs/{job.run}/rollback?checkpoint=1").content.decode()
    for words in (
        "not all that was paid is known",
        "not all of it is known",
        "no other job of helper is done",
        "that stays",
    ):
        assert words in said, words
    assert "Roll back to step 1 <kbd" in said
    assert "nothing is undone unless" not in said


def test_a_job_without_money_left_is_told_of(page: Client, team: Team) -> None:
    job = walk(team, budget_usd=Decimal("0.25"))
    with_control(team, job.run, "0.25")
    said = page.get(f"/runs/{job.run}/rollback?checkpoint=1").content.decode()
    assert "Nothing is left of the job's $0.2500" in said


def with_control(team: Team, run: str, usd: str) -> None:
    """As its calls leave it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO tracking_runcontrol (team_id, run, steps, cost_usd, tokens, started_at, last_at, kill_reason, killed_by, version)"
            " VALUES (%s, %s, 1, %s, 0, now(), now(), '', '', 0)",
            [team.pk, run, usd],
        )


def test_clicked_twice_it_is_done_once(page: Client, walked: AgentJob) -> None:
    """J15: the state is that of the checkpoint, the log has it once, what was spent stays."""
    wish = wished(checkpoint="2", reason="wrong owls")
    for _ in range(2):
        answer = page.post(f"/runs/{walked.run}/rollback/go", wish, follow=True)
        assert answer.redirect_chain == [(f"/jobs/{walked.id}", 302)]
    assert "It goes on from step 2 as run 2" in answer.content.decode()
    walked.refresh_from_db()
    assert (walked.status, walked.run, walked.position) == ("queued", f"{walked.id}.2", 2)
    assert AuditEntry.objects.filter(action="run.rollback").count() == Rollback.objects.count() == 1
    made = JobRun.objects.get(run=walked.run)
    was = (made.parent, made.from_position, made.reused_usd, made.overrides)
    assert was == (str(walked.id), 2, Decimal("0.25"), {})
    assert [step.position for step in steps.of_run(walked.team_id, walked.run)] == [1, 2]
    assert "goes on from step 2" in page.get(f"/jobs/{walked.id}").content.decode()


def test_a_fork_leaves_the_job_alone_and_has_what_was_changed(page: Client, walked: AgentJob) -> None:
    edited = [{"role": "user", "content": "look for larks"}, {"role": "assistant", "content": "a"}]
    wish = wished(act="fork", instructions="Be long.", model="demo/agent", state=json.dumps(edited), budget_usd="$2")
    for _ in range(2):
        sent = page.post(f"/runs/{walked.run}/rollback/go", wish)
    made = AgentJob.objects.exclude(id=walked.id).get()
    assert sent["location"] == f"/jobs/{made.id}"
    walked.refresh_from_db()
    assert (walked.run, walked.status) == (str(walked.id), "running")
    overrides = JobRun.objects.get(run=made.run).overrides
    assert overrides == {"agents": {"helper": {"instructions": "Be long.", "model": "demo/agent"}}, "messages": edited}
    assert (made.forked_from, made.budget_usd, made.position) == (walked.run, 2, 1)
    again = page.get(f"/runs/{walked.run}/rollback?checkpoint=1").content.decode()
    assert "Be brief." in again, "the run that was forked goes by what it did"


def test_undoing_is_asked_for_step_by_step(page: Client, walked: AgentJob) -> None:
    key = JobStep.objects.get(run=walked.run, position=2).key
    page.post(f"/runs/{walked.run}/rollback/go", wished(undo=bytes(key).hex()))
    walked.refresh_from_db()
    assert JobRun.objects.get(run=walked.run).overrides == {"undo": [bytes(key).hex()]}


def test_what_changes_is_shown_before_it_is_sent(page: Client, walked: AgentJob) -> None:
    at = f"/runs/{walked.run}/rollback/difference"
    state = page.get(f"/runs/{walked.run}/rollback?checkpoint=1").context["state"]

    def shown(**fields: Any) -> str:
        return page.post(at, wished(state=state, **fields)).content.decode()

    assert "Nothing is changed" in shown()
    said = shown(instructions="Be long.", model="demo/agent")
    for words in ("gone: </span>Be brief.", "new: </span>Be long.", "demo/agent", "Past jobs went by demo/echo"):
        assert words in said, words
    assert "owls" in page.post(at, wished(state=state.replace("owls", "larks"))).content.decode()
    assert "The state is no JSON" in page.post(at, wished(state="{")).content.decode()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"budget_usd": "nothing"}, "amount in USD"),
        ({"state": "{"}, "no JSON"),
        ({"state": '{"a": 1}'}, "an array of messages"),
        ({"undo": "00"}, "can be undone"),
        ({"act": "fork", "undo": "02"}, "roll back to undo"),
    ],
)
def test_what_cannot_be_gone_back_to_is_said(wrong: dict[str, str], words: str, page: Client, walked: AgentJob) -> None:
    sent = page.post(f"/runs/{walked.run}/rollback/go", wished(reason="kept as typed", **wrong))
    assert sent.status_code == 422
    said = sent.content.decode()
    assert words in said
    assert "kept as typed" in said
    assert not Rollback.objects.exists()
    assert AgentJob.objects.count() == 1


def test_a_step_that_stays_cannot_be_undone(team: Team, walked: AgentJob, page: Client) -> None:
    sent = page.post(f"/runs/{walked.run}/rollback/go", wished(checkpoint="2", undo="2"))
    assert (sent.status_code, Rollback.objects.count()) == (422, 0)


def test_both_pages_say_where_it_came_from_and_went(page: Client, team: Team, walked: AgentJob) -> None:
    first = walked.run
    for run in (first, f"{first}.2"):
        made = make_run(team, run)
        Run.objects.filter(pk=made.pk).update(origin=Run.Origin.QUEUE)
    forks.rollback(team, first, Wish(checkpoint="2", reason="wrong owls"), actor=SYSTEM)
    old, new = (page.get(f"/runs/{run}").content.decode() for run in (first, f"{first}.2"))
    for words in (
        "It went on from step 2 as",
        "2 steps reused",
        "$0.2500",
        "already paid",
        "wrong owls",
        f"b={first}.2",
    ):
        assert words in old, words
    for words in ("It goes on from step 2 of", "2 steps reused", "already paid", "Its job", f"a={first}&amp;"):
        assert words in new, words


# --- over the API -----------------------------------------------------------------------------------------------------


@pytest.fixture
def asked(team: Team) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {make_key(team)[1]}"}, "content_type": "application/json"}


def test_the_api_says_the_same(walked: AgentJob, client: Client, asked: dict[str, Any]) -> None:
    seen = client.get(f"/api/v1/runs/{walked.run}/rollback-preview?checkpoint=1", **asked).json()
    figures = (
        "driver",
        "reused_steps",
        "reused_usd",
        "later_steps",
        "later_usd",
        "p50_usd",
        "p90_usd",
        "past_jobs",
        "budget_left_usd",
    )
    assert [seen[name] for name in figures] == ["worker", 1, 0.25, 2, 0.25, 0.25, None, 0, 2.0]
    assert [(one["position"], one["has_undo"]) for one in seen["writes"]] == [(2, True)]
    body = {"checkpoint": 1, "undo": ["2"], "id": str(uuid4())}
    for _ in range(2):
        made = client.post(f"/api/v1/runs/{walked.run}/rollback", json.dumps(body), **asked)
        assert (made.status_code, made.json()["new_run"], made.json()["status"]) == (202, f"{walked.id}.2", "taken")
    other = client.post(
        f"/api/v1/runs/{walked.run}/rollback", json.dumps({**body, "checkpoint": 2, "undo": []}), **asked
    )
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    forked = client.post(f"/api/v1/runs/{walked.run}/fork", json.dumps({"checkpoint": "1", "budget_usd": 1}), **asked)
    assert forked.status_code == 202
    assert forked.json()["run_ids"] == [forked.json()["id"]]
    wrong = client.post(
        f"/api/v1/runs/{walked.run}/fork", json.dumps({"checkpoint": "1", "id": str(walked.id)}), **asked
    )
    assert (wrong.status_code, wrong.json()["field"]) == (409, "id")


# --- a run that another process drives --------------------------------------------------------------------------------


@pytest.fixture
def nightly(team: Team) -> Run:
    for number in (1, 2):
        state = {"messages": ["hello"] * number, "n": number}
        store.save(NewCheckpoint(team_id=team.pk, run="nightly", state=state, redaction="off", name=f"step {number}"))
    return make_run(team, "nightly")


def test_a_run_is_asked_to_go_back_once_however_often_one_clicks(team: Team, page: Client, nightly: Run) -> None:
    sheet = page.get(f"/runs/{nightly.id}/rollback?checkpoint=1").content.decode()
    for words in (
        "Go back to checkpoint 1", "1 checkpoint after this one is superseded, not deleted", "No tool was called after it",
        "Wflo does not drive this run", "its own process drives it, in a new run", "as far as its process told",
    ):  # fmt: skip
        assert words in sheet, words
    for _ in range(2):
        wished = {"checkpoint": "1", "reason": "it lies", "budget_usd": "0.75"}
        answer = page.post(f"/runs/{nightly.id}/rollback/go", wished, follow=True)
    text = answer.content.decode()
    for words in ("Asked to go back to checkpoint 1", "it was last heard of", "it lies", "Withdraw"):
        assert words in text, words
    wish = Rollback.objects.get(team=team)
    assert (wish.reason, wish.overrides, wish.budget_usd) == ("it lies", {}, Decimal("0.75"))
    assert "It is asked already" in page.get(f"/runs/{nightly.id}/rollback?checkpoint=2").content.decode()
    refused = page.post(f"/runs/{nightly.id}/rollback/go", {"checkpoint": "2"})
    assert (refused.status_code, "wait for its answer" in refused.content.decode()) == (422, True)
    rollbacks.answer(team, "nightly", wish.id, status="taken", new_run="nightly again", actor=SYSTEM)
    text = page.get(f"/runs/{nightly.id}?tab=checkpoints").content.decode()
    for words in ("It went on from checkpoint 1", "nightly again", "superseded"):
        assert words in text, words
    viewer = signed_in(make_user("Vera", team=team, role="viewer"))
    assert "Roll back" not in viewer.get(f"/runs/{nightly.id}?tab=checkpoints").content.decode()


def test_a_budget_that_is_none_is_told_and_nothing_is_asked(team: Team, page: Client, nightly: Run) -> None:
    answer = page.post(f"/runs/{nightly.id}/rollback/go", {"checkpoint": "1", "budget_usd": "much"})
    assert (answer.status_code, "amount in USD" in answer.content.decode()) == (422, True)
    assert not Rollback.objects.filter(team=team).exists()


def test_what_is_asked_for_can_be_withdrawn(team: Team, page: Client, nightly: Run) -> None:
    page.post(f"/runs/{nightly.id}/rollback/go", {"checkpoint": "1"})
    wish = Rollback.objects.get(team=team)
    for _ in range(2):
        answer = page.post(f"/runs/{nightly.id}/rollback/withdraw", {"id": str(wish.id)}, follow=True)
    assert "was asked for, and withdrawn" in answer.content.decode()
    assert AuditEntry.objects.filter(action="run.rollback.withdrawn").count() == 1
    for wrong in ("", str(uuid4())):
        assert page.post(f"/runs/{nightly.id}/rollback/withdraw", {"id": wrong}).status_code == 404
    late = rollbacks.answer(team, "nightly", wish.id, status="taken", new_run="nightly again", actor=SYSTEM)
    assert late.status == "taken", "its process had heard of it"
    said = page.post(f"/runs/{nightly.id}/rollback/withdraw", {"id": str(wish.id)}, follow=True).content.decode()
    assert "was taken already" in said


def test_its_process_is_told_what_was_changed(team: Team, page: Client, nightly: Run) -> None:
    at = f"/runs/{nightly.id}/rollback"
    state = page.get(f"{at}?checkpoint=2").context["state"]
    edited = json.loads(state) | {"n": 7}
    gone = page.post(f"{at}/go", {"checkpoint": "2", "state": '{"n": 2}'})
    assert "cannot be taken out" in gone.content.decode()
    given = {"checkpoint": "2", "state": json.dumps(edited), "model": "gpt-5", "instructions": " Say less. "}
    assert "&quot;n&quot;: 7" in page.post(f"{at}/difference", given).content.decode()
    page.post(f"{at}/go", given)
    assert Rollback.objects.get(team=team).overrides == {
        "model": "gpt-5",
        "instructions": "Say less.",
        "state": {"n": 7},
    }


def test_the_api_previews_it_and_refuses_to_fork_it(
    team: Team, nightly: Run, client: Client, asked: dict[str, Any]
) -> None:
    seen = client.get("/api/v1/runs/nightly/rollback-preview", **asked).json()
    assert (seen["driver"], seen["checkpoint"], seen["position"], seen["p50_usd"]) == ("caller", 2, None, None)
    forked = client.post("/api/v1/runs/nightly/fork", json.dumps({"checkpoint": 1}), **asked)
    assert (forked.status_code, forked.json()["field"]) == (409, "run")
    assert "POST …/rollback" in forked.json()["detail"]
    made = client.post("/api/v1/runs/nightly/rollback", json.dumps({"checkpoint": 1}), **asked).json()
    gone = client.delete(f"/api/v1/runs/nightly/rollbacks/{made['id']}", **asked)
    assert (gone.status_code, gone.json()["status"]) == (200, "withdrawn")
    for wrong in ({"model": 1}, {"whim": "x"}, {"instructions": "a\0b"}):
        body = {"checkpoint": 1, "overrides": wrong}
        assert client.post("/api/v1/runs/nightly/rollback", json.dumps(body), **asked).status_code == 400


def test_what_came_after_it_is_told_by_its_spans(team: Team, page: Client, transactional_db: None) -> None:
    """Ten steps of a second each from the run's beginning; the checkpoint was saved after the second."""
    with a_store() as writer:
        parts = [call(2, parent=1, begins=0, lasts=1), tool(3, "orders.get", parent=1, begins=1, lasts=1)]
        parts += [tool(number, "tickets.comment", parent=1, begins=number, lasts=0.5) for number in (4, 5, 6)]
        stored(writer, team, agent(1, "planner", begins=0, lasts=10), *parts, call(7, parent=1, begins=8, lasts=1))
    run = Run.objects.get(team=team)
    name = run.external_id or run.trace_id.hex
    saved = store.save(NewCheckpoint(team_id=team.pk, run=name, state={"n": 1}, redaction="off", name="looked up"))
    Checkpoint.objects.filter(id=saved.id).update(created_at=run.started_at + timedelta(seconds=2.5))
    said = page.get(f"/runs/{run.id}/rollback?checkpoint=1").content.decode()
    for words in (
        "Keep 2 steps",
        "Give up 4 steps",
        "tickets.comment</bdi> was called 3 times",
        "What it changed is not known",
    ):
        assert words in said, words
    assert "orders.get" not in said
    drawn = page.get(f"/runs/{run.id}").content.decode()
    assert (
        f'/runs/{run.id}/rollback?checkpoint=1" data-rollback aria-label="Roll back to checkpoint 1, looked up"'
        in drawn
    )
    assert 'data-hotkey="r"' in drawn
    viewer = signed_in(make_user("Vera", team=team, role="viewer")).get(f"/runs/{run.id}").content.decode()
    assert "Checkpoint 1, looked up" in viewer
    assert "/rollback?" not in viewer
