"""A sum that is not that of its entries and holds is told and noted, to the last digit, and left as it is."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now

from tests.server import database_url
from tests.tracking.ledger.conftest import make_budget
from tests.tracking.ledger.test_seal import by_force, rows
from tracking.ledger import reconcile as room
from tracking.ledger.calls import Actual, Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.reconcile import reconcile, reconcile_everything
from tracking.ledger.seal import Break, seal
from tracking.ledger.verbs import charge, settle
from tracking.models import Alert, AuditEntry, Budget, BudgetPeriod, Team

pytestmark = pytest.mark.django_db

NANO = D("0.0000000001")


@pytest.fixture
def budget(team: Team, hold: Callable[..., Any]) -> Budget:
    """With entries that are sealed, one that is not, and a hold."""
    made = make_budget(team, "10")
    make_budget(team, "10", name="above", scope_kind="organization", team=None)
    make_budget(team, "10", name="each", scope_kind="user", window="day")
    for number in range(3):
        call = Call(team_id=team.pk, user=f"u{number}", models=("m",))
        perform(charge(team.pk, [Charge(call=call, at=now(), usd=D("0.1"), tokens=1)]))
    seal(100)
    id, _ = hold(Call(team_id=team.pk, user="u1", models=("m",)))
    perform(settle(team.pk, id, Actual(usd=D("0.03"), tokens=5)))
    hold(Call(team_id=team.pk, user="u1", models=("m",)))
    return made


def test_what_agrees_is_let_be(budget: Budget) -> None:
    assert reconcile() == []
    assert reconcile_everything() == ([], {})
    assert not Alert.objects.filter(kind="drift").exists()


@pytest.mark.parametrize(
    ("column", "by"),
    [("spent_usd", NANO), ("spent_usd", -NANO), ("held_usd", NANO), ("spent_tokens", 1), ("held_tokens", 1)],
)
def test_a_drift_of_the_last_digit_is_told_and_not_hidden(team: Team, budget: Budget, column: str, by: D) -> None:
    """B35"""
    rows(f"UPDATE tracking_budget_period SET {column} = {column} + %s WHERE budget_id = %s", by, budget.pk)
    before = BudgetPeriod.objects.values_list(column, flat=True).get(budget=budget)
    (found,) = reconcile()
    assert (found.budget_id, getattr(found, column)) == (budget.pk, before)
    other = {"spent": "entered", "held": "open"}[column.split("_")[0]] + "_" + column.split("_")[1]
    assert getattr(found, column) - getattr(found, other) == by
    alert = Alert.objects.get(kind="drift")
    assert (alert.team, alert.severity, alert.payload["budget"]) == (team, "critical", "all")
    assert D(str(alert.payload[column])) - D(str(alert.payload[other])) == by
    entry = AuditEntry.objects.get(action="ledger.drift")
    assert (entry.team, entry.object_id, entry.after["found"]) == (team, str(budget.pk), alert.payload)
    assert BudgetPeriod.objects.values_list(column, flat=True).get(budget=budget) == before


def test_the_same_drift_again_counts_and_is_noted_once(budget: Budget) -> None:
    rows("UPDATE tracking_budget_period SET spent_usd = spent_usd + 1 WHERE budget_id = %s", budget.pk)
    for _ in range(3):
        assert len(reconcile()) == 1
    assert Alert.objects.get(kind="drift").times == 3
    assert AuditEntry.objects.filter(action="ledger.drift").count() == 1
    rows("UPDATE tracking_budget_period SET spent_usd = spent_usd + 1 WHERE budget_id = %s", budget.pk)
    reconcile()
    assert AuditEntry.objects.filter(action="ledger.drift").count() == 2


def test_the_organizations_budget_is_told_to_its_first_team(team: Team, budget: Budget) -> None:
    above = Budget.objects.get(name="above")
    rows("UPDATE tracking_budget_period SET spent_usd = 0 WHERE budget_id = %s", above.pk)
    assert [found.budget_id for found in reconcile()] == [above.pk]
    assert Alert.objects.get(kind="drift").team == team


def test_a_window_that_is_gone_but_for_its_entries_or_holds_is_found(budget: Budget) -> None:
    rows("DELETE FROM tracking_budget_period WHERE budget_id = %s", budget.pk)
    (found,) = reconcile()
    assert (found.spent_usd, found.entered_usd, found.held_usd, found.open_usd) == (0, D("0.33"), 0, D("0.1"))


def test_a_window_not_used_of_late_is_looked_at_at_night(budget: Budget) -> None:
    rows("DELETE FROM tracking_reservation WHERE state = 0")
    rows("UPDATE tracking_budget_period SET held_usd = 0, held_tokens = 0")
    seal(100)
    rows(
        "UPDATE tracking_budget_period SET spent_usd = spent_usd + 1, touched_at = now() - interval '2 days' WHERE budget_id = %s",
        budget.pk,
    )
    assert reconcile() == []
    assert [found.budget_id for found in reconcile_everything()[0]] == [budget.pk]


def test_an_entry_changed_by_force_is_found_at_night(team: Team, budget: Budget) -> None:
    (id,) = rows("SELECT min(id) FROM tracking_ledger_entry")[0]
    with by_force("tracking_ledger_entry"):
        rows("UPDATE tracking_ledger_entry SET usd = usd - %s WHERE id = %s", NANO, id)
    drifts, breaks = reconcile_everything()
    assert {found.spent_usd - found.entered_usd for found in drifts} == {NANO}
    assert breaks == {team.pk: Break("changed", id, 1)}
    assert Alert.objects.get(dedupe_key=f"drift:chain:{team.pk}").payload == {
        "chain": {"what": "changed", "entry_id": id, "number": 1}
    }


def test_a_drift_of_a_team_that_is_gone_is_noted_once(budget: Budget) -> None:
    with by_force("tracking_ledger_entry"):
        rows("UPDATE tracking_ledger_entry SET team_id = 999, teams = ARRAY[999], budgets = ARRAY[%s::uuid],"
             " subjects = ARRAY[''], starts = ARRAY[now()] WHERE id = (SELECT max(id) FROM tracking_ledger_entry)", uuid4())  # fmt: skip
    for _ in range(2):
        assert 999 in {found.team_id for found in reconcile_everything()[0]}
    assert AuditEntry.objects.filter(team=None, action="ledger.drift").count() == 2  # the window's and the chain's


@pytest.mark.django_db(transaction=True)
def test_while_one_looks_another_does_not(budget: Budget) -> None:
    import psycopg

    rows("UPDATE tracking_budget_period SET spent_usd = spent_usd + 1 WHERE budget_id = %s", budget.pk)
    with psycopg.connect(database_url()) as other:
        other.execute(room.statements("reconcile")["alone"])
        assert reconcile() == []
    assert len(reconcile()) == 1
    assert connection.in_atomic_block is False
