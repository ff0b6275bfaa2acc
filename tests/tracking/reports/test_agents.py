"""Agents: what each cost, what its money bought, how its runs went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.make import make_team
from tests.tracking.ingest.spans import call, span, stored
from tests.tracking.reports.past import DAY, NOON, a_priced_store, begins, run_at
from tracking.errors import NotFound
from tracking.ingest.writer import Store
from tracking.models import Team
from tracking.reports.agents import AgentPage, agent, agents, month_forecast, over_time
from tracking.reports.team_day import team_day
from wflo.spans import Kind, Status
from wflo.usage import Usage

D = Decimal
START = DAY - timedelta(days=29)


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


def page_of(team: Team, name: str = "planner") -> AgentPage:
    return agent(team, name, start=START, end=NOON, now=NOON)


def test_a_name_nobody_sent_is_not_found(store: Store, team: Team) -> None:
    stored(store, make_team("Elsewhere"), *run_at(1, 9))
    with pytest.raises(NotFound):
        page_of(team)


def test_an_agents_page_sums_its_own_part_of_every_run(store: Store, team: Team) -> None:
    helped = [span(3, trace=1, parent=1, kind=Kind.AGENT, agent="helper", begins=begins(9) + 2)]
    helped += [call(4, trace=1, parent=3, begins=begins(9) + 3, tokens=(2_000_000, 0))]
    stored(store, team, *run_at(1, 9), *helped, *run_at(2, 10), *run_at(3, 9, days_ago=3))
    planner, helper = page_of(team), page_of(team, "helper")
    assert (planner.totals.cost_usd, planner.today.cost_usd) == (D("0.45"), D("0.30"))
    assert (helper.totals.cost_usd, helper.spread.facts.runs, helper.recent) == (D("0.30"), 0, ())
    assert (planner.spread.facts.median_usd, planner.spread.facts.dearest_usd) == (D("0.15"), D("0.45"))
    assert [row.key["model"] for row in planner.models] == ["gpt-4o-mini"]


def test_what_the_money_bought_adds_up_to_what_it_cost(store: Store, team: Team) -> None:
    root, _ = run_at(1, 9)
    usage = Usage(input_tokens=900_000, output_tokens=100_000, cached_tokens=400_000)
    stored(store, team, root, replace(call(2, parent=1, begins=begins(9)), usage=usage))
    page = page_of(team)
    assert sum(part.cost_usd for part in page.bought) == page.totals.cost_usd
    # gpt-4o-mini: 0.15 in, 0.075 cached, 0.60 out, USD per million
    assert [(part.bucket, part.tokens, part.cost_usd) for part in page.bought] == [
        ("input", 500_000, D("0.075")),
        ("cache_read", 400_000, D("0.03")),
        ("output", 100_000, D("0.06")),
    ]


def test_tools_and_failures_are_counted(store: Store, team: Team) -> None:
    at = begins(9)
    tools = [
        span(5, trace=1, parent=1, kind=Kind.TOOL, tool_name="search", begins=at),
        span(6, trace=1, parent=1, kind=Kind.TOOL, tool_name="search", begins=at, status=Status.ERROR),
    ]
    failed = [s for n in (2, 3) for s in run_at(n, 9, status=Status.ERROR, error="503 from erp")]
    stored(store, team, *run_at(1, 9), *tools, *failed)
    page = page_of(team)
    assert [(row.key["tool"], row.tool_calls, row.errors) for row in page.tools] == [("search", 2, 1)]
    assert [(failure.error, failure.runs) for failure in page.failures] == [("503 from erp", 2)]


def test_costs_of_runs_spread_over_bars_that_hold_every_run(store: Store, team: Team) -> None:
    sizes = (1_000, 5_000, 20_000, 1_000_000, 40_000_000)
    for n, tokens in enumerate(sizes):
        stored(store, team, *run_at(n + 1, 9, tokens=(tokens, 0)))
    stored(store, team, *run_at(90, 9, model="house-model"), *run_at(91, 11, lasts=None))
    spread = page_of(team).spread
    assert sum(bar.runs for bar in spread.bars) == len(sizes)
    assert spread.unpriced == 1
    assert spread.facts.running == 1
    edges = [bar.low_usd for bar in spread.bars]
    assert edges == sorted(edges)
    assert all(bar.low_usd < bar.high_usd for bar in spread.bars)
    assert spread.bars[0].low_usd <= D("0.00015") < spread.bars[0].high_usd
    assert spread.bars[-1].low_usd <= D("6") < spread.bars[-1].high_usd


def test_a_run_with_some_unpriced_calls_counts_by_its_known_part(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), call(7, trace=1, parent=1, begins=begins(9), model="house-model"))
    facts = page_of(team).spread.facts
    assert (facts.priced, facts.partial, facts.median_usd) == (1, 1, D("0.15"))


def test_the_list_is_by_cost_with_the_stretch_before(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="writer", tokens=(3_000_000, 0)))
    stored(store, team, *run_at(3, 9, days_ago=10), span(1, trace=4, begins=begins(9)))
    found = agents(team, start=DAY - timedelta(days=6), end=NOON, now=NOON)
    assert [(line.name, line.row.cost_usd, line.before_usd) for line in found.lines] == [
        ("writer", D("0.45"), 0),
        ("planner", D("0.15"), D("0.15")),
        (None, 0, 0),
    ]
    assert (found.totals.cost_usd, found.before_usd) == (D("0.60"), D("0.15"))


def test_parts_over_time_leave_out_what_has_none(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9))
    parts = over_time(team, "planner", by="model", start=DAY, end=NOON)
    assert (parts.bucket, len(parts.times)) == ("hour", 12)
    assert [(row.key["model"], row.key["hour"]) for row in parts.rows] == [("gpt-4o-mini", DAY + timedelta(hours=9))]


def test_a_month_is_forecast_at_its_pace_and_not_on_its_first_day() -> None:
    tenth = DAY.replace(month=6, day=11)
    assert month_forecast(D(10), team_day("UTC", tenth)) == D(30)
    assert month_forecast(D(10), team_day("UTC", DAY.replace(month=6, day=1, hour=20))) is None
    assert month_forecast(None, team_day("UTC", tenth)) is None
