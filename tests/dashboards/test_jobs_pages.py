"""Pages of agent jobs."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from django.test import Client

from tests.make import signed_in
from tests.tracking.queue.walked import walk
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.audit import SYSTEM
from tracking.models import AgentJob, JobSchedule, Team, User

DEFINITION = '{"name": "helper", "model": "demo/echo", "instructions": "Be brief."}'


@pytest.fixture
def page(bob: User) -> Client:
    return signed_in(bob)


def test_the_queue_with_nothing_in_it_says_what_a_job_is(page: Client) -> None:
    said = page.get("/jobs").content.decode()
    assert "No job yet" in said
    assert "No worker is at work" in said


def test_a_job_is_started_shown_cancelled_and_taken_up_again(page: Client, team: Team) -> None:
    sent = page.post("/jobs/create", {"input": "find <b>owls</b>", "definition": DEFINITION, "budget_usd": "0.5"})
    job = AgentJob.objects.get(team=team)
    assert sent["location"] == f"/jobs/{job.id}"
    said = page.get(f"/jobs/{job.id}").content.decode()
    assert "find &lt;b&gt;owls&lt;/b&gt;" in said
    assert "$0.50" in said
    assert "/live?token=" in said
    listed = page.get("/jobs", headers={"HX-Request": "true"}).content.decode()
    assert f"/jobs/{job.id}" in listed
    assert "<html" not in listed
    page.post(f"/jobs/{job.id}/cancel")
    assert "It was cancelled" in page.get(f"/jobs/{job.id}").content.decode()
    page.post(f"/jobs/{job.id}/retry")
    job.refresh_from_db()
    assert job.status == "queued"
    again = page.get(f"/jobs/new?job={job.id}").content.decode()
    assert "find &lt;b&gt;owls&lt;/b&gt;" in again


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"input": ""}, "This field is required"),
        ({"definition": "{"}, "It is no JSON"),
        ({"definition": "[]"}, "It is no JSON object"),
        ({"definition": '{"name": "x"}'}, "model"),
        ({"definition": ""}, "Name an agent of the team"),
        ({"priority": "1000"}, "whole number from -100 to 100"),
    ],
)
def test_what_cannot_be_started_is_said_at_its_field(wrong: dict[str, str], words: str, page: Client) -> None:
    sent = page.post("/jobs/create", {"input": "find owls", "definition": DEFINITION, **wrong})
    assert sent.status_code == 422
    assert words in sent.content.decode()
    assert not AgentJob.objects.exists()


def test_schedules_are_made_switched_and_deleted(page: Client, team: Team) -> None:
    store.save(team, Definition.read(team, json.loads(DEFINITION)), actor=SYSTEM, note="", expected_version=None)
    asked = {"name": "nightly", "agent": "helper", "input": "look", "cron": "0 3 * * *"}
    assert page.post("/jobs/schedules/make", {**asked, "cron": "never"}).status_code == 422
    assert page.post("/jobs/schedules/make", asked).status_code == 302
    row = JobSchedule.objects.get()
    assert "nightly" in page.get("/jobs").content.decode()
    page.post("/jobs/schedules/change", {"schedule": str(row.id), "act": "off"})
    row.refresh_from_db()
    assert not row.is_active
    page.post("/jobs/schedules/change", {"schedule": str(row.id), "act": "delete"})
    assert not JobSchedule.objects.exists()
    assert page.post("/jobs/schedules/change", {"schedule": str(uuid4()), "act": "on"}).status_code == 404


def test_another_teams_job_is_not_there(charlie: User, team: Team) -> None:
    assert signed_in(charlie).get(f"/jobs/{walk(team).id}").status_code == 404
