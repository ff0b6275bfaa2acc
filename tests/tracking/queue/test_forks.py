"""Going on from a checkpoint with a real worker: what was paid is not paid again, and what was changed reaches the provider."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from tests.tracking.queue.conftest import Yard
from tests.tracking.queue.workers import agent, became
from tracking.checkpoints import store
from tracking.models import AgentJob, Approval, AuditEntry, Checkpoint, JobRun, JobStep, Rollback, RunControl
from tracking.queue import steps
from wflo_site.processes import wait_until


def version_at(job: AgentJob, run: str, position: int) -> str:
    """Of the checkpoint that a step made."""
    step = JobStep.objects.get(team=job.team_id, run=run, position=position)
    return str(Checkpoint.objects.get(team=job.team_id, id=step.checkpoint_id).version)


def asked_since(working: Yard, count: int) -> list[dict[str, Any]]:
    return [one["body"] for one in working.gateway.provider.requests[count:]]


def test_a_rollback_pays_for_no_step_again(working: Yard) -> None:
    job = working.done(working.submit(working.walker(4)))
    first, before = job.run, len(working.gateway.provider.bill)
    answer = working.call(
        "POST", f"/runs/{first}/rollback", {"checkpoint": version_at(job, first, 5), "reason": "once more"}
    )
    assert (answer.status_code, answer.json()["status"], answer.json()["new_run"]) == (202, "taken", f"{job.id}.2")
    working.done(job)
    assert len(working.gateway.provider.bill) - before == 2  # of five answers, three are kept
    made = JobRun.objects.get(team=job.team_id, run=job.run)
    kept = JobStep.objects.filter(run=first, position__lte=5, kind="model").values_list("cost_usd", flat=True)
    assert made.reused_usd == sum(kept)
    shown = working.call("GET", f"/agent-jobs/{job.id}").json()
    assert (shown["run_ids"], shown["steps"]) == ([first, job.run], 9)
    assert Decimal(str(shown["cost_usd"])) == working.gateway.billed()
    fresh = working.call("GET", f"/runs/{job.run}").json()
    own = JobStep.objects.filter(run=job.run, kind="model").values_list("cost_usd", flat=True)
    assert Decimal(str(fresh["cost_usd"])) == sum(own)
    assert fresh["parent_run_id"] == working.call("GET", f"/runs/{first}").json()["id"]


def test_a_rollback_of_a_running_job_fences_its_worker(working: Yard) -> None:
    """J16: the old run's worker writes nothing more, and its run makes no more calls."""
    job = working.submit(
        agent(model=working.model("echo-walk6-slow"), tools=["calculator"], limits={"steps": 99, "tool_iterations": 50})
    )
    assert wait_until(lambda: working.job(str(job.id)).position >= 3, seconds=30)
    first = job.run
    answer = working.call("POST", f"/runs/{first}/rollback", {"checkpoint": version_at(job, first, 2)})
    assert answer.status_code == 202, answer.text
    working.done(job)
    done = JobStep.objects.filter(team=job.team_id, run=first, position__isnull=False).count()
    assert job.run == f"{job.id}.2"
    assert RunControl.objects.get(team=job.team_id, run=first).killed_at is not None
    assert list(JobStep.objects.filter(run=job.run).order_by("position").values_list("position", flat=True)) == list(
        range(3, 14)
    )
    assert JobStep.objects.filter(team=job.team_id, run=first, position__isnull=False).count() == done
    assert working.call("GET", f"/runs/{first}").json()["status"] == "cancelled"


def test_a_fork_is_a_job_of_its_own_with_what_was_changed(working: Yard) -> None:
    job = working.done(working.submit(working.walker(2)))
    before = len(working.gateway.provider.requests)
    seen = working.call("GET", f"/runs/{job.run}/checkpoints/{version_at(job, job.run, 2)}").json()
    edited = seen["state"]["messages"]
    edited[-1]["content"] = "quite another result"
    body = {
        "checkpoint": version_at(job, job.run, 2),
        "overrides": {"instructions": "Run.", "state": {"messages": edited}},
        "budget_usd": 1,
    }
    answer = working.call("POST", f"/runs/{job.run}/fork", body)
    assert answer.status_code == 202, answer.text
    made = working.done(working.job(answer.json()["id"]))
    (first, *_) = asked_since(working, before)
    assert first["messages"][0] == {"role": "system", "content": "Run."}
    assert [one["content"] for one in first["messages"] if one["role"] == "tool"] == ["quite another result"]
    assert (made.forked_from, working.job(str(job.id)).run) == (job.run, str(job.id))
    assert len(asked_since(working, before)) == 2


def test_another_model_goes_on(working: Yard) -> None:
    job = working.done(working.submit(working.walker(2)))
    before, other = len(working.gateway.provider.requests), working.model("echo-walk3")
    body = {"checkpoint": version_at(job, job.run, 4), "overrides": {"model": other}}
    assert working.call("POST", f"/runs/{job.run}/rollback", body).status_code == 202
    working.done(job)
    assert {one["model"] for one in asked_since(working, before)} == {other}
    assert job.position == 7


def test_effects_are_undone_the_last_first_and_what_fails_is_tried_again(working: Yard) -> None:
    """J17"""
    job = working.done(working.submit(working.walker(3, "write_down")))
    assert working.world == ["1", "2", "3"]
    keys = [step.key.hex() for step in working.steps(job) if step.kind == "tool"]
    stuck = working.workers.home / "world.stuck"
    stuck.write_text("2")
    body = {"checkpoint": version_at(job, job.run, 1), "undo": keys}
    assert working.call("POST", f"/runs/{job.run}/rollback", body).status_code == 202
    became(job, "needs_review")
    assert "write_down (step 4) could not be undone: OSError: 2 is stuck" in job.reason
    assert working.world == ["1", "2", "3", "un3"]
    seen = working.call("GET", f"/runs/{job.id}/rollback-preview?checkpoint=1").json()
    assert [bool(one["undone_at"]) for one in seen["writes"]] == [False, False, True]
    stuck.unlink()
    assert working.call("POST", f"/agent-jobs/{job.id}/retry").status_code == 200
    working.done(job)
    assert working.world == ["1", "2", "3", "un3", "un2", "un1", "1", "2", "3"]
    told = AuditEntry.objects.filter(team=job.team_id, action="agent_job.undo").order_by("id")
    assert [(one.after["step"], bool(one.after["error"])) for one in told] == [
        (6, False),
        (4, True),
        (4, False),
        (2, False),
    ]


def test_after_a_loop_it_goes_back_by_itself_and_is_told(working: Yard) -> None:
    """Once: the second time it is over."""
    limits = {"steps": 100, "tool_iterations": 50}
    job = working.submit(agent(model="demo/loop", tools=["clock"], limits=limits, rollback_on=["loop"]))
    became(job, "failed")
    assert "repeats itself" in job.reason
    row = Rollback.objects.get(team=job.team_id)
    assert (row.run, row.new_run, row.requested_by) == (str(job.id), job.run, "Wflo")
    made = JobRun.objects.get(run=job.run)
    assert made.from_position == 2, "its first pass is kept, for it began with the loop"
    hint = made.overrides["agents"]["walker"]["instructions"]
    assert hint.startswith("Walk.\n\nYou went round in circles before: The run repeats itself")
    step = JobStep.objects.get(run=job.run, position=3)
    told = store.state_of(Checkpoint.objects.get(id=step.checkpoint_id))["messages"]
    assert told[0] == {"role": "system", "content": hint}, "the model was told"


def test_after_an_error_it_goes_back_to_its_last_step_once(working: Yard) -> None:
    walker = working.walker(5, rollback_on=["error"])
    job = working.submit({**walker, "limits": {"steps": 4, "tool_iterations": 100}})
    became(job, "failed")
    assert job.reason == "The job has done the 4 steps it may do."
    row = Rollback.objects.get(team=job.team_id)
    assert (row.run, row.reason) == (str(job.id), f"by itself, after: {job.reason}")
    assert (JobRun.objects.get(run=job.run).from_position, len(working.gateway.provider.bill)) == (4, 2)
    entry = AuditEntry.objects.get(team=job.team_id, action="run.rollback")
    assert entry.actor_kind == "system"


def test_without_money_it_goes_back_by_itself_and_waits(working: Yard) -> None:
    job = working.submit(working.walker(20, rollback_on=["budget"]), budget_usd=0.0004)
    became(job, "paused_budget")
    assert job.run == f"{job.id}.2"
    assert (job.pause or {})["budget_id"], "so that it goes on when there is more"
    asked = len(working.gateway.provider.bill)
    assert working.call("PATCH", f"/agent-jobs/{job.id}", {"budget_usd": 1}).status_code == 200
    working.done(job)
    assert len(working.gateway.provider.bill) == 21
    assert asked < 21


def test_asked_for_at_once_from_two_sides_it_is_done_once(working: Yard) -> None:
    """J15"""
    job = working.done(working.submit(working.walker(2)))
    body = {"checkpoint": version_at(job, job.run, 2), "id": str(uuid4())}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: working.call("POST", f"/runs/{job.run}/rollback", body), range(4)))
    assert [answer.status_code for answer in answers] == [202] * 4
    assert {answer.json()["new_run"] for answer in answers} == {f"{job.id}.2"}
    rows = AuditEntry.objects.filter(team=job.team_id, action="run.rollback")
    assert (Rollback.objects.filter(team=job.team_id).count(), rows.count()) == (1, 1)
    fork = {**body, "id": str(uuid4())}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: working.call("POST", f"/runs/{job.run}/fork", fork), range(4)))
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {(202, fork["id"])}


def test_who_goes_back_again_keeps_what_was_changed_before(working: Yard) -> None:
    """An edited conversation and other instructions are what the run went by; a later rollback of it goes by them too."""
    job = working.done(working.submit(working.walker(3)))
    first = job.run
    seen = working.call("GET", f"/runs/{first}/checkpoints/{version_at(job, first, 2)}").json()
    edited = [one for one in seen["state"]["messages"] if one["role"] != "system"]
    edited[0]["content"], edited[-1]["content"] = "go on, but slowly", "quite another result"
    body = {"checkpoint": version_at(job, first, 2), "overrides": {"instructions": "Run.", "state": edited}}
    assert working.call("POST", f"/runs/{first}/rollback", body).status_code == 202
    working.done(job)
    second, before = job.run, len(working.gateway.provider.requests)
    body = {"checkpoint": version_at(job, second, 5)}
    assert working.call("POST", f"/runs/{second}/rollback", body).status_code == 202
    working.done(job)
    (asked,) = asked_since(working, before)
    assert [asked["messages"][0]["content"], asked["messages"][1]["content"]] == ["Run.", "go on, but slowly"]
    assert [one["content"] for one in asked["messages"] if one["role"] == "tool"][0] == "quite another result"
    assert [step.position for step in steps.of_run(job.team_id, job.run)] == list(range(1, 8))


@pytest.mark.parametrize("at", [4, 5])
def test_a_word_after_the_last_one_is_answered(at: int, working: Yard) -> None:
    """Whether the checkpoint is of a tool's result or of an answer: the person's word is the last, so the model is asked."""
    job = working.done(working.submit(working.walker(2)))
    before, first = len(working.gateway.provider.requests), job.run
    seen = working.call("GET", f"/runs/{first}/checkpoints/{version_at(job, first, at)}").json()
    messages = [*seen["state"]["messages"], {"role": "user", "content": "and in German"}]
    body = {"checkpoint": version_at(job, first, at), "overrides": {"state": {"messages": messages}}}
    assert working.call("POST", f"/runs/{first}/rollback", body).status_code == 202
    working.done(job)
    (asked,) = asked_since(working, before)
    assert asked["messages"] == messages
    assert (job.position, JobStep.objects.get(run=job.run).ordinal) == (at + 1, {4: 2, 5: 3}[at])


@pytest.mark.parametrize("at", [4, 5])
def test_a_conversation_that_is_cut_short_goes_on(at: int, working: Yard) -> None:
    """Steps that are left out of it are not taken for those that come."""
    job = working.done(working.submit(working.walker(2)))
    before, first = len(working.gateway.provider.requests), job.run
    body = {
        "checkpoint": version_at(job, first, at),
        "overrides": {"state": {"messages": [{"role": "user", "content": "start over"}]}},
    }
    assert working.call("POST", f"/runs/{first}/rollback", body).status_code == 202
    working.done(job)
    asked = [
        [one["content"] for one in body["messages"] if one["role"] == "user"] for body in asked_since(working, before)
    ]
    assert asked == [["start over"]] * 3
    assert [step.position for step in steps.of_run(job.team_id, job.run)] == list(range(1, at + 6))


def test_an_answer_that_is_edited_is_the_answer(working: Yard) -> None:
    job = working.done(working.submit(working.walker(1)))
    before, first = len(working.gateway.provider.requests), job.run
    seen = working.call("GET", f"/runs/{first}/checkpoints/{version_at(job, first, 3)}").json()
    messages = [*seen["state"]["messages"][:-1], {"role": "assistant", "content": "forty-two"}]
    body = {"checkpoint": version_at(job, first, 3), "overrides": {"state": {"messages": messages}}}
    assert working.call("POST", f"/runs/{first}/rollback", body).status_code == 202
    working.done(job)
    assert (job.output, len(working.gateway.provider.requests)) == ("forty-two", before)


def test_a_worker_that_dies_while_it_undoes_is_looked_at(working: Yard) -> None:
    """J17: nobody knows whether it was undone, so a person looks before it is tried again."""
    job = working.done(working.submit(working.walker(1, "write_down")))
    step = JobStep.objects.get(run=job.run, position=2)
    JobStep.objects.filter(run=job.run, position=2).update(undo_error="under way")
    body = {"checkpoint": version_at(job, job.run, 1), "undo": ["2"]}
    assert working.call("POST", f"/runs/{job.run}/rollback", body).status_code == 202
    became(job, "needs_review")
    assert "may be undone or not" in job.reason
    assert working.world == ["1"]
    assert working.call("POST", f"/agent-jobs/{job.id}/retry").status_code == 200
    working.done(job)
    assert working.world == ["1", "un1", "1"]
    assert JobStep.objects.get(run=step.run, position=2).undone_at is not None


def test_a_question_that_was_asked_is_asked_no_more(working: Yard) -> None:
    job = working.submit(working.walker(1, "pay"))
    became(job, "waiting_approval")
    question = Approval.objects.get(team=job.team_id)
    body = {"checkpoint": version_at(job, job.run, 1), "overrides": {"instructions": "Ask nobody."}}
    assert working.call("POST", f"/runs/{job.run}/rollback", body).status_code == 202
    question.refresh_from_db()
    assert question.status == "cancelled"
    became(job, "waiting_approval")
    assert Approval.objects.filter(team=job.team_id, status="pending").count() == 1, "of its new run"


def test_a_fork_of_a_run_that_another_drives_is_refused_in_words(working: Yard) -> None:
    working.gateway.post("/api/v1/runs/outside/checkpoints", {"state": {"a": 1}, "name": "one"})
    answer = working.call("POST", "/runs/outside/fork", {"checkpoint": "1"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "POST …/rollback" in json.loads(answer.text)["detail"]


def test_what_was_spent_stays_spent(working: Yard) -> None:
    """J15"""
    job = working.done(working.submit(working.walker(2)))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cost_usd FROM tracking_runcontrol WHERE team_id = %s AND run = %s", [job.team_id, job.run]
        )
        (before,) = cursor.fetchone()
    first = job.run
    working.call("POST", f"/runs/{first}/rollback", {"checkpoint": "1"})
    working.done(job)
    assert RunControl.objects.get(team=job.team_id, run=first).cost_usd == before > 0
