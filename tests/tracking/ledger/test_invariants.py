"""Each of the ledger's invariants is found broken when it is, and what explains a budget over its limit explains it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any
from uuid import UUID

import pytest
from django.utils.timezone import now

from tests.tracking.ledger.conftest import ceiling, make_budget
from tests.tracking.ledger.test_seal import by_force, invariants_of_the_ledger, rows
from tracking.audit import SYSTEM
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.ledger.calls import Actual, Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.seal import seal
from tracking.ledger.verbs import charge, settle
from tracking.models import Budget, Team

pytestmark = pytest.mark.django_db

HAND = Hand(SYSTEM, rules_organization=True)


@pytest.fixture
def budget(team: Team, hold: Callable[..., Any]) -> Budget:
    """0.6 spent by a call, 0.3 held."""
    made = make_budget(team, "1")
    id, _ = hold(of=ceiling("0.6"))
    perform(settle(team.pk, id, Actual(usd=D("0.6"), tokens=1)))
    hold(of=ceiling("0.3"))
    seal(10)
    assert invariants_of_the_ledger() == {}
    return made


TAMPERED = {
    "UPDATE tracking_budget_period SET held_usd = held_usd + 0.0000000001": {"v1_held_is_the_open_holds"},
    "UPDATE tracking_reservation SET state = 2, closed_at = now() WHERE state = 0": {"v1_held_is_the_open_holds"},
    "UPDATE tracking_budget_period SET spent_usd = spent_usd - 0.0000000001": {"v2_spent_is_the_entries"},
    "DELETE FROM tracking_budget_period": {"v1_held_is_the_open_holds", "v2_spent_is_the_entries"},
    "UPDATE tracking_ledger_sum SET usd = usd + 1": {"v2_sums_are_the_sealed_entries"},
    "UPDATE tracking_budget SET limit_usd = 0.89": {"v3_no_strict_budget_is_over"},
    "UPDATE tracking_reservation SET actual_usd = 0.5 WHERE state = 1": {"v4_each_call_is_debited_once"},
    "UPDATE tracking_reservation SET state = 2 WHERE state = 1": {"v4_each_call_is_debited_once"},
    "UPDATE tracking_ledger_entry SET reservation_id = NULL": {"v4_each_call_is_debited_once", "v11_chains_are_whole"},
    "INSERT INTO tracking_ledger_unsealed SELECT team_id, id FROM tracking_ledger_entry": {"v11_chains_are_whole"},
    "UPDATE tracking_reservation SET closed_at = NULL": {"v12_no_nonsense_in_the_ledger"},
}


@pytest.mark.parametrize("sql", list(TAMPERED))
def test_what_is_broken_is_found(budget: Budget, sql: str) -> None:
    with by_force("tracking_ledger_entry"):
        rows(sql)
    assert set(invariants_of_the_ledger()) == TAMPERED[sql]


def lower(budget: Budget) -> None:
    rows("UPDATE tracking_budget SET limit_usd = 0.89")


def seen_afterwards(usd: str) -> Callable[[Budget], None]:
    def add(budget: Budget) -> None:
        perform(
            charge(
                budget.team_id or 0, [Charge(call=Call(team_id=budget.team_id or 0), at=now(), usd=D(usd), tokens=0)]
            )
        )

    return add


def settled_above(budget: Budget) -> None:
    id: UUID = rows("SELECT id FROM tracking_reservation WHERE state = 0")[0][0]
    perform(settle(budget.team_id or 0, id, Actual(usd=D("0.9"), tokens=1)))


def changed(budget: Budget) -> None:
    assert budget.team is not None
    budgets.change(budget, budget.team, HAND, {"limit_usd": "0.5"})


def adjusted(budget: Budget) -> None:
    assert budget.team is not None
    budgets.adjust(budget, budget.team, HAND, usd="3", reason="their bill")


@pytest.mark.parametrize("does", [seen_afterwards("0.3"), settled_above, changed, adjusted])
def test_what_nobody_admitted_explains_a_budget_over_its_limit(budget: Budget, does: Callable[[Budget], None]) -> None:
    does(budget)
    assert rows("SELECT spent_usd + held_usd > b.limit_usd FROM tracking_budget_period, tracking_budget b") == [(True,)]
    assert invariants_of_the_ledger() == {}


def test_what_came_afterwards_explains_no_more_than_it_was(budget: Budget) -> None:
    seen_afterwards("0.3")(budget)
    lower(budget)
    assert set(invariants_of_the_ledger()) == {"v3_no_strict_budget_is_over"}


def test_a_budget_made_while_calls_are_under_way_may_begin_over_its_limit(team: Team, hold: Callable[..., Any]) -> None:
    hold(of=ceiling("0.6"))
    made = budgets.create(team, HAND, scope_kind="team", scope_id="", window="total", name="late", limit_usd="0.1")
    assert made.calls_under_way == 1
    assert invariants_of_the_ledger() == {}
