"""The queue itself: who is next, what happens once, what is refused. The numbers J… are cases of the catalogue of faults."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from kombu import Connection

from tests.make import make_team
from tests.tracking.queue.workers import agent
from tracking.audit import SYSTEM, Actor
from tracking.errors import Conflict, Invalid, NotFound, QuotaReached, TooLarge, Unavailable
from tracking.gateway.threads import in_thread
from tracking.models import AgentJob, AuditEntry, DeadLetter, JobRun, JobSchedule, Team
from tracking.queue import claims, pauses, schedules, states
from tracking.queue.claims import Claim
from tracking.queue.submit import Wanted, submit
from tracking.sql import statements

pytestmark = pytest.mark.django_db(transaction=True)
ALICE = Actor("person", "1", "Alice")


@pytest.fixture
def team() -> Team:
    return make_team("Core")


@pytest.fixture
def other_team() -> Team:
    return make_team("Elsewhere")


def asked(team: Team, **fields: Any) -> AgentJob:
    job, _ = submit(team, Wanted(**{"input": "go on", "definition": agent(model="demo/echo"), **fields}), actor=ALICE)
    return job


def many(team: Team, count: int) -> None:
    """As submit makes them, faster."""
    one = asked(team)
    now, rows = one.created_at, []
    for _ in range(count - 1):
        id = uuid4()
        rows.append(
            AgentJob(
                team=team, id=id, agent=one.agent, definition={}, input="x", run=str(id), steps_max=1, run_at=now, created_by="", created_at=now,
                changed_at=now,
            )
        )  # fmt: skip
    AgentJob.objects.bulk_create(rows, batch_size=1_000)


def test_a_job_whose_transaction_is_undone_was_never_there(team: Team) -> None:
    """J1"""
    with transaction.atomic():
        asked(team)
        transaction.set_rollback(True)
    assert claims.claim("w") is None
    assert not JobRun.objects.exists()


def test_who_claims_it_has_it_alone(team: Team) -> None:
    """J3: five messages, five looks, one job."""
    job = asked(team)
    found = [claims.claim("w") for _ in range(5)]
    assert [one.job_id for one in found if one is not None] == [job.id]


def test_a_worker_that_freezes_while_it_chooses_holds_nobody_up_for_long(team: Team) -> None:
    """J9: what it holds is let go of by the store, before others give up; when it wakes it goes on looking."""
    job, has_its_turn, may_wake = asked(team), Event(), Event()

    def freezes() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statements("queue")["turn"])
            has_its_turn.set()
            may_wake.wait(30)
            cursor.execute("SELECT 1")

    async def work() -> Claim | None:
        frozen = asyncio.create_task(in_thread(freezes))
        await asyncio.to_thread(has_its_turn.wait, 10)
        found = await in_thread(lambda: claims.claim("w"))
        may_wake.set()
        with pytest.raises(Unavailable):
            await frozen
        return found

    found = asyncio.run(work())
    assert found is not None
    assert found.job_id == job.id


def test_the_urgent_go_first_then_the_old(team: Team) -> None:
    first, second, urgent = asked(team), asked(team), asked(team, priority=5)
    later = asked(team, run_at=datetime.now(UTC) + timedelta(hours=1), priority=9)
    order = [claim.job_id for _ in range(4) if (claim := claims.claim("w")) is not None]
    assert order == [urgent.id, first.id, second.id]
    assert later.id not in order


def test_a_team_with_ten_thousand_jobs_holds_no_other_up(team: Team, other_team: Team) -> None:
    """J23"""
    many(team, 10_000)
    for _ in range(3):
        assert claims.claim("w").team_id == team.pk  # type: ignore[union-attr]
    theirs = asked(other_team)
    found = claims.claim("w")
    assert found is not None
    assert found.job_id == theirs.id


def test_a_team_has_a_cap_on_what_waits(team: Team, settings: Any) -> None:
    """J24"""
    settings.LIMITS = {**settings.LIMITS, "jobs_waiting_per_team": 3}
    for _ in range(3):
        asked(team)
    with pytest.raises(QuotaReached) as refused:
        asked(team)
    assert refused.value.status == 429
    states.cancel(team, AgentJob.objects.first().id, reason="", actor=ALICE)  # type: ignore[union-attr]
    asked(team)


def test_a_team_that_is_stopped_has_nothing_done(team: Team) -> None:
    asked(team)
    Team.objects.filter(pk=team.pk).update(status=Team.Status.SUSPENDED)
    assert claims.claim("w") is None


def test_one_idempotency_key_is_one_job(team: Team, other_team: Team) -> None:
    first, second = asked(team, idempotency_key="k"), asked(team, idempotency_key="k", input="other words")
    assert (first.id, AgentJob.objects.filter(team=team).count()) == (second.id, 1)
    assert asked(other_team, idempotency_key="k").id != first.id


def test_a_job_that_is_cancelled_while_it_waits_never_starts(team: Team) -> None:
    """J18"""
    job = asked(team)
    states.cancel(team, job.id, reason="not needed", actor=ALICE)
    assert claims.claim("w") is None
    job.refresh_from_db()
    assert (job.status, job.reason) == ("cancelled", "not needed")
    again = states.cancel(team, job.id, reason="twice", actor=ALICE)
    assert again.reason == "not needed"
    assert AuditEntry.objects.filter(action="agent_job.cancel").count() == 1


def test_a_lease_is_over_by_the_stores_clock_alone(team: Team) -> None:
    """J30"""
    asked(team)
    claim = claims.claim("w")
    assert claim is not None
    assert claims.take_back_lost() == 0
    assert claims.renew([claim]) == {claim: False}
    AgentJob.objects.update(lease_until="2000-01-01T00:00:00Z")
    assert claims.take_back_lost() == 1
    assert claims.renew([claim]) == {}
    again = claims.claim("other")
    assert again is not None
    assert again.fence > claim.fence + 1


def test_three_workers_lost_over_one_step_bury_it(team: Team) -> None:
    """J10"""
    job = asked(team)
    for _ in range(3):
        assert claims.claim("w") is not None
        AgentJob.objects.update(lease_until="2000-01-01T00:00:00Z")
        claims.take_back_lost()
    job.refresh_from_db()
    assert job.status == "failed"
    letter = DeadLetter.objects.get()
    assert (letter.source, letter.payload["job_id"], letter.status) == ("queue", str(job.id), "open")  # type: ignore[index]


def test_a_dead_letter_that_is_wanted_twice_is_tried_once(team: Team) -> None:
    """J29"""
    job = asked(team)
    states.bury(states.locked(job) if connection.in_atomic_block else job, "the provider was away")
    for _ in range(2):
        DeadLetter.objects.update(status=DeadLetter.Status.RETRY_WANTED)
    assert (pauses.take_letters(), pauses.take_letters()) == (1, 0)
    job.refresh_from_db()
    assert (job.status, DeadLetter.objects.get().status) == ("queued", "retried")
    claims.claim("w")
    with pytest.raises(Conflict):
        states.retry(team, job.id, actor=ALICE)


def test_another_teams_job_is_not_there(team: Team, other_team: Team) -> None:
    job = asked(team)
    for act in (
        lambda: states.cancel(other_team, job.id, reason="", actor=ALICE),
        lambda: states.retry(other_team, job.id, actor=ALICE),
        lambda: states.change(other_team, job.id, actor=ALICE, priority=1),
    ):
        with pytest.raises(NotFound):
            act()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"input": ""}, "input"),
        ({"input": "a\0b"}, "input"),
        ({"priority": 101}, "priority"),
        ({"agent": "walker"}, "agent"),
        ({"definition": None}, "agent"),
        ({"definition": agent(model="")}, "model"),
        ({"definition": agent(tools=["no such tool"])}, "tools"),
        ({"definition": agent(pattern="no such pattern")}, "pattern"),
        ({"steps_max": 10**9}, "max_steps"),
        ({"metadata": {"x": "y" * 20_000}}, "metadata"),
        ({"idempotency_key": "k" * 300}, "idempotency_key"),
        ({"run_at": datetime(1900, 1, 1, tzinfo=UTC)}, "run_at"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_field(wrong: dict[str, Any], field: str, team: Team) -> None:
    with pytest.raises(Invalid) as refused:
        asked(team, **wrong)
    assert refused.value.field == field
    assert not AgentJob.objects.exists()


def test_what_is_too_large_is_refused(team: Team) -> None:
    """J25"""
    with pytest.raises(TooLarge):
        asked(team, input="x" * 300_000)


# --- schedules --------------------------------------------------------------------------------------------------------


def planned(team: Team, **fields: Any) -> JobSchedule:
    from tracking.agents import store
    from tracking.agents.definition import Definition

    store.save(team, Definition.read(team, agent(model="demo/echo")), actor=ALICE, note="", expected_version=None)
    return schedules.make(
        team, **{"name": "nightly", "agent": "walker", "input": "look", "cron": "0 3 * * *", "actor": ALICE, **fields}
    )


def test_each_moment_of_a_schedule_gives_one_job(team: Team) -> None:
    """J21, J22: looked at twice it is one job, and three hours that nobody looked at give one."""
    planned(team, cron="* * * * *")
    JobSchedule.objects.update(next_at=datetime.now(UTC) - timedelta(hours=3))
    assert (schedules.submit_due(), schedules.submit_due()) == (1, 0)
    job = AgentJob.objects.get()
    assert (job.agent, job.input, job.created_by) == ("walker", "look", "schedule nightly")
    assert JobSchedule.objects.get().next_at > datetime.now(UTC)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 3 * * *", "UTC", "2026-03-01T02:59:30", "2026-03-01T03:00:00"),
        ("0 3 * * *", "UTC", "2026-03-01T03:00:00", "2026-03-02T03:00:00"),
        ("0 3 * * *", "Europe/Zurich", "2026-01-10T12:00:00", "2026-01-11T02:00:00"),
        ("0 3 * * *", "Europe/Zurich", "2026-07-10T12:00:00", "2026-07-11T01:00:00"),
        ("*/15 * * * *", "UTC", "2026-03-01T10:07:00", "2026-03-01T10:15:00"),
        ("0 9 * * mon", "UTC", "2026-03-03T00:00:00", "2026-03-09T09:00:00"),
        ("0 0 1 * *", "Asia/Kolkata", "2026-03-05T00:00:00", "2026-03-31T18:30:00"),
    ],
)
def test_cron_is_read_in_the_teams_time_zone(cron: str, zone: str, after: str, expected: str) -> None:
    found = schedules.next_of(cron, zone, datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("cron", ["", "* * *", "61 * * * *", "a b c d e", "* * * * * *", "0 25 * * *"])
def test_what_is_no_schedule_is_refused(cron: str, team: Team) -> None:
    with pytest.raises(Invalid) as refused:
        planned(team, cron=cron)
    assert refused.value.field == "cron"


def test_a_schedule_that_is_switched_off_gives_nothing(team: Team) -> None:
    row = planned(team)
    schedules.switch(team, row.id, is_active=False, actor=SYSTEM)
    JobSchedule.objects.update(next_at=datetime.now(UTC) - timedelta(hours=1))
    assert schedules.submit_due() == 0
    schedules.switch(team, row.id, is_active=True, actor=SYSTEM)
    assert schedules.submit_due() == 0, "what was missed while it was off stays missed"
    schedules.remove(team, row.id, actor=SYSTEM)
    with pytest.raises(NotFound):
        schedules.find(team, row.id)


def test_messages_say_nothing_that_is_believed(team: Team, settings: Any) -> None:
    """J26: the message that wakes a worker has no argument: whose job is done is what the queue of record says."""
    from tracking.queue import wake
    from tracking.tasks import look_for_jobs

    asked(team)
    assert look_for_jobs.name == wake.TASK
    with pytest.raises(TypeError):
        look_for_jobs(json.dumps({"team_id": 1}))
    with Connection(settings.CELERY_BROKER_URL) as broker:
        assert broker.as_uri()
