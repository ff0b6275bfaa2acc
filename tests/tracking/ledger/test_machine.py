"""Any sequence of verbs, over several budgets, subjects and teams, does what the model does; what must hold holds after each.

WFLO_MACHINE_EXAMPLES says how many sequences are tried.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import UUID, uuid5

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.make import make_team
from tests.tracking.ledger.clock import set_clock
from tests.tracking.ledger.conftest import make_budget
from tests.tracking.ledger.model import Model, Sums
from tracking.audit import SYSTEM
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.ledger.calls import Actual, Call, Ceiling, Charge
from tracking.ledger.perform import perform
from tracking.ledger.seal import seal
from tracking.ledger.verbs import charge, dispatch, expire, extend, release, reserve, settle
from tracking.models import Budget, BudgetPeriod
from tracking.sql import statements

EXAMPLES = int(os.environ.get("WFLO_MACHINE_EXAMPLES", "40"))
BEGINS = datetime(2028, 3, 25, 20, 30, tzinfo=UTC)  # a leap year; clocks go forward that night in Berlin
HAND = Hand(SYSTEM, rules_organization=True)
HELD_TO = ("v1_held_is_the_open_holds", "v2_spent_is_the_entries", "v3_no_strict_budget_is_over",
           "v4_each_call_is_debited_once", "v12_no_nonsense_in_the_ledger")  # fmt: skip
SPACE = UUID("5f0c7a4e-9d0b-4f0e-8a55-2f6f4f1f0a11")

usd = st.integers(0, 40).map(lambda cents: D(cents) / 100) | st.sampled_from([D("0.0000000001"), D("0.3333333333")])
tokens = st.integers(0, 300)
picks = st.integers(0, 99)  # which of the holds there are; the highest: one that never was
leases = st.sampled_from([60, 3600, 40_000]).map(lambda seconds: timedelta(seconds=seconds))
templates = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(
            [("organization", ""), ("team", ""), ("key", "k1"), ("agent", "a"), ("model", "fast"), ("model", ""),
             ("user", ""), ("user", "u1"), ("run", ""), ("job", "j")]  # fmt: skip
        ),
        "window": st.sampled_from(["run", "day", "week", "month", "total"]),
        "mode": st.sampled_from(["strict", "strict", "elastic", "soft"]),
        "limit": st.none() | st.integers(0, 300).map(lambda cents: D(cents) / 100),
        "limit_tokens": st.none() | st.integers(0, 2000),
        "of": st.integers(0, 1),
    }
).filter(lambda told: told["limit"] is not None or told["limit_tokens"] is not None)  # fmt: skip


class Machine(RuleBasedStateMachine):
    seen: Counter[str] = Counter()

    @initialize(told=st.lists(templates, min_size=1, max_size=6))
    def begin(self, told: list[dict[str, Any]]) -> None:
        self.savepoint = transaction.savepoint()
        set_clock(BEGINS)
        first = make_team("First", time_zone="Europe/Berlin")
        teams = [first, make_team("Second", organization=first.organization, time_zone="America/New_York")]
        made = [self._budget(teams[one["of"]], number, one) for number, one in enumerate(told)]
        self.teams = teams
        self.model = Model({team.pk: team for team in teams}, {budget.pk: budget for budget in made}, BEGINS)

    def _budget(self, team: Any, number: int, told: dict[str, Any]) -> Budget:
        kind, id = told["scope"]
        fields = {"team": None} if kind == "organization" else {}
        made = make_budget(
            team, None if told["limit"] is None else str(told["limit"]), name=f"b{number}", scope_kind=kind, scope_id=id,
            window=told["window"], mode=told["mode"], limit_tokens=told["limit_tokens"], **fields,
        )  # fmt: skip
        return Budget.objects.get(pk=made.pk)

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.savepoint_rollback(self.savepoint)

    def _call(self, data: st.DataObject) -> Call:
        draw = data.draw
        return Call(
            team_id=self.teams[draw(st.integers(0, 1))].pk, key_id=draw(st.sampled_from(["k1", "k2"])),
            run=draw(st.sampled_from(["", "r1", "r2"])), agent=draw(st.sampled_from(["", "a", "b"])),
            user=draw(st.sampled_from(["", "u1", "u2"])), job=draw(st.sampled_from(["", "j"])),
            models=draw(st.sampled_from([("m",), ("fast", "m"), ("m", "fast"), ("fast", "fast")])),
        )  # fmt: skip

    @rule(data=st.data(), pick=picks, is_again=st.integers(0, 7).map(lambda one: one == 7), base=st.integers(0, 7).flatmap(lambda one: usd if one else st.none()),
          each=st.sampled_from([D(0), D("0.01"), D("0.0033333333"), D("0.01"), None]), base_tokens=tokens, choices=st.integers(1, 3),
          wanted=st.sampled_from([0, 1, 10, 100]), floor=st.sampled_from([0, 1, 16]), slice=st.sampled_from([0, 0, 5]),
          lease=leases)  # fmt: skip
    def reserves(self, data: st.DataObject, pick: int, is_again: bool, base: D | None, each: D | None, base_tokens: int,
                 choices: int, wanted: int, floor: int, slice: int, lease: timedelta) -> None:  # fmt: skip
        call, id = self._call(data), uuid5(SPACE, str(len(self.model.holds)))
        if is_again and self.model.holds:
            id = self._held(pick)
            call = replace(call, team_id=self._team(id))
        most = Ceiling(base_usd=base, output_usd=each, base_tokens=base_tokens, choices=choices, wanted=wanted,
                       floor=floor, slice=slice)  # fmt: skip
        expected = self.model.reserve(id, call, most, lease)
        answer = perform(reserve(call, most, id=id, lease_ms=int(lease.total_seconds() * 1000)))
        self.seen[f"reserve {answer.outcome}"] += 1
        assert {name: getattr(answer, name) for name in expected} == expected

    def dispatches(self, pick: int) -> None:
        id = self._held(pick)
        assert bool(perform(dispatch([self._team(id)], [id]))) == self.model.dispatch(id)

    def extends(self, pick: int, more: D, more_tokens: int, lease: timedelta) -> None:
        id = self._held(pick)
        lease_ms = int(lease.total_seconds() * 1000)
        answer = perform(extend(self._team(id), id, usd=more, tokens=more_tokens, lease_ms=lease_ms))
        self.seen[f"extend {answer.outcome}"] += 1
        assert answer.outcome == self.model.extend(id, more, more_tokens, lease)

    def settles(self, pick: int, cost: D, used: int, *, is_estimated: bool) -> None:
        id = self._held(pick)
        answer = perform(settle(self._team(id), id, Actual(usd=cost, tokens=used, is_estimated=is_estimated)))
        self.seen[f"settle {answer.outcome}"] += 1
        assert answer.outcome == self.model.settle(id, cost, used, is_estimated=is_estimated)

    def releases(self, pick: int) -> None:
        id = self._held(pick)
        answer = perform(release(self._team(id), id))
        assert answer.outcome == self.model.release(id)

    @rule(hours=st.sampled_from([0.01, 1, 5, 30, 24 * 8, 24 * 35]))
    def time_passes(self, hours: float) -> None:
        """Over midnights, the end of months, and the night in which clocks change."""
        self.model.now += timedelta(hours=hours)
        set_clock(self.model.now)

    def sweeps(self) -> None:
        """Those whose leases end at one moment may be closed in any order."""
        closed = list(iter(lambda: perform(expire()), None))
        self.seen.update(f"expire {outcome}" for _, _, outcome in closed)
        assert sorted(closed) == sorted(iter(self.model.expire, None))

    @precondition(lambda self: self.model.holds)
    @rule(pick=picks, verb=st.sampled_from(["dispatch", "extend", "extend", "settle", "settle", "release"]), more=usd, count=tokens,
          lease=leases, is_estimated=st.booleans())  # fmt: skip
    def goes_on(self, pick: int, verb: str, more: D, count: int, lease: timedelta, is_estimated: bool) -> None:
        match verb:
            case "dispatch":
                self.dispatches(pick)
            case "extend":
                self.extends(pick, more, count, lease)
            case "settle":
                self.settles(pick, more, count, is_estimated=is_estimated)
            case "release":
                self.releases(pick)

    @precondition(lambda self: self.model.holds)
    @rule(pick=picks, is_dispatched=st.booleans(), cost=usd, used=tokens)
    def falls_silent_and_is_heard_of_later(self, pick: int, is_dispatched: bool, cost: D, used: int) -> None:
        if is_dispatched:
            self.dispatches(pick)
        self.time_passes(12)
        self.sweeps()
        self.settles(pick, cost, used, is_estimated=False)

    @rule(
        data=st.data(),
        cost=usd.map(lambda amount: amount - D("0.1")),
        used=tokens,
        hours=st.sampled_from([0, 0, 3, 30]),
    )
    def charges(self, data: st.DataObject, cost: D, used: int, hours: int) -> None:
        call, at = self._call(data), self.model.now - timedelta(hours=hours)
        told = Charge(call=call, at=at, usd=cost, tokens=used)
        assert perform(charge(call.team_id, [told])) == self.model.charge(call, at, cost, used)

    @rule(data=st.data(), verb=st.sampled_from(["change", "change", "raise", "adjust", "adjust", "archive", "seal"]), amount=usd,
          mode=st.sampled_from(["strict", "elastic", "soft"]), hours=st.sampled_from([1, 20]))  # fmt: skip
    def somebody_manages(self, data: st.DataObject, verb: str, amount: D, mode: str, hours: int) -> None:
        budget = self._some_budget(data)
        match verb:
            case "seal":
                seal(1000)
            case "change" if budget is not None:
                terms = {"mode": mode} if budget.limit_usd is None else {"limit_usd": amount * 5, "mode": mode}
                self.model.budgets[budget.pk] = budgets.change(budget, self._home(budget), HAND, terms)
            case "raise" if budget is not None and budget.limit_usd is not None and amount:
                until = self.model.now + timedelta(hours=hours)
                raised = budgets.raise_until(budget, self._home(budget), HAND, until=until, usd=amount)
                self.model.budgets[budget.pk] = raised
            case "adjust" if (
                budget is not None and budget.window != "run" and not budgets.has_subjects(budget) and amount
            ):
                zone = "UTC" if budget.team_id is None else self._home(budget).time_zone
                budgets.adjust(budget, self._home(budget), HAND, reason="the bill says so", usd=amount)
                self.model.adjust((budget.pk, budget.scope_id, self.model.starts(budget, zone, self.model.now)), amount)
            case "archive" if budget is not None and hours == 1 and len(self.model.budgets) > 1:
                budgets.archive(budget, self._home(budget), HAND)

    @invariant()
    def sums_are_the_models(self) -> None:
        if not hasattr(self, "model"):
            return
        real = {
            (p.budget_id, p.subject, p.starts_at): Sums(p.spent_usd, p.held_usd, p.spent_tokens, p.held_tokens)
            for p in BudgetPeriod.objects.filter(budget__in=list(self.model.budgets))
        }
        nothing = Sums()
        assert {key: sums for key, sums in real.items() if sums != nothing} == {
            key: sums for key, sums in self.model.periods.items() if sums != nothing
        }
        with connection.cursor() as cursor:
            for name in HELD_TO:
                cursor.execute(statements("invariants")[name], {"team": None})
                assert (name, cursor.fetchall()) == (name, [])

    def _held(self, pick: int) -> UUID:
        """One of the last few, mostly of those that are open; now and then one that never was."""
        holds = self.model.holds
        near = [id for id, hold in holds.items() if hold.state == "held" or pick % 3 == 0][-3:] or list(holds)
        return uuid5(SPACE, "never") if pick == 99 or not near else near[pick % len(near)]

    def _team(self, id: UUID) -> int:
        hold = self.model.holds.get(id)
        return hold.team_id if hold is not None else self.teams[0].pk

    def _home(self, budget: Budget) -> Any:
        return next(team for team in self.teams if budget.team_id in (None, team.pk))

    def _some_budget(self, data: st.DataObject) -> Budget | None:
        open_ones = [budget for budget in self.model.budgets.values() if budget.archived_at is None]
        return data.draw(st.sampled_from(open_ones)) if open_ones else None


@pytest.mark.django_db
@pytest.mark.timeout(900)
def test_any_sequence_of_verbs_does_what_the_model_does() -> None:
    """B6: in every order, and twice."""
    Machine.seen.clear()
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck),
            derandomize="CI" in os.environ, print_blob=True,
        ),
    )  # fmt: skip
    print(dict(sorted(Machine.seen.items())))  # noqa: T201  shown when the test fails
    assert {
        "reserve held",
        "reserve refused",
        "settle settled",
        "settle corrected",
        "extend held",
        "expire released",
    } <= set(Machine.seen)
