"""Home says what today cost, beside what is usual, and what needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.make import make_team
from tests.tracking.ingest.spans import batch, span, stored
from tests.tracking.reports.past import DAY, NOON, a_priced_store, begins, run_at
from tracking.ingest.writer import Store
from tracking.models import Team
from tracking.reports.home import Need, has_data, home
from tracking.usage import fold
from wflo.spans import Kind, Rejected, Status

D = Decimal


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


def needs_of(team: Team, kind: str) -> list[Need]:
    return [need for need in home(team, NOON).needs if need.kind == kind]


def test_a_team_without_spans_has_no_data(store: Store, team: Team) -> None:
    assert not has_data(team)
    stored(store, team, *run_at(1, 9))
    assert has_data(team)


def test_today_is_compared_with_the_same_weekday_at_the_same_hour(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 10))
    stored(store, team, *run_at(3, 9, days_ago=7), *run_at(4, 20, days_ago=7))
    stored(store, team, *run_at(5, 9, days_ago=14, tokens=(3_000_000, 0)), *run_at(6, 9, days_ago=1))
    for _ in range(2):
        spend = home(team, NOON).spend
        assert spend.total.cost_usd == D("0.30")
        assert spend.curve[9:] == (0, D("0.15"), D("0.30"), D("0.30"), D("0.30"))
        assert spend.usual is not None
        assert (spend.usual.days, spend.usual.low[12], spend.usual.high[12]) == (2, D("0.15"), D("0.45"))
        assert spend.usual_usd == D("0.30")
        assert spend.forecast_usd == D("0.375"), "the rest of a usual day: half of the evening's 0.15"
        fold.fold_all()


def test_the_first_week_has_no_usual_day(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, days_ago=3))
    spend = home(team, NOON).spend
    assert (spend.usual, spend.usual_usd, spend.forecast_usd) == (None, None, None)


def test_the_day_begins_at_the_teams_midnight(store: Store) -> None:
    there = make_team("Tokyo", time_zone="Asia/Tokyo")
    stored(store, there, *run_at(1, -10), *run_at(2, -8), *run_at(3, 9))
    day = home(there, NOON).day
    assert (day.start, day.weekday) == (DAY - timedelta(hours=9), f"{DAY:%A}")
    assert home(there, NOON).spend.total.cost_usd == D("0.30")


def test_agents_are_told_with_their_share_their_runs_and_their_usual_spend(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 8), *run_at(2, 9), *run_at(3, 10, status=Status.ERROR))
    stored(store, team, *run_at(4, 11, agent="writer", tokens=(2_000_000, 0)))
    stored(store, team, *run_at(5, 9, agent="writer", days_ago=7), *run_at(6, 13, agent="writer", days_ago=7))
    planner, writer = home(team, NOON).agents
    assert (planner.name, planner.row.cost_usd, planner.share) == ("planner", D("0.45"), D("0.6"))
    assert (planner.facts.runs, planner.facts.failed, planner.facts.finished_share) == (3, 1, D(2) / 3)
    assert (planner.facts.median_usd, planner.facts.p95_usd) == (D("0.15"), D("0.15"))
    assert (writer.name, writer.usual_usd, writer.days[-8]) == ("writer", D("0.15"), D("0.30"))
    assert home(team, NOON).colours.keys() == {"planner", "writer"}


def test_unpriced_calls_need_a_price_and_their_cost_stays_unknown(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="checker", model="house-model", tokens=(500, 20)))
    page = home(team, NOON)
    assert needs_of(team, "unpriced") == [Need("unpriced", "house-model", 1, tokens=520, agents=("checker",))]
    checker = page.agents[1]
    assert (checker.name, checker.row.cost_usd, checker.share) == ("checker", None, None)
    assert checker.days[-2] is None or checker.days[-1] is None, "an unknown day is a gap, not a zero"
    assert [(m.name, m.cost_usd, m.unpriced_calls) for m in page.models] == [
        ("gpt-4o-mini", D("0.15"), 0),
        ("house-model", None, 1),
    ]


def test_an_agent_that_fails_more_than_twice_as_often_as_before_is_told(store: Store, team: Team) -> None:
    bad = {"status": Status.ERROR}
    stored(store, team, *[s for n in range(3) for s in run_at(10 + n, 9, agent="poster", **bad)])
    stored(store, team, *run_at(20, 9, agent="poster"), *run_at(21, 9, agent="poster", days_ago=2))
    assert [(n.name, n.count, n.of, n.usual_share) for n in needs_of(team, "failing")] == [("poster", 3, 4, D(0))]
    stored(store, team, *[s for n in range(6) for s in run_at(30 + n, 9, agent="poster", days_ago=2, **bad)])
    assert needs_of(team, "failing") == [], "it always fails so often"


def test_spans_refused_at_the_door_are_told_with_their_reason(store: Store, team: Team) -> None:
    late = batch(team, *run_at(1, 9))
    late.rejected, late.received = [Rejected(index=3, code="bad_id", message="span 3: no id")], 3
    late.received_ns = int((NOON - timedelta(minutes=30)).timestamp() * 1e9)
    store.write([late])
    assert [(n.name, n.count, n.of) for n in needs_of(team, "rejected")] == [("bad_id", 1, 3)]


def test_an_agent_that_is_always_at_work_by_now_and_is_not_today_is_told(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9))
    for week in (7, 14):
        works = [
            span(n, trace=week, kind=Kind.AGENT, agent="night", begins=begins(9, days_ago=week)) for n in range(1, 25)
        ]
        stored(store, team, *works)
    assert [(n.name, n.of) for n in needs_of(team, "quiet")] == [("night", 2)]
    stored(store, team, *run_at(99, 9, agent="night"))
    assert needs_of(team, "quiet") == []


def test_live_runs_are_counted_and_the_dearest_shown(store: Store, team: Team) -> None:
    for n in range(7):
        open_run = run_at(n + 1, 11, tokens=(1_000 * (n + 1), 0), lasts=None)
        stored(store, team, *open_run)
    page = home(team, NOON)
    assert (page.live_count, len(page.live)) == (7, 5)
    assert [run.cost_usd for run in page.live] == [D("0.00015") * n for n in (7, 6, 5, 4, 3)]
    assert {run.title for run in page.live} == {"step 1"}  # nothing was asked: the first step's name


def test_another_teams_spans_are_nowhere_on_it(store: Store, team: Team) -> None:
    other = make_team("Elsewhere")
    stored(store, other, *run_at(1, 9, agent="stranger", model="house-model"), *run_at(2, 9, lasts=None))
    stored(store, team, *run_at(3, 9))
    page = home(team, NOON)
    assert [agent.name for agent in page.agents] == ["planner"]
    assert (page.needs, page.live_count, page.spend.total.cost_usd) == ((), 0, D("0.15"))
