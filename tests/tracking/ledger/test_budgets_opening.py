"""A budget made in the middle of its window begins with what was used in it, also while calls come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import connection

from tests.make import make_key, make_team
from tests.tracking.ingest.spans import BEGAN_NS, SECOND, batch, call, span, stored
from tests.tracking.ledger.conftest import LEASE_MS, ceiling
from tests.tracking.reports.past import a_priced_store
from tracking import teams
from tracking.audit import SYSTEM
from tracking.ingest.counting import GATEWAY
from tracking.ingest.write import write
from tracking.ingest.writer import Store, connect
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand, Made
from tracking.ledger.calls import Actual, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.verbs import Statement, charge, dispatch, reserve, settle
from tracking.models import Alert, AuditEntry, BudgetPeriod, LedgerEntry, Reservation, Team
from tracking.sql import statements
from wflo.spans import Kind

HAND = Hand(SYSTEM, rules_organization=True)
EACH = D("0.15")  # of 1M input tokens of gpt-4o-mini


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


def make(team: Team, **given: Any) -> Made:
    given = {"scope_kind": "team", "scope_id": None, "window": "total", "name": "all", "limit_usd": "1000", **given}
    return budgets.create(team, HAND, **given)


def used(store: Store, team: Team, trace: int, *, ago: timedelta = timedelta(0), **fields: Any) -> datetime:
    """A call for 0.15 USD; the moment it began, which is in the hour before this one, and ``ago`` before that."""
    began = datetime.fromtimestamp(BEGAN_NS / SECOND, UTC) - ago
    begins = began.timestamp() - BEGAN_NS / SECOND
    root = {name: fields.pop(name) for name in ("user_id", "run_id") if name in fields}
    agent, key = fields.pop("agent", "planner"), fields.pop("key_id", None)
    fields = {"tokens": (1_000_000, 0), **fields}
    spans = [
        span(1, trace=trace, kind=Kind.AGENT, agent=agent, begins=begins, **root),
        call(2, trace=trace, parent=1, begins=begins, **fields),
    ]
    if key is None:
        stored(store, team, *spans)
    else:
        store.write([batch(team, *spans, key_id=key)])
    return began


def spent(made: Made) -> dict[str, tuple[D, int]]:
    periods = BudgetPeriod.objects.filter(budget=made.budget)
    return {p.subject: (p.spent_usd, p.spent_tokens) for p in periods}


def window(kind: str, zone: str = "UTC") -> tuple[datetime | None, datetime | None]:
    with connection.cursor() as cursor:
        cursor.execute(statements("ledger")["window"], {"window": kind, "zone": zone})
        start, end, _ = cursor.fetchone()
    return start, end


def test_all_that_was_used_is_opened_with_an_entry_that_says_so(store: Store, team: Team) -> None:
    used(store, team, 1)
    used(store, team, 2, ago=timedelta(days=50), model="nobody-prices-this", tokens=(5, 5))
    made = make(team)
    assert spent(made) == {"": (EACH, 1_000_010)}
    entry = LedgerEntry.objects.get(team=team)
    assert (entry.kind, entry.usd, entry.tokens, entry.actor) == ("opening", EACH, 1_000_010, "Wflo")
    assert entry.reason == "used in this window before the budget was made"
    assert entry.detail == {"unpriced_calls": 1}
    after = AuditEntry.objects.get(team=team, action="budget.create").after
    assert after["opened"] == {"usd": str(EACH.quantize(D(10) ** -10)), "tokens": 1_000_010, "subjects": 1}


def test_nothing_used_opens_nothing(store: Store, team: Team) -> None:
    assert spent(make(team)) == {}
    assert not LedgerEntry.objects.filter(team=team).exists()


@pytest.mark.parametrize("kind", ["day", "week", "month", "total"])
def test_only_what_lies_in_the_window_is_opened_to_the_minute(store: Store, kind: str) -> None:
    """Midnight in Kathmandu is at a quarter past an hour."""
    for zone in ("UTC", "America/Los_Angeles", "Asia/Kolkata", "Asia/Kathmandu"):
        team = make_team("Far", time_zone=zone)
        start = window(kind, zone)[0] or datetime(2020, 1, 1, tzinfo=UTC)
        steps = enumerate((0, 5, 30, 24 * 9, 24 * 40), 1)
        began = [used(store, team, n, ago=timedelta(hours=step)) for n, step in steps]
        edge = [start + timedelta(seconds=s) for s in (-1, 0)] if kind != "total" else []
        for n, moment in enumerate(edge, 10):
            used(store, team, n, ago=datetime.fromtimestamp(BEGAN_NS / SECOND, UTC) - moment)
        expected = sum(EACH for moment in [*began, *edge] if moment >= start)
        assert expected
        assert spent(make(team, window=kind))[""][0] == expected, zone


def test_what_is_written_later_falls_in_the_window_it_would_have_been_opened_in(store: Store) -> None:
    team = make_team("Far", time_zone="Asia/Kathmandu")
    start, _ = window("day", "Asia/Kathmandu")
    assert start is not None
    made = make(team, window="day")
    for n, moment in enumerate((start - timedelta(seconds=1), start), 1):
        used(store, team, n, ago=datetime.fromtimestamp(BEGAN_NS / SECOND, UTC) - moment)
    found = {p.starts_at: p.spent_usd for p in BudgetPeriod.objects.filter(budget=made.budget)}
    assert found == {start - timedelta(days=1): EACH, start: EACH}
    assert spent(make(team, window="day")) == {"": (EACH, 1_000_000)}


def test_a_team_that_moves_takes_its_spending_along(store: Store, team: Team) -> None:
    used(store, team, 1, user_id="u1")
    used(store, team, 2, user_id="u2", ago=timedelta(hours=30))
    made = [make(team, window=kind) for kind in ("day", "month", "total")] + [
        make(team, window="day", scope_kind="user")
    ]
    teams.change_team(team, name="Core", time_zone="Pacific/Apia", actor=SYSTEM)
    for one in made[:2]:
        start, _ = window(one.budget.window, "Pacific/Apia")
        assert start is not None
        expected = sum(EACH for ago in (0, 30) if moment(ago) >= start)
        found = BudgetPeriod.objects.filter(budget=one.budget, starts_at=start).values_list("spent_usd", flat=True)
        assert sum(found) == expected
    assert spent(made[2]) == {"": (2 * EACH, 2_000_000)}
    count = LedgerEntry.objects.filter(team=team).count()
    teams.change_team(team, name="Core", time_zone="UTC", actor=SYSTEM)
    teams.change_team(team, name="Core", time_zone="Pacific/Apia", actor=SYSTEM)
    assert LedgerEntry.objects.filter(team=team).count() == count  # windows that are there are not begun twice


def moment(hours_ago: float) -> datetime:
    return datetime.fromtimestamp(BEGAN_NS / SECOND, UTC) - timedelta(hours=hours_ago)


def test_each_scope_opens_its_own(store: Store, team: Team) -> None:
    key, _ = make_key(team)
    used(store, team, 1, agent="a", user_id="u1", key_id=str(key.pk))
    used(store, team, 2, agent="b", user_id="u1", tokens=(2_000_000, 0))
    used(store, team, 3, agent="a")
    one, two = (EACH, 1_000_000), (2 * EACH, 2_000_000)
    assert spent(make(team, scope_kind="agent", scope_id="a")) == {"a": (2 * EACH, 2_000_000)}
    assert spent(make(team, scope_kind="agent")) == {"a": (2 * EACH, 2_000_000), "b": two}
    assert spent(make(team, scope_kind="user")) == {"u1": (3 * EACH, 3_000_000)}
    assert spent(make(team, scope_kind="user", scope_id="u2")) == {}
    assert spent(make(team, scope_kind="key", scope_id=str(key.pk))) == {str(key.pk): one}
    assert spent(make(team, scope_kind="model", scope_id="gpt-4o-mini")) == {"gpt-4o-mini": (4 * EACH, 4_000_000)}


def test_the_organizations_opens_all_its_teams_and_no_others(store: Store, team: Team) -> None:
    sister, stranger = make_team("Sister", organization=team.organization), make_team("Elsewhere")
    for n, one in enumerate((team, sister, stranger), 1):
        used(store, one, n)
    made = make(team, scope_kind="organization")
    assert spent(made) == {"": (2 * EACH, 2_000_000)}
    assert BudgetPeriod.objects.get(budget=made.budget).team_id == 0


def test_the_demo_has_no_part_in_the_organizations(store: Store, team: Team) -> None:
    demo = teams.create_team(team.organization, "Demo", is_demo=True, actor=SYSTEM)
    used(store, demo, 1)
    made = make(team, scope_kind="organization")
    used(store, demo, 2)
    used(store, team, 3)
    assert spent(made) == {"": (EACH, 1_000_000)}
    assert made.budget not in budgets.budgets_of(demo)


def test_a_run_that_is_named_opens_with_its_cost_by_any_of_its_ids(store: Store, team: Team) -> None:
    used(store, team, 1, run_id="ours")
    used(store, team, 2, ago=timedelta(days=40))
    for named in ("ours", f"{1:032x}"):
        made = make(team, scope_kind="run", scope_id=named, window="run")
        assert made.budget.scope_id == "ours"
        assert spent(made) == {"ours": (EACH, 1_000_000)}
    nameless = make(team, scope_kind="run", scope_id=f"{2:032x}", window="total")
    assert spent(nameless) == {f"{2:032x}": (EACH, 1_000_000)}
    assert spent(make(team, scope_kind="run", scope_id=f"{2:032x}", window="month")) == {}
    assert spent(make(team, scope_kind="run", scope_id="to come", window="run")) == {}


@pytest.mark.parametrize("given", [{"scope_kind": "run"}, {"scope_kind": "job"}, {"window": "run"}])
def test_where_usage_cannot_answer_nothing_is_opened_and_the_log_says_why(
    store: Store, team: Team, given: dict[str, Any]
) -> None:
    used(store, team, 1, run_id="ours")
    made = make(team, **given)
    assert spent(made) == {}
    assert made.opening.why_not
    assert AuditEntry.objects.get(team=team, action="budget.create").after["opened"] == {
        "nothing": made.opening.why_not
    }


def test_of_very_many_subjects_the_dearest_are_opened(store: Store, team: Team, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "budget_subjects_opened": 2}
    for n in (1, 2, 3):
        used(store, team, n, user_id=f"u{n}", tokens=(n * 1_000_000, 0))
    made = make(team, scope_kind="user")
    assert set(spent(made)) == {"u2", "u3"}
    assert made.opening.left_out == 1
    assert AuditEntry.objects.get(team=team, action="budget.create").after["opened"]["left_out"] == 1


def test_thresholds_already_passed_are_told(store: Store, team: Team) -> None:
    used(store, team, 1)
    make(team, limit_usd="0.2", alert_at=[50, 90])
    assert [a.payload["percent"] for a in Alert.objects.filter(team=team)] == [50]


def test_calls_under_way_are_held_for_on_the_new_budget(store: Store, team: Team) -> None:
    ids = [uuid4() for _ in range(3)]
    for id, agent in zip(ids, ("a", "a", "b"), strict=True):
        held = perform(reserve(Call(team_id=team.pk, agent=agent), ceiling("0.3"), id=id, lease_ms=LEASE_MS))
        assert held.outcome is Outcome.HELD
    perform(settle(team.pk, ids[1], Actual(usd=D("0.1"), tokens=1)))
    made = make(team, scope_kind="agent", limit_usd="0.5")
    assert made.calls_under_way == 2
    assert {p.subject: p.held_usd for p in BudgetPeriod.objects.filter(budget=made.budget)} == {
        "a": D("0.3"),
        "b": D("0.3"),
    }
    again = perform(reserve(Call(team_id=team.pk, agent="a"), ceiling("0.3"), id=uuid4(), lease_ms=LEASE_MS))
    assert again.outcome is Outcome.REFUSED
    perform(settle(team.pk, ids[0], Actual(usd=D("0.2"), tokens=1)))
    period = BudgetPeriod.objects.get(budget=made.budget, subject="a")
    assert (period.spent_usd, period.held_usd) == (D("0.2"), 0)
    assert Reservation.objects.get(id=ids[0]).budgets == [made.budget.pk]


def test_a_call_that_ended_before_and_is_written_after_is_charged_once(store: Store, team: Team) -> None:
    ids = uuid4(), uuid4()
    for id in ids:
        perform(reserve(Call(team_id=team.pk), ceiling("0.3"), id=id, lease_ms=LEASE_MS))
    perform(settle(team.pk, ids[0], Actual(usd=D("0.1"), tokens=1)))
    made = make(team)
    perform(settle(team.pk, ids[1], Actual(usd=D("0.2"), tokens=2)))
    assert spent(made) == {"": (D("0.2"), 2)}
    late = [
        Charge(call=Call(team_id=team.pk), at=datetime.now(UTC), usd=usd, tokens=n, reservation=id)
        for id, usd, n in zip(ids, (D("0.1"), D("0.2")), (1, 2), strict=True)
    ]
    assert perform(charge(team.pk, late)) == 1
    assert spent(made) == {"": (D("0.3"), 3)}
    older = Charge(call=Call(team_id=team.pk), at=datetime.now(UTC), usd=D(1), tokens=1, reservation=uuid4())
    assert perform(charge(team.pk, [older])) == 0


# --- while others write ----------------------------------------------------------------------------------------------

ROUNDS, WRITERS, MAKERS = 12, 3, 3


def _do(db: psycopg.Connection[Any], statement: Statement[Any]) -> Any:
    return statement.read(db.execute(statement.sql, statement.parameters).fetchall())


def _sees(team: Team, number: int, go: threading.Event) -> None:
    """Calls seen only afterwards: written and charged in one transaction."""
    with connect() as db:
        go.wait()
        for turn in range(ROUNDS):
            one = call(2, trace=number * 1000 + turn, tokens=(1_000_000, 0), agent="a", user_id=f"u{turn % 3}")
            with db.transaction():
                write(db, [batch(team, one)])
                time.sleep(0.002)


def _calls(team: Team, number: int, go: threading.Event) -> None:
    """Calls that are held for: settled, and written a moment later."""
    with connect() as db:
        go.wait()
        for turn in range(ROUNDS):
            id = _begin(db, team)
            time.sleep(0.003)
            _end(db, team, id, number * 1000 + turn)


def _begin(db: psycopg.Connection[Any], team: Team) -> UUID:
    id, who = uuid4(), Call(team_id=team.pk, agent="a", user="u1", models=("gpt-4o-mini",))
    assert _do(db, reserve(who, ceiling("0.2"), id=id, lease_ms=LEASE_MS)).outcome is Outcome.HELD
    _do(db, dispatch([team.pk], [id]))
    return id


def _end(db: psycopg.Connection[Any], team: Team, id: UUID, trace: int) -> None:
    one = call(2, trace=trace, tokens=(1_000_000, 0), agent="a", user_id="u1")
    one.convention = GATEWAY
    _do(db, settle(team.pk, id, Actual(usd=EACH, tokens=1_000_000)))
    time.sleep(0.003)
    write(db, [replace(batch(team, one), hold=id)])


def test_however_many_write_meanwhile_nothing_is_missed_and_nothing_counts_twice(store: Store, team: Team) -> None:
    go, failures = threading.Event(), []

    def guarded(work: Callable[..., None], number: int) -> Callable[[], None]:
        def run() -> None:
            try:
                work(team, number, go)
            except BaseException as error:  # told in the test's thread
                failures.append(error)

        return run

    works = [guarded(_sees, n) for n in range(1, WRITERS + 1)]
    works += [guarded(_calls, n) for n in range(WRITERS + 1, 2 * WRITERS + 1)]
    threads = [threading.Thread(target=work) for work in works]
    used(store, team, 9_999, agent="a", user_id="u1")  # the day's partition is there, and something to open
    for thread in threads:
        thread.start()
    go.set()
    made = []
    with connect() as db:
        under_way = _begin(db, team)
        for _ in range(MAKERS):
            for given in ({}, {"scope_kind": "agent"}, {"scope_kind": "organization"}, {"scope_kind": "user"}):
                made.append(make(team, **given))
        _end(db, team, under_way, 9_998)
    assert any(thread.is_alive() for thread in threads), "all had written before the last budget was made"
    for thread in threads:
        thread.join()
    assert failures == []
    total = 2 * WRITERS * ROUNDS + 2
    for one in made:
        found = spent(one)
        assert sum(usd for usd, _ in found.values()) == total * EACH, (one.budget.scope_kind, found)
        assert sum(tokens for _, tokens in found.values()) == total * 1_000_000
        entries = LedgerEntry.objects.filter(budgets__contains=[one.budget.pk])
        assert sum((e.usd for e in entries), D(0)) == total * EACH
    assert not BudgetPeriod.objects.filter(budget__in=[one.budget for one in made]).exclude(held_usd=0).exists()
    assert any(one.opening.used for one in made)
    assert all(one.calls_under_way for one in made)
