"""Making, changing, raising, archiving and adjusting budgets: what is kept, what is refused, what the log says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import pytest
from django.utils.timezone import now

from tests.make import make_key, make_team, make_user
from tests.tracking.ledger.conftest import ceiling, sums
from tracking import audit
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand, budget_of, tonight
from tracking.ledger.calls import Actual, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, settle
from tracking.models import Alert, AuditEntry, Budget, BudgetPeriod, LedgerEntry, Team

pytestmark = pytest.mark.django_db

HAND = Hand(SYSTEM)
OWNER = Hand(SYSTEM, rules_organization=True)


def make(team: Team, hand: Hand = HAND, **given: Any) -> Budget:
    given = {"scope_kind": "team", "scope_id": None, "window": "month", "name": "all", "limit_usd": "10", **given}
    return budgets.create(team, hand, **given).budget


def spend(team: Team, usd: str, tokens: int = 1, **call: Any) -> None:
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk, **call), at=now(), usd=D(usd), tokens=tokens)]))


def latest(team: Team) -> AuditEntry:
    return AuditEntry.objects.filter(team=team).latest("id")


def told(team: Team) -> list[int]:
    return sorted(a.payload["percent"] for a in Alert.objects.filter(team=team, resolved_at=None))


def test_a_budget_is_kept_as_given_and_in_the_log(team: Team) -> None:
    alice = make_user("Alice", team=team, role="admin")
    hand = Hand(Actor.of(alice, request_id="r1"))
    budget = make(team, hand, name=" Nights ", limit_usd=0.1, limit_tokens=5000, mode="elastic", alert_at=[90, 50, 90])
    budget.refresh_from_db()
    assert (budget.name, budget.limit_usd, budget.limit_tokens, budget.mode) == ("Nights", D("0.1"), 5000, "elastic")
    assert (budget.alert_at, budget.created_by, budget.organization_id) == ([50, 90], alice, team.organization_id)
    entry = latest(team)
    assert (entry.action, entry.actor_name, entry.request_id) == ("budget.create", "Alice", "r1")
    assert entry.after["limit"] == {"usd": "0.1", "tokens": 5000}
    assert entry.after["scope"] == {"kind": "team", "id": ""}
    assert audit.verify(team) is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"name": 7}, "name"),
        ({"limit_usd": None}, "limit_usd"),
        ({"limit_usd": -1}, "limit_usd"),
        ({"limit_usd": "NaN"}, "limit_usd"),
        ({"limit_usd": "Infinity"}, "limit_usd"),
        ({"limit_usd": "1e10"}, "limit_usd"),
        ({"limit_usd": "0.00000000001"}, "limit_usd"),
        ({"limit_usd": True}, "limit_usd"),
        ({"limit_usd": "ten"}, "limit_usd"),
        ({"limit_tokens": 1.5}, "limit_tokens"),
        ({"limit_tokens": -1}, "limit_tokens"),
        ({"limit_tokens": 10**16}, "limit_tokens"),
        ({"mode": "hard"}, "mode"),
        ({"window": "year"}, "window"),
        ({"scope_kind": "planet"}, "scope.kind"),
        ({"scope_id": "elsewhere"}, "scope.id"),
        ({"scope_kind": "agent", "scope_id": "a\x00b"}, "scope.id"),
        ({"scope_kind": "agent", "scope_id": "a\nb"}, "scope.id"),
        ({"scope_kind": "agent", "scope_id": "a" * 201}, "scope.id"),
        ({"scope_kind": "agent", "scope_id": ["a"]}, "scope.id"),
        ({"scope_kind": "run", "scope_id": "r" * 129}, "scope.id"),
        ({"scope_kind": "key", "scope_id": "no such key"}, "scope.id"),
        ({"alert_at": [0]}, "alert_at"),
        ({"alert_at": [101]}, "alert_at"),
        ({"alert_at": ["half"]}, "alert_at"),
        ({"alert_at": "50"}, "alert_at"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_makes_no_sense_names_its_field_and_is_not_kept(team: Team, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        make(team, **given)
    assert refused.value.field == field
    assert not Budget.objects.exists()


def test_a_limit_of_nothing_is_a_limit_and_no_thresholds_are_none(team: Team) -> None:
    budget = make(team, limit_usd=0, alert_at=[])
    budget.refresh_from_db()
    assert (budget.limit_usd, budget.alert_at) == (0, [])


def test_only_who_rules_the_organization_sets_a_budget_over_it(team: Team, other_team: Team) -> None:
    above: dict[str, Any] = {"scope_kind": "organization", "scope_id": team.organization.slug}
    with pytest.raises(NotAllowed):
        make(team, **above)
    budget = make(team, OWNER, **above)
    assert (budget.team, budget.scope_id) == (None, "")
    for act in (
        lambda: budgets.change(budget, team, HAND, {"limit_usd": 99}),
        lambda: budgets.raise_until(budget, team, HAND, until=now() + timedelta(hours=1), usd=1),
        lambda: budgets.end_raise(budget, team, HAND),
        lambda: budgets.adjust(budget, team, HAND, usd=1, reason="why"),
        lambda: budgets.archive(budget, team, HAND),
    ):
        with pytest.raises(NotAllowed):
            act()
    assert budget_of(make_team("Sister", organization=team.organization), budget.pk) == budget
    with pytest.raises(NotFound):
        budget_of(other_team, budget.pk)


def test_a_key_is_known_by_id_prefix_and_name(team: Team, other_team: Team) -> None:
    key, _ = make_key(team, name="ci")
    for named in (str(key.pk), key.prefix, "ci"):
        assert make(team, scope_kind="key", scope_id=named).scope_id == str(key.pk)
    foreign, _ = make_key(other_team, name="theirs")
    make_key(team, name="ci")
    for named in (str(foreign.pk), "theirs", "ci"):
        with pytest.raises(Invalid, match="key"):
            make(team, scope_kind="key", scope_id=named)


def test_a_team_has_so_many_budgets_and_archived_ones_do_not_count(team: Team, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "budgets_per_team": 2, "budgets_per_organization": 1}
    first, _ = make(team), make(team)
    with pytest.raises(Invalid, match="at most 2"):
        make(team)
    make(team, OWNER, scope_kind="organization")
    with pytest.raises(Invalid, match="at most 1"):
        make(team, OWNER, scope_kind="organization")
    budgets.archive(first, team, HAND)
    make(team)


def test_another_teams_budget_is_as_absent_as_none(team: Team, other_team: Team) -> None:
    theirs = make(other_team)
    for wanted in (theirs.pk, uuid4(), "nonsense"):
        with pytest.raises(NotFound, match="no such budget"):
            budget_of(team, wanted)


# --- changing --------------------------------------------------------------------------------------------------------


def test_a_change_is_logged_with_before_and_after_and_nothing_else_moves(team: Team) -> None:
    budget = make(team, mode="soft")
    changed = budgets.change(budget, team, HAND, {"name": "new", "limit_usd": None, "limit_tokens": 100})
    assert (changed.name, changed.limit_usd, changed.limit_tokens, changed.mode) == ("new", None, 100, "soft")
    entry = latest(team)
    assert entry.before == {"name": "all", "limit": {"usd": "10.0000000000", "tokens": None}}
    assert entry.after["limit"] == {"usd": None, "tokens": 100}
    budgets.change(budget, team, HAND, {"name": "new"})
    assert latest(team) == entry


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"limit_usd": None}, "limit_usd"),
        ({"scope_id": "x"}, "scope_id"),
        ({"window": "day"}, "window"),
        ({"raised_usd": 1}, "raised_usd"),
        ({"name": None}, "name"),
    ],
)
def test_a_change_that_makes_no_sense_changes_nothing(team: Team, changes: dict[str, Any], field: str) -> None:
    budget = make(team)
    with pytest.raises(Invalid) as refused:
        budgets.change(budget, team, HAND, {**changes, "mode": "soft"})
    assert refused.value.field == field
    budget.refresh_from_db()
    assert budget.mode == "strict"


def test_lowered_below_what_is_held_calls_under_way_finish_and_new_ones_are_refused(team: Team, hold: Any) -> None:
    budget = make(team, window="total")
    id, _ = hold(of=ceiling("3"))
    budgets.change(budget, team, HAND, {"limit_usd": "1"})
    entry = latest(team)
    assert entry.after["is_below_spent_and_held"] is True
    assert entry.after["held"] == {"usd": "3.0000000000", "tokens": 10}
    assert hold(of=ceiling("0.1"))[1].outcome is Outcome.REFUSED
    assert perform(settle(team.pk, id, Actual(usd=D("2.5"), tokens=5))).outcome is Outcome.SETTLED
    assert sums(budget) == (D("2.5"), 0)


def test_thresholds_are_told_anew_under_another_limit(team: Team) -> None:
    budget = make(team, window="total", alert_at=[50, 90])
    spend(team, "6")
    assert told(team) == [50]
    budgets.change(budget, team, HAND, {"limit_usd": 100})
    assert told(team) == []  # over: 6 of 100 is no half
    spend(team, "45")
    assert told(team) == [50]  # and half of 100 is told again
    budgets.change(budget, team, HAND, {"limit_usd": 55})
    assert told(team) == [50, 90]
    budgets.change(budget, team, HAND, {"alert_at": [50]})
    assert told(team) == [50]
    spend(team, "3")
    assert told(team) == [50]


# --- raises ----------------------------------------------------------------------------------------------------------


def test_a_raise_holds_until_its_end_and_is_logged(team: Team, hold: Any) -> None:
    budget = make(team, window="total", limit_usd="1")
    until = now() + timedelta(hours=3)
    budget = budgets.raise_until(budget, team, HAND, until=until, usd="0.5")
    assert hold(of=ceiling("1.5"))[1].outcome is Outcome.HELD
    assert latest(team).action == "budget.raise"
    assert latest(team).after["by"] == {"usd": "0.5", "tokens": None}
    assert budgets.end_raise(budget, team, HAND).raised_until is None
    assert hold(of=ceiling("0.1"))[1].outcome is Outcome.REFUSED
    assert latest(team).action == "budget.end_raise"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "usd"),
        ({"usd": 0}, "usd"),
        ({"usd": -1}, "usd"),
        ({"tokens": 5}, "tokens"),
        ({"usd": 1, "until": timedelta(seconds=-1)}, "until"),
        ({"usd": 1, "until": timedelta(days=32)}, "until"),
    ],
)
def test_a_raise_that_makes_no_sense_names_its_field(team: Team, given: dict[str, Any], field: str) -> None:
    budget = make(team)
    until = now() + given.pop("until", timedelta(hours=1))
    with pytest.raises(Invalid) as refused:
        budgets.raise_until(budget, team, HAND, until=until, **given)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("zone", "at", "midnight"),
    [
        ("UTC", "2026-03-01T12:00", "2026-03-02T00:00"),
        ("Europe/Berlin", "2026-03-28T23:30", "2026-03-29T22:00"),  # of the night the clocks are put forward
        ("Europe/Berlin", "2026-10-24T22:30", "2026-10-25T23:00"),
        ("Asia/Kolkata", "2026-03-01T18:29", "2026-03-01T18:30"),
        ("Pacific/Auckland", "2026-01-01T10:59", "2026-01-01T11:00"),
    ],
)
def test_tonight_is_the_next_midnight_where_the_team_is(zone: str, at: str, midnight: str) -> None:
    assert tonight(zone, datetime.fromisoformat(at).replace(tzinfo=UTC)).isoformat()[:16] == midnight


# --- archiving -------------------------------------------------------------------------------------------------------


def test_an_archived_budget_binds_nothing_and_its_holds_still_settle(team: Team, hold: Any) -> None:
    budget = make(team, window="total", limit_usd="1")
    id, _ = hold(of=ceiling("0.9"))
    assert budgets.archive(budget, team, HAND) is True
    assert budgets.archive(budget, team, HAND) is False
    assert latest(team).action == "budget.archive"
    assert hold(of=ceiling("5"))[1].outcome is Outcome.HELD
    perform(settle(team.pk, id, Actual(usd=D("0.4"), tokens=1)))
    assert sums(budget) == (D("0.4"), 0)
    with pytest.raises(NotFound, match="archived"):
        budgets.change(budget, team, HAND, {"limit_usd": 5})


# --- adjustments -----------------------------------------------------------------------------------------------------


def test_an_adjustment_is_an_entry_with_who_and_why_and_gives_money_back(team: Team, hold: Any) -> None:
    alice = make_user("Alice", team=team, role="admin")
    budget = make(team, window="total", limit_usd="1")
    spend(team, "1")
    assert hold(of=ceiling("0.5"))[1].outcome is Outcome.REFUSED
    done = budgets.adjust(budget, team, Hand(Actor.of(alice)), usd="-0.6", reason="the price had a typo")
    assert (done.spent_usd, done.spent_tokens, done.starts_at, done.ends_at) == (D("0.4"), 1, None, None)
    entry = LedgerEntry.objects.get(kind="adjustment")
    assert (entry.usd, entry.actor, entry.reason) == (D("-0.6"), "Alice", "the price had a typo")
    assert (entry.team_id, entry.budgets, entry.subjects) == (team.pk, [budget.pk], [""])
    assert hold(of=ceiling("0.5"))[1].outcome is Outcome.HELD
    assert latest(team).action == "budget.adjust"
    assert latest(team).after["by"] == {"usd": "-0.6", "tokens": 0}


def test_an_adjustment_upwards_passes_thresholds_like_spending(team: Team) -> None:
    budget = make(team, window="total", limit_usd="1", alert_at=[50])
    budgets.adjust(budget, team, HAND, usd="0.7", tokens=3, reason="seen on the bill")
    assert told(team) == [50]
    assert BudgetPeriod.objects.get(budget=budget).spent_tokens == 3


def test_an_adjustment_is_of_one_subject_and_one_window(team: Team) -> None:
    budget = make(team, scope_kind="user", window="day", limit_usd="1")
    spend(team, "0.5", user="u1")
    spend(team, "0.5", user="u2")
    budgets.adjust(budget, team, HAND, usd="-0.2", subject="u1", reason="refund")
    budgets.adjust(budget, team, HAND, usd="0.3", subject="u1", reason="late", at=now() - timedelta(days=2))
    found = {(p.subject, p.spent_usd) for p in BudgetPeriod.objects.filter(budget=budget)}
    assert found == {("u1", D("0.3")), ("u2", D("0.5"))}
    assert BudgetPeriod.objects.filter(budget=budget, subject="u1").count() == 2


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "r"}, "usd"),
        ({"usd": 1}, "reason"),
        ({"usd": 1, "reason": " "}, "reason"),
        ({"usd": 1, "reason": "a\nb"}, "reason"),
        ({"usd": "x", "reason": "r"}, "usd"),
        ({"usd": "-0.1", "reason": "r"}, "usd"),
        ({"tokens": -1, "reason": "r"}, "tokens"),
        ({"usd": 1, "reason": "r", "subject": "someone"}, "subject"),
        ({"usd": 1, "reason": "r", "at": timedelta(days=1)}, "at"),
    ],
)
def test_an_adjustment_that_makes_no_sense_moves_nothing(team: Team, given: dict[str, Any], field: str) -> None:
    budget = make(team)
    if "at" in given:
        given["at"] = now() + given["at"]
    with pytest.raises(Invalid) as refused:
        budgets.adjust(budget, team, HAND, **{"reason": "", **given})
    assert refused.value.field == field
    assert not LedgerEntry.objects.exists()
    assert not BudgetPeriod.objects.filter(spent_usd__lt=0).exists()


def test_what_stands_below_nothing_may_be_put_right_upwards(team: Team) -> None:
    budget = make(team, window="total")
    spend(team, "-2")
    assert budgets.adjust(budget, team, HAND, usd="0.5", reason="some of it").spent_usd == D("-1.5")


def test_a_budget_of_many_is_adjusted_for_one_that_is_named(team: Team) -> None:
    budget = make(team, scope_kind="user", window="day")
    with pytest.raises(Invalid) as refused:
        budgets.adjust(budget, team, HAND, usd=1, reason="r")
    assert refused.value.field == "subject"


def test_an_adjustment_of_the_organizations_budget_stands_in_the_acting_teams_ledger(team: Team) -> None:
    budget = make(team, OWNER, scope_kind="organization", window="month")
    budgets.adjust(budget, team, OWNER, usd="2", reason="the bill")
    assert LedgerEntry.objects.get().team_id == team.pk
    assert BudgetPeriod.objects.get(budget=budget).team_id == 0
