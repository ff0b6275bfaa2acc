"""What each verb does to a budget's sums, once, twice and out of turn."""

from __future__ import annotations

from decimal import Decimal as D
from uuid import uuid4

import pytest
from django.db import connection
from django.utils.timezone import now

from tests.tracking.ledger.conftest import ceiling, make_budget, sums
from tracking.ledger.calls import Actual, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, dispatch, expire, extend, release, reserve, settle
from tracking.models import Alert, BudgetPeriod, LedgerEntry, Reservation

pytestmark = pytest.mark.django_db


def test_money_is_held_then_spent_and_the_rest_is_free_again(team, hold):
    budget = make_budget(team, "1")
    id, answer = hold(of=ceiling("0.3"))
    assert answer.outcome is Outcome.HELD
    assert answer.held_usd == D("0.3")
    assert sums(budget) == (0, D("0.3"))
    assert perform(settle(team.pk, id, Actual(usd=D("0.2"), tokens=7))).outcome is Outcome.SETTLED
    assert sums(budget) == (D("0.2"), 0)
    entry = LedgerEntry.objects.get()
    assert (entry.kind, entry.usd, entry.tokens, entry.reservation_id) == ("debit", D("0.2"), 7, id)


def test_no_more_is_held_than_there_is(team, hold):
    budget = make_budget(team, "1")
    assert [hold(of=ceiling("0.3"))[1].outcome.value for _ in range(4)] == ["held"] * 3 + ["refused"]
    refused = hold(of=ceiling("0.3"))[1]
    assert refused.budget is not None
    assert refused.budget.id == budget.pk
    assert (refused.budget.spent_usd, refused.budget.held_usd, refused.budget.free_usd) == (0, D("0.9"), D("0.1"))
    assert refused.may_wait
    assert refused.free_at is not None
    assert sums(budget) == (0, D("0.9"))


def test_a_refusal_that_waiting_cannot_change_says_so(team, hold):
    make_budget(team, "1")
    id, _ = hold(of=ceiling("0.9"))
    perform(settle(team.pk, id, Actual(usd=D("0.9"), tokens=1)))
    assert hold(of=ceiling("0.2"))[1].may_wait is False


def test_the_answer_is_cut_to_what_the_tightest_budget_pays(team, hold):
    make_budget(team, "10")
    tight = make_budget(team, "1", name="tight", scope_kind="agent", scope_id="a", window="day")
    call = Call(team_id=team.pk, agent="a", models=("m",))
    _, answer = hold(call, ceiling("0.5", "0.01", wanted=1000, floor=16))
    assert answer.output_tokens == 50
    assert answer.held_usd == D(1)
    assert answer.budget.id == tight.pk
    _, answer = hold(call, ceiling("0.5", "0.01", wanted=1000, floor=16))
    assert answer.outcome is Outcome.REFUSED


def test_fewer_tokens_than_are_worth_a_call_are_refused(team, hold):
    make_budget(team, "1")
    assert hold(of=ceiling("0.9", "0.01", wanted=1000, floor=16))[1].outcome is Outcome.REFUSED
    assert hold(of=ceiling("0.9", "0.01", wanted=8, floor=16))[1].outcome is Outcome.HELD


def test_all_choices_are_held_for(team, hold):
    make_budget(team, None, limit_tokens=1000)
    _, answer = hold(of=ceiling("0", "0", base_tokens=100, choices=3, wanted=1000, floor=1))
    assert answer.output_tokens == 300
    assert answer.held_tokens == 1000


def test_holding_twice_under_one_id_holds_once(team, hold):
    budget = make_budget(team, "1")
    id, _ = hold(of=ceiling("0.3"))
    _, again = hold(of=ceiling("0.3"), id=id)
    assert again.outcome is Outcome.EXISTS
    assert again.held_usd == D("0.3")
    assert sums(budget) == (0, D("0.3"))
    perform(release(team.pk, id))
    assert hold(of=ceiling("0.3"), id=id)[1].outcome is Outcome.CLOSED


def test_other_teams_holds_are_gone(team, other_team, hold):
    make_budget(team)
    id, _ = hold()
    assert perform(settle(other_team.pk, id, Actual(usd=D(0), tokens=0))).outcome is Outcome.GONE
    assert perform(release(other_team.pk, id)).outcome is Outcome.GONE
    assert perform(extend(other_team.pk, id, usd=D(1), tokens=1, lease_ms=1)).outcome is Outcome.GONE


VERBS = {
    "settle": lambda team, id: perform(settle(team.pk, id, Actual(usd=D("0.2"), tokens=5))).outcome,
    "release": lambda team, id: perform(release(team.pk, id)).outcome,
    "expire": lambda team, id: _run_out(id),
}


def _run_out(id):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE tracking_reservation SET lease_until = now() - interval '1 s' WHERE id = %s AND state = 0", [id]
        )
    closed = perform(expire())
    return Outcome.ALREADY if closed is None else closed[2]


@pytest.mark.parametrize(
    ("first", "then", "outcome", "spent"),
    [
        ("settle", "settle", "already", "0.2"),
        ("settle", "release", "already", "0.2"),
        ("settle", "expire", "already", "0.2"),
        ("release", "release", "already", "0"),
        ("release", "settle", "charged", "0.2"),
        ("release", "expire", "already", "0"),
        ("expire", "settle", "corrected", "0.2"),
        ("expire", "release", "already", "0.3"),
        ("expire", "expire", "already", "0.3"),
    ],
)
def test_the_first_verb_wins_and_late_truth_is_entered(team, hold, first, then, outcome, spent):
    budget = make_budget(team, "1")
    id, _ = hold(of=ceiling("0.3"))
    perform(dispatch([team.pk], [id]))
    VERBS[first](team, id)
    for expected in (outcome, "already"):
        assert VERBS[then](team, id) == expected
    assert sums(budget) == (D(spent), 0)
    assert sum((e.usd for e in LedgerEntry.objects.all()), D(0)) == D(spent)


def test_a_call_that_never_went_out_costs_nothing(team, hold):
    budget = make_budget(team, "1")
    id, _ = hold(of=ceiling("0.3"))
    assert _run_out(id) == "released"
    assert sums(budget) == (0, 0)
    assert not LedgerEntry.objects.exists()


def test_a_call_nobody_told_of_is_spent_whole_and_marked(team, hold):
    budget = make_budget(team, "1")
    id, _ = hold(of=ceiling("0.3"))
    assert perform(dispatch([team.pk], [id])) == {id}
    assert _run_out(id) == "expired"
    assert sums(budget) == (D("0.3"), 0)
    assert LedgerEntry.objects.get().is_estimated
    assert Reservation.objects.get().state == Reservation.State.EXPIRED


def test_an_unpriced_model_is_refused_under_money_and_let_through_under_tokens(team, hold):
    make_budget(team, None, limit_tokens=10_000)
    assert hold(of=ceiling(None, None))[1].outcome is Outcome.HELD
    hard = make_budget(team, "1")
    answer = hold(of=ceiling(None, None))[1]
    assert answer.outcome is Outcome.UNPRICED
    assert answer.budget.id == hard.pk


def test_a_soft_budget_refuses_nothing_and_counts(team, hold):
    budget = make_budget(team, "0.1", mode="soft")
    for _ in range(3):
        id, answer = hold(of=ceiling("0.3"))
        assert answer.outcome is Outcome.HELD
        perform(settle(team.pk, id, Actual(usd=D("0.3"), tokens=1)))
    assert sums(budget) == (D("0.9"), 0)


def test_what_costs_nothing_may_be_called_by_who_has_nothing(team, hold):
    budget = make_budget(team, "0.1")
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk), at=now(), usd=D(5), tokens=1)]))
    assert hold(of=ceiling("0", "0", wanted=100, floor=1))[1].outcome is Outcome.HELD
    assert hold(of=ceiling("0.01"))[1].outcome is Outcome.REFUSED
    assert sums(budget)[0] == 5


def test_an_elastic_hold_grows_with_the_answer_until_the_money_ends(team, hold):
    budget = make_budget(team, "1", mode="elastic")
    id, answer = hold(of=ceiling("0.1", "0.01", wanted=1000, floor=16, slice=40))
    assert answer.output_tokens == 1000
    assert answer.held_usd == D("0.5")
    grown = perform(extend(team.pk, id, usd=D("0.4"), tokens=40, lease_ms=1000))
    assert grown.outcome is Outcome.HELD
    assert grown.held_usd == D("0.9")
    refused = perform(extend(team.pk, id, usd=D("0.4"), tokens=40, lease_ms=1000))
    assert refused.outcome is Outcome.REFUSED
    assert refused.budget.id == budget.pk
    assert sums(budget) == (0, D("0.9"))


def test_scopes_bind_only_their_own(team, other_team, hold):
    agent = make_budget(team, "1", name="agent", scope_kind="agent", scope_id="a")
    each = make_budget(team, "1", name="each user", scope_kind="user")
    model = make_budget(team, "1", name="model", scope_kind="model", scope_id="fast")
    run = make_budget(team, "1", name="run", scope_kind="agent", scope_id="a", window="run")
    above = make_budget(team, "1", name="all teams", scope_kind="organization", team=None)
    make_budget(other_team, "0", name="elsewhere")
    hold(Call(team_id=team.pk, agent="a", user="u1", run="r1", models=("fast", "gpt-x")))
    hold(Call(team_id=team.pk, agent="b", user="u2", run="r1", models=("gpt-x",)))
    found = {(p.budget_id, p.subject): p.held_usd for p in BudgetPeriod.objects.all()}
    assert found == {
        (agent.pk, "a"): D("0.1"),
        (each.pk, "u1"): D("0.1"),
        (each.pk, "u2"): D("0.1"),
        (model.pk, "fast"): D("0.1"),
        (run.pk, "a in run r1"): D("0.1"),
        (above.pk, ""): D("0.2"),
    }


def test_a_charge_seen_afterwards_may_pass_the_limit_and_is_told(team):
    budget = make_budget(team, "1")
    call = Call(team_id=team.pk, agent="a", models=("m",))
    for usd in ("0.6", "0.5"):
        assert perform(charge(team.pk, [Charge(call=call, at=now(), usd=D(usd), tokens=1)])) == 1
    assert sums(budget) == (D("1.1"), 0)
    assert sorted(a.payload["percent"] for a in Alert.objects.all()) == [50, 100]


def test_a_charge_under_no_budget_makes_no_entry(team):
    assert perform(charge(team.pk, [Charge(call=Call(team_id=team.pk), at=now(), usd=D(1), tokens=1)])) == 0
    assert not LedgerEntry.objects.exists()


def test_entries_are_never_changed(team, hold):
    make_budget(team)
    id, _ = hold()
    perform(settle(team.pk, id, Actual(usd=D("0.1"), tokens=1)))
    with pytest.raises(Exception, match="never changed"), connection.cursor() as cursor:
        cursor.execute("UPDATE tracking_ledger_entry SET usd = 0")


def test_a_limit_raised_for_tonight_counts_until_then(team, hold):
    from datetime import timedelta

    budget = make_budget(team, "0.1", raised_usd=D("0.2"), raised_until=now() + timedelta(hours=1))
    assert hold(of=ceiling("0.3"))[1].outcome is Outcome.HELD
    budget.raised_until = now() - timedelta(seconds=1)
    budget.save(update_fields=["raised_until"])
    assert hold(of=ceiling("0.1"))[1].outcome is Outcome.REFUSED


def test_a_million_tiny_calls_add_up_to_the_last_digit(team):
    budget = make_budget(team, "1")
    tiny = Charge(call=Call(team_id=team.pk), at=now(), usd=D("0.0000000751"), tokens=1)
    for _ in range(10):
        perform(charge(team.pk, [tiny] * 100))
    assert sums(budget)[0] == D("0.0000751000")


def test_two_ids_at_once_do_not_meet(team, hold):
    make_budget(team, "1")
    a, b = hold()[0], hold()[0]
    assert a != b
    assert uuid4() not in (a, b)
    assert perform(reserve(Call(team_id=team.pk), ceiling(), id=a, lease_ms=1)).outcome is Outcome.EXISTS
