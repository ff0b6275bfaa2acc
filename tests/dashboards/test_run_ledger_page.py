"""The ledger tab of a run: its entries and holds, and the budgets it draws on, as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.dashboards.test_budgets_page import hold, made, shown, spend, words
from tests.make import make_team, make_user, signed_in
from tests.told import a_store, tell_one
from tracking.ingest.writer import Store
from tracking.models import Team

TRACE = f"{1:032x}"
ADDRESS = f"/runs/{TRACE}?tab=ledger"


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def page(team: Team) -> Client:
    return signed_in(make_user("Alice", team=team, role="viewer"))


def test_entries_holds_and_budgets_of_the_run_are_shown_and_no_others(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    made(team, window="total", limit_usd="10")
    made(team, window="run", name="Each run", limit_usd="2")
    spend(team, "0.5", run=TRACE, agent="bot", models=("gpt-4o",))
    spend(team, "3", run="another", agent="stranger")
    hold(team, "0.25", run=TRACE, agent="bot")
    said = words(shown(page, ADDRESS))
    assert "1 entry, $0.5000 in all" in said
    assert "+$0.5000" in said
    assert "stranger" not in said
    assert "1 call in flight" in said
    assert re.search(r"All of us strict \$0\.5000 \$0\.2500 \$6\.2\d free of \$10\.00", said)
    assert re.search(r"Each run strict · \w+ \$0\.5000 \$0\.2500 \$1\.25 free of \$2\.00", said)


def test_a_run_without_entries_says_why(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    assert "No entry: no budget applied to its calls when they were made." in shown(page, ADDRESS)


def test_entries_go_on_after_the_last(page: Client, store: Store, team: Team, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "page_rows": 2}
    tell_one(store, team)
    made(team, window="total", limit_usd="10")
    for usd in ("1", "2", "3"):
        spend(team, usd, run=TRACE)
    first = shown(page, ADDRESS)
    (older,) = re.findall(r'href="(\?[^"]*after=[^"]*)"', first)
    second = shown(page, f"/runs/{TRACE}{older}".replace("&amp;", "&"))
    assert re.findall(r"\+\$(\d)\.0000", first) == ["3", "2"]
    assert re.findall(r"\+\$(\d)\.0000", second) == ["1"]
    assert "3 entries, $6.00 in all" in words(second)


def test_another_teams_entries_of_the_same_name_are_not_shown(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    other = make_team("Elsewhere")
    made(other, name="Theirs")
    spend(other, "1", run=TRACE)
    assert "no entry" in words(shown(page, ADDRESS))
