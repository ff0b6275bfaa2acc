"""An agent that spends many times what it usually does is cut off, by its own measure, and no other; nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.make import make_team
from tests.tracking.ingest.spans import stored
from tests.tracking.reports.past import NOON, a_priced_store, run_at
from tracking import agent_breaker
from tracking.audit import SYSTEM
from tracking.ingest.writer import Store
from tracking.models import Alert, AuditEntry, Circuit, Team
from tracking.speed_watch import watch, watch_team

pytestmark = pytest.mark.django_db(transaction=True)

HOURS, PER_HOUR_USD = 6, "0.15"


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


def on(team: Team, **given: Any) -> None:
    policy = {"mode": "on", "speed_max": 4, "speed_minutes": 30, "speed_usd_min": "0.5", "speed_hours_min": HOURS}
    agent_breaker.set_policy(team, policy | given, actor=SYSTEM)


def history(store: Store, team: Team, agent: str = "planner", *, hours: int = HOURS, first: int = 0) -> None:
    """A run of $0.15 in each of some hours of past days: 7.5 cents in half an hour is usual."""
    for number in range(hours):
        stored(store, team, *run_at(first + number + 1, 8 + number % 3, days_ago=1 + number // 3, agent=agent))


def lately(
    store: Store, team: Team, runs: int, agent: str = "planner", *, first: int = 100, hour: float = 11.75
) -> None:
    for number in range(runs):
        stored(store, team, *run_at(first + number, hour, agent=agent))


def test_many_times_the_usual_in_the_last_minutes_cuts_it_off_with_the_figures(store: Store, team: Team) -> None:
    on(team)
    history(store, team)
    lately(store, team, 4)
    assert watch(NOON) == 1
    row = Circuit.objects.get(team_id=team.pk, name="agent:planner")
    assert (row.state, row.why) == (
        "open",
        "It spent $0.60 in 30 minutes, 8.0 times what it usually does ($0.0750).",
    )
    alert = Alert.objects.get(team=team, kind="circuit")
    speed = alert.payload["speed"]
    assert (alert.agent, speed["spent_usd"], speed["hours_known"]) == ("planner", "0.6000000000", HOURS)
    assert AuditEntry.objects.filter(team=team, action="circuit.move", object_id="agent:planner").count() == 1
    assert watch(NOON + timedelta(minutes=1)) == 0  # it is open


def test_what_is_usual_or_little_or_new_or_over_is_left_alone(store: Store, team: Team) -> None:
    on(team)
    history(store, team)
    lately(store, team, 3)  # $0.45: six times the usual, and too little to matter
    history(store, team, "reader", hours=HOURS - 1, first=200)
    lately(store, team, 9, "reader", first=300)  # nobody knows what is usual for it
    history(store, team, "writer", first=400)
    lately(store, team, 9, "writer", first=500, hour=11.1)  # in this hour, and not in the last minutes of it
    assert watch(NOON) == 0
    assert not Circuit.objects.filter(team_id=team.pk).exists()


def test_a_breaker_that_is_off_or_does_not_look_at_speed_sees_nothing(store: Store, team: Team) -> None:
    history(store, team)
    lately(store, team, 9)
    assert watch(NOON) == 0
    on(team, speed_max=None)
    assert watch(NOON) == 0
    other = make_team("Others")
    on(other)
    assert watch_team(other, NOON) == 0
    on(team)
    assert watch(NOON) == 1


def test_what_was_spent_before_a_person_closed_it_is_not_held_against_it_again(store: Store, team: Team) -> None:
    on(team)
    history(store, team)
    lately(store, team, 9)
    assert watch(NOON) == 1
    agent_breaker.reset(team, "agent:planner", actor=SYSTEM)
    Circuit.objects.update(changed_at=NOON - timedelta(minutes=5))
    assert watch(NOON) == 0
    lately(store, team, 4, first=600, hour=11.95)
    assert watch(NOON) == 1


def test_one_that_only_tells_opens_the_alert_alone(store: Store, team: Team) -> None:
    on(team, mode="tell")
    history(store, team)
    lately(store, team, 9)
    assert watch(NOON) == 1
    assert not Circuit.objects.filter(team_id=team.pk).exclude(state="closed").exists()
    assert Alert.objects.get(team=team, kind="circuit").payload["goes_on"] is True
