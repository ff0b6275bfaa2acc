"""Recorded requests of real exporters at the door, byte for byte. The numbers I… are cases of the catalogue."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from django.db.models import Sum
from pytest_django.plugin import DjangoDbBlocker

from tests.server import Server
from tests.tracking.ingest.recordings import BUCKETS, FOLDER, SHORTFALLS, expected, raw_spans
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.models import Run
from wflo.spans import Span

GO = "go-otlptracehttp"
BY_LANGUAGE = ("pydantic_ai-native", "vercel_ai-json", "vercel_ai7-proto", GO)  # Python, JavaScript twice, Go
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    with a_sender(served, django_db_blocker) as sender:
        yield sender


def headers_of(case: str, name: str) -> list[tuple[str, str]]:
    """As they were recorded; where they were not, what every exporter of that kind of body sends."""
    path = FOLDER / case / "headers.json"
    if path.exists():
        return [(key, value) for key, value in json.loads(path.read_text())[name]]
    return [("Content-Type", "application/json" if name.endswith(".json") else "application/x-protobuf")]


def send(sender: Sender, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
    """These headers and no others, but for whom they name; in chunks where they say so."""
    given = {key.lower(): value for key, value in headers}
    ours = {"host": f"{sender.server.host}:{sender.server.port}", "authorization": f"Bearer {sender.key}"}
    is_chunked = given.get("transfer-encoding") == "chunked"
    if not is_chunked and "content-length" not in given:
        ours["content-length"] = str(len(body))
    connection = http.client.HTTPConnection(sender.server.host, sender.server.port, timeout=30)
    connection.putrequest("POST", "/v1/traces", skip_host=True, skip_accept_encoding=True)
    for key, value in headers:
        connection.putheader(key, ours.pop(key.lower(), value))
    for key, value in ours.items():
        connection.putheader(key, value)
    connection.endheaders([body] if is_chunked else body, encode_chunked=is_chunked)
    answer = connection.getresponse()
    told = answer.status, answer.read()
    connection.close()
    return told


def sent(sender: Sender, case: str) -> list[Span]:
    """The spans of the recording, once all its requests were taken whole."""
    paths = sorted((FOLDER / case).glob("*.traces.*"))
    answers = [send(sender, headers_of(case, path.name), path.read_bytes()) for path in paths]
    assert {status for status, _ in answers} == {200}
    assert {body for _, body in answers} <= {b"", b"{}"}, "nothing was rejected"
    return raw_spans(case)


@pytest.mark.parametrize("case", BY_LANGUAGE)
def test_what_real_exporters_sent_is_stored_whole_and_once(sender: Sender, case: str) -> None:
    """I50, I20: of Python, JavaScript and Go; the second time nothing changes."""
    want, less = expected(case), SHORTFALLS.get(case, {}).get("models", {})
    for _ in range(2):
        spans = sent(sender, case)
        runs = Run.objects.filter(team=sender.team, trace_id__in={UUID(span.trace_id) for span in spans})
        names = ("span_count", "llm_calls", "tool_calls", *BUCKETS.values())
        got: dict[str, Any] = runs.aggregate(**{name: Sum(name) for name in names})
        assert got == {
            "span_count": len(spans),
            "llm_calls": want["llm_calls"] + want["llm_calls_failed"],
            "tool_calls": sum(tool["calls"] for tool in want["tools_executed"].values()),
            **{
                name: want["canonical_totals"][bucket] - sum(model.get(bucket, 0) for model in less.values())
                for bucket, name in BUCKETS.items()
            },
        }
        agents = set().union(*(run.agents for run in runs))
        assert agents == set(want["agents"]) - set(SHORTFALLS.get(case, {}).get("agents", []))


def whole(sender: Sender, span: Span) -> dict[str, Any]:
    answer = httpx.get(
        f"{sender.server.url}/api/v1/spans/{span.trace_id}/{span.span_id}",
        headers={"authorization": f"Bearer {sender.reader}"},
        timeout=30,
    )
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_every_part_of_a_span_that_go_made_is_shown(sender: Sender) -> None:
    """I50: arrays of each type, an empty text, events with those the SDK dropped, an error, a link, the resource; a
    parent in another service that never comes."""
    spans = sent(sender, GO)
    plain, with_gzip = spans[:12], spans[12:]
    tool = whole(sender, next(span for span in plain if span.name == "execute_tool check_links"))
    assert {key: tool["attributes"][f"search.{key}"] for key in ("pages", "scores", "cached", "note")} == {
        "pages": [1, 2, -3], "scores": [0.5, 1e-9], "cached": [True, False], "note": "",
    }  # fmt: skip
    assert [event["name"] for event in tool["events"]] == ["page", "page", "exception"]
    assert tool["events"][2]["attributes"]["exception.type"] == "*errors.errorString"
    assert "the sender dropped 3 events" in tool["notes"]
    assert (tool["status"], tool["error"]) == ("error", "the page did not answer in 5s")
    assert tool["resource"]["team.names"] == ["news", "desk"]
    assert (tool["resource"]["preview"], tool["resource"]["replica"], tool["resource"]["share"]) == (True, 3, 0.25)
    assert (tool["scope"], tool["agent"], tool["duration_ms"]) == ("example.com/newsroom", "editor", 15.0)

    researcher, editor = (next(s for s in plain if s.name == f"invoke_agent {n}") for n in ("researcher", "editor"))
    (link,) = whole(sender, editor)["links"]
    assert (link["span_id"], link["attributes"]) == (researcher.span_id, {"why": "its notes are edited", "notes": 2})

    entry = whole(sender, with_gzip[-1])
    assert (entry["name"], entry["parent_id"], entry["kind"]) == ("POST /notes", "00f067aa0ba902b7", "chain")
    first = whole(sender, plain[0])
    assert first["input_messages"][0]["parts"][0]["text"].endswith("Zürich, naïve — ✓")
