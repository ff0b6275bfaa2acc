"""The list of agents and an agent's page."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape

import orjson
import pytest
from django.test import Client

from tests.make import make_team, make_user, signed_in
from tests.tracking.ingest.spans import call, span, stored
from tests.tracking.reports.past import a_priced_store, begins, run_at
from tracking.ingest.writer import Store
from tracking.models import Team
from wflo.spans import Kind, Status


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


def text_of(client: Client, address: str, **headers: str) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200, response.content
    return response.content.decode()


def figure_of(text: str, name: str) -> dict[str, list[dict[str, object]]]:
    island = text.split(f'<div hidden id="{name}">')[1].split("</div>")[0]
    found: dict[str, list[dict[str, object]]] = orjson.loads(unescape(island))
    return found


def test_agents_are_listed_by_cost_and_by_other_things(store: Store, team: Team, client: Client) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="writer", tokens=(3_000_000, 0)))
    stored(store, team, span(1, trace=3, begins=begins(9)))
    for sort, order in {
        "": ["writer", "planner"],
        "name": ["planner", "writer"],
        "junk": ["writer", "planner"],
    }.items():
        text = text_of(client, f"/agents?sort={sort}")
        assert sorted(order, key=lambda name: text.index(f'href="/agents/{name}"')) == order
    assert "unattributed" in text
    assert "<b>3 agents</b> cost" in text


def test_no_agents_says_where_to_look(team: Team, client: Client) -> None:
    assert "No agent was at work in the last 7 days" in text_of(client, "/agents")


def test_an_agents_page_has_its_costs_its_models_its_tools_and_its_runs(
    store: Store, team: Team, client: Client
) -> None:
    tool = span(3, trace=1, parent=1, kind=Kind.TOOL, tool_name="orders.get", begins=begins(9))
    stored(store, team, *run_at(1, 9), tool, *run_at(2, 10, status=Status.ERROR, error="503 from erp"))
    text = text_of(client, "/agents/planner")
    for word in ("$0.3000", "gpt-4o-mini", "orders.get", "503 from erp", "What the money buys", "median $0.1500"):
        assert word in text, word
    figure = figure_of(text, "fig-agent")
    assert [trace["name"] for trace in figure["data"]] == ["gpt-4o-mini"]
    assert sum(figure["data"][0]["y"]) == pytest.approx(0.30)  # type: ignore[call-overload]
    assert sum(figure_of(text, "fig-spread")["data"][0]["y"]) == 2  # type: ignore[call-overload]


@pytest.mark.parametrize(("by", "names"), [("tool", ["orders.get"]), ("kind", ["llm"])])
def test_its_chart_splits_by_other_parts(store: Store, team: Team, client: Client, by: str, names: list[str]) -> None:
    tool = span(3, trace=1, parent=1, kind=Kind.TOOL, tool_name="orders.get", begins=begins(9))
    stored(store, team, *run_at(1, 9), tool)
    fragment = text_of(client, f"/agents/planner?by={by}", **{"HX-Request": "true"})
    assert "<html" not in fragment
    assert [trace["name"] for trace in figure_of(fragment, "fig-agent")["data"]] == names


def test_an_agent_whose_model_has_no_price_shows_no_dollars(store: Store, team: Team, client: Client) -> None:
    stored(store, team, *run_at(1, 9, agent="checker", model="house-model"))
    text = text_of(client, "/agents/checker")
    assert "1 unpriced call" in text
    assert "None of its calls has a price" in text
    assert "What the money buys" not in text
    assert text.count("unpriced</span>") >= 3, "month, range and model say that it is not known"


def test_names_with_slashes_and_markup_have_pages(store: Store, team: Team, client: Client) -> None:
    stored(store, team, *run_at(1, 9, agent="crew/<b>lead</b> & co"))
    text = text_of(client, "/agents/crew/%3Cb%3Elead%3C/b%3E%20%26%20co")
    assert "<b>lead</b>" not in text
    assert "crew/&lt;b&gt;lead&lt;/b&gt; &amp; co" in text
    assert 'href="/agents/crew%2F%3Cb%3Elead%3C%2Fb%3E%20%26%20co"' in text_of(client, "/agents")


def test_an_agent_of_another_team_is_not_found(store: Store, team: Team, client: Client) -> None:
    stored(store, make_team("Elsewhere"), *run_at(1, 9))
    assert client.get("/agents/planner").status_code == 404


def test_an_unknown_part_or_range_is_refused_by_name(store: Store, team: Team, client: Client) -> None:
    stored(store, team, *run_at(1, 9), call(9, trace=2, begins=begins(9)))
    assert client.get("/agents/planner?by=colour").status_code == 400
    assert client.get("/agents/planner?from=soon").status_code == 400
