"""What the pages of jobs ask: how the queue stands, the list page by page, and what a job of an agent came to before."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.tracking.queue.walked import WALK, walk
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.audit import SYSTEM
from tracking.models import AgentJob, Team, Worker
from tracking.queue import forks, states
from tracking.queue.forks import Wish
from tracking.queue.submit import Wanted, submit
from tracking.reports import jobs as report
from tracking.store_time import store_now

HELPER = {"name": "helper", "model": "demo/echo", "instructions": "Be brief."}


def asked(team: Team, agent: str = "helper", **fields: Any) -> AgentJob:
    """One that waits; ``fields`` are written into its row afterwards."""
    job, _ = submit(team, Wanted(input="go on", definition={**HELPER, "name": agent}), actor=SYSTEM)
    AgentJob.objects.filter(team=team, id=job.id).update(**fields)
    job.refresh_from_db()
    return job


def done(team: Team, *, seconds: float = 10, walked: Any = WALK, price: str | None = "0.25", **fields: Any) -> AgentJob:
    """One that was completed in so many seconds."""
    job = walk(team, walked, price=price)
    states.ended(job, AgentJob.Status.COMPLETED)
    began = job.created_at
    ended = began + timedelta(seconds=seconds)
    AgentJob.objects.filter(team=team, id=job.id).update(started_at=began, ended_at=ended, **fields)
    return job


# --- the queue --------------------------------------------------------------------------------------------------------


def test_a_queue_with_nothing_in_it(team: Team) -> None:
    found = report.standing(team)
    assert (found.due, found.later, found.workers, found.letters, found.waiting_for_people) == (0, 0, 0, 0, 0)
    assert found.oldest_due_at is None
    assert found.counts == {}
    assert (len(found.per_minute), found.last_hour, len(found.per_hour), found.last_day) == (60, 0, 24, 0)


def test_what_is_due_what_is_for_later_and_the_oldest(team: Team) -> None:
    now = store_now()
    oldest = now - timedelta(minutes=7)
    asked(team, run_at=oldest)
    asked(team, run_at=now - timedelta(minutes=1))
    asked(team, run_at=now + timedelta(hours=1))
    asked(team, status="paused_budget")
    asked(team, status="waiting_approval")
    asked(team, status="needs_review")
    found = report.standing(team)
    assert (found.due, found.later, found.oldest_due_at) == (2, 1, oldest)
    assert found.waiting_for_people == 3
    assert found.counts["queued"] == 3


def test_workers_that_fell_silent_are_told_apart(team: Team) -> None:
    now = store_now()
    for name, ago, jobs in (("a", 1, 2), ("b", 29, 3), ("c", 40, 5)):
        Worker.objects.create(name=name, started_at=now, seen_at=now - timedelta(seconds=ago), jobs=jobs)
    found = report.standing(team)
    assert (found.workers, found.under_way, found.silent) == (2, 5, 1)


def test_what_ended_falls_into_its_minute_and_its_hour(team: Team) -> None:
    now = store_now()
    for minutes in (0.5, 0.6, 59.5, 61, 23 * 60 + 59, 24 * 60 + 1):
        asked(team, status="completed", ended_at=now - timedelta(minutes=minutes))
    asked(team, status="failed", ended_at=now - timedelta(minutes=61))
    found = report.standing(team)
    assert (found.per_minute[59], found.per_minute[0], found.last_hour) == (2, 1, 3)
    assert (found.per_hour[23], found.per_hour[22], found.per_hour[0], found.last_day) == (3, 2, 1, 6)
    assert found.counts == {"completed": 5, "failed": 1}


def test_dead_letters_are_counted_until_somebody_answers_them(team: Team) -> None:
    job = walk(team)
    states.bury(job, "it broke")
    assert states.letter_of(job) is not None
    assert report.standing(team).letters == 1
    states.retry(team, job.id, actor=SYSTEM)
    assert states.letter_of(job) is None
    assert report.standing(team).letters == 0


def test_another_teams_jobs_are_not_in_it(team: Team, other_team: Team) -> None:
    states.bury(walk(other_team), "it broke")
    done(other_team)
    asked(other_team)
    assert report.standing(team).counts == {}
    assert (report.standing(team).due, report.standing(team).last_day, report.standing(team).letters) == (0, 0, 0)
    assert report.jobs(team) == ([], "")
    assert report.estimate(team, "helper") is None


# --- the list ---------------------------------------------------------------------------------------------------------


def test_the_list_goes_on_where_it_ended_whatever_ids_its_jobs_have(team: Team) -> None:
    """A fork has the id its wish has, which says nothing of when it was made; jobs of one moment are in the order of their ids."""
    now = store_now()
    jobs = [asked(team, created_at=now - timedelta(seconds=place // 2)) for place in range(6)]
    old = walk(team)
    fork = forks.fork(team, old.run, Wish(checkpoint="1", id=uuid4()), actor=SYSTEM)
    AgentJob.objects.filter(team=team, id__in=[old.id, fork.id]).update(created_at=now - timedelta(hours=1))
    seen, before = [], None
    while True:
        found, more = report.jobs(team, limit=3, before=before)
        seen += [job.id for job in found]
        if not more:
            break
        before = found[-1].id
        assert more == str(before)
    rows = [(-job.created_at.timestamp(), job.id) for job in AgentJob.objects.filter(team=team)]
    assert seen == [id for _, id in sorted(rows)]
    assert set(seen) == {*(job.id for job in jobs), old.id, fork.id}


def test_the_list_by_status_and_agent(team: Team) -> None:
    first = asked(team, "one", status="failed")
    asked(team, "one")
    asked(team, "two", status="failed")
    assert [job.id for job in report.jobs(team, statuses=["failed"], agent="one")[0]] == [first.id]
    assert len(report.jobs(team, statuses=["failed", "queued"])[0]) == 3
    assert report.jobs(team, agent="three") == ([], "")


def test_an_id_nobody_knows_ends_the_list(team: Team) -> None:
    asked(team)
    assert report.jobs(team, before=uuid4()) == ([], "")


# --- what a job may come to -------------------------------------------------------------------------------------------


def test_an_agent_without_a_past_has_no_estimate(team: Team) -> None:
    walk(team)
    assert report.estimate(team, "helper") is None


def test_an_estimate_is_of_all_the_runs_of_a_job(team: Team) -> None:
    """One that was rolled back paid for what it gave up as well."""
    job = walk(team)
    forks.rollback(team, job.run, Wish(checkpoint="1"), actor=SYSTEM)
    job.refresh_from_db()
    states.ended(job, AgentJob.Status.COMPLETED)
    found = report.estimate(team, "helper")
    assert found is not None
    assert (found.jobs, found.p50_usd, found.p50_steps) == (1, Decimal("0.5"), 3)


def test_half_and_nine_of_ten(team: Team) -> None:
    for price in range(1, 12):
        done(team, price=str(price), seconds=price * 10, walked=(("model", "echo", "a"),) * price)
    found = report.estimate(team, "helper")
    assert found is not None
    assert (found.jobs, found.priced) == (11, 11)
    assert (found.p50_usd, found.p90_usd) == (Decimal(36), Decimal(100))  # n answers at n dollars: n squared
    assert (found.p50_steps, found.p90_steps) == (6, 10)
    assert (found.p50_ms, found.p90_ms) == (60_000, 100_000)


def test_only_the_latest_are_looked_at(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "HISTORY", 2)
    for price in ("9", "1", "1"):
        done(team, price=price)
    found = report.estimate(team, "helper")
    assert found is not None
    assert (found.jobs, found.p90_usd) == (2, Decimal(2))


def test_what_has_no_price_is_left_out_of_the_money_alone(team: Team) -> None:
    done(team, price=None, seconds=30)
    found = report.estimate(team, "helper")
    assert found is not None
    assert (found.jobs, found.priced, found.p50_usd, found.p90_usd, found.p50_steps) == (1, 0, None, None, 3)
    done(team, price="1", seconds=10)
    found = report.estimate(team, "helper")
    assert found is not None
    assert (found.jobs, found.priced, found.p50_usd, found.p50_ms) == (2, 1, Decimal(2), 20_000)


def test_forks_and_what_was_not_completed_say_nothing(team: Team) -> None:
    done(team, forked_from="another")
    states.ended(walk(team), AgentJob.Status.FAILED)
    assert report.estimate(team, "helper") is None


def test_an_estimate_of_one_version(team: Team) -> None:
    store.save(team, Definition.read(team, HELPER), actor=SYSTEM)
    done(team, agent_version=1, price="1")
    done(team, agent_version=2, price="3")
    every, first = report.estimate(team, "helper"), report.estimate(team, "helper", 1)
    assert every is not None
    assert first is not None
    assert (every.jobs, first.jobs, first.p50_usd) == (2, 1, Decimal(2))
    assert report.estimate(team, "helper", 3) is None
