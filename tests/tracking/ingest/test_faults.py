"""Faults of senders through a real server, down to what is stored: clocks, huge and circular runs, secrets. The numbers
I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import pytest
from django.db import connection
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from tests.make import make_key, make_user, signed_in
from tests.server import running_server
from tests.tracking.ingest.otlp_bodies import as_json, protobuf, span
from tests.tracking.ingest.sender import Sender, a_sender
from tests.tracking.test_redaction import secrets
from tracking import invariants, pricing
from tracking.ingest.chunks import unpack
from tracking.models import Run

pytestmark = pytest.mark.django_db
SECOND = 10**9
DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def sender(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sender]:
    """With a server that has seen no other prices."""
    with django_db_blocker.unblock():
        pricing.load_bundled()
    with (
        django_db_blocker.unblock(),
        running_server(tmp_path_factory.mktemp("server")) as server,
        a_sender(server, django_db_blocker) as sender,
    ):
        yield sender
        assert invariants.check(sender.team.pk) == []


@pytest.fixture(scope="module")
def read(sender: Sender) -> Iterator[httpx.Client]:
    """A program of the team that reads."""
    _, key = make_key(sender.team, scopes=["read"])
    with httpx.Client(base_url=sender.server.url, headers={"authorization": f"Bearer {key}"}, timeout=60) as client:
        yield client


@pytest.fixture
def page(sender: Sender, db: None) -> Client:
    return signed_in(make_user("Alice", team=sender.team))


def number(value: int) -> str:
    return f"{value:016x}"


# --- clocks ---------------------------------------------------------------------------------------------------------


def test_what_a_host_with_a_wrong_clock_sends_stands_in_the_last_hour(sender: Sender, read: httpx.Client) -> None:
    """I19: a month behind, a day ahead, right."""
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini"}
    call |= {"gen_ai.usage.input_tokens": 1_000, "gen_ai.usage.output_tokens": 0}
    traces = {off: uuid4().hex for off in (-30 * DAY, DAY, 0)}
    for off, trace in traces.items():
        at = time.time_ns() + off - 60 * SECOND
        one = span(trace_id=trace, started_ns=at, ended_ns=at + SECOND, attributes=call)
        for _ in range(2):
            assert sender.post(body=protobuf([one])).status_code == 200

    now = datetime.now(UTC)
    last_hour = {"from": (now - timedelta(hours=1)).isoformat(), "to": now.isoformat()}
    listed = read.get("/api/v1/runs", params={**last_hour, "limit": 500}).json()["runs"]
    assert sorted(run["trace_id"] for run in listed if run["trace_id"] in traces.values()) == sorted(traces.values())
    notes = {
        off: [note.rpartition("by a clock ")[2] for note in entry_of(UUID(trace))["notes"]]
        for off, trace in traces.items()
        if off
    }
    assert notes == {-30 * DAY: ["30 days behind"], DAY: ["1 day ahead"]}
    assert Run.objects.get(team=sender.team, trace_id=UUID(traces[DAY])).cost_usd == Decimal("0.00015")


def entry_of(trace_id: UUID) -> dict[str, Any]:
    """The stored payload of a run's only span."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM tracking_payload WHERE trace_id = %s", [trace_id])
        ((body,),) = cursor.fetchall()
    (entry,) = unpack(bytes(body))
    return entry


# --- shapes ---------------------------------------------------------------------------------------------------------


def test_a_run_of_fifty_thousand_spans_is_taken_and_read(sender: Sender, read: httpx.Client, page: Client) -> None:
    """I32: 10,000 siblings, a chain of 5,000, the rest a tree; ten requests, children before their parents too."""
    trace, now = uuid4().hex, time.time_ns() - 3600 * SECOND
    parents = {1: None} | dict.fromkeys(range(2, 10_002), 1)
    parents |= {n: n - 1 for n in range(10_002, 15_002)}
    parents |= {n: n // 2 for n in range(15_002, 50_001)}
    told = [
        span(
            trace_id=trace, span_id=number(n), parent_id=number(above) if above else None,
            started_ns=now + n * 10**6, ended_ns=now + (n + 1) * 10**6,
        )
        for n, above in parents.items()
    ]  # fmt: skip
    random.Random(1).shuffle(told)
    for at in range(0, len(told), 5_000):
        body = gzip.compress(protobuf(told[at : at + 5_000]), 1)
        assert sender.post(body=body, content_encoding="gzip").status_code == 200

    run = Run.objects.get(team=sender.team, trace_id=UUID(trace))
    assert (run.span_count, run.status) == (50_000, "completed")
    shown = page.get(f"/runs/{trace}")
    assert (shown.status_code, "50,000" in shown.content.decode()) == (200, True)
    assert read.get(f"/api/v1/runs/{trace}").json()["span_count"] == 50_000
    first = read.get(f"/api/v1/runs/{trace}/spans", params={"limit": 500}).json()
    second = read.get(f"/api/v1/runs/{trace}/spans", params={"limit": 500, "cursor": first["next_cursor"]}).json()
    assert len({one["span_id"] for one in first["spans"] + second["spans"]}) == 1_000


def test_own_parents_and_circles_end_and_are_marked(sender: Sender, read: httpx.Client, page: Client) -> None:
    """I33"""
    trace, now = uuid4().hex, time.time_ns() - 60 * SECOND
    above = {1: 1, 2: 3, 3: 4, 4: 2, 5: 4}  # its own parent; a circle of three; one that hangs on the circle
    told = [
        span(
            trace_id=trace, span_id=number(n), parent_id=number(parent),
            started_ns=now + n * SECOND, ended_ns=now + (n + 1) * SECOND,
        )
        for n, parent in above.items()
    ]  # fmt: skip
    assert sender.post(body=as_json(told), content_type="application/json").status_code == 200
    assert page.get(f"/runs/{trace}").status_code == 200
    spans = read.get(f"/api/v1/runs/{trace}/spans").json()["spans"]
    assert sorted((one["span_id"], one["place"]) for one in spans) == [
        (number(1), "looped"), (number(2), "looped"), (number(3), "child"), (number(4), "child"), (number(5), "child")
    ]  # fmt: skip
    run = Run.objects.get(team=sender.team, trace_id=UUID(trace))
    assert (run.span_count, run.status) == (5, "running")


# --- secrets --------------------------------------------------------------------------------------------------------


def beginning_of(secret: str) -> str:
    """The part that nobody may find again: of a key file its first line, of a header the token."""
    lines = secret.split("\n")
    core = lines[1] if len(lines) > 1 else secret.removeprefix("Bearer ")
    return core[: min(18, len(core) - 3)]


def carrier(secret: str, after: str = "") -> dict[str, Any]:
    """A call with the secret wherever a sender may put words, so that some are cut in its midst."""
    said = f"{after}use {secret} for it"
    message = orjson.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}]).decode()
    now = time.time_ns() - 60 * SECOND
    return span(
        trace_id=uuid4().hex, name=f"{after}chat {secret}", started_ns=now, ended_ns=now + SECOND, error=f"{after}{after[:200]}refused: {secret}",
        attributes={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.usage.input_tokens": 1_000,
            "gen_ai.agent.name": f"agent {secret}", "gen_ai.tool.name": f"tool {secret}",
            "gen_ai.input.messages": message, "gen_ai.output.messages": message, "input.value": said,
            "url.full": f"https://api.example.com/v1?key={secret}&page=2", "anything": {"deep": [said]},
            "langfuse.trace.tags": [said], "langfuse.trace.metadata.note": said, "metadata": orjson.dumps({"a": said}).decode(),
        },
        events=[{"name": "exception", "time_ns": now, "attributes": {"exception.stacktrace": f"File x: {said}"}}],
        links=[{"trace_id": "aa" * 16, "span_id": "bb" * 8, "attributes": {"why": said}}],
        resource={"service.name": "shop", "process.command_line": f"run --key {secret}"},
    )  # fmt: skip


def everything_stored() -> str:
    """Every row of every table, payloads unpacked."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" AS t')
            found += [row for (row,) in cursor.fetchall()]
        cursor.execute("SELECT body FROM tracking_payload")
        found += [orjson.dumps(unpack(bytes(body))).decode() for (body,) in cursor.fetchall()]
    return "\n".join(found)


def test_no_secret_is_found_again_in_any_table_or_log(sender: Sender) -> None:
    """I44"""
    corpus = secrets()
    told = [carrier(secret, after) for secret in corpus for after in ("", "word " * 57)]
    for one in told:
        assert sender.post(body=protobuf([one])).status_code == 200
    stored, said = everything_stored(), sender.server.log.read_text()
    assert [secret for secret in corpus if beginning_of(secret) in stored] == []
    assert [secret for secret in corpus if beginning_of(secret) in said] == []
    runs = Run.objects.filter(team=sender.team, trace_id__in=[UUID(one["trace_id"]) for one in told])
    assert {run.input_tokens for run in runs} == {1_000}
    assert runs.count() == len(told)
