"""What a job's page is told while it is open, through a real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_team
from tests.server import Server, running_server
from tests.tracking.queue.walked import WALK, walk
from tracking.models import AgentJob, RunControl, Team
from tracking.queue import live, live_door, states, steps
from tracking.queue.claims import Claim
from tracking.store_time import store_now

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def server(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    app = "tests.tracking.queue.live_limits:application"
    with django_db_blocker.unblock(), running_server(tmp_path_factory.mktemp("live"), app=app) as server:
        yield server


@pytest.fixture
def team() -> Team:
    return make_team("Core")


class Told:
    """An open stream: ``next`` is the next event's name and what it says; None when it is over. Comments are counted."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.iter_lines()
        self.comments = 0

    def next(self) -> tuple[str, Any] | None:
        name = ""
        for line in self.lines:
            if line.startswith(":"):
                self.comments += 1
            elif line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))
        return None

    def names(self, *wanted: str) -> None:
        """The events that come next are these."""
        assert [(self.next() or ("over",))[0] for _ in wanted] == list(wanted)


@contextmanager
def told(server: Server, job: AgentJob, token: str | None = None) -> Iterator[Told]:
    token = live_door.token_of(job.team_id, job.id) if token is None else token
    with httpx.stream("GET", address(server, job, token), timeout=30) as answer:
        yield Told(answer)


def address(server: Server, job: AgentJob, token: str) -> str:
    return str(httpx.URL(f"{server.url}/jobs/{job.id}/live", params={"token": token}))


# --- who may hear -----------------------------------------------------------------------------------------------------


def test_a_token_is_good_for_its_job_alone(server: Server, team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    job, other = walk(team), walk(team)
    good = live_door.token_of(team.pk, job.id)
    then = time.time() - live_door.TOKEN_SECONDS - 60
    with monkeypatch.context() as clock:
        clock.setattr("time.time", lambda: then)
        old = live_door.token_of(team.pk, job.id)
    for token in ("", "x", good[:-1], old, live_door.token_of(team.pk, other.id)):
        answer = httpx.get(address(server, job, token))
        assert answer.status_code == 403, token
        assert answer.json()["code"] == "not_allowed"
        assert "load it again" in answer.json()["detail"]
    assert httpx.post(address(server, job, good)).status_code == 405


def test_a_token_that_names_another_team_hears_nothing(server: Server, team: Team) -> None:
    job = walk(make_team("Elsewhere"))
    with told(server, job, live_door.token_of(team.pk, job.id)) as page:
        assert page.next() is None


def test_too_many_at_once_are_refused_and_one_that_leaves_makes_room(server: Server, team: Team) -> None:
    job = walk(team)
    with told(server, job) as first:
        with told(server, job) as second:
            first.names("changed")
            second.names("changed")
            answer = httpx.get(address(server, job, live_door.token_of(team.pk, job.id)))
            assert answer.status_code == 429
            assert answer.json()["code"] == "quota_reached"
        for _ in range(100):
            with told(server, job) as third:
                if third.answer.status_code == 200:
                    third.names("changed")
                    break
            time.sleep(0.1)
        else:
            pytest.fail("nobody made room")


# --- what it hears ----------------------------------------------------------------------------------------------------


def test_it_hears_of_whatever_its_page_shows_until_the_end(server: Server, team: Team) -> None:
    job = walk(team, WALK[:1])
    claim = Claim(team.pk, job.id, 1)
    with told(server, job) as page:
        assert page.answer.headers["content-type"] == "text/event-stream"
        assert page.answer.headers["cache-control"] == "no-store"
        page.names("changed")
        begun = steps.Begin(
            run=job.run, key=b"k" * 16, kind="model", agent="helper", name="echo", lane=b"l" * 16, ordinal=9
        )
        steps.begin(claim, begun)
        page.names("changed")
        now = store_now()
        RunControl.objects.create(team=team, run=job.run, cost_usd=Decimal("0.1"), started_at=now, last_at=now)
        page.names("changed")
        RunControl.objects.filter(team=team, run=job.run).update(cost_usd=Decimal("0.2"))
        page.names("changed")
        states.change(team, job.id, actor=states.SYSTEM, budget_usd=Decimal(3))
        page.names("changed")
        states.ended(states.job_of(team, job.id), AgentJob.Status.COMPLETED, output="owls")
        page.names("changed", "ended")
        assert page.next() is None


def test_an_ended_job_is_told_so_at_once(server: Server, team: Team) -> None:
    job = walk(team)
    states.ended(job, AgentJob.Status.FAILED, reason="no")
    with told(server, job) as page:
        page.names("changed", "ended")
        assert page.next() is None


def test_it_hears_the_words_of_an_answer_on_its_way(server: Server, team: Team) -> None:
    job = walk(team)
    hostile = "<img src=x onerror=alert(1)>\n\ndata: event: ended"
    with told(server, job) as page, asyncio.Runner() as worker:
        page.names("changed")
        worker.run(_say(job, {"helper": "Owls", "other": hostile}))
        assert page.next() == ("words", {"helper": "Owls", "other": hostile})
        worker.run(_say(job, {}))
        assert page.next() == ("words", {})


async def _say(job: AgentJob, words: dict[str, str]) -> None:
    spoken = live.Words(job.team_id, job.run)
    spoken._texts.update(words)
    await spoken._send()


def test_while_nothing_happens_it_hears_that_somebody_is_there(server: Server, team: Team) -> None:
    job = walk(team)
    with told(server, job) as page:
        page.names("changed")
        time.sleep(2.5)
        states.change(team, job.id, actor=states.SYSTEM, priority=5)
        page.names("changed")
        assert page.comments >= 1


def test_a_server_that_is_told_to_end_does_not_wait_for_pages(team: Team, tmp_path: Path) -> None:
    job = walk(team)
    with running_server(tmp_path) as server, told(server, job) as page:
        page.names("changed")
        server.process.terminate()
        assert page.next() is None
        assert server.process.wait(60) == 0
