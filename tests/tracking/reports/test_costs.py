"""The costs explorer: measures by groups, beside the stretch before; why a cost changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.make import make_team
from tests.tracking.ingest.spans import stored
from tests.tracking.reports.past import DAY, a_priced_store, run_at
from tracking.errors import Invalid
from tracking.ingest.writer import Store
from tracking.models import Team
from tracking.reports.costs import SERIES_MAX, Measure, Pivot, pivot

D = Decimal
START, END = DAY - timedelta(days=6), DAY + timedelta(days=1)


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


def ask(team: Team, *groups: str, measure: Measure = Measure.COST, **filters: Any) -> Pivot:
    return pivot(team, measure=measure, groups=groups, start=START, end=END, filters=filters)


@pytest.fixture
def week(store: Store, team: Team) -> Team:
    """This week planner 0.45 and writer 0.15; the week before planner 0.15 and gone 0.15."""
    stored(store, team, *run_at(1, 9), *run_at(2, 9, tokens=(2_000_000, 0)), *run_at(3, 9, agent="writer", days_ago=2))
    stored(store, team, *run_at(4, 9, days_ago=8), *run_at(5, 9, agent="gone", days_ago=8))
    stored(store, team, *run_at(6, 9, agent="checker", model="house-model", tokens=(100, 0)))
    return team


def test_each_group_has_its_share_and_what_it_cost_before(week: Team) -> None:
    found = ask(week, "agent")
    assert [(line.key, line.value, line.before, line.share) for line in found.lines] == [
        (("planner",), D("0.45"), D("0.15"), D("0.75")),
        (("writer",), D("0.15"), None, D("0.25")),
        (("checker",), None, None, None),
        (("gone",), 0, D("0.15"), None),
    ]
    assert (found.total, found.total_before, found.totals.unpriced_calls) == (D("0.60"), D("0.30"), 1)


def test_series_cover_every_bucket_and_sum_to_the_lines(week: Team) -> None:
    found = ask(week, "agent")
    assert found.times == tuple(START + timedelta(days=n) for n in range(7))
    sums = {series.key: sum(value or 0 for value in series.values) for series in found.series}
    assert sums == {("planner",): D("0.45"), ("writer",): D("0.15"), ("checker",): 0, ("gone",): 0}
    short = pivot(week, measure=Measure.COST, groups=["agent"], start=DAY, end=DAY + timedelta(hours=12), filters={})
    assert len(short.times) == 12


def test_beyond_a_handful_the_rest_is_one_series_of_others(store: Store, team: Team) -> None:
    for n in range(SERIES_MAX + 4):
        stored(store, team, *run_at(n + 1, 9, agent=f"agent-{n:02}", tokens=(1_000_000 + n, 0)))
    found = ask(team, "agent")
    assert len(found.series) == SERIES_MAX + 1
    assert found.series[-1].key is None
    assert sum(sum(series.values) for series in found.series) == found.total


@pytest.mark.parametrize(
    ("measure", "values"),
    [
        (Measure.TOKENS, {"planner": 3_000_000, "writer": 1_000_000, "checker": 100}),
        (Measure.CALLS, {"planner": 2, "writer": 1, "checker": 1}),
        (Measure.RUNS, {"planner": 2, "writer": 1, "checker": 1}),
    ],
)
def test_other_measures(week: Team, measure: Measure, values: dict[str, int]) -> None:
    found = ask(week, "agent", measure=measure)
    assert {line.key[0]: line.value for line in found.lines if line.value} == values


def test_a_percentile_has_no_shares(week: Team) -> None:
    found = ask(week, "agent", measure=Measure.P95)
    assert {line.share for line in found.lines} == {None}
    assert all(line.value for line in found.lines if line.row)


def test_two_groups_and_a_filter(week: Team) -> None:
    found = ask(week, "agent", "model", agent=["planner"])
    assert [(line.key, line.value) for line in found.lines] == [(("planner", "gpt-4o-mini"), D("0.45"))]
    assert found.total == D("0.45")


def test_runs_are_not_told_where_they_would_count_twice(week: Team) -> None:
    assert ask(week, "agent", measure=Measure.RUNS).is_counted
    assert not ask(week, "agent", "provider", measure=Measure.RUNS).is_counted


@pytest.mark.parametrize("groups", [(), ("agent", "agent"), ("agent", "model", "tool"), ("colour",)])
def test_what_cannot_be_asked_names_the_parameter(team: Team, groups: tuple[str, ...]) -> None:
    with pytest.raises(Invalid) as refusal:
        ask(team, *groups)
    assert refusal.value.field == "group_by"


def test_a_change_is_explained_to_the_last_digit(week: Team) -> None:
    change = ask(week, "agent").change
    assert change is not None
    assert ask(week, "agent", "model").change == change
    assert ask(week, "agent", measure=Measure.CALLS).change is None
    assert (change.before_usd, change.now_usd) == (D("0.30"), D("0.60"))
    assert change.volume_usd + change.mix_usd + change.size_usd + change.price_usd == D("0.30")
    assert change.volume_usd == D("0.15"), "three calls for two at 0.15 each"


def test_another_teams_usage_is_not_in_it(store: Store, week: Team) -> None:
    other = make_team("Elsewhere")
    stored(store, other, *run_at(50, 9))
    assert ask(other, "agent").total == D("0.15")
    assert ask(week, "agent").total == D("0.60")
