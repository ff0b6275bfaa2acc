"""What callers, administrators and providers do that nobody planned for: the sums stay right, and nothing is for nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import DatabaseError, transaction
from django.utils.timezone import now
from psycopg import errors as pg

from tests.make import make_team
from tests.server import database_url
from tests.tracking.ledger.conftest import LEASE_MS, ceiling, make_budget, sums
from tests.tracking.ledger.test_seal import rows
from tests.tracking.ledger.test_sweep import run_out
from tracking.audit import SYSTEM
from tracking.demo import team as demo
from tracking.ledger.calls import NAME_LENGTH_MAX, Actual, Answer, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.seal import seal
from tracking.ledger.sweep import sweep
from tracking.ledger.verbs import charge, dispatch, expire, extend, release, reserve, settle
from tracking.models import Alert, Budget, BudgetPeriod, LedgerEntry, Reservation, Team

pytestmark = pytest.mark.django_db

Hold = Callable[..., tuple[UUID, Answer]]


def refused(statement: Any) -> None:
    """PostgreSQL refuses it, and nothing is changed."""
    before = rows("SELECT * FROM tracking_budget_period"), Reservation.objects.count(), LedgerEntry.objects.count()
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        perform(statement)
    assert isinstance(caught.value.__cause__, pg.InvalidParameterValue | pg.NumericValueOutOfRange | pg.CheckViolation)
    assert (
        rows("SELECT * FROM tracking_budget_period"),
        Reservation.objects.count(),
        LedgerEntry.objects.count(),
    ) == before


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "-0.01"])
@pytest.mark.parametrize("is_limited", [True, False])
def test_no_sum_is_endless_negative_or_no_number(team: Team, hold: Hold, bad: str, is_limited: bool) -> None:
    """B19 at the ledger: what is refused here is charged as it was held."""
    make_budget(team, "5" if is_limited else None, limit_tokens=10_000)
    call = Call(team_id=team.pk, models=("m",))
    id, _ = hold()
    perform(dispatch([team.pk], [id]))
    for most in (ceiling(bad), ceiling("0.1", bad, wanted=10)):
        refused(reserve(call, most, id=uuid4(), lease_ms=LEASE_MS))
    refused(extend(team.pk, id, usd=D(bad), tokens=1, lease_ms=LEASE_MS))
    refused(settle(team.pk, id, Actual(usd=D(bad), tokens=1)))
    if bad != "-0.01":
        refused(charge(team.pk, [Charge(call=call, at=now(), usd=D(bad), tokens=1)]))
    run_out()
    assert sweep() == {"expired": 1}
    assert LedgerEntry.objects.get().usd == D("0.1")


@pytest.mark.parametrize(
    "most",
    [
        ceiling(base_tokens=-1), ceiling(base_tokens=2**62), ceiling(wanted=-1), ceiling(wanted=2**62), ceiling(floor=-1),
        ceiling(wanted=10**12, choices=128), ceiling(choices=-1), ceiling("0", "1", wanted=10**11),
    ],
)  # fmt: skip
def test_tokens_beyond_any_call_are_refused(team: Team, hold: Hold, most: Any) -> None:
    make_budget(team, None, limit_tokens=10**15, mode="soft")
    hold()
    refused(reserve(Call(team_id=team.pk, models=("m",)), most, id=uuid4(), lease_ms=LEASE_MS))


@pytest.mark.parametrize("tokens", [-1, 2**62])
def test_a_call_used_no_negative_or_boundless_tokens(team: Team, hold: Hold, tokens: int) -> None:
    make_budget(team)
    id, _ = hold()
    refused(settle(team.pk, id, Actual(usd=D(0), tokens=tokens)))
    refused(extend(team.pk, id, usd=D(0), tokens=tokens, lease_ms=1))


def test_limits_as_high_as_they_go(team: Team, hold: Hold) -> None:
    make_budget(team, "9999999999", limit_tokens=2**63 - 1)
    id, answer = hold(of=ceiling("5000000", "0", wanted=10**9, floor=1))
    assert (answer.outcome, answer.output_tokens) == (Outcome.HELD, 10**9)
    perform(settle(team.pk, id, Actual(usd=D("5000000"), tokens=10**9)))


def test_a_model_with_a_price_for_its_prompt_alone_has_none(team: Team, hold: Hold) -> None:
    budget = make_budget(team, "1")
    assert hold(of=ceiling("0.1", None, wanted=100))[1].outcome is Outcome.UNPRICED
    assert hold(of=ceiling("0.1", None, wanted=0))[1].held_usd == D("0.1")
    assert sums(budget) == (0, D("0.1"))


def test_amounts_are_rounded_up_once_and_everywhere_alike(team: Team, hold: Hold) -> None:
    """B34"""
    budget = make_budget(team, "1")
    tiny = D("0.00000000001")
    id, answer = hold(of=ceiling(str(tiny), str(tiny), wanted=3))
    assert answer.held_usd == D("0.0000000001")
    perform(extend(team.pk, id, usd=tiny, tokens=0, lease_ms=1000))
    perform(settle(team.pk, id, Actual(usd=tiny * 5, tokens=1)))
    for usd in (tiny, -tiny, D("-0.50000000005"), D("0.30000000005"), -tiny * 15):
        perform(charge(team.pk, [Charge(call=Call(team_id=team.pk), at=now(), usd=usd, tokens=0)] * 2))
    entries = list(LedgerEntry.objects.order_by("id").values_list("usd", flat=True))
    step = D("0.0000000001")
    assert entries == [step, step, step, 0, 0, D("-0.5"), D("-0.5"), D("0.3") + step, D("0.3") + step, -step, -step]
    assert sums(budget) == (sum(entries), 0)


def test_more_than_was_held_is_spent_and_told(team: Team, hold: Hold) -> None:
    """B8"""
    budget = make_budget(team, "1")
    make_budget(team, "0.01", name="soft", mode="soft")
    make_budget(team, "100", name="wide")
    for number in range(2):
        id, _ = hold(of=ceiling("0.2"))
        perform(settle(team.pk, id, Actual(usd=D("0.7"), tokens=100)))
        assert sums(budget) == (D("0.7") * (number + 1), 0)
    alert = Alert.objects.get(kind="overage")
    assert (alert.payload["budget"], alert.payload["held_usd"], alert.payload["usd"]) == (
        "all",
        "0.2000000000",
        "0.7000000000",
    )
    assert hold(of=ceiling("0.01"))[1].outcome is Outcome.REFUSED
    rows("UPDATE tracking_alert SET resolved_at = now(), delivered_at = now() WHERE kind = 'overage'")
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk), at=now(), usd=D(-1), tokens=0)]))
    id, _ = hold(of=ceiling("0.2"))
    perform(settle(team.pk, id, Actual(usd=D("2"), tokens=100)))
    alert.refresh_from_db()
    assert (alert.resolved_at, alert.delivered_at, alert.times) == (None, None, 1)


def test_the_rest_of_a_hold_is_free_in_the_same_moment(team: Team, hold: Hold) -> None:
    """B7"""
    make_budget(team, "1")
    id, _ = hold(of=ceiling("1"))
    assert hold(of=ceiling("0.9"))[1].outcome is Outcome.REFUSED
    perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1)))
    assert hold(of=ceiling("0.9"))[1].outcome is Outcome.HELD


def test_a_lowered_limit_lets_running_calls_finish_and_a_raised_one_counts_at_once(team: Team, hold: Hold) -> None:
    """B27, B28"""
    budget = make_budget(team, "1", mode="elastic")
    id, _ = hold(of=ceiling("0.5"))
    Budget.objects.filter(pk=budget.pk).update(limit_usd=D("0.2"))
    assert hold(of=ceiling("0.01"))[1].outcome is Outcome.REFUSED
    assert perform(extend(team.pk, id, usd=D("0.1"), tokens=1, lease_ms=1000)).outcome is Outcome.REFUSED
    assert perform(extend(team.pk, id, usd=D(0), tokens=1, lease_ms=1000)).outcome is Outcome.HELD  # free of charge
    Budget.objects.filter(pk=budget.pk).update(limit_usd=D("2"))
    assert perform(extend(team.pk, id, usd=D("0.1"), tokens=1, lease_ms=1000)).outcome is Outcome.HELD
    assert hold(of=ceiling("1.4"))[1].outcome is Outcome.HELD
    Budget.objects.filter(pk=budget.pk).update(limit_usd=D("0"))
    assert perform(settle(team.pk, id, Actual(usd=D("0.6"), tokens=1))).outcome is Outcome.SETTLED
    assert sums(budget) == (D("0.6"), D("1.4"))


def test_a_refusal_names_the_budget_that_waiting_does_not_help(team: Team, hold: Hold) -> None:
    make_budget(team, "1", name="held by others")
    spent = make_budget(team, "1", name="spent", scope_kind="agent", scope_id="a")
    call = Call(team_id=team.pk, agent="a", models=("m",))
    perform(charge(team.pk, [Charge(call=call, at=now(), usd=D("0.95"), tokens=1)]))
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk), at=now(), usd=D("-0.95"), tokens=1)]))
    hold(Call(team_id=team.pk, models=("m",)), ceiling("0.99"))
    answer = hold(call, ceiling("0.3"))[1]
    assert (answer.outcome, answer.may_wait, answer.budget.name if answer.budget else "") == ("refused", False, "spent")
    assert answer.free_at is None
    assert sums(spent, "a") == (D("0.95"), 0)


def test_money_is_free_when_holds_of_its_own_subject_end(team: Team, hold: Hold) -> None:
    make_budget(team, "1", name="each", scope_kind="user")
    mine, others = (Call(team_id=team.pk, user=user, models=("m",)) for user in ("me", "others"))
    perform(reserve(others, ceiling("0.9"), id=uuid4(), lease_ms=1_000))
    perform(reserve(mine, ceiling("0.9"), id=uuid4(), lease_ms=500_000))
    answer = hold(mine, ceiling("0.9"))[1]
    assert answer.may_wait
    assert answer.free_at is not None
    assert (answer.free_at - now()).total_seconds() > 400


def test_an_archived_budget_binds_nobody_and_its_holds_end_as_ever(team: Team, hold: Hold) -> None:
    budget = make_budget(team, "1", mode="elastic")
    ids = [hold(of=ceiling("0.2"))[0] for _ in range(4)]
    Budget.objects.filter(pk=budget.pk).update(archived_at=now())
    assert hold(of=ceiling("5"))[1].budget is None
    assert perform(extend(team.pk, ids[0], usd=D(5), tokens=1, lease_ms=1)).outcome is Outcome.HELD
    perform(settle(team.pk, ids[0], Actual(usd=D(9), tokens=1)))
    perform(release(team.pk, ids[1]))
    for id in ids[2:3]:
        perform(dispatch([team.pk], [id]))
    run_out()
    assert sweep() == {"expired": 1, "released": 2}
    assert sums(budget) == (D("9.2"), 0)
    assert not Alert.objects.exists()  # of what binds nobody nobody is told


def test_holds_of_a_team_that_is_gone_are_closed_all_the_same(team: Team, other_team: Team, hold: Hold) -> None:
    """Also on the budget of its organization, whose thresholds they pass with nobody to be told."""
    above = make_budget(team, "1", name="above", scope_kind="organization", team=None)
    gone = make_team("Gone", organization=team.organization)
    make_budget(gone, "1")
    call = Call(team_id=gone.pk, models=("m",))
    ids = [hold(call, ceiling("0.3"))[0] for _ in range(3)]
    for id in ids[:2]:
        perform(dispatch([gone.pk], [id]))
    rows("DELETE FROM tracking_budget WHERE team_id = %s", gone.pk)
    rows("DELETE FROM tracking_team WHERE id = %s", gone.pk)
    assert perform(settle(gone.pk, ids[0], Actual(usd=D("0.6"), tokens=1))).outcome is Outcome.SETTLED
    run_out()
    assert sweep() == {"expired": 1, "released": 1}
    assert sums(above) == (D("0.9"), 0)
    assert hold()[1].outcome is Outcome.HELD  # 0.1 is left for the others
    assert hold()[1].outcome is Outcome.REFUSED


def test_a_call_held_for_before_there_was_a_budget_is_settled_after(team: Team, hold: Hold) -> None:
    id, answer = hold(of=ceiling("0.3"))
    assert answer.budget is None
    make_budget(team, "1")
    assert perform(settle(team.pk, id, Actual(usd=D("0.2"), tokens=1))).outcome is Outcome.SETTLED
    assert not BudgetPeriod.objects.exists()  # this budget was not made by the verb that takes calls under way along
    assert LedgerEntry.objects.get().budgets == []


def test_names_of_any_length_and_characters(team: Team, hold: Hold) -> None:
    budget = make_budget(team, "1", scope_kind="user")
    long = [
        "x" * 5000,
        "x" * 4999 + "y",
        "a\0b",
        "lone \ud800 surrogate",
        "𝔘𝔫𝔦",
        "''; DROP",
        "in run r",
        "\N{RIGHT-TO-LEFT OVERRIDE}",
    ]
    for user in long:
        assert hold(Call(team_id=team.pk, user=user, run="r" * 3000, agent=user, models=(user, "m")))[1].is_held
    subjects = {p.subject for p in BudgetPeriod.objects.filter(budget=budget)}
    assert len(subjects) == len(long)
    assert max(map(len, subjects)) <= NAME_LENGTH_MAX
    assert hold(Call(team_id=team.pk, user=long[0], models=("m",)), ceiling("0.95"))[1].outcome is Outcome.REFUSED


def test_a_call_without_a_name_is_under_no_budget_of_names(team: Team, hold: Hold) -> None:
    for kind in ("key", "agent", "user", "run", "job", "model"):
        make_budget(team, "0", name=kind, scope_kind=kind)
    assert hold(Call(team_id=team.pk))[1].budget is None


def test_many_charges_at_once_are_entered_each(team: Team) -> None:
    budget = make_budget(team, "100", scope_kind="user")
    per_model = make_budget(team, "100", name="model", scope_kind="model")
    told = [
        Charge(call=Call(team_id=team.pk, user=f"u{n % 3}", models=("m",)), at=now(), usd=D(n) / 10, tokens=n, reason=f"r{n}")
        for n in range(1, 31)
    ]  # fmt: skip
    unnamed = Charge(call=Call(team_id=team.pk), at=now(), usd=D(1), tokens=1)
    assert perform(charge(team.pk, [*told, unnamed])) == 30
    assert [sums(budget, f"u{n}")[0] for n in range(3)] == [D("16.5"), D("14.5"), D("15.5")]
    assert sums(per_model, "m")[0] == D("46.5")
    assert [(e.usd, e.tokens, e.reason) for e in LedgerEntry.objects.order_by("id")] == [
        (one.usd, one.tokens, one.reason) for one in told
    ]
    assert perform(charge(team.pk, [])) == 0


def test_what_a_demo_team_played_with_goes_with_it(team: Team, hold: Hold) -> None:
    """And it was never its organization's money."""
    above = make_budget(team, "10", name="above", scope_kind="organization", team=None)
    hold(of=ceiling("1"))
    played = demo.begin(team.organization, actor=SYSTEM)
    make_budget(played, "5")
    id, _ = hold(Call(team_id=played.pk, models=("m",)), ceiling("2"))
    perform(settle(played.pk, id, Actual(usd=D(2), tokens=1)))
    hold(Call(team_id=played.pk, models=("m",)), ceiling("2"))
    seal(10)
    assert sums(above) == (0, 1)
    demo.remove(played, actor=SYSTEM)
    tables = ("budget_period", "reservation", "ledger_entry", "ledger_seal", "ledger_unsealed", "ledger_sum")
    left = {name: rows(f"SELECT count(*) FROM tracking_{name} WHERE team_id = %s", played.pk)[0][0] for name in tables}
    assert left == dict.fromkeys(tables, 0)
    assert sums(above) == (0, 1)


@pytest.mark.django_db(transaction=True)
def test_a_verb_that_waits_too_long_changes_nothing_and_may_be_sent_again(team: Team, hold: Hold) -> None:
    budget = make_budget(team, "1")
    hold()
    id, call = uuid4(), Call(team_id=team.pk, models=("m",))
    with psycopg.connect(database_url()) as other:
        other.execute("SELECT 1 FROM tracking_budget_period FOR UPDATE")
        rows("SET statement_timeout = 200")
        for statement in (
            reserve(call, ceiling(), id=id, lease_ms=LEASE_MS),
            charge(team.pk, [Charge(call=call, at=now(), usd=D(1), tokens=1)]),
        ):
            with pytest.raises(DatabaseError) as caught:
                perform(statement)
            assert isinstance(caught.value.__cause__, pg.QueryCanceled)
        rows("SET statement_timeout = DEFAULT")
    assert sums(budget) == (0, D("0.1"))
    assert perform(reserve(call, ceiling(), id=id, lease_ms=LEASE_MS)).outcome is Outcome.HELD
    assert sums(budget) == (0, D("0.2"))
    assert perform(expire()) is None
