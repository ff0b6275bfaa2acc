"""The costs explorer: all state in the address, each fragment a page, rows as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from html import unescape

import orjson
import pytest
from django.test import Client

from tests.make import make_team, make_user, signed_in
from tests.tracking.ingest.spans import stored
from tests.tracking.reports.past import a_priced_store, run_at
from tracking.ingest.writer import Store
from tracking.models import Team


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def client(team: Team) -> Client:
    return signed_in(make_user("Bob", team=team, role="viewer"))


@pytest.fixture
def week(store: Store, team: Team) -> Team:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="writer", tokens=(3_000_000, 0)))
    stored(store, team, *run_at(3, 9, days_ago=9), *run_at(4, 9, agent="=cmd()", model="house-model"))
    return team


def text_of(client: Client, address: str, **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def test_the_page_opens_with_what_it_cost_and_who_moved_it(week: Team, client: Client) -> None:
    text = text_of(client, "/costs")
    assert "<b>$0.6000</b> in the last 7 days, 4 times the stretch before ($0.1500)." in text
    assert "<b>writer</b> moved it most: <b>+$0.4500</b>." in text
    assert "1 call</a> has no price and is not in the dollars." in text
    assert "Why it changed" in text


def test_measures_and_groups_keep_the_rest_of_the_address(week: Team, client: Client) -> None:
    text = text_of(client, "/costs?from=now-30d&measure=tokens&group_by=agent%2Cmodel&agent=writer")
    assert "/costs?from=now-30d&amp;measure=cost&amp;group_by=agent%2Cmodel&amp;agent=writer" in text
    assert (
        "/costs?from=now-30d&amp;measure=tokens&amp;group_by=agent%2Cmodel&amp;agent=writer&amp;model=gpt-4o-mini"
        in text
    )
    assert 'href="/costs?from=now-30d&amp;measure=tokens&amp;group_by=agent%2Cmodel" hx-get' in text, (
        "the filter's cross"
    )
    assert "Why it changed" not in text


def test_the_chart_has_a_bar_for_each_agent_and_a_click_narrows(week: Team, client: Client) -> None:
    text = text_of(client, "/costs")
    figure = orjson.loads(unescape(text.split('<div hidden id="fig-costs">')[1].split("</div>")[0]))
    assert {trace["meta"] for trace in figure["data"]} == {"writer", "planner", "=cmd()"}
    assert (figure["layout"]["barmode"], figure["acts"]["click"], figure["acts"]["drag"]) == ("stack", "agent", True)
    assert sum(sum(trace["y"]) for trace in figure["data"]) == pytest.approx(0.60)


GROUPS = ("agent", "model", "provider", "tool", "kind", "user", "key", "environment", "agent,model", "model,kind")


@pytest.mark.parametrize("measure", ["cost", "tokens", "calls", "runs", "errors", "p95"])
def test_a_measure_by_any_group_is_a_page_and_a_fragment(week: Team, client: Client, measure: str) -> None:
    for groups in GROUPS:
        address = f"/costs?measure={measure}&group_by={groups}"
        fragment = text_of(client, address, **{"HX-Request": "true"})
        assert fragment.lstrip().startswith('<div class="stack" id="costs"')
        assert "<html" in text_of(client, address)


def test_rows_as_csv_are_exact_and_run_nothing(week: Team, client: Client) -> None:
    response = client.get("/costs.csv?group_by=agent")
    assert response["Content-Type"].startswith("text/csv")
    assert 'filename="wflo-cost-by-agent.csv"' in response["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    assert [(row["agent"], row["cost_usd"]) for row in rows] == [
        ("writer", "0.4500000000"),
        ("planner", "0.1500000000"),
        ("'=cmd()", ""),
    ]
    assert (rows[1]["cost_before"], rows[2]["unpriced_calls"]) == ("0.1500000000", "1")


def test_nothing_found_says_why_and_how_to_get_out(week: Team, client: Client) -> None:
    assert "No usage fits 1 filter" in text_of(client, "/costs?agent=nobody")
    assert "No usage was sent" in text_of(client, "/costs?from=2020-01-01&to=2020-01-02")


def test_runs_by_two_things_say_that_they_are_not_counted(week: Team, client: Client) -> None:
    assert "Runs are not counted this way" in text_of(client, "/costs?measure=runs&group_by=agent,provider")


@pytest.mark.parametrize("wrong", ["measure=joy", "group_by=colour", "group_by=agent,model,tool", "from=never"])
def test_a_wrong_question_is_refused_by_name(team: Team, client: Client, wrong: str) -> None:
    response = client.get(f"/costs?{wrong}")
    assert response.status_code == 400
    assert wrong.split("=")[1].split(",")[0] in response.content.decode() or "Group by one" in response.content.decode()
