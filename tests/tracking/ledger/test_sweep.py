"""Silent calls are closed, one that cannot be closed keeps none of the others, and old holds are cleared away."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any
from uuid import UUID

import pytest
from django.db import connection

from tests.tracking.ledger.conftest import ceiling, make_budget, sums
from tests.tracking.ledger.test_seal import rows
from tracking import tasks
from tracking.ledger.calls import Actual, Call, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.sweep import clear, sweep
from tracking.ledger.verbs import dispatch, release, renew, reserve, settle
from tracking.models import Alert, LedgerEntry, Reservation, Team

pytestmark = pytest.mark.django_db


def run_out() -> None:
    rows("UPDATE tracking_reservation SET lease_until = now() - interval '1 s' WHERE state = 0")


def state(id: UUID) -> int:
    return Reservation.objects.get(id=id).state


def test_all_whose_lease_ran_out_are_closed(team: Team, hold: Callable[..., Any]) -> None:
    budget = make_budget(team, "10")
    ids = [hold()[0] for _ in range(4)]
    for id in ids[:3]:
        perform(dispatch([team.pk], [id]))
    run_out()
    assert perform(renew([team.pk], [ids[0]], lease_ms=60_000)) == {ids[0]}
    assert sweep() == {"expired": 2, "released": 1}
    assert sweep() == {}
    assert sums(budget) == (D("0.2"), D("0.1"))


def test_a_lease_is_never_made_shorter(team: Team, hold: Callable[..., Any]) -> None:
    make_budget(team)
    id, _ = hold()
    before = Reservation.objects.get(id=id).lease_until
    perform(renew([team.pk], [id], lease_ms=1))
    assert Reservation.objects.get(id=id).lease_until == before


def test_a_sweep_is_bounded_and_the_next_goes_on(team: Team, hold: Callable[..., Any], settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "holds_swept_at_once": 2}
    make_budget(team)
    for _ in range(3):
        hold()
    run_out()
    assert [sweep().total(), sweep().total(), sweep().total()] == [2, 1, 0]


def test_a_hold_that_cannot_be_closed_is_told_of_and_keeps_no_other(team: Team, hold: Callable[..., Any]) -> None:
    budget = make_budget(team, None, limit_tokens=2**62)
    bad, _ = hold()
    perform(dispatch([team.pk], [bad]))
    rows("UPDATE tracking_budget_period SET spent_tokens = 9223372036854775800")  # no room for its tokens
    other = make_budget(team, "1", name="other", scope_kind="agent", scope_id="a")
    rows("UPDATE tracking_budget SET archived_at = now() WHERE id = %s", budget.pk)
    good, _ = hold(Call(team_id=team.pk, agent="a", models=("m",)))
    run_out()
    assert sweep() == {"stuck": 1, "released": 1}
    assert (state(bad), state(good)) == (Reservation.State.HELD, Reservation.State.RELEASED)
    assert sums(other, "a") == (0, 0)
    alert = Alert.objects.get(kind="stuck")
    assert (alert.team, alert.payload["reservation_id"]) == (team, str(bad))
    assert "out of range" in alert.payload["error"]
    assert sweep() == {}  # put off, not tried at once again
    run_out()
    assert sweep() == {"stuck": 1}
    assert Alert.objects.get(kind="stuck").times == 2
    rows("UPDATE tracking_budget_period SET spent_tokens = 0")
    run_out()
    assert sweep() == {"expired": 1}


def test_holds_closed_long_ago_are_cleared_and_their_entries_stay(
    team: Team, hold: Callable[..., Any], settings: Any
) -> None:
    settings.LIMITS = {**settings.LIMITS, "holds_cleared_per_commit": 2, "holds_cleared_at_once": 3}
    budget = make_budget(team, "10")
    ids = [hold()[0] for _ in range(6)]
    for id in ids[:4]:
        perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1)))
    perform(release(team.pk, ids[4]))
    days = settings.LIMITS["closed_hold_days"]
    rows("UPDATE tracking_reservation SET closed_at = closed_at - make_interval(days => %s, secs => 1)", days)
    cleared = [clear(), clear(), clear()]
    assert cleared[0] in (3, 4)  # whole commits, of two
    assert (sum(cleared), cleared[2]) == (5, 0)
    assert list(Reservation.objects.values_list("id", flat=True)) == [ids[5]]
    assert LedgerEntry.objects.count() == 4
    assert sums(budget) == (D("0.4"), D("0.1"))


def test_what_was_settled_and_cleared_is_not_held_for_again(team: Team, hold: Callable[..., Any]) -> None:
    """A job that is replayed after a month sends the same ids."""
    budget = make_budget(team, "10")
    id, _ = hold()
    perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1)))
    rows("DELETE FROM tracking_reservation")
    assert hold(id=id)[1].outcome is Outcome.CLOSED
    assert perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1))).outcome is Outcome.GONE
    assert sums(budget) == (D("0.1"), 0)


def test_the_clocks_tasks_can_run_twice(team: Team, hold: Callable[..., Any]) -> None:
    make_budget(team, "10")
    hold()
    run_out()
    id, _ = hold()
    perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1)))
    for _ in range(2):
        for task in (
            tasks.sweep_holds,
            tasks.seal_entries,
            tasks.clear_holds,
            tasks.reconcile,
            tasks.reconcile_everything,
        ):
            task()
    assert [one[0] for one in rows("SELECT count(*) FROM tracking_ledger_seal")] == [1]
    assert not Alert.objects.filter(kind__in=["drift", "stuck"]).exists()
    assert connection.in_atomic_block


def test_beat_knows_the_tasks() -> None:
    from wflo_site.celery import app

    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    names = {"sweep_holds", "seal_entries", "reconcile", "reconcile_everything", "clear_holds"}
    assert {f"tracking.tasks.{name}" for name in names} <= scheduled & set(app.tasks)
    assert reserve(Call(team_id=1), ceiling(), id=UUID(int=1), lease_ms=1).commit.name == "LATER"
