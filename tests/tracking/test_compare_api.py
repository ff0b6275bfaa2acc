"""Two runs side by side for programs: the fields of the schema, pages that join up, what is wrong named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.compared import asks, fork, root, run_of, walk
from tests.make import make_team
from tests.told import UNPRICED, a_store
from tests.tracking.ingest.spans import stored
from tests.tracking.test_reading_api import a_client, exactly, problem, read
from tracking import compare_api
from tracking.ingest.writer import Store
from tracking.models import Team


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


def test_it_answers_what_its_schema_says(store: Store, team: Team) -> None:
    a, b = fork(store, team)
    found = read(a_client(team), f"/api/v1/compare?a=first&b={b.id}")
    exactly(compare_api.Compared, found)
    assert found["a"]["run"]["id"] == str(a.id)
    assert [row["how"] for row in found["steps"]] == ["shared", "shared", "changed", "changed"]
    assert (found["first_divergence"], found["step_count"], found["next_cursor"]) == (3, 4, None)
    assert (found["compared_by"], found["is_exact"], found["is_cut"]) == ("words", True, False)
    assert found["b"]["came_from"] == [{"run_id": str(a.id), "steps": 2, "checkpoint": 1}]
    assert (found["b"]["own"]["cost_usd"], found["b"]["reused"]["cost_usd"], found["b"]["whole"]["cost_usd"]) == (
        0.00371,
        0.00021,
        0.00392,
    )
    assert (found["shared"]["cost_usd"], found["together"]["cost_usd"], found["difference_usd"]) == (
        0.00021,
        0.00434,
        0.00329,
    )
    assert [one["code"] for one in found["verdicts"]] == ["dearer", "faster", "other_models", "other_answer"]
    assert found["verdicts"][2]["only_b"] == ["gpt-4o"]
    shared, changed = found["steps"][0], found["steps"][3]
    assert (shared["b"]["run_id"], shared["b"]["is_reused"], shared["difference_usd"]) == (str(a.id), True, 0)
    assert changed["differs"] == ["model", "answered"]
    assert changed["so_far"]["b"] == {
        "cost_usd": 0.00392, "cost_status": "known", "unpriced_calls": 0, "tokens": 3300, "steps": 4, "duration_ms": 5000.0,
    }  # fmt: skip


def test_pages_join_up_and_only_differences_can_be_asked_for(store: Store, team: Team) -> None:
    fork(store, team)
    client = a_client(team)
    numbers: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = read(client, f"/api/v1/compare?a=first&b=second&limit=3&cursor={cursor}")
        numbers += [row["number"] for row in page["steps"]]
        cursor = page["next_cursor"]
    assert numbers == [1, 2, 3, 4]
    page = read(client, "/api/v1/compare?a=first&b=second&limit=1&only=differences")
    assert ([row["number"] for row in page["steps"]], page["next_cursor"]) == ([3], "3")
    page = read(client, "/api/v1/compare?a=first&b=second&limit=1&only=differences&cursor=3")
    assert ([row["number"] for row in page["steps"]], page["next_cursor"]) == ([4], None)


def test_a_step_comes_with_what_its_words_differ_in(store: Store, team: Team) -> None:
    fork(store, team)
    stored(store, team, *walk("third", trace=3, found={"place": "Rome"}))
    client = a_client(team)
    found = read(client, "/api/v1/compare/3?a=first&b=second")
    exactly(compare_api.StepCompared, found)
    asked, answered = found["parts"]
    assert [line for line in asked["lines"] if line["kind"]] == [
        {"kind": "del", "text": "What now?"},
        {"kind": "add", "text": "What now, in short?"},
    ]
    assert (answered["is_same"], answered["text"]) == (True, "Tell them.")
    _, answered = read(client, "/api/v1/compare/2?a=first&b=third")["parts"]
    assert answered["changes"] == [{"path": "place", "change": "changed", "before": "Oslo", "after": "Rome"}]


def test_unknown_is_null(store: Store, team: Team) -> None:
    stored(store, team, root("a", trace=1), asks(2, "x", "y", trace=1, model=UNPRICED))
    stored(store, team, root("b", trace=2))
    found: dict[str, Any] = read(a_client(team), "/api/v1/compare?a=a&b=b")
    assert (found["difference_usd"], found["together"]["cost_usd"]) == (None, None)
    (row,) = found["steps"]
    assert (row["how"], row["b"], row["difference_usd"], row["a"]["cost_usd"]) == ("only_a", None, None, None)


def test_what_is_wrong_is_named(store: Store, team: Team) -> None:
    fork(store, team)
    client = a_client(team)
    assert problem(client, "/api/v1/compare?a=nobody&b=first", 404, "not_found")["field"] == "a"
    assert problem(client, "/api/v1/compare?a=first&b=%00", 404, "not_found")["field"] == "b"
    assert problem(client, "/api/v1/compare?a=first", 400, "invalid")["field"] == "b"
    for wrong in ("cursor=x", "cursor=-1", "limit=0", "only=shared"):
        problem(client, f"/api/v1/compare?a=first&b=second&{wrong}", 400, "invalid")
    problem(client, "/api/v1/compare/5?a=first&b=second", 404, "not_found")
    problem(client, "/api/v1/compare/0?a=first&b=second", 400, "invalid")


def test_a_stranger_finds_neither(store: Store, team: Team) -> None:
    fork(store, team)
    stranger = a_client(make_team("Elsewhere"))
    problem(stranger, "/api/v1/compare?a=first&b=second", 404, "not_found")
    problem(stranger, f"/api/v1/compare/1?a={run_of(team, 'first').id}&b=second", 404, "not_found")
    problem(a_client(team, scopes=("ingest",)), "/api/v1/compare?a=first&b=second", 403, "not_allowed")
