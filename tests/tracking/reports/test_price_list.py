from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from tracking import pricing
from tracking.audit import SYSTEM
from tracking.models import Team
from tracking.reports.prices import price_history, prices
from wflo import price_map
from wflo.rates import Rates

NOW = datetime(2026, 3, 10, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _listed(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("acme/a_1", "acme/ab1", "acme/b", "other/c")
    listed = [price_map.Listed(name, name.partition("/")[0], Rates(input=D("0.000001"))) for name in names]
    monkeypatch.setattr(price_map, "bundled", lambda: listed)
    pricing.load_bundled(now=NOW)


def set_price(team: Team | None, model: str, usd: int, day: str) -> None:
    pricing.set_price(SYSTEM, team, model, {"input_usd_per_million": usd}, valid_from=day)


def test_each_model_shows_the_price_in_force_for_the_team(team: Team, other_team: Team) -> None:
    set_price(None, "acme/b", 2, "2026-01-01")
    set_price(team, "acme/b", 3, "2026-02-01")
    set_price(team, "acme/b", 4, "2026-04-01")
    shown = {row.model: row for row in prices(team, search="acme/b", at=NOW, limit=9).rows}
    assert shown["acme/b"].figures == {"input_usd_per_million": 3}
    assert (shown["acme/b"].source, shown["acme/b"].set_by) == ("team", "Wflo")
    assert [line.model for line in prices(team, sources=["team", "operator"], limit=9).rows] == ["acme/b"]
    assert prices(other_team, search="acme/b", at=NOW, limit=9).rows[0].figures == {"input_usd_per_million": 2}
    assert [row.figures["input_usd_per_million"] for row in price_history(team, "Acme/B")] == [4, 3, 2, 1]
    assert [row.figures["input_usd_per_million"] for row in price_history(other_team, "acme/b")] == [2, 1]


def test_the_teams_price_is_shown_before_a_younger_one_for_everyone(team: Team) -> None:
    set_price(team, "acme/b", 3, "2026-02-01")
    set_price(None, "acme/b", 2, "2026-03-01")
    assert prices(team, search="acme/b", at=NOW, limit=1).rows[0].figures == {"input_usd_per_million": 3}


def test_pages_follow_one_another_without_gap_or_repetition(team: Team) -> None:
    seen, after, pages = list[str](), "", 0
    while True:
        page = prices(team, after=after, limit=3)
        seen += [row.model for row in page.rows]
        pages += 1
        if page.after is None:
            break
        after = page.after
    assert pages > 1
    assert seen == sorted(set(seen))
    assert len(seen) == 4 + len(pricing.DEMO_RATES)


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ACME", ["acme/a_1", "acme/ab1", "acme/b"]),
        ("a_1", ["acme/a_1"]),
        ("%", []),
        ("\\", []),
        ("other", ["other/c"]),
        (" Other ", ["other/c"]),
    ],
)
def test_a_search_finds_names_and_providers_as_they_are_written(team: Team, search: str, found: list[str]) -> None:
    assert [row.model for row in prices(team, search=search, limit=99).rows] == found


def test_a_bundled_price_holds_from_the_beginning(team: Team) -> None:
    assert prices(team, search="other", limit=1).rows[0].valid_from is None
    set_price(team, "other/c", 2, "2026-01-01")
    assert prices(team, search="other", limit=1).rows[0].valid_from == datetime(2026, 1, 1, tzinfo=UTC)


def test_the_list_costs_one_query(team: Team, django_assert_num_queries: Callable[[int], Any]) -> None:
    with django_assert_num_queries(1):
        prices(team, limit=50)
