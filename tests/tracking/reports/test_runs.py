"""The runs list: every order pages through everything once, and filters mean what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.make import make_team
from tests.told import UNPRICED, a_store, agent, call, tell_many, tell_one, told_run
from tests.tracking.ingest.spans import span, stored
from tracking.errors import Invalid, NotFound
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from tracking.reports import run as one_run
from tracking.reports.run_facets import excludes_most, run_facets
from tracking.reports.run_filters import RunFilters, read_filters
from tracking.reports.runs import ORDERS, RunRow, count_newer, neighbours, read_sort, runs
from tracking.reports.search import parse
from wflo.spans import Kind


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def many(store: Store, team: Team) -> Team:
    tell_many(store, team)
    return team


def traces(rows: list[RunRow]) -> list[int]:
    return [row.trace_id.int for row in rows]


KEYS: dict[str, Callable[[RunRow], object]] = {
    "started_at": lambda row: row.started_at,
    "ended_at": lambda row: row.ended_at,
    "cost_usd": lambda row: row.cost_usd,
    "total_tokens": lambda row: row.total_tokens,
    "duration_ms": lambda row: row.duration_ms,
    "span_count": lambda row: row.span_count,
    "errors": lambda row: row.errors,
}


def test_pages_of_every_order_hold_each_run_once(many: Team) -> None:
    for order in ORDERS:
        for ending in ("", " asc"):
            _check_pages(many, order, ending)


def _check_pages(many: Team, order: str, ending: str) -> None:
    sort = read_sort(order + ending)
    seen: list[RunRow] = []
    cursor = None
    while True:
        page = runs(many.id, RunFilters(), sort=sort, limit=5, cursor=cursor)
        seen += page.runs
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(traces(seen)) == list(range(1, 13))
    known = [key for row in seen if (key := KEYS[order](row)) is not None]
    assert known == sorted(known, reverse=not ending)  # type: ignore[type-var]
    assert all(KEYS[order](row) is None for row in seen[len(known) :]), "unknown comes last"


FILTERS: list[tuple[dict[str, object], set[int]]] = [
    ({"status": ["failed"]}, {6, 12}),
    ({"status": ["done"], "environment": ["prod"]}, {2, 10}),
    ({"environment": ["prod", "dev"]}, {1, 2, 3, 5, 6, 7, 9, 10, 11}),
    ({"starts": ["scout"]}, {1, 3, 5, 7, 9, 11}),
    ({"agent": ["planner"]}, {2, 4, 6, 8, 10, 12}),
    ({"model": [UNPRICED]}, {3, 6, 9}),
    ({"flags": ["unpriced"]}, {3, 6, 9}),
    ({"flags": ["unpriced", "error"]}, {6}),
    ({"tag": ["nightly"]}, {5, 10}),
    ({"session": ["s1"], "user": ["u1"]}, {1}),
    ({"q": "id:ours-7"}, {7}),
    ({"q": "id:00000000"}, set(range(1, 13))),
    ({"q": "env:prod"}, {2, 6, 10}),
    ({"q": "-env:prod status:done"}, {1, 3, 4, 5, 7, 8, 9, 11}),
    ({"q": "status:failed or has:unpriced"}, {3, 6, 9, 12}),
    ({"q": "model:gpt-4o* user:u1"}, {1, 7, 10}),
    ({"q": '"task 1"'}, {1, 10, 11, 12}),
    ({"q": "error:broke"}, {6, 12}),
    ({"q": "calls:0"}, {4, 8, 12}),
    ({"q": "duration:>4s"}, {4, 9}),
    ({"q": "tokens:400..450 -has:unpriced"}, {2, 10}),
    ({"q": "cost:>0"}, {1, 2, 5, 7, 10, 11}),
    ({"min_cost": "0.00001"}, {1, 2, 5, 7, 10, 11}),
    ({"q": "100%"}, set()),
]


def test_a_filter_leaves_the_runs_it_names(many: Team) -> None:
    for filters, wanted in FILTERS:
        found = runs(many.id, read_filters(filters), limit=50).runs
        assert set(traces(found)) == wanted, filters


def test_times_bound_when_a_run_began(many: Team) -> None:
    first = Run.objects.get(team=many, external_id="ours-4")
    found = runs(many.id, RunFilters(start=first.started_at, end=first.started_at + timedelta(seconds=100))).runs
    assert set(traces(found)) == {4, 5}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"status": ["green"]}, "status"),
        ({"flags": ["wings"]}, "flags"),
        ({"origin": ["mail"]}, "origin"),
        ({"q": "foo:bar"}, "q"),
        ({"min_cost": "-1"}, "min_cost"),
        ({"min_cost": "NaN"}, "min_cost"),
        ({"min_cost": "much"}, "min_cost"),
        ({"agent": ["a\0"]}, "agent"),
        ({"agent": ["a" * 301]}, "agent"),
        ({"agent": [str(number) for number in range(60)]}, "agent"),
    ],
    ids=str,
)
def test_a_wrong_filter_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_filters(values)
    assert refused.value.field == field


@pytest.mark.parametrize("sort", ["team__name", "cost; DROP TABLE", "", "-", "started_at desc desc", "__class__"])
def test_only_listed_orders_sort(sort: str) -> None:
    if sort == "":
        assert read_sort(sort).order.name == "started_at"
        return
    with pytest.raises(Invalid):
        read_sort(sort)


def test_a_cursor_nobody_gave_is_refused(many: Team) -> None:
    given = runs(many.id, RunFilters(), limit=2).next_cursor or ""
    for forged in ("x", "a:b:c", given[:-2] + "AA", given.replace(":", "."), "\0", "é" * 10, given * 20):
        with pytest.raises(Invalid):
            runs(many.id, RunFilters(), cursor=forged)
    with pytest.raises(Invalid, match="sorted by"):
        runs(many.id, RunFilters(), sort=read_sort("cost"), cursor=given)


def test_limits_are_bounded(many: Team) -> None:
    assert len(runs(many.id, RunFilters(), limit=10**9).runs) == 12
    with pytest.raises(Invalid):
        runs(many.id, RunFilters(), limit=0)


def test_facets_count_what_one_more_tick_would_leave(many: Team) -> None:
    found = run_facets(many.id, RunFilters())
    assert found.matched == 12
    assert dict(found.facets["status"].counts) == {"completed": 10, "failed": 2}
    assert dict(found.facets["starts"].counts) == {"planner": 6, "scout": 6}
    assert dict(found.facets["environment"].counts) == {"prod": 3, "dev": 6}
    assert dict(found.facets["flags"].counts)["unpriced"] == 3
    known = Run.objects.filter(team=many).values_list("cost_usd", flat=True)
    assert found.cost_usd == sum((cost for cost in known if cost is not None), Decimal(0))


def test_a_ticked_facet_still_shows_its_other_values(many: Team) -> None:
    found = run_facets(many.id, RunFilters(status=("failed",), environment=("prod",)))
    assert found.matched == 1
    assert dict(found.facets["status"].counts) == {"completed": 2, "failed": 1}
    assert dict(found.facets["environment"].counts) == {"prod": 1}


def test_an_empty_list_names_the_filter_that_excludes_most(many: Team) -> None:
    filters = RunFilters(status=("failed",), environment=("prod",), search=parse("user:nobody"))
    assert run_facets(many.id, filters).matched == 0
    assert excludes_most(many.id, filters) == "search"


def test_another_teams_runs_are_never_seen(many: Team, store: Store) -> None:
    other = make_team("Elsewhere")
    theirs = tell_one(store, other, trace=99)
    assert 99 not in traces(runs(many.id, RunFilters(), limit=50).runs)
    assert run_facets(many.id, RunFilters()).matched == 12
    for reference in (str(theirs.id), f"{99:032x}"):
        with pytest.raises(NotFound):
            one_run.find_run(many.id, reference)


def test_declarations_are_not_listed(store: Store, team: Team) -> None:
    stored(store, team, span(1, trace=5, kind=Kind.AGENT, agent="writer", is_declaration=True))
    assert runs(team.id, RunFilters()).runs == []


def test_a_run_is_found_by_any_of_its_ids(many: Team) -> None:
    stored_run = Run.objects.get(team=many, external_id="ours-7")
    for reference in (str(stored_run.id), stored_run.id.hex, f"{7:032x}", "ours-7"):
        assert one_run.find_run(many.id, reference).run.id == stored_run.id
    for reference in ("", "nope", "a\0b", "x" * 200):
        with pytest.raises(NotFound):
            one_run.find_run(many.id, reference)


def test_shares_add_up_to_the_run(store: Store, team: Team) -> None:
    tell_one(store, team)
    run = one_run.find_run(team.id, f"{1:032x}").run
    parts = one_run.breakdown(team.id, [run])
    for shares in (parts.by_agent, parts.by_model):
        assert sum(share.known_usd or 0 for share in shares) == run.cost_usd
        assert sum(share.llm_calls for share in shares) == run.llm_calls == 2
    assert [(share.key, share.tool_calls, share.errors) for share in parts.by_tool] == [("carriers.find", 1, 1)]
    assert [share.key for share in parts.by_agent] == ["writer", "planner"]
    assert run.title == "Find the parcel"


def test_linked_traces_are_found_in_both_directions_and_over_several_steps(store: Store, team: Team) -> None:
    def link(trace: int) -> list[dict[str, object]]:
        return [{"trace_id": f"{trace:032x}", "span_id": f"{1:016x}", "attributes": {}}]

    stored(store, team, *told_run(1))
    stored(store, team, agent(1, "b", trace=2, links=link(1)))
    stored(store, team, agent(1, "c", trace=3, links=link(2)))
    stored(store, team, agent(1, "d", trace=4))
    for trace in (1, 2, 3):
        run = one_run.find_run(team.id, f"{trace:032x}").run
        assert set(traces(one_run.linked_runs(team.id, run))) == {1, 2, 3} - {trace}
    assert one_run.linked_runs(team.id, one_run.find_run(team.id, f"{4:032x}").run) == []


def test_neighbours_and_what_is_new(many: Team) -> None:
    ordered = runs(many.id, RunFilters(), limit=50).runs
    beside = neighbours(many.id, ordered[3])
    assert (beside.newer, beside.older) == (ordered[2].id, ordered[4].id)
    assert neighbours(many.id, ordered[0]).newer is None
    assert count_newer(many.id, RunFilters(), after=ordered[4].started_at) == sum(
        row.started_at > ordered[4].started_at for row in ordered
    )


def test_unknown_and_partial_cost_are_told_apart(store: Store, team: Team) -> None:
    stored(store, team, agent(1, "a", trace=1), call(2, trace=1, parent=1, model=UNPRICED))
    stored(store, team, agent(1, "a", trace=2), call(2, trace=2, parent=1, model=UNPRICED), call(3, trace=2, parent=1))
    stored(store, team, agent(1, "a", trace=3))
    found = {row.trace_id.int: (row.cost_status, row.cost_usd) for row in runs(team.id, RunFilters()).runs}
    assert found[1] == ("unknown", None)
    assert found[2][0] == "partial"
    assert found[3] == ("known", Decimal(0))
