"""Many callers in many processes at once, some of them killed: no budget is ever over, and each call counts once.

WFLO_LEDGER_SEED runs a mix again.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from uuid import uuid4

import psycopg
import pytest
from django.db import connection

from tests.make import make_team
from tests.server import database_url
from tests.tracking.ledger.conftest import make_budget, sums
from tests.tracking.ledger.processes import all_told, callers
from tracking import invariants
from tracking.ledger.reconcile import reconcile
from tracking.ledger.seal import seal, verify
from tracking.ledger.sweep import sweep
from tracking.models import Budget, LedgerEntry, Reservation, Team
from wflo_site.processes import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

PROCESSES, THREADS = 4, 50


@contextmanager
def watched(budget: Budget) -> Iterator[list[D]]:
    """What was spent and held of a budget, looked at all the while."""
    seen: list[D] = []
    ends = threading.Event()

    def watch() -> None:
        with psycopg.connect(database_url(), autocommit=True) as look:
            while not ends.is_set():
                sql = "SELECT spent_usd + held_usd FROM tracking_budget_period WHERE budget_id = %s"
                seen.extend(row[0] for row in look.execute(sql, [budget.pk]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ends.set()
        watcher.join()


def deadlocks() -> int:
    with psycopg.connect(database_url(), autocommit=True) as look:
        return int(
            look.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()[0]
        )  # type: ignore[index]


def test_two_hundred_at_once_with_money_for_ten(team: Team) -> None:
    """B1, B2: exactly ten are held, and never more than there is."""
    budget = make_budget(team, "1")
    make_budget(team, "1.05", name="above", scope_kind="organization", team=None)
    with watched(budget) as seen, callers(PROCESSES, does="reserve", threads=THREADS, team=team.pk, usd="0.1") as made:
        told = all_told(made)
    assert Counter(told) == {"held": 10, "refused": PROCESSES * THREADS - 10}
    assert max(seen) <= 1
    assert sums(budget) == (0, 1)
    assert invariants.check(team.pk) == []


def test_one_id_two_hundred_times_holds_once_and_is_settled_once(team: Team) -> None:
    budget = make_budget(team, "10")
    job = {"threads": THREADS, "team": team.pk, "id": str(uuid4())}
    with callers(PROCESSES, does="reserve", usd="0.1", **job) as made:
        told = all_told(made)
    assert Counter(told) == {"held": 1, "exists": PROCESSES * THREADS - 1}
    assert sums(budget) == (0, D("0.1"))
    with callers(PROCESSES, does="settle", usd="0.07", **job) as made:
        told = all_told(made)
    assert Counter(told) == {"settled": 1, "already": PROCESSES * THREADS - 1}
    assert sums(budget) == (D("0.07"), 0)
    assert [entry.usd for entry in LedgerEntry.objects.all()] == [D("0.07")]


def test_keys_agents_teams_and_organization_in_any_order_never_wait_in_a_circle(team: Team) -> None:
    """B33: all or nothing on every budget, no deadlock reaches a caller, nor is there one."""
    teams = [team, *(make_team(name, organization=team.organization) for name in ("Second", "Third"))]
    scopes = [("organization", "", "total"), ("team", "", "total"), ("team", "", "day"), ("key", "", "total"), ("key", "k", "month"),
              ("agent", "a", "run"), ("user", "", "week"), ("model", "m", "total"), ("run", "r", "total")]  # fmt: skip
    made_budgets = []
    for number, (kind, id, window) in enumerate(scopes):
        for of in teams[:1] if kind == "organization" else teams:
            fields = {"team": None} if kind == "organization" else {}
            mode = ["strict", "elastic", "soft"][number % 3]
            made_budgets.append(
                make_budget(of, "0.4", name=kind, scope_kind=kind, scope_id=id, window=window, mode=mode, **fields)
            )
    seed = os.environ.get("WFLO_LEDGER_SEED", "") or str(random.SystemRandom().randrange(2**32))
    print(f"WFLO_LEDGER_SEED={seed}")  # noqa: T201  shown when the test fails
    before = deadlocks()
    job = {"teams": [one.pk for one in teams], "rounds": 12, "seed": seed}
    with callers(PROCESSES, does="mix", threads=16, **job) as made:
        told = all_told(made)
    assert [one for one in told if isinstance(one, str)] == []
    counted = sum((Counter(one) for one in told), Counter())
    assert counted["held"] > 100
    assert counted["refused"] > 100
    sweep()
    assert [invariants.check(one.pk) for one in teams] == [[], [], []]
    assert deadlocks() == before
    assert reconcile() == []
    assert seal(100_000) == LedgerEntry.objects.count()
    assert [verify(one) for one in teams] == [None, None, None]
    assert [invariants.check(one.pk) for one in teams] == [[], [], []]


@pytest.mark.parametrize(("is_sent", "outcome", "spent"), [(False, "released", "0"), (True, "expired", "0.1")])
def test_a_process_killed_in_mid_call_leaves_no_hold_and_no_call_for_nothing(
    team: Team, is_sent: bool, outcome: str, spent: str
) -> None:
    """B9, B10"""
    budget = make_budget(team, "1")
    id = uuid4()
    job = {"team": team.pk, "id": str(id), "usd": "0.1", "lease_ms": 300, "is_sent": is_sent}
    with callers(1, does="silence", **job) as (one,):
        one.go()
        one.has_said("silent")
        one.process.kill()
        one.process.wait()
    assert sums(budget) == (0, D("0.1"))
    closed: Counter[str] = Counter()
    assert wait_until(lambda: bool(closed.update(sweep()) or closed), seconds=60)
    assert closed == {outcome: 1}
    assert sums(budget) == (D(spent), 0)
    assert [entry.is_estimated for entry in LedgerEntry.objects.all()] == [True] * is_sent
    assert invariants.check(team.pk) == []


def test_sweepers_side_by_side_close_each_hold_once(team: Team) -> None:
    budget = make_budget(team, "100")
    with callers(2, does="mix", threads=8, teams=[team.pk], rounds=10) as made:
        all_told(made)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE tracking_reservation SET lease_until = now() - interval '1 s' WHERE state = 0")
    found: list[Counter[str]] = []

    def work() -> None:
        try:
            found.append(sweep())
        finally:
            connection.close()

    sweepers = [threading.Thread(target=work) for _ in range(6)]
    for sweeper in sweepers:
        sweeper.start()
    for sweeper in sweepers:
        sweeper.join()
    assert len(found) == 6
    assert not Reservation.objects.filter(state=0).exists()
    assert sums(budget)[1] == 0
    assert invariants.check(team.pk) == []
