"""PostgreSQL killed while calls are held for, sent and settled: what was answered is there, once, and nothing twice.

A hold may be lost with the crash, but then its call was not sent: its dispatch is what is waited for. WFLO_CRASH_SEED runs a test again.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.journeys.house import a_folder
from tests.server import ROOT
from tests.tracking.ledger.processes import Callers
from tracking import invariants
from wflo_site import devstack
from wflo_site.processes import alive, wait_until

KILLS, CALLERS, ROUNDS = 4, 8, 25
MAKE = """
import django
django.setup()
from tests.make import make_team
from tests.tracking.ledger.conftest import make_budget
team = make_team("Core")
make_budget(team, "3")
make_budget(team, "3.5", name="above", scope_kind="organization", team=None, window="month")
print(team.pk)
"""


class Store:
    """A PostgreSQL of the test's own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.start()

    def start(self) -> None:
        stack = devstack.start(self.home, valkey=False)
        self.url, self.pid = stack.database_url, stack.pids["postgres"]

    def kill(self) -> None:
        import psutil

        above = psutil.Process(self.pid)
        children = above.children()
        above.kill()
        assert wait_until(lambda: not any(alive(one.pid) for one in (above, *children)), seconds=60)

    def runs(self, *command: str) -> str:
        variables = {
            **os.environ,
            "WFLO_DATABASE_URL": self.url,
            "WFLO_HOME": str(self.home),
            "DJANGO_SETTINGS_MODULE": "wflo_site.settings",
        }
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as link:
            return link.execute(sql).fetchall()


@pytest.fixture
def store() -> Iterator[Store]:
    with a_folder() as top:
        made = Store(top / "home")
        try:
            made.runs("manage.py", "migrate", "-v0")
            yield made
        finally:
            devstack.stop(made.home)


def said(made: list[Callers], word: str) -> set[UUID]:
    return {UUID(line.split()[1]) for one in made for line in list(one.lines) if line.startswith(f"{word} ")}


@pytest.mark.timeout(900)
def test_what_was_answered_outlives_a_killed_database(store: Store) -> None:
    """B11, B12: the same id again holds once; a settlement that was answered is entered, and entered once."""
    seed = int(os.environ.get("WFLO_CRASH_SEED", "") or random.SystemRandom().randrange(2**32))
    print(f"WFLO_CRASH_SEED={seed}")  # noqa: T201  shown when the test fails
    rng = random.Random(seed)
    team = int(store.runs("-c", MAKE))
    made = [Callers(store.url, does="journal", threads=CALLERS, rounds=ROUNDS, team=team) for _ in range(2)]
    try:
        for one in made:
            one.has_said("ready")
        for one in made:
            one.go()
        for _ in range(KILLS):
            enough = len(said(made, "settled")) + rng.randrange(10, 40)
            assert wait_until(
                lambda enough=enough: (
                    len(said(made, "settled")) >= enough or all(one.process.poll() is not None for one in made)
                ),
                seconds=120,
            )
            store.kill()
            store.start()
        told = [lost for one in made for lost in one.told()]
    finally:
        for one in made:
            one.end()
    assert [one for one in told if isinstance(one, str)] == []

    sent, settled = said(made, "sent"), said(made, "settled")
    print(f"{len(settled)} settled, {sum(told)} holds lost with a crash and taken again")  # noqa: T201
    assert sent == settled
    states = dict(store.rows("SELECT id, state FROM tracking_reservation"))
    assert states == dict.fromkeys(settled, 1)
    entries = [
        id
        for (id,) in store.rows("SELECT reservation_id FROM tracking_ledger_entry WHERE kind = 'debit' AND usd = 0.01")
    ]
    assert sorted(entries) == sorted(settled)
    sums = store.rows("SELECT spent_usd, held_usd FROM tracking_budget_period")
    assert sums == [(len(settled) * Decimal("0.01"), 0)] * 2
    assert sums[0][0] <= 3
    with psycopg.connect(store.url) as link, link.transaction():
        assert invariants.broken(link.cursor()) == []
