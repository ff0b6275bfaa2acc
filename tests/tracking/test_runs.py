"""Runs that went quiet are closed, and opened again by a late word."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.make import make_team
from tests.told import a_store
from tests.tracking.ingest.spans import call, span, stored
from tracking import invariants, runs
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from wflo.spans import Kind, Span, Status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Iterator[Team]:
    team = make_team("Core")
    yield team
    assert invariants.check(team.pk) == []


def in_minutes(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


def open_agent(**fields: Any) -> list[Span]:
    return [span(1, kind=Kind.AGENT, agent="mira", lasts=None, status=Status.UNSET), call(2, parent=1, **fields)]


def test_a_run_nothing_was_heard_of_ends_when_its_last_step_did(store: Store, team: Team) -> None:
    stored(store, team, *open_agent())
    assert (runs.close_idle(in_minutes(29)), Run.objects.get(team=team).status) == (0, "running")

    assert runs.close_idle(in_minutes(31)) == 1

    run = Run.objects.get(team=team)
    assert (run.status, run.is_idle_closed, run.error) == ("completed", True, None)
    assert (run.ended_at - run.started_at).total_seconds() == 1.5  # span 2 begins a second in and lasts half of one
    assert runs.close_idle(in_minutes(31)) == 0


def test_a_quiet_run_whose_last_step_failed_has_failed(store: Store, team: Team) -> None:
    stored(store, team, *open_agent(status=Status.ERROR, error="429 too many"))
    runs.close_idle(in_minutes(31))
    run = Run.objects.get(team=team)
    assert (run.status, run.error) == ("failed", "429 too many")


def test_a_late_span_opens_a_closed_run_again_and_its_end_ends_it(store: Store, team: Team) -> None:
    stored(store, team, *open_agent())
    runs.close_idle(in_minutes(31))
    stored(store, team, call(3, parent=1))
    run = Run.objects.get(team=team)
    assert (run.status, run.is_idle_closed, run.ended_at, run.llm_calls) == ("running", False, None, 2)

    stored(store, team, span(1, kind=Kind.AGENT, agent="mira", lasts=60))
    run = Run.objects.get(team=team)
    assert (run.status, (run.ended_at - run.started_at).total_seconds()) == ("completed", 60)
    assert runs.close_idle(in_minutes(31)) == 0


def test_runs_that_ended_are_left_as_they_are(store: Store, team: Team) -> None:
    stored(store, team, span(1, status=Status.ERROR, error="it broke"))
    before = Run.objects.filter(team=team).values().get()
    assert runs.close_idle(in_minutes(600)) == 0
    assert Run.objects.filter(team=team).values().get() == before
