"""The runs list and the run page, through their addresses: whole pages, parts of them, and strangers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.make import make_team, make_user, signed_in
from tests.told import UNPRICED, a_store, agent, call, tell_many, tell_one, told_run, tool
from tests.tracking.ingest.spans import stored
from tracking.ingest.writer import Store
from tracking.models import Run, Team

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


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


def part(page: Client, address: str, target: str) -> Any:
    return page.get(address, headers={"HX-Request": "true", "HX-Target": target})


def rows(shown: str) -> int:
    return shown.count("data-row data-key=")


def text(response: Any) -> str:
    found: str = response.content.decode()
    return found


def test_the_list_shows_status_cost_and_what_is_unknown(page: Client, store: Store, team: Team) -> None:
    tell_many(store, team)
    shown = text(page.get("/runs"))
    assert shown.startswith("<!doctype html>")
    assert "12 runs" in shown
    assert rows(shown) == 12
    assert "unpriced" in shown
    assert "Task 7" in shown
    assert rows(text(page.get("/runs?status=failed"))) == 2


def test_a_short_link_leads_to_its_run_or_to_those_that_begin_so(page: Client, store: Store, team: Team) -> None:
    tell_many(store, team)
    run = Run.objects.filter(team=team).first()
    assert run is not None
    assert page.get(f"/r/{run.trace_id.hex}")["Location"] == f"/runs/{run.id}"
    several = page.get(f"/r/{run.id.hex[:4]}")["Location"]  # they began in one minute, and their ids say so
    assert several == f"/runs?q=id%3A{run.id.hex[:4]}&from=now-30d"
    assert page.get("/r/no-such-run").status_code == 404


def test_a_page_of_the_list_asks_the_database_the_same_for_any_number_of_runs(
    page: Client, store: Store, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(settings.LIMITS, "facets_remembered", 0)  # else one more where they have changed
    tell_one(store, team)
    page.get("/runs")
    with CaptureQueriesContext(connection) as few:
        page.get("/runs")
    tell_many(store, team)
    with CaptureQueriesContext(connection) as many:
        page.get("/runs")
    assert len(many) == len(few) <= 8


def test_a_search_that_makes_no_sense_is_not_run_and_says_why(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    shown = text(page.get("/runs?q=foo:bar+status:failed"))
    assert "there is no term &quot;foo&quot;" in shown
    assert rows(shown) == 0


def test_an_empty_list_tells_new_from_filtered(page: Client, store: Store, team: Team) -> None:
    assert "Nothing ran in this time range" in text(page.get("/runs"))
    tell_one(store, team)
    shown = text(page.get("/runs?user=nobody&status=completed"))
    assert "What excludes most is the user" in shown
    assert 'href="/runs?status=completed"' in shown


def test_older_runs_and_the_live_list_come_as_parts_and_as_pages(page: Client, store: Store, team: Team) -> None:
    for trace in range(1, 53):
        stored(store, team, agent(1, "a", trace=trace, begins=trace))
    whole = page.get("/runs")
    assert rows(text(whole)) == 50
    cursor = whole.context["next_cursor"]
    older = part(page, f"/runs?cursor={cursor}&part=older", "")
    assert rows(text(older)) == 2
    assert "<html" not in text(older)
    assert "<html" in text(page.get(f"/runs?cursor={cursor}&part=older"))
    assert "<html" not in text(part(page, "/runs", "runs-list"))
    assert page.get("/runs?cursor=forged").status_code == 400


def test_how_many_are_new_is_a_number(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    assert text(page.get("/runs/new?since=2020-01-01T00:00:00Z")) == "1"
    assert text(page.get("/runs/new?since=2999-01-01T00:00:00Z")) == "0"
    assert page.get("/runs/new?since=soon").status_code == 400


def test_the_list_as_csv_runs_nothing_in_a_spreadsheet(page: Client, store: Store, team: Team) -> None:
    """S15."""
    for trace, title in enumerate(("=1+1", "@SUM(A1)", 'plain, "quoted"\nline', "-2+3"), start=1):
        stored(store, team, agent(1, "a", trace=trace, attributes={"input.value": title}))
    response = page.get("/runs.csv")
    assert response["Content-Type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(text(response).removeprefix("\ufeff"))))
    assert len(read) == 4
    for row in read:
        assert row["title"][:1] not in ("=", "@", "-", "+")
    assert {Decimal(row["cost_usd"]) for row in read} == {Decimal(0)}


def test_the_run_page_says_what_it_cost_and_where_it_failed(page: Client, store: Store, team: Team) -> None:
    run = tell_one(store, team, user_id="u7")
    for reference in (run.id, f"{1:032x}"):
        shown = text(page.get(f"/runs/{reference}"))
        assert "Find the parcel" in shown
        assert rows(shown) == 5
    assert "1 step failed and the run went on" in shown
    assert "carrier answered 503" in shown
    assert "Write the answer" in shown
    assert "u7" in shown


@pytest.mark.parametrize("tab", ["transcript", "waterfall", "spans", "ledger", "metadata"])
def test_every_tab_is_a_page_and_asks_the_database_a_bounded_number_of_times(
    page: Client, store: Store, team: Team, tab: str
) -> None:
    tell_one(store, team)
    address = f"/runs/{1:032x}?tab={tab}"
    assert page.get(address).status_code == 200
    with CaptureQueriesContext(connection) as asked:
        page.get(address)
    assert len(asked) <= 20


def test_the_drawer_multiplies_tokens_by_their_price(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    address = f"/runs/{1:032x}?span={2:016x}"
    drawer = text(part(page, address, "run-drawer"))
    assert "<html" not in drawer
    assert "1,000 × $0.15/M" in drawer
    assert "100 × $0.6/M" in drawer
    assert "$0.0002100" in drawer
    assert "I will look it up." in drawer
    whole = text(page.get(address))
    assert "<html" in whole
    assert "1,000 × $0.15/M" in whole
    raw = text(part(page, f"{address}&part=raw", "run-raw"))
    assert "llm.input_messages.0.message.role" in raw


def test_an_unpriced_call_says_so_and_how_to_set_a_price(page: Client, store: Store, team: Team) -> None:
    stored(store, team, agent(1, "a", trace=1), call(2, trace=1, parent=1, model=UNPRICED))
    drawer = text(part(page, f"/runs/{1:032x}?span={2:016x}", "run-drawer"))
    assert f"/prices?q={UNPRICED}" in drawer
    assert "unpriced" in drawer
    assert "$0<" not in drawer


def test_a_running_run_polls_and_an_ended_one_answers_286(page: Client, store: Store, team: Team) -> None:
    stored(store, team, agent(1, "a", trace=1, lasts=None))
    address = f"/runs/{1:032x}"
    assert "data-live" in text(page.get(address))
    head = part(page, address, "run-head")
    assert head.status_code == 200
    stored(store, team, agent(1, "a", trace=1, lasts=3))
    for target in ("run-head", "run-body"):
        ended = part(page, address, target)
        assert ended.status_code == 286
        assert "data-live" not in text(ended)


def test_a_large_run_shows_its_first_rows_and_the_rest_on_scroll(page: Client, store: Store, team: Team) -> None:
    spans = [agent(1, "a", trace=1, lasts=900)] + [tool(n, "t", trace=1, parent=1) for n in range(2, 602)]
    stored(store, team, *spans)
    address = f"/runs/{1:032x}"
    first = text(page.get(address))
    assert rows(first) == 200
    second = text(part(page, f"{address}?after=200&part=rows", ""))
    assert rows(second) == 200
    last = text(part(page, f"{address}?after=600&part=rows", ""))
    assert rows(last) == 1
    assert "part=rows" not in last
    assert "<html" in text(page.get(f"{address}?after=600&part=rows"))
    assert text(part(page, f"{address}?tab=spans&after=600&part=rows", "")).count("<tr") == 1


def test_depth_breadth_and_circles_do_not_break_the_page(page: Client, store: Store, team: Team) -> None:
    """I32: 50,000 spans, 10,000 of them siblings, a chain of 5,000, and a circle that hangs on nothing."""
    siblings = [tool(n, "t", trace=1, parent=1, begins=n / 100) for n in range(2, 10_002)]
    chain = [tool(n, "t", trace=1, parent=n - 1, begins=n / 100) for n in range(10_002, 15_002)]
    circle = [tool(90_000, "t", trace=1, parent=90_001), tool(90_001, "t", trace=1, parent=90_000)]
    others = [call(n, trace=1, parent=n // 2, begins=n / 100) for n in range(15_002, 50_000)]
    stored(store, team, agent(1, "a", trace=1, lasts=9000), *siblings)
    stored(store, team, *chain, *circle, *others)
    first = page.get(f"/runs/{1:032x}")
    assert rows(text(first)) == 200
    assert "50,001" in text(first)
    last = text(page.get(f"/runs/{1:032x}?after=49900"))
    assert "own ancestor" in last
    assert "part=rows" not in last
    deep = text(page.get(f"/runs/{1:032x}?find=depth&tab=spans"))
    assert "No span of this run" in deep
    for tab in ("spans", "transcript", "ledger", "metadata"):
        assert page.get(f"/runs/{1:032x}?tab={tab}").status_code == 200


def test_linked_traces_are_shown_as_one(page: Client, store: Store, team: Team) -> None:
    stored(store, team, *told_run(1))
    link = [{"trace_id": f"{1:032x}", "span_id": f"{1:016x}", "attributes": {}}]
    stored(store, team, agent(1, "reviewer", trace=2, links=link), call(2, trace=2, parent=1))
    alone = text(page.get(f"/runs/{1:032x}"))
    assert "With 1 linked trace" in alone
    assert rows(alone) == 5
    merged = text(page.get(f"/runs/{1:032x}?linked=1"))
    assert rows(merged) == 7
    reference = f"{2:032x}.{2:016x}"
    assert reference in merged
    assert "gpt-4o-mini" in text(part(page, f"/runs/{1:032x}?linked=1&span={reference}", "run-drawer"))


def test_find_shows_the_matching_steps_only(page: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    assert rows(text(page.get(f"/runs/{1:032x}?find=carriers"))) == 1
    assert "No step of this run" in text(page.get(f"/runs/{1:032x}?find=zebra"))


def test_what_agents_say_is_never_markup(page: Client, store: Store, team: Team) -> None:
    said = {"input.value": EVIL, "output.value": EVIL, "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": EVIL}  # fmt: skip
    stored(
        store, team,
        agent(1, EVIL, trace=1, attributes=said, user_id=EVIL, session_id=EVIL, tags=(EVIL,), environment=EVIL, error=EVIL),
        call(2, trace=1, parent=1, attributes=said, purpose=EVIL, model=EVIL),
        tool(3, EVIL, trace=1, parent=1, error=EVIL),
    )  # fmt: skip
    base = f"/runs/{1:032x}"
    addresses = [
        "/runs",
        "/runs?column=user&column=session&column=model&column=environment",
        base,
        f"{base}?tab=transcript",
        f"{base}?tab=spans",
        f"{base}?tab=ledger",
        f"{base}?tab=metadata",
    ]
    addresses += [f"{base}?span={number:016x}" for number in (1, 2, 3)]
    for address in addresses:
        shown = text(page.get(address))
        assert "<script>alert" not in shown, address
        assert "<img src=x" not in shown, address
        assert "&lt;script&gt;alert" in shown, address


def test_a_stranger_finds_nothing(store: Store, team: Team) -> None:
    run = tell_one(store, team)
    charlie = signed_in(make_user("Charlie", team=make_team("Elsewhere"), role="admin"))
    for address in (
        f"/runs/{run.id}",
        f"/runs/{1:032x}",
        f"/runs/{1:032x}?span={2:016x}",
        f"/runs/{run.id}?team={team.slug}",
        f"/runs?team={team.slug}",
    ):
        assert charlie.get(address).status_code == 404
    assert part(charlie, f"/runs/{1:032x}?span={2:016x}", "run-drawer").status_code == 404
    assert rows(text(charlie.get("/runs"))) == 0
    assert run.id.hex not in text(charlie.get("/runs.csv"))


@pytest.mark.parametrize("query", ["tab=graph", "tab=ledger&after=x", "after=x", "after=-1", "find=" + "a" * 300])
def test_a_wrong_question_of_the_run_page_is_a_400(page: Client, store: Store, team: Team, query: str) -> None:
    tell_one(store, team)
    assert page.get(f"/runs/{1:032x}?{query}").status_code == 400
    assert Run.objects.filter(team=team).count() == 1


@pytest.mark.parametrize("query", ["span=zz", "span=..", "span=" + "f" * 80, f"span={99:016x}"])
def test_a_span_that_is_not_there_is_a_404(page: Client, store: Store, team: Team, query: str) -> None:
    tell_one(store, team)
    assert page.get(f"/runs/{1:032x}?{query}").status_code == 404
