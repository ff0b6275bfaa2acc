"""Jobs as a worker does them. The numbers J… are cases of the catalogue of faults."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

from django.db import connection

from tests.tracking.gateway.conftest import make_group
from tests.tracking.queue.conftest import Yard
from tests.tracking.queue.workers import agent, became
from tracking import agent_breaker, invariants
from tracking.audit import SYSTEM, Actor
from tracking.models import AgentJob, Approval, Checkpoint, DeadLetter, Reservation, Span
from tracking.queue import states
from tracking.steering import approvals
from wflo_site.processes import wait_until


def test_what_a_job_leaves_behind(working: Yard) -> None:
    """Its steps, a checkpoint after each, its run with spans whose cost is the provider's bill, nothing held."""
    job = working.submit(working.walker(3), metadata={"ticket": "42"})
    working.done(job)
    assert [(step.kind, step.name) for step in working.steps(job)][:2] == [
        ("model", "echo-walk3"),
        ("tool", "calculator"),
    ]
    assert working.cost(job) == working.gateway.billed() > 0
    assert Checkpoint.objects.filter(team=job.team_id, run=job.run).count() == 7
    assert wait_until(lambda: Span.objects.filter(team=job.team_id).count() == 4 + 3 + 2, seconds=10)
    run = working.call("GET", f"/runs/{job.run}").json()
    assert (run["status"], run["origin"], Decimal(str(run["cost_usd"]))) == (
        "completed",
        "queue",
        working.gateway.billed(),
    )
    assert {row["key"] for row in run["by_agent"]} == {"walker"}
    shown = working.call("GET", f"/agent-jobs/{job.id}").json()
    assert (shown["status"], shown["run_ids"], shown["steps"], shown["cost_status"]) == (
        "completed",
        [job.run],
        7,
        "known",
    )
    assert Decimal(str(shown["cost_usd"])) == working.gateway.billed()


def test_a_run_of_200_steps_stores_each_message_once(working: Yard) -> None:
    job = working.submit(working.walker(99))
    working.done(job, seconds=240)
    assert len(working.steps(job)) == 199
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(DISTINCT digest), sum(length(body)) FROM tracking_statepart WHERE team_id = %s",
            [job.team_id],
        )
        parts, digests, size = cursor.fetchone()
    assert parts == digests
    manifests = sum(len(bytes(one.manifest)) for one in Checkpoint.objects.filter(team=job.team_id, run=job.run))
    whole = sum(one.size_bytes for one in Checkpoint.objects.filter(team=job.team_id, run=job.run))
    assert size + manifests < whole / 10


def test_jobs_of_a_pattern_charge_each_agent_its_own(working: Yard) -> None:
    members = [{"name": "one", "model": "echo"}, {"name": "two", "instructions": "Say it better.", "model": "echo"}]
    job = working.submit(agent(name="line", pattern="pipeline", members=members))
    working.done(job)
    assert [step.agent for step in working.steps(job)] == ["one", "two"]
    assert job.output.strip() == "go on"
    assert Checkpoint.objects.filter(run=job.run, name__startswith="turn").count() == 2


def test_what_fails_for_good_is_not_tried_again(working: Yard) -> None:
    """J11"""
    job = working.submit(agent(model="echo-fail400"))
    became(job, "failed")
    assert (job.attempts, len(working.gateway.provider.requests)) == (0, 1)


def test_what_fails_for_a_moment_is_tried_again_and_then_given_up(working: Yard) -> None:
    """J11: with a rest between, so many times."""
    flaky, dead = working.submit(agent(model="echo-flaky")), working.submit(agent(model="echo-fail500"))
    working.done(flaky)
    became(dead, "failed")
    assert "tried 2 times" in dead.reason
    assert DeadLetter.objects.get(team=dead.team_id).attempts == 2


def test_while_its_agent_is_cut_off_it_waits_however_often_it_asks(working: Yard) -> None:
    """Nothing of its own failed, so no try is counted."""
    working.done(working.submit())
    agent_breaker.open_by_hand(working.gateway.team, "agent:walker", reason="look first", minutes=None, actor=SYSTEM)

    def is_held(job: AgentJob) -> bool:
        job.refresh_from_db()
        return "is cut off" in job.reason

    def is_done(job: AgentJob) -> bool:
        """Asked again now, not when its rest is over."""
        AgentJob.objects.filter(id=job.id, status="queued").update(run_at="2000-01-01T00:00:00Z")
        job.refresh_from_db()
        return job.status in states.ENDED

    for _ in range(20):  # a worker takes a moment to hear of it
        job = working.submit()
        wait_until(lambda job=job: is_held(job) or job.status in states.ENDED, seconds=30)
        if is_held(job):
            break
    assert "look first" in job.reason
    assert wait_until(lambda: is_done(job) or job.fence > 3, seconds=30), "more often than it may fail"
    assert job.status not in states.ENDED
    agent_breaker.reset(working.gateway.team, "agent:walker", actor=SYSTEM)
    assert wait_until(lambda: is_done(job), seconds=30)
    assert (job.status, job.attempts) == ("completed", 0)
    assert not DeadLetter.objects.filter(team=job.team_id).exists()


def test_a_running_job_is_cancelled(working: Yard) -> None:
    """J18: the provider is hung up on, nothing stays held."""
    job = working.submit(agent(model="echo-hang"))
    assert wait_until(lambda: Reservation.objects.filter(team=job.team_id, state=0).exists(), seconds=30)
    answer = working.call("POST", f"/agent-jobs/{job.id}/cancel", {"reason": "wrong question"})
    assert answer.status_code == 200
    became(job, "cancelled", seconds=10)
    assert job.reason == "wrong question"
    working.gateway.at_rest()
    assert working.gateway.provider.busy == 0


def test_a_key_in_an_error_is_not_kept(working: Yard) -> None:
    """J28"""
    job = working.submit(working.walker(1, "tell_secret"))
    working.done(job)
    with connection.cursor() as cursor:
        cursor.execute("SELECT output::text FROM tracking_jobstep WHERE team_id = %s AND kind = 'tool'", [job.team_id])
        (text,) = cursor.fetchone()
    assert "no access for" in text
    assert "sk-proj" not in text


def test_a_budget_that_runs_dry_and_is_raised(working: Yard) -> None:
    """J32"""
    job = working.submit(working.walker(20), budget_usd=0.0004)
    became(job, "paused_budget")
    asked = len(working.gateway.provider.requests)
    assert 0 < asked < 21
    time.sleep(4)
    assert (working.job(str(job.id)).status, len(working.gateway.provider.requests)) == ("paused_budget", asked)
    assert working.call("PATCH", f"/agent-jobs/{job.id}", {"budget_usd": 1}).status_code == 200
    working.done(job)
    assert len(working.gateway.provider.bill) == 21


def test_a_teams_budget_that_runs_dry_and_is_raised(working: Yard) -> None:
    """J32"""
    budget = working.gateway.budget("0.00004")
    job = working.submit(working.walker(4))
    became(job, "paused_budget")
    budget.limit_usd = Decimal(1)
    budget.save()
    working.done(job)


def test_a_person_is_asked_before_a_risky_tool(working: Yard) -> None:
    yes, no = working.submit(working.walker(1, "pay")), None
    became(yes, "waiting_approval")
    question = Approval.objects.get(team=yes.team_id)
    assert (question.run, question.action, question.risk, question.payload) == (yes.run, "pay", "high", {"text": "1"})
    assert working.world == []
    approvals.decide(yes.team, question.id, "approved", actor=_actor())
    working.done(yes)
    assert working.world == ["paid 1"]
    no = working.submit(agent(model=f"echo-walk{1}", tools=["pay"]))
    became(no, "waiting_approval")
    approvals.decide(no.team, Approval.objects.get(run=no.run).id, "rejected", actor=_actor(), comment="too much")
    working.done(no)
    assert working.world == ["paid 1"]
    assert "a person said no: too much" in no.output.replace(" :", ":")


def test_the_answer_fits_the_schema_that_was_asked_for(working: Yard) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        "required": ["name", "size"],
    }
    job = working.submit(agent(model=working.model("echo-json"), output_schema=schema))
    working.done(job)
    assert job.output == {"name": "x", "size": 1}


def test_a_loop_ends_the_job_and_says_so(working: Yard) -> None:
    make_group(working.gateway.team, "loopy", "", "echo")  # a group without an address is the provider's own
    job = working.submit(agent(model="demo/loop", tools=["clock"], limits={"steps": 100, "tool_iterations": 50}))
    became(job, "failed")
    assert "repeats itself" in job.reason
    assert job.position < 100


def test_a_state_that_is_too_large_ends_the_job_in_words(working: Yard) -> None:
    """J27: and one that is large is warned of."""
    job = working.submit(working.walker(12, "much"))
    became(job, "failed", "completed")
    assert "a checkpoint may have. Save less of it." in job.reason
    found = working.call("GET", f"/runs/{job.run}/checkpoints?limit=500").json()["checkpoints"]
    assert any("above 2,097,152 a checkpoint is refused" in warning for one in found for warning in one["warnings"])
    assert max(one["size_bytes"] for one in found) <= 2 * 2**20


def test_what_stays_true(working: Yard) -> None:
    """V1 to V12, after jobs of several kinds."""
    jobs = [
        working.submit(working.walker(2)),
        working.submit(agent(model="echo-fail400")),
        working.submit(agent(model="echo-cut")),
    ]
    for job in jobs:
        became(job, "completed", "failed")
    working.gateway.at_rest()
    assert invariants.check(working.gateway.team.pk) == []


def _actor() -> Any:
    return Actor("person", "1", "Alice")
