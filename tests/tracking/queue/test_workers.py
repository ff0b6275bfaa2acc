"""Real workers, and what befalls them. The numbers J… are cases of the catalogue of faults."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import redis
from django.conf import settings

from tests.tracking.queue.conftest import Yard
from tests.tracking.queue.workers import agent, became
from tracking.models import AgentJob, Approval, DeadLetter, JobStep
from tracking.queue import wake
from tracking.steering import approvals
from wflo_site.processes import wait_until


def test_four_hundred_jobs_and_three_killed_workers(yard: Yard) -> None:
    """J4: all are done, none twice."""
    jobs = [yard.submit(agent(), metadata={"n": number}) for number in range(400)]
    for _ in range(3):
        (worker,) = yard.workers.start(limits={"job_lease_seconds": 3})
        time.sleep(1.5)
        yard.workers.kill(worker)
    yard.workers.start(2, limits={"job_lease_seconds": 3})
    assert wait_until(lambda: not _open(yard), seconds=120), yard.workers.log()
    assert {job.status for job in AgentJob.objects.filter(team=yard.gateway.team)} == {"completed"}
    steps = JobStep.objects.filter(team=yard.gateway.team)
    assert steps.count() == len(jobs)
    assert steps.filter(position__isnull=True).count() == 0


def test_prefork_children_that_are_killed(yard: Yard) -> None:
    """J5"""
    jobs = [yard.submit(agent(model="echo-slow")) for _ in range(30)]
    (parent,) = yard.workers.start(pool="prefork", limits={"job_lease_seconds": 3})
    for _ in range(3):
        time.sleep(1)
        children = _children(parent.pid)
        if children:
            os.kill(children[0], signal.SIGKILL)
    assert wait_until(lambda: not _open(yard), seconds=120), yard.workers.log()
    assert {yard.job(str(job.id)).status for job in jobs} == {"completed"}


def test_redis_flushed_and_never_there(yard: Yard) -> None:
    """J2, J6, J7, J34: a job is taken, and done, whatever becomes of the broker."""
    jobs = [yard.submit(agent()) for _ in range(20)]
    yard.workers.start(limits={"job_lease_seconds": 3})
    with redis.Redis.from_url(settings.WFLO_REDIS_URL) as client:
        for _ in range(3):
            client.flushall()
            jobs.append(yard.submit(agent()))
    wake._hints.queue.clear()
    assert wait_until(lambda: not _open(yard), seconds=60), yard.workers.log()
    assert {yard.job(str(job.id)).status for job in jobs} == {"completed"}


def test_a_worker_that_was_stopped_for_a_while_writes_nothing(yard: Yard) -> None:
    """J9: its job is another's by then."""
    job = yard.submit(yard.walker(6, "rest"))
    (first,) = yard.workers.start(limits={"job_lease_seconds": 2}, JOB_TEST_REST="0.7")
    assert wait_until(lambda: yard.job(str(job.id)).position >= 3, seconds=30)
    os.killpg(first.pid, signal.SIGSTOP)
    yard.workers.start(limits={"job_lease_seconds": 2}, JOB_TEST_REST="0.1")
    yard.done(job, seconds=120)  # PostgreSQL lets go of what a frozen process holds after a minute
    before = list(JobStep.objects.filter(run=job.run).order_by("position").values_list("position", "fence", "tries"))
    os.killpg(first.pid, signal.SIGCONT)
    time.sleep(3)
    assert (
        list(JobStep.objects.filter(run=job.run).order_by("position").values_list("position", "fence", "tries"))
        == before
    )
    assert [place for place, _, _ in before] == list(range(1, 14))
    assert yard.job(str(job.id)).status == "completed"


def test_a_step_longer_than_its_lease_is_done_once(yard: Yard) -> None:
    """J8: what is renewed is not taken over."""
    job = yard.submit(yard.walker(1, "rest"))
    yard.workers.start(2, limits={"job_lease_seconds": 2}, JOB_TEST_REST="6")
    yard.done(job)
    assert [(step.position, step.tries) for step in yard.steps(job)] == [(1, 1), (2, 1), (3, 1)]
    assert job.losses == 0


def test_a_tool_that_takes_its_worker_along_is_given_up(yard: Yard) -> None:
    """J10: three workers, then a dead letter, and the queue flows."""
    job = yard.submit(yard.walker(1, "crash"))
    for _ in range(3):
        (worker,) = yard.workers.start(limits={"job_lease_seconds": 2})
        assert worker.wait(60) < 0
    (worker,) = yard.workers.start(limits={"job_lease_seconds": 2})
    became(job, "failed")
    assert "3 workers in a row" in job.reason
    assert DeadLetter.objects.get(team=job.team_id).run == job.run
    yard.done(yard.submit(agent()))


def test_a_step_that_is_asked_something_else_stops_for_a_person(yard: Yard) -> None:
    """J14"""
    job = yard.submit(yard.walker(3))
    yard.workers.die("kept", 3, 3)
    AgentJob.objects.filter(id=job.id).update(input="quite another thing")
    yard.workers.start()
    became(job, "needs_review")
    assert "Roll back to a checkpoint" in job.reason
    assert len(yard.gateway.provider.bill) == 2


def test_a_deploy_in_load_loses_nothing_and_does_nothing_twice(yard: Yard) -> None:
    """J19"""
    jobs = [yard.submit(yard_walk) for yard_walk in [yard.walker(2)] * 30]
    for _ in range(3):
        (worker,) = yard.workers.start()
        time.sleep(0.7)
        yard.workers.kill(worker, signal.SIGTERM)
    yard.workers.start()
    assert wait_until(lambda: not _open(yard), seconds=120), yard.workers.log()
    assert {yard.job(str(job.id)).status for job in jobs} == {"completed"}
    assert len(yard.gateway.provider.bill) == 3 * len(jobs)


def test_a_run_that_does_not_end_is_ended(yard: Yard) -> None:
    """J20"""
    job = yard.submit(agent(model="echo-hang"))
    yard.workers.start(limits={"job_minutes": 0.02})
    became(job, "failed")
    assert "did not end within" in job.reason


def test_a_worker_whose_clock_is_off(yard: Yard) -> None:
    """J30"""
    jobs = [yard.submit(agent()) for _ in range(5)]
    yard.workers.start(CLOCK_OFF_SECONDS="300")
    yard.workers.start(CLOCK_OFF_SECONDS="-300")
    for job in jobs:
        yard.done(job)
        assert job.losses == 0


def test_a_write_that_may_have_been_done_is_asked_about(yard: Yard) -> None:
    job = yard.submit(yard.walker(1, "write_down"))
    yard.workers.die("answered", 2, 2)
    assert yard.world == ["1"]
    yard.workers.start()
    became(job, "waiting_approval")
    question = Approval.objects.get(team=job.team_id)
    assert "may have done its work" in question.question
    approvals.decide(job.team, question.id, "rejected", actor=_actor())
    yard.done(job)
    assert yard.world == ["1"]


def _open(yard: Yard) -> int:
    return (
        AgentJob.objects.filter(team=yard.gateway.team).exclude(status__in=("completed", "failed", "cancelled")).count()
    )


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(one) for one in file.read().split()]


def _actor() -> Any:
    from tracking.audit import Actor

    return Actor("person", "1", "Alice")
