"""The reading doors: what api.md says, to the field; money to the digit; every error a problem with a code."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.test import Client
from ninja import Schema

from tests.make import make_key, make_team
from tests.told import UNPRICED, a_store, agent, call, tell_one
from tests.tracking.ingest.spans import stored
from tracking import reading_schemas
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from wflo_site import asgi
from wflo_site.api import api


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def client(team: Team) -> Client:
    return a_client(team)


def a_client(team: Team, *, scopes: tuple[str, ...] = ("read",)) -> Client:
    _, key = make_key(team, scopes=scopes)
    return Client(headers={"Authorization": f"Bearer {key}"}, raise_request_exception=False)


def read(client: Client, address: str) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == 200, response.content
    assert response["Content-Type"] == "application/json"
    found: dict[str, Any] = orjson.loads(response.content)
    return found


def problem(client: Client, address: str, status: int, code: str) -> dict[str, Any]:
    response = client.get(address)
    assert response.status_code == status, (address, response.content)
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = orjson.loads(response.content)
    assert body["status"] == status
    assert body["code"] == code
    assert body["detail"]
    return body


def exactly(schema: type[Schema], value: dict[str, Any]) -> None:
    """``value`` has the schema's fields, each and no other, in the schema's types."""
    schema.model_validate(value)
    assert set(value) == set(schema.model_fields)


def test_runs_answer_the_fields_of_the_contract(client: Client, store: Store, team: Team) -> None:
    tell_one(store, team, user_id="u1", session_id="s1", environment="prod", tags=("nightly",), run_id="ours")
    body = read(client, "/api/v1/runs")
    (run,) = body["runs"]
    exactly(reading_schemas.RunInList, run)
    assert body["next_cursor"] is None
    assert run["trace_id"] == f"{1:032x}"
    assert (run["external_id"], run["user_id"], run["session_id"], run["environment"]) == ("ours", "u1", "s1", "prod")
    assert (run["llm_calls"], run["tool_calls"], run["span_count"], run["errors"]) == (2, 1, 5, 1)
    assert (run["input_tokens"], run["output_tokens"], run["total_tokens"]) == (3000, 400, 3400)
    assert run["agents"] == ["planner", "writer"]
    assert run["started_at"].endswith("Z")
    assert run["duration_ms"] == 9000.0
    assert run["status"] == "completed"


def test_money_is_written_digit_by_digit(client: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    stored_usd = Run.objects.get(team=team).cost_usd
    raw = client.get("/api/v1/runs").content.decode()
    written = raw.split('"cost_usd":')[1].split(",")[0]
    assert Decimal(written) == stored_usd
    assert "e" not in written.lower()
    stored(
        store, team, agent(1, "a", trace=2), call(2, trace=2, parent=1, tokens=(1, 0), model="text-embedding-3-small")
    )
    for part in client.get("/api/v1/runs?sort=cost+asc").content.decode().split('"cost_usd":')[1:]:
        assert "e" not in part.split(",")[0].lower()


def test_an_unknown_cost_is_null(client: Client, store: Store, team: Team) -> None:
    stored(store, team, agent(1, "a", trace=1), call(2, trace=1, parent=1, model=UNPRICED))
    (run,) = read(client, "/api/v1/runs")["runs"]
    assert (run["cost_usd"], run["cost_status"], run["unpriced_calls"]) == (None, "unknown", 1)


def test_a_run_says_who_cost_what_and_what_was_said(client: Client, store: Store, team: Team) -> None:
    run = tell_one(store, team, run_id="ours")
    for reference in (str(run.id), f"{1:032x}", "ours"):
        body = read(client, f"/api/v1/runs/{reference}")
        assert body["id"] == str(run.id)
    exactly(reading_schemas.RunWhole, body)
    for share in body["by_agent"] + body["by_model"] + body["by_tool"]:
        exactly(reading_schemas.ShareOfRun, share)
    assert {share["key"]: share["llm_calls"] for share in body["by_agent"]} == {"writer": 1, "planner": 1}
    assert body["by_tool"][0]["key"] == "carriers.find"
    assert (body["input"], body["output"], body["linked_run_ids"]) == ("Find the parcel", "It is in Oslo.", [])


def test_spans_come_in_reading_order_with_every_field(client: Client, store: Store, team: Team) -> None:
    tell_one(store, team)
    body = read(client, f"/api/v1/runs/{1:032x}/spans")
    for one in body["spans"]:
        exactly(reading_schemas.SpanInTree, one)
    shown = [(one["span_id"][-1], one["kind"], one["depth"], one["agent"]) for one in body["spans"]]
    assert shown == [
        ("1", "agent", 0, "planner"), ("2", "llm", 1, "planner"), ("3", "tool", 1, "planner"),
        ("4", "agent", 1, "writer"), ("5", "llm", 2, "writer"),
    ]  # fmt: skip
    assert body["spans"][2]["error"] == "carrier answered 503"
    assert body["spans"][4]["purpose"] == "Write the answer"
    assert body["spans"][0]["cost_status"] == "none"
    first = read(client, f"/api/v1/runs/{1:032x}/spans?limit=2")
    rest = read(client, f"/api/v1/runs/{1:032x}/spans?limit=9&cursor={first['next_cursor']}")
    assert first["spans"] + rest["spans"] == body["spans"]


def test_a_span_comes_whole(client: Client, store: Store, team: Team) -> None:
    run = tell_one(store, team)
    body = read(client, f"/api/v1/spans/{1:032x}/{2:016x}")
    exactly(reading_schemas.SpanWhole, body)
    assert body["run_id"] == str(run.id)
    assert body["input_messages"][0]["parts"][0]["text"] == "Find the parcel"
    assert body["attributes"]["llm.output_messages.0.message.content"] == "I will look it up."


def test_pages_follow_their_cursor(client: Client, store: Store, team: Team) -> None:
    for trace in range(1, 8):
        stored(store, team, agent(1, "a", trace=trace, begins=trace))
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        body = read(client, f"/api/v1/runs?limit=3&cursor={cursor}")
        seen += [run["trace_id"] for run in body["runs"]]
        cursor = body["next_cursor"]
    assert seen == [f"{trace:032x}" for trace in range(7, 0, -1)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=team__name", "sort"),
        ("sort=cost%3BDROP", "sort"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("cursor=forged", "cursor"),
        ("cursor=%00", "cursor"),
        ("from=yesterday-ish", "from"),
        ("from=now-999999w", "from"),
        ("q=foo:bar", "q"),
        ("q=cost:>=cheap", "q"),
        ("status=green", "status"),
        ("min_cost=NaN", "min_cost"),
        ("agent=a%00b", "agent"),
    ],
)
def test_a_wrong_question_is_a_400_that_names_the_field(client: Client, query: str, field: str) -> None:
    assert problem(client, f"/api/v1/runs?{query}", 400, "invalid")["field"] == field


@pytest.mark.parametrize(
    "query", ["from=1900-01-01&to=9999-12-31T23:59:59Z", "limit=1000000000", "from=now-24h", "from=now&to=now-1h"]
)
def test_wide_questions_are_cut_not_failed(client: Client, query: str) -> None:
    assert read(client, f"/api/v1/runs?{query}")["runs"] == []


def test_another_teams_objects_are_not_found(client: Client, store: Store) -> None:
    theirs = tell_one(store, make_team("Elsewhere"), run_id="theirs")
    missing = problem(client, "/api/v1/runs/nothing", 404, "not_found")
    for reference in (str(theirs.id), f"{1:032x}", "theirs"):
        for ending in ("", "/spans"):
            body = problem(client, f"/api/v1/runs/{reference}{ending}", 404, "not_found")
            assert body["detail"] == missing["detail"], "a stranger's run is no different from no run"
    problem(client, f"/api/v1/spans/{1:032x}/{2:016x}", 404, "not_found")
    assert read(client, "/api/v1/runs")["runs"] == []


def test_a_key_without_the_scope_and_no_key_are_told_apart(team: Team) -> None:
    body = problem(a_client(team, scopes=("ingest",)), "/api/v1/runs", 403, "not_allowed")
    assert '"read"' in body["detail"]
    response = Client().get("/api/v1/runs")
    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


def test_wrong_addresses_and_methods_are_problems_too(client: Client) -> None:
    problem(client, "/api/v1/nothing", 404, "not_found")
    response = client.delete("/api/v1/runs")
    assert response.status_code == 405
    assert orjson.loads(response.content)["code"] == "method_not_allowed"
    assert "GET" in response["Allow"]


def test_the_openapi_file_knows_every_door(client: Client) -> None:
    paths = api.get_openapi_schema()["paths"]
    assert {
        "/api/v1/runs", "/api/v1/runs/{run}", "/api/v1/runs/{run}/spans", "/api/v1/spans/{trace_id}/{span_id}",
        "/v1/traces", "/v1/logs", "/v1/metrics", "/api/v1/ingest",
    } <= set(paths)  # fmt: skip
    operations = [one for path in paths.values() for one in path.values()]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names)
    assert all(one.get("security") for one in operations)
    parameters = {one["name"] for one in paths["/api/v1/runs"]["get"]["parameters"]}
    assert {"from", "to", "status", "agent", "model", "origin", "session", "user", "environment", "tag", "q", "min_cost", "sort", "limit", "cursor"} <= parameters  # fmt: skip
    hot = {path.rstrip("/") for path in asgi.HOT} | {start.rstrip("/") for start in asgi.BELOW}
    assert hot - set(paths) == {"/health/live"} | {path for path in hot if path.startswith("/api/public/otel")}
    own = [one for one in operations if one.get("tags") != ["Gateway"]]  # whose errors are as its dialects say them
    refused = [one["responses"].get(401) or one["responses"]["401"] for one in own]
    assert all(set(one["content"]) & {"application/problem+json", "application/x-protobuf"} for one in refused)
    assert client.get("/api/docs").status_code == 200
