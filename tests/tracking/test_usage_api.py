"""GET /api/v1/usage: any groups, any filters, money to the digit, and every refusal names its field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.test import Client

from tests.make import make_key, make_team
from tests.tracking.ingest.spans import stored
from tests.tracking.reports.past import DAY, a_priced_store, run_at
from tracking.ingest.writer import Store
from tracking.models import Team
from tracking.usage_api import UsageInGroup, UsageSums

FROM = (DAY - timedelta(days=6)).strftime("%Y-%m-%dT%H:%M:%SZ")
TO = (DAY + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


def get(team: Team, *, status: int = 200, **asked: Any) -> dict[str, Any]:
    _, key = make_key(team, scopes=["read"])
    client = Client(headers={"Authorization": f"Bearer {key}"})
    response = client.get("/api/v1/usage", {"from": FROM, "to": TO, **asked})
    assert response.status_code == status, response.content
    body: dict[str, Any] = orjson.loads(response.content)
    return body


def test_rows_hold_their_groups_and_every_sum_of_the_schema(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9, environment="prod"), *run_at(2, 9, agent="writer", days_ago=1))
    body = get(team, group_by="agent,day")
    assert set(body) == {"rows", "totals", "rows_left_out", "from", "to"}
    sums = set(UsageSums.model_fields)
    assert set(body["totals"]) == sums
    assert all(set(row) == sums | {"agent", "day"} for row in body["rows"])
    assert set(UsageInGroup.model_fields) >= sums | {"agent", "day"}
    assert {row["agent"]: row["day"] for row in body["rows"]} == {
        "planner": DAY.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "writer": (DAY - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def test_money_is_a_number_with_all_its_digits_and_unknown_is_null(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9, tokens=(1, 0)), *run_at(2, 9, agent="checker", model="house-model"))
    _, key = make_key(team, scopes=["read"])
    raw = Client(headers={"Authorization": f"Bearer {key}"}).get(
        "/api/v1/usage", {"from": FROM, "to": TO, "group_by": "agent"}
    )
    assert b'"cost_usd":0.00000015' in raw.content
    rows = {row["agent"]: row for row in orjson.loads(raw.content)["rows"]}
    assert (rows["checker"]["cost_usd"], rows["checker"]["unpriced_calls"]) == (None, 1)


def test_filters_several_values_and_none(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="writer"), *run_at(3, 9, agent="third"))
    body = get(team, group_by="agent", agent=["planner", "writer"])
    assert {row["agent"] for row in body["rows"]} == {"planner", "writer"}
    assert body["totals"]["cost_usd"] == 0.30
    assert get(team, group_by="model", model="")["rows"][0]["model"] is None


def test_a_limit_cuts_rows_and_not_totals(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9), *run_at(2, 9, agent="writer", tokens=(2_000_000, 0)))
    body = get(team, group_by="agent", limit=1)
    assert [row["agent"] for row in body["rows"]] == ["writer"]
    assert (body["rows_left_out"], body["totals"]["cost_usd"]) == (1, 0.45)


def test_the_team_is_told_by_its_name(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9))
    assert [row["team"] for row in get(team, group_by="team")["rows"]] == [team.slug]


def test_another_teams_key_sees_nothing_of_it(store: Store, team: Team) -> None:
    stored(store, team, *run_at(1, 9))
    body = get(make_team("Elsewhere"), group_by="agent")
    assert (body["rows"], body["totals"]["spans"]) == ([], 0)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"group_by": "colour"}, "group_by"),
        ({"group_by": "agent,agent"}, "group_by"),
        ({"from": "yesterday-ish"}, "from"),
        ({"from": TO, "to": FROM}, "to"),
        ({"from": "2001-01-01"}, "from"),
        ({"order": "colour"}, "order"),
        ({"kind": "thing"}, "kind"),
        ({"limit": "0"}, "limit"),
    ],
)
def test_what_is_wrong_is_named(team: Team, asked: dict[str, str], field: str) -> None:
    body = get(team, status=400, **asked)
    assert (body["code"], body["field"]) == ("invalid", field)


def test_a_key_without_the_scope_read_is_refused(team: Team) -> None:
    _, key = make_key(team, scopes=["ingest"])
    assert Client(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/usage").status_code == 403
    assert Client().get("/api/v1/usage").status_code == 401
