"""Checkpoints and rollbacks over HTTP, and what an agent's process hears of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_key, make_team
from tests.server import Server
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.models import Checkpoint, Drop, StatePart

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    with a_sender(served, django_db_blocker) as sender:
        yield sender


@pytest.fixture(scope="module")
def keys(sender: Sender) -> dict[str, str]:
    """Of the team that may steer, and of another team."""
    stranger = make_key(make_team("Strangers"), scopes=["ingest", "read", "jobs"])[1]
    return {"jobs": make_key(sender.team, scopes=["jobs"])[1], "stranger": stranger}


def call(sender: Sender, method: str, path: str, body: Any = None, *, status: int = 200, key: str | None = None) -> Any:
    headers = {"authorization": f"Bearer {key or sender.key}"}
    answer = sender.client.request(method, f"/api/v1/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def send(sender: Sender, *events: Any, **beside: Any) -> Any:
    answer = sender.post(
        "/api/v1/ingest", json.dumps({"events": events, **beside}).encode(), content_type="application/json"
    )
    return answer.json() if answer.status_code == 200 else answer


def checkpoint(run: str, **fields: Any) -> dict[str, Any]:
    given = {
        "kind": "checkpoint",
        "event_id": str(uuid.uuid4()),
        "run_id": run,
        "ts": "2026-11-20T10:00:00Z",
        "name": "draft",
    }
    return given | fields


def test_a_state_is_saved_read_and_compared(sender: Sender) -> None:
    state = {"messages": [{"role": "user", "content": "hello " * 100}], "plan": None}
    given = {
        "id": str(uuid.uuid4()),
        "name": "draft",
        "agent": "writer",
        "step": "1",
        "state": state,
        "lossy_paths": ["state.client"],
    }
    first = call(sender, "POST", "runs/report-1/checkpoints", given, status=201)
    assert (first["version"], first["name"], first["lossy_paths"]) == (1, "draft", ["state.client"])
    assert "state.client" in first["warnings"][0]
    assert call(sender, "POST", "runs/report-1/checkpoints", given) == first
    more = {"messages": [*state["messages"], {"role": "assistant", "content": "hi"}], "plan": "x"}
    call(sender, "POST", "runs/report-1/checkpoints", {"name": "later", "state": more}, status=201)
    listed = call(sender, "GET", "runs/report-1/checkpoints?limit=1")
    assert ([one["version"] for one in listed["checkpoints"]], listed["next_cursor"]) == ([2], "2")
    rest = call(sender, "GET", "runs/report-1/checkpoints?limit=1&cursor=2")
    assert ([one["version"] for one in rest["checkpoints"]], rest["next_cursor"]) == ([1], None)
    assert call(sender, "GET", "runs/report-1/checkpoints/latest", key=sender.reader)["state"] == more
    changes = call(sender, "GET", "runs/report-1/checkpoints/diff?a=1&b=2")["changes"]
    assert [(one["path"], one["change"]) for one in changes] == [("messages", "appended"), ("plan", "changed")]


def test_wrong_requests_are_told_what_is_wrong(sender: Sender, keys: dict[str, str]) -> None:
    assert call(sender, "POST", "runs/r/checkpoints", {"name": "x"}, status=400)["field"] == "state"
    big = call(sender, "POST", "runs/r/checkpoints", {"state": "x" * 2_200_000}, status=413)
    assert (big["code"], big["field"]) == ("too_large", "state")
    call(sender, "GET", "runs/r/checkpoints/7", status=404)
    assert call(sender, "GET", "runs/r/checkpoints?cursor=x", status=400)["field"] == "cursor"
    call(sender, "POST", "runs/r/checkpoints", {"state": {}}, status=403, key=sender.reader)
    other = keys["stranger"]
    call(sender, "POST", "runs/secret/checkpoints", {"state": {}}, status=201)
    call(sender, "GET", "runs/secret/checkpoints/1", status=404, key=other)
    assert call(sender, "GET", "runs/secret/checkpoints", key=other)["checkpoints"] == []
    call(sender, "POST", "runs/secret/rollback", {"checkpoint": 1}, status=404, key=other)


def test_a_state_among_events_is_kept_once_with_its_batch(sender: Sender) -> None:
    one, two = checkpoint("report-2", state={"n": 1}, agent="writer"), checkpoint("report-2", state={"n": 2})
    assert send(sender, one, two)["accepted"] == 2
    assert send(sender, one, two)["known"] == 2
    rows = Checkpoint.objects.filter(team=sender.team, run="report-2").order_by("version")
    assert [(row.version, row.name, row.agent) for row in rows] == [(1, "draft", "writer"), (2, "draft", "")]
    assert call(sender, "GET", "runs/report-2/checkpoints/latest")["state"] == {"n": 2}
    spans = call(sender, "GET", "runs/report-2/spans", key=sender.reader)["spans"]
    assert {rows[0].span_id, rows[1].span_id} <= {span["span_id"] for span in spans}


def test_a_state_that_is_too_large_leaves_its_step(sender: Sender) -> None:
    parts = StatePart.objects.count()
    told = send(sender, checkpoint("report-3", state="x" * 2_200_000))
    assert (told["accepted"], told["rejected"]) == (1, [])
    assert Checkpoint.objects.filter(run="report-3").count() == 0
    assert StatePart.objects.count() == parts
    (span,) = call(sender, "GET", "runs/report-3/spans", key=sender.reader)["spans"]
    whole = call(sender, "GET", f"spans/{span['trace_id']}/{span['span_id']}", key=sender.reader)
    assert any("a checkpoint may have" in note for note in whole["notes"])


def test_a_heartbeat_hears_of_open_runs_and_tells_what_was_dropped(sender: Sender, keys: dict[str, str]) -> None:
    call(sender, "POST", "runs/report-4/checkpoints", {"name": "draft", "state": {"n": 1}}, status=201)
    wish = call(
        sender,
        "POST",
        "runs/report-4/rollback",
        {"checkpoint": "latest", "reason": "it lies"},
        status=202,
        key=keys["jobs"],
    )
    told = send(sender, open_runs=["report-4", "nobody"], dropped={"queue_full": 3})
    control = told["control"]["runs"]["report-4"]
    assert control["rollback"]["id"] == wish["id"]
    assert control["rollback"]["checkpoint"] == {"id": wish["checkpoint"]["id"], "version": 1, "name": "draft"}
    assert (control["rollback"]["reason"], "nobody" in told["control"]["runs"]) == ("it lies", False)
    assert call(sender, "GET", "runs/report-4/control", key=sender.reader)["rollback"]["id"] == wish["id"]
    send(sender, dropped={"queue_full": 2, "too_large": 1})
    assert {row.reason: row.events for row in Drop.objects.filter(team=sender.team)} == {
        "queue_full": 5,
        "too_large": 1,
    }
    answer = {"status": "taken", "new_run": "report-4b"}
    assert call(sender, "POST", f"runs/report-4/rollbacks/{wish['id']}", answer)["new_run"] == "report-4b"
    told = send(sender, open_runs=["report-4"])["control"]["runs"]["report-4"]
    assert (told["rollback"], told["status"]) == (None, "killed")
    (listed,) = call(sender, "GET", "runs/report-4/rollbacks")["rollbacks"]
    assert (listed["status"], listed["new_run"]) == ("taken", "report-4b")


@pytest.mark.parametrize(
    ("beside", "field"),
    [
        ({"open_runs": "r"}, "open_runs"),
        ({"open_runs": ["r"] * 201}, "open_runs"),
        ({"open_runs": [""]}, "open_runs"),
        ({"dropped": {"a b": 1}}, "dropped"),
        ({"dropped": {"a": -1}}, "dropped"),
        ({"dropped": {f"r{n}": 1 for n in range(21)}}, "dropped"),
    ],
)
def test_what_comes_beside_events_is_judged(sender: Sender, beside: dict[str, Any], field: str) -> None:
    answer = send(sender, **beside)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_langgraphs_saver_may_delete_what_it_put_and_nothing_else(sender: Sender, keys: dict[str, str]) -> None:
    put = [
        call(sender, "POST", "runs/thread-1/checkpoints", {"source": source, "state": {"n": 1}}, status=201)
        for source in ("langgraph", "sdk")
    ]
    path, kept = (f"runs/thread-1/checkpoints/{one['id']}" for one in put)
    call(sender, "DELETE", path, status=404, key=keys["stranger"])
    call(sender, "DELETE", path, status=403, key=sender.reader)
    assert call(sender, "DELETE", kept, status=409)["field"] == "id"
    headers = {"authorization": f"Bearer {sender.key}"}
    assert sender.client.delete(f"/api/v1/{path}", headers=headers).status_code == 204
    assert [one["id"] for one in call(sender, "GET", "runs/thread-1/checkpoints")["checkpoints"]] == [put[1]["id"]]
    call(sender, "DELETE", path, status=404)
