"""An alert opens once, is acknowledged, is resolved and opens anew; another team never sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from pytest_django.fixtures import Settings

from tests.make import make_team
from tracking import alerts
from tracking.alerts.standing import alert_of, resolve_key
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotFound
from tracking.models import Alert, AuditEntry, Team, User

T0 = datetime(2026, 11, 26, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def test_the_same_again_only_counts(team: Team) -> None:
    first = alerts.open_once(team, "loop", "low", "loop:r1", payload={"times": 3}, run="r1", agent="ops", now=T0)
    later = T0 + timedelta(minutes=5)
    again = alerts.open_once(team, "loop", "high", "loop:r1", payload={"times": 9}, run="r1", agent="ops", now=later)
    assert (first.is_new, again.is_new, again.id) == (True, False, first.id)
    alert = Alert.objects.get()
    assert (alert.times, alert.opened_at, alert.last_at, alert.severity, alert.payload) == (
        2, T0, later, "high", {"times": 9},
    )  # fmt: skip


def test_another_key_and_another_team_are_others(team: Team) -> None:
    other = make_team("Elsewhere")
    keys = [(team, "loop:r1"), (team, "loop:r2"), (other, "loop:r1")]
    assert all(alerts.open_once(who, "loop", "low", key).is_new for who, key in keys)
    assert Alert.objects.count() == 3


def test_what_was_resolved_opens_anew_and_is_told_anew(team: Team, alice: User) -> None:
    opened = alerts.open_once(team, "errors", "high", "errors:", now=T0)
    alerts.acknowledge(team, [opened.id], actor=Actor.of(alice))
    Alert.objects.update(delivered_at=T0)
    assert resolve_key(team, "errors:")
    assert not resolve_key(team, "errors:")
    again = alerts.open_once(team, "errors", "high", "errors:", now=T0 + timedelta(hours=1))
    alert = Alert.objects.get()
    assert (again.is_new, again.id) == (True, opened.id)
    assert (alert.opened_at, alert.times) == (T0 + timedelta(hours=1), 1)
    assert {alert.acknowledged_at, alert.acknowledged_by, alert.resolved_at, alert.delivered_at} == {None}


def test_who_acknowledges_is_kept_and_audited(team: Team, alice: User) -> None:
    opened = alerts.open_once(team, "loop", "low", "loop:r1")
    assert alerts.acknowledge(team, [opened.id, opened.id], actor=Actor.of(alice)) == 1
    assert alerts.acknowledge(team, [opened.id], actor=Actor.of(alice)) == 0
    assert alert_of(team, opened.id).acknowledged_by == alice
    assert alerts.resolve(team, [opened.id], actor=Actor.of(alice)) == 1
    actions = list(AuditEntry.objects.filter(object_kind="alert").values_list("action", "object_id", "actor_name"))
    assert actions == [
        ("alert.acknowledge", str(opened.id), "Alice"),
        ("alert.resolve", str(opened.id), "Alice"),
    ]


def test_what_the_system_resolves_is_no_entry_of_the_audit_log(team: Team) -> None:
    opened = alerts.open_once(team, "loop", "low", "loop:r1")
    assert alerts.resolve(team, [opened.id], actor=SYSTEM) == 1
    assert not AuditEntry.objects.filter(object_kind="alert").exists()


def test_a_resolved_alert_is_not_acknowledged(team: Team, alice: User) -> None:
    opened = alerts.open_once(team, "loop", "low", "loop:r1")
    alerts.resolve(team, [opened.id], actor=SYSTEM)
    assert alerts.acknowledge(team, [opened.id], actor=Actor.of(alice)) == 0


def test_another_teams_alert_is_not_there(team: Team, charlie: User) -> None:
    opened = alerts.open_once(team, "loop", "low", "loop:r1")
    other = charlie.memberships.get().team
    assert alerts.acknowledge(other, [opened.id], actor=Actor.of(charlie)) == 0
    assert alerts.resolve(other, [opened.id], actor=Actor.of(charlie)) == 0
    for wanted in (opened.id, uuid4(), "nonsense"):
        with pytest.raises(NotFound):
            alert_of(other, wanted)
    assert Alert.objects.get().resolved_at is None


def test_whatever_agents_are_called_can_be_kept(team: Team) -> None:
    nasty = "a\0b\ud800\n" + "x" * 500
    opened = alerts.open_once(
        team, "loop", "low", f"loop:{nasty}", run=nasty, agent=nasty,
        payload={nasty: [nasty, Decimal("0.10"), float("nan"), T0, {1: (2**70, True)}, uuid4()]},
    )  # fmt: skip
    alert = Alert.objects.get(pk=opened.id)
    assert (len(alert.dedupe_key), len(alert.run), len(alert.agent)) == (400, 128, 200)
    (kept,) = alert.payload.values()
    assert kept[1:5] == ["0.10", None, "2026-11-26T12:00:00Z", {"1": [str(2**70), True]}]
    assert not alerts.open_once(team, "loop", "low", f"loop:{nasty}").is_new
    assert alerts.open_once(team, "loop", "low", f"loop:{nasty}y").is_new


def test_a_payload_and_a_choice_have_limits(team: Team, settings: Settings) -> None:
    with pytest.raises(Invalid, match="payload"):
        alerts.open_once(team, "loop", "low", "k", payload={"x": "y" * settings.LIMITS["alert_payload_bytes"]})
    with pytest.raises(Invalid, match="at most 200"):
        alerts.resolve(team, [uuid4() for _ in range(201)], actor=SYSTEM)
    with pytest.raises(ValueError, match="nonsense"):
        alerts.open_once(team, "nonsense", "low", "k")
