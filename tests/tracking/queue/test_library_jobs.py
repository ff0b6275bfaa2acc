"""Jobs as a program has them done by the library: started, waited for, sent back, forked, cancelled; against a server and a worker."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

import wflo
from tests.tracking.queue.conftest import Yard
from tests.tracking.queue.test_forks import version_at
from tests.tracking.queue.workers import agent
from wflo import config
from wflo.errors import ServerError


@pytest.fixture
def program(working: Yard, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """Its library sends to the tests' server."""
    there = config.Config(endpoint=working.gateway.server.url, api_key=working.gateway.key)
    monkeypatch.setattr(config, "_present", there)
    return working


def test_a_job_is_started_waited_for_and_told(program: Yard) -> None:
    definition = program.walker(2)
    key = uuid4().hex
    job = wflo.start_job(definition, "go on", budget_usd=Decimal("0.5"), metadata={"order": 7}, idempotency_key=key)
    assert (job.status, job.budget_usd, job.cost_usd, job.is_over) == ("queued", Decimal("0.5"), 0, False)
    assert wflo.start_job(definition, "go on", idempotency_key=key).id == job.id
    done = job.wait(60)
    assert (done.status, done.is_over, done.runs) == ("completed", True, (job.run,))
    assert done.cost_usd == program.gateway.billed()
    assert done.output
    assert done.told["metadata"] == {"order": 7}
    assert asyncio.run(done.wait_async(5)).output == done.output


def test_it_is_sent_back_and_forked_with_other_words(program: Yard) -> None:
    job = wflo.start_job(program.walker(3), "go on").wait(60)
    row = program.job(job.id)
    id = str(uuid4())
    taken = wflo.roll_back(
        job.run, int(version_at(row, job.run, 3)), instructions="Be brief.", reason="too long", id=id
    )
    assert (taken.status, taken.run, taken.new_run) == ("taken", job.run, f"{job.id}.2")
    assert wflo.roll_back(job.run, taken.checkpoint, id=id) == taken, "asked twice it is one"
    again = job.wait(60)
    assert again.runs == (job.run, taken.new_run)
    asked: list[Any] = program.gateway.provider.requests[-1]["body"]["messages"]
    assert asked[0]["content"] == "Be brief."
    forked = wflo.fork(job.run, "latest", budget_usd=1).wait(60)
    assert (forked.status, forked.told["forked_from"], forked.budget_usd) == ("completed", job.run, Decimal(1))


def test_one_is_cancelled_and_time_runs_out_for_who_waits(program: Yard) -> None:
    job = wflo.start_job(agent(model=program.model("echo-walk6-slow"), tools=["calculator"]), "go on")
    with pytest.raises(TimeoutError, match=job.id):
        job.wait(0)
    assert job.change(priority=7, budget_usd=2).told["priority"] == 7
    job.cancel("not wanted")
    assert job.wait(30).status == "cancelled"
    assert job.cancel().status == "cancelled", "twice is once"
    assert job.retry().wait(60).status == "completed"


def test_what_is_wrong_is_said_with_its_field(program: Yard) -> None:
    with pytest.raises(ServerError, match="nobody") as refused:
        wflo.start_job("nobody", "go on")
    assert refused.value.status == 404
    with pytest.raises(ServerError) as wrong:
        wflo.start_job({"name": "a", "model": ""}, "go on")
    assert wrong.value.field == "model"
    with pytest.raises(ServerError) as missing:
        wflo.find_job(str(uuid4()))
    assert missing.value.status == 404
    with pytest.raises(ServerError) as unknown:
        wflo.roll_back("no-such-run")
    assert unknown.value.status == 404


def test_without_a_server_there_are_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_present", config.Config())
    with pytest.raises(ServerError, match="WFLO_ENDPOINT"):
        wflo.start_job("helper", "go on")
