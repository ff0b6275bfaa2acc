"""Settling a call moves its run's memory of turns on; and a call that is not made after all is taken back."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from django.utils.timezone import now

from tests.tracking.ledger.conftest import make_budget, sums
from tracking.ledger.calls import Answer, Call
from tracking.ledger.perform import perform
from tracking.ledger.verbs import Statement
from tracking.models import RunControl, Team
from tracking.sql import statements

pytestmark = pytest.mark.django_db

Hold = Callable[..., tuple[UUID, Answer]]


def make_run_control(team: Team, **fields: Any) -> RunControl:
    return RunControl.objects.create(team=team, run="r", started_at=now(), last_at=now(), **{"steps": 1, **fields})


def settled(team: Team, *calls: dict[str, Any]) -> list[tuple[Any, ...]]:
    usual = {"team": team.pk, "run": "r", "usd": 0.05, "tokens": 10, "is_estimated": False, "detail": {}}
    told = orjson.dumps([{**usual, **call} for call in calls], default=str).decode()
    rows = perform(Statement(statements("gateway")["finish"], {"calls": told, "commit": None}, list))
    return [(cost, is_kept, version, state and orjson.loads(state)) for cost, is_kept, version, state in rows]


@pytest.fixture
def held(team: Team, hold: Hold) -> Callable[[], UUID]:
    make_budget(team)
    return lambda: hold(Call(team_id=team.pk, run="r", models=("m",)))[0]


def test_the_turn_enters_the_memory_it_was_made_of(team: Team, held: Callable[[], UUID]) -> None:
    make_run_control(team, loop_state={"n": 3}, version=3)
    assert settled(team, {"id": held(), "version": 3, "state": {"n": 4}}) == [(Decimal("0.05"), True, 4, None)]
    run = RunControl.objects.get()
    assert (run.loop_state, run.version, run.tokens) == ({"n": 4}, 4, 10)


def test_a_memory_that_others_moved_stays_and_is_told_and_the_money_is_spent(
    team: Team, held: Callable[[], UUID]
) -> None:
    make_run_control(team, loop_state={"n": 4}, version=4)
    assert settled(team, {"id": held(), "version": 3, "state": {}}) == [(Decimal("0.05"), False, 4, {"n": 4})]
    run = RunControl.objects.get()
    assert (run.loop_state, run.version, run.cost_usd) == ({"n": 4}, 4, Decimal("0.05"))


def test_of_two_turns_of_one_memory_settled_together_the_first_enters_it(team: Team, held: Callable[[], UUID]) -> None:
    make_run_control(team)
    turns = [{"id": held(), "version": 0, "state": {"by": name}} for name in "ab"]
    assert settled(team, *turns) == [(Decimal("0.05"), True, 1, None), (Decimal("0.10"), False, 1, {"by": "a"})]


def test_a_settlement_that_is_told_twice_is_one(team: Team, held: Callable[[], UUID]) -> None:
    """The commit of the first was not heard of. Its turn is in the memory, perhaps under others' by now."""
    make_run_control(team)
    call = {"id": held(), "version": 0, "state": {"by": "a"}}
    settled(team, call)
    assert settled(team, call) == [(Decimal("0.05"), True, 1, {"by": "a"})]
    assert RunControl.objects.get().version == 1


def test_without_a_turn_the_memory_stays(team: Team, held: Callable[[], UUID]) -> None:
    make_run_control(team, loop_state={"n": 4}, version=4)
    [(cost, _, version, state)] = settled(team, {"id": held()})
    assert (cost, version, state) == (Decimal("0.05"), 4, None)
    assert RunControl.objects.get().loop_state == {"n": 4}


def test_a_run_that_was_cleared_away_remembers_nothing(team: Team, held: Callable[[], UUID]) -> None:
    assert settled(team, {"id": held(), "version": 3, "state": {}}) == [(None, True, 0, None)]


def test_a_call_without_a_run_is_settled_alone(team: Team, hold: Hold) -> None:
    budget = make_budget(team)
    assert settled(team, {"id": hold()[0], "run": ""})[0][0] is None
    assert sums(budget)[0] == Decimal("0.05")


def test_a_call_that_is_taken_back_holds_nothing_and_is_no_step_once(team: Team, hold: Hold) -> None:
    budget = make_budget(team)
    make_run_control(team, steps=5)
    id, _ = hold(Call(team_id=team.pk, run="r", models=("m",)))
    take_back = Statement(
        statements("gateway")["take_back"], {"team": team.pk, "run": "r", "id": id, "commit": None}, len
    )
    for _ in range(2):
        perform(take_back)
        assert RunControl.objects.get().steps == 4
    assert sums(budget) == (0, 0)
    perform(Statement(take_back.sql, {**take_back.parameters, "id": uuid4()}, len))
    assert RunControl.objects.get().steps == 4
