"""A budget's bar, words and chart, from standings made by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import UUID

import plotly.graph_objects as go
import pytest

from dashboards.budget_cards import Card, Measured, bar, card, most_urgent, stand
from dashboards.budget_figures import chart
from dashboards.budget_words import usual_name
from dashboards.templatetags.budgets import lease, money_bar
from tests.dashboards.test_figures import resolved
from tracking.reports.budget_outlook import Outlook, Range
from tracking.reports.budget_standing import BudgetRow, Standing
from tracking.reports.budgets import BudgetLine, SpentDay

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
FORECAST = Outlook(until=END, usd=Range(D(7), D(8), D(9)))


def of(spent: str, held: str = "0", limit: str = "10") -> Measured:
    return Measured("usd", D(limit), D(spent), D(held), None, D(spent) >= D(limit))


def a_card(outlook: Outlook = FORECAST, spent: str = "4", **given: Any) -> Card:
    window = {"starts_at": START, "ends_at": END, **given.pop("window_of", {})}
    standing = Standing(subject="", limit_usd=D(10), limit_tokens=None, spent_usd=D(spent), held_usd=D("0.5"), **window)
    fields = {
        "id": UUID(int=1), "name": "Team", "scope_kind": "team", "scope_id": "", "scope_name": "", "window": "month",
        "mode": "strict", "limit_usd": D(10), "limit_tokens": None, "alert_at": (50, 100), "raised_usd": None,
        "raised_tokens": None, "raised_until": None, "created_at": START, "archived_at": None, "zone": "UTC",
        "is_many": False, "subjects": 1, "standing": standing,
    }  # fmt: skip
    return card(BudgetLine(BudgetRow(**{**fields, **given}), outlook), NOW)


@pytest.mark.parametrize(
    ("measure", "forecast", "drawn"),
    [
        (of("4", "2"), D(8), (100, 40, 0, 40, 20, 80)),
        (of("4", "0.001"), None, (100, 40, 0, 40, 0.9, None)),  # what is held is never too thin to be seen
        (of("5"), D("12.5"), (80, 40, 0, 40, 0, 100)),  # a forecast beyond the limit leaves the track
        (of("12.5"), None, (80, 80, 20, 100, 0, None)),
        (of("900"), D(1000), (62.5, 62.5, 37.5, 100, 0, 100)),
        (of("1", limit="0"), D(1), (100, 0, 100, 0, 0, None)),
    ],
)
def test_the_bar_keeps_its_shares(measure: Measured, forecast: D | None, drawn: tuple[float | None, ...]) -> None:
    found = bar(measure, forecast)
    parts = (found.track, found.spent, found.over, found.held_from, found.held, found.forecast)
    assert [part if part is None else round(part, 6) for part in parts] == list(drawn)
    assert "%" in money_bar(found)


@pytest.mark.parametrize(
    ("outlook", "spent", "mode", "words"),
    [
        (FORECAST, "4", "strict", "heading for $8.00"),
        (Outlook(usd=Range(None, D("1192.4"), None)), "4", "strict", "heading for $1,192"),
        (Outlook(exhausted_at=NOW + timedelta(hours=2, minutes=6)), "4", "strict", "runs out at 14:06"),
        (Outlook(exhausted_at=NOW + timedelta(days=6)), "4", "soft", "goes over on 26 Nov"),
        (Outlook(exhausted_at=NOW - timedelta(hours=3)), "10", "strict", "used up at 09:00"),
        (Outlook(), "11", "soft", "went over"),
        (Outlook(why_not="Too little history."), "4", "strict", ""),
    ],
)
def test_where_it_is_going_is_said_in_words(outlook: Outlook, spent: str, mode: str, words: str) -> None:
    assert a_card(outlook, spent, mode=mode).heading == words


def test_the_widest_budget_is_told_first_and_then_what_needs_somebody() -> None:
    soon = Outlook(exhausted_at=NOW + timedelta(hours=1))
    cards = [
        a_card(window="day", name="today"),
        a_card(name="month"),
        a_card(scope_kind="agent", name="bot", spent="10"),
        a_card(soon, scope_kind="agent", name="soon"),
    ]
    told = stand(cards)
    assert told.main is not None
    assert (told.main.row.name, told.ends_near) == ("month", "$8.00")
    assert ([one.row.name for one in told.used_up], [one.row.name for one in told.running_out]) == (["bot"], ["soon"])
    assert [one.row.name for one in most_urgent(cards, 3)] == ["bot", "soon", "today"]


@pytest.mark.parametrize("window", ["month", "day", "total", "run"])
def test_the_chart_is_one_that_plotly_reads(window: str) -> None:
    days = [SpentDay(date(2026, 10, 10) + timedelta(days=i), D("0.25"), 10) for i in range(42)]
    ends = {"starts_at": None, "ends_at": None} if window == "total" else {}
    drawn = a_card(window=window, window_of=ends)
    figure = chart(drawn, days, NOW)
    assert figure is not None
    go.Figure(resolved({"data": figure["data"], "layout": figure["layout"]}))
    if window in ("month", "total"):
        assert figure["data"][-1]["y"][-1] == 4.0  # what the ledger has
    assert chart(drawn, [], NOW) is None


def test_names_and_leases() -> None:
    assert usual_name("team", "", "month") == "team, month"
    assert usual_name("user", "", "day") == "each end user, day"
    assert usual_name("agent", "bot", "run") == "bot, each run"
    assert [lease(seconds) for seconds in (104.9, 59, 0, -3)] == ["1:44", "0:59", "run out", "run out"]
