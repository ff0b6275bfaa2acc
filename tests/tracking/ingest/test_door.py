"""The doors through a real server. The numbers I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import gzip
import itertools
import json
import math
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import zstandard
from google.rpc.status_pb2 import Status as RpcStatus
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from pytest_django.plugin import DjangoDbBlocker

from tests.server import Server
from tests.tracking.ingest.otlp_bodies import (
    END_NS,
    GOLDEN,
    START_NS,
    as_json,
    json_span,
    logs,
    metrics,
    protobuf,
    span,
)
from tests.tracking.ingest.sender import Sender, a_sender
from tracking.models import Run, Span
from wflo.ids import trace_id_of

JSON, PROTOBUF = "application/json", "application/x-protobuf"
PATHS = ("/v1/traces", "/v1/traces/", "/api/public/otel/v1/traces", "/api/public/otel/v1/traces/")
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sender(served: Server, django_db_blocker: DjangoDbBlocker) -> Iterator[Sender]:
    with a_sender(served, django_db_blocker) as sender:
        yield sender


def new_trace() -> str:
    return uuid4().hex


def stored(sender: Sender, trace_id: str) -> list[Span]:
    return list(Span.objects.filter(team=sender.team, trace_id=UUID(trace_id)).order_by("span_id"))


def partial(response: httpx.Response) -> tuple[int, str]:
    if response.headers["content-type"] == PROTOBUF:
        success = ExportTraceServiceResponse.FromString(response.content).partial_success
        return success.rejected_spans, success.error_message
    success = response.json().get("partialSuccess", {})
    return int(success.get("rejectedSpans", 0)), success.get("errorMessage", "")


def refusal(response: httpx.Response) -> str:
    if response.headers["content-type"] == PROTOBUF:
        message: str = RpcStatus.FromString(response.content).message
        return message
    return str(response.json()["message"])


# --- what is taken --------------------------------------------------------------------------------------------------


PACK: dict[str, Any] = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("content_type", [PROTOBUF, "application/protobuf", JSON, "Application/JSON; charset=UTF-8"])
def test_the_same_span_is_stored_whatever_carries_it(sender: Sender, content_type: str, coding: str) -> None:
    """I1, I5"""
    trace = new_trace()
    encode = protobuf if "protobuf" in content_type else as_json
    body = PACK[coding](encode([{**GOLDEN, "trace_id": trace}]))
    response = sender.post(body=body, content_type=content_type, content_encoding=coding)
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type.partition(";")[0].lower()
    assert response.content == (b"{}" if encode is as_json else b""), "full success leaves partial_success unset"
    (got,) = stored(sender, trace)
    assert (got.name, got.input_tokens, got.requested_model) == ("chat gpt-4o", 12, "gpt-4o")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_takes_spans_and_none_redirects(sender: Sender, path: str) -> None:
    """I4"""
    trace = new_trace()
    assert sender.post(path, protobuf([span(trace_id=trace)])).status_code == 200
    assert len(stored(sender, trace)) == 1


@pytest.mark.parametrize(
    "path", [*PATHS, "/v1/logs", "/v1/logs/", "/v1/metrics", "/v1/metrics/", "/api/v1/ingest", "/api/v1/ingest/"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_hear_which_one_is_right(sender: Sender, path: str, method: str) -> None:
    """I47, I4"""
    response = sender.client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(("body", "content_type"), [(b"", PROTOBUF), (b"{}", JSON), (b'{"resourceSpans":[]}', JSON)])
def test_an_empty_request_is_a_success(sender: Sender, body: bytes, content_type: str) -> None:
    """I2"""
    response = sender.post(body=body, content_type=content_type)
    assert (response.status_code, partial(response)) == (200, (0, ""))


def test_a_chunked_body_is_stored_whole(sender: Sender) -> None:
    """I3"""
    trace = new_trace()
    body = protobuf([span(trace_id=trace, span_id=f"{i:016x}", attributes={"t": "x" * 900}) for i in range(1, 301)])

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    assert sender.post(body=pieces()).status_code == 200
    assert len(stored(sender, trace)) == 300


def test_a_large_body_is_stored_whole(sender: Sender) -> None:
    trace = new_trace()
    spans = [span(trace_id=trace, span_id=f"{i:016x}", attributes={"n": i}) for i in range(1, 5_001)]
    assert sender.post(body=gzip.compress(protobuf(spans)), content_encoding="gzip").status_code == 200
    assert Run.objects.get(team=sender.team, trace_id=UUID(trace)).span_count == 5_000


def test_bad_spans_are_named_and_good_ones_stored(sender: Sender) -> None:
    """I17, I26"""
    trace = new_trace()
    usage = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    spans = [
        span(trace_id=trace, span_id="01" * 8, attributes={**usage, "gen_ai.usage.input_tokens": 5}),
        span(trace_id=b"short"),
        span(trace_id=trace, span_id="02" * 8, attributes={**usage, "gen_ai.usage.input_tokens": -5}),
        span(trace_id=trace, span_id="03" * 8, attributes={**usage, "gen_ai.usage.output_tokens": 1.5}),
        span(trace_id=trace, span_id="04" * 8),
    ]
    response = sender.post(body=protobuf(spans))
    assert response.status_code == 200
    count, message = partial(response)
    assert count == 3
    assert "span 1: trace_id has 5 bytes" in message
    assert "span 2: " in message
    assert "gen_ai.usage.input_tokens" in message
    assert "gen_ai.usage.output_tokens" in message
    assert [one.span_id for one in stored(sender, trace)] == [0x0101010101010101, 0x0404040404040404]


def test_at_most_five_rejected_spans_are_named(sender: Sender) -> None:
    bad = {**json_span(span()), "traceId": "zz"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [bad] * 12}]}]}).encode()
    count, message = partial(sender.post(body=body, content_type=JSON))
    assert count == 12
    assert message.count("span ") == 5
    assert message.endswith("and 7 more")


@pytest.mark.parametrize(("body", "name"), [(logs(count=2), "logs"), (metrics(), "metrics")])
def test_logs_and_metrics_sent_as_traces_are_rejected_with_a_hint(sender: Sender, body: bytes, name: str) -> None:
    """I27"""
    count, message = partial(sender.post(body=body))
    assert count > 0
    assert f"send it to /v1/{name}" in message


def test_a_retried_batch_changes_nothing(sender: Sender) -> None:
    """I20"""
    trace = new_trace()
    body = protobuf([{**GOLDEN, "trace_id": trace}])
    assert [sender.post(body=body).status_code for _ in range(5)] == [200] * 5
    run = Run.objects.get(team=sender.team, trace_id=UUID(trace))
    assert (run.span_count, run.llm_calls, run.input_tokens) == (1, 1, 12)


@pytest.mark.parametrize("text", ["a\0b", "\u202eevil", "\U0001f600"])
def test_odd_text_is_stored_and_its_neighbours_too(sender: Sender, text: str) -> None:
    """I14, I30"""
    trace = new_trace()
    spans = [span(trace_id=trace, span_id="01" * 8, name=text, attributes={text: text}), span(trace_id=trace)]
    assert sender.post(body=protobuf(spans)).status_code == 200
    assert {one.name for one in stored(sender, trace)} == {text.replace("\0", "\ufffd"), "step"}


def test_half_a_surrogate_pair_is_stored_as_a_replacement_character(sender: Sender) -> None:
    """I15"""
    trace = new_trace()
    body = as_json([span(trace_id=trace, name="NAME")]).replace(b'"NAME"', rb'"x\ud800y"')
    assert sender.post(body=body, content_type=JSON).status_code == 200
    assert [one.name for one in stored(sender, trace)] == ["x\ufffdy"]


@pytest.mark.parametrize(
    "value",
    [
        {"intValue": "9" * 100_000},
        {"intValue": str(2**63)},
        {"intValue": str(2**64)},
        {"intValue": str(-(2**63) - 1)},
        {"doubleValue": "NaN"},
        {"doubleValue": "-Infinity"},
        {"doubleValue": -0.0},
        {"stringValue": "x" * (3 * 2**20)},
        {"arrayValue": {"values": [{"doubleValue": "NaN"}, {"stringValue": "a\0b"}]}},
    ],
    ids=lambda value: str(value)[:40],
)
def test_odd_values_are_stored_with_their_span(sender: Sender, value: dict[str, Any]) -> None:
    """I12, I13, I29"""
    trace = new_trace()
    raw = {**json_span(span(trace_id=trace)), "attributes": [{"key": "odd", "value": value}]}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [raw]}]}]}).encode()
    response = sender.post(body=body, content_type=JSON)
    assert (response.status_code, partial(response)) == (200, (0, ""))
    assert len(stored(sender, trace)) == 1


@pytest.mark.parametrize("key", ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"])
@pytest.mark.parametrize("value", [-1, 2.5, math.nan, math.inf, 2**63 - 1], ids=str)
def test_a_token_count_that_cannot_be_true_rejects_its_span_alone(sender: Sender, key: str, value: float) -> None:
    """I13, I17"""
    trace = new_trace()
    call = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", key: value}
    body = protobuf([span(trace_id=trace, span_id="01" * 8, attributes=call), span(trace_id=trace, span_id="02" * 8)])
    count, message = partial(sender.post(body=body))
    assert count == 1
    assert key in message
    assert [one.span_id for one in stored(sender, trace)] == [0x0202020202020202]


@pytest.mark.parametrize(
    ("started_ns", "ended_ns"),
    [
        (0, 0),
        (0, 5),
        (END_NS, START_NS),
        (1_790_000_000, 1_790_000_001),
        (1_790_000_000_000, 1_790_000_001_000),
        (9_223_372_036_854_775_807, 9_223_372_036_854_775_807),
        (18_446_744_073_709_551_615, 18_446_744_073_709_551_615),
    ],
)
def test_times_that_cannot_be_true_are_stored_as_something_that_can(
    sender: Sender, started_ns: int, ended_ns: int
) -> None:
    """I18"""
    trace = new_trace()
    response = sender.post(body=protobuf([span(trace_id=trace, started_ns=started_ns, ended_ns=ended_ns)]))
    assert (response.status_code, partial(response)) == (200, (0, ""))
    (got,) = stored(sender, trace)
    assert got.started_at.year in (2026, datetime.now(UTC).year)
    assert got.ended_at is None or got.ended_at >= got.started_at


# --- logs and metrics -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/logs", "/api/public/otel/v1/logs"])
def test_log_records_of_a_span_are_taken(sender: Sender, path: str) -> None:
    trace = new_trace()
    assert sender.post(body=protobuf([span(trace_id=trace)])).status_code == 200
    response = sender.post(path, logs(trace_id=trace, count=2))
    assert (response.status_code, response.content) == (200, b"")


def test_log_records_of_no_span_are_answered_as_not_kept(sender: Sender) -> None:
    response = sender.post("/v1/logs", logs(trace_id="", span_id="", count=3))
    assert response.status_code == 200
    success = ExportLogsServiceResponse.FromString(response.content).partial_success
    assert success.rejected_log_records == 3
    assert "log record 0: belongs to no span" in success.error_message


def test_metrics_are_answered(sender: Sender) -> None:
    response = sender.post("/v1/metrics", metrics())
    assert (response.status_code, response.content) == (200, b"")


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": ""}, 415),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/json; charset=utf-16"}, 415),
        ({"content_type": JSON, "content_encoding": "br"}, 415),
        ({"content_encoding": "gzip, gzip"}, 415),
        ({"content_encoding": "gzip"}, 400),
        ({"content_encoding": "zstd"}, 400),
        ({"content_encoding": "deflate"}, 400),
        ({"content_type": JSON, "content_encoding": "gzip"}, 400),
        ({"content_type": JSON}, 400),
    ],
)
def test_what_cannot_be_read_is_refused_in_the_senders_encoding(
    sender: Sender, headers: dict[str, str], status: int
) -> None:
    """I5, I6, I16"""
    response = sender.post(body=protobuf([span()]), **headers)
    assert response.status_code == status
    is_protobuf = headers.get("content_type", PROTOBUF) == PROTOBUF
    assert response.headers["content-type"] == (PROTOBUF if is_protobuf else JSON)
    assert refusal(response)
    assert "retry-after" not in response.headers


def test_a_wrong_shape_is_refused_with_its_path(sender: Sender) -> None:
    """I28"""
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{**json_span(span()), "attributes": {}}]}]}]})
    response = sender.post(body=body.encode(), content_type=JSON)
    assert response.status_code == 400
    assert refusal(response).startswith("resourceSpans[0].scopeSpans[0].spans[0].attributes: expected")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"\0" * (21 * 2**20), PROTOBUF),
        (b"\x0a\x86\x89\x7a\x12\x82\x89\x7a" + b"\x12\x00" * 1_000_000, PROTOBUF),
        (b'{"resourceSpans":[' + b"{}," * 1_300_000 + b"{}]}", JSON),
        (b'{"resourceSpans":' + b"[" * 200_000, JSON),
    ],
    ids=["I7", "I8", "I9", "I10"],
)
@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_bombs_are_refused(sender: Sender, body: bytes, content_type: str, coding: str) -> None:
    """I7, I8, I9, I10"""
    response = sender.post(body=PACK[coding](body), content_type=content_type, content_encoding=coding)
    assert response.status_code in (400, 413)
    assert refusal(response)


def test_a_body_over_the_limit_is_refused(sender: Sender) -> None:
    response = sender.post(body=bytes(21 * 2**20))
    assert response.status_code == 413
    assert "20,971,520 bytes" in refusal(response)


# --- our own events -------------------------------------------------------------------------------------------------


def event(kind: str, event_id: str, run_id: str, second: int = 0, **fields: Any) -> dict[str, Any]:
    at = f"2026-11-20T10:00:{second:02d}Z"
    return {"kind": kind, "event_id": event_id, "run_id": run_id, "ts": at, "seq": second, **fields}


def send_events(sender: Sender, *events: dict[str, Any]) -> httpx.Response:
    return sender.post("/api/v1/ingest", json.dumps({"events": events}).encode(), content_type=JSON)


def a_run(run_id: str) -> list[dict[str, Any]]:
    return [
        event("run.start", "1", run_id, 0, agent="boss", input="go"),
        event(
            "llm_call",
            "2",
            run_id,
            1,
            agent="boss",
            model="gpt-4o",
            input_tokens=100,
            output_tokens=10,
            duration_ms=900,
        ),
        event("tool_call", "3", run_id, 2, tool="search", agent="boss", duration_ms=5),
        event("run.end", "4", run_id, 3, output="done"),
    ]


def test_a_run_told_in_events_is_a_run(sender: Sender) -> None:
    answer = send_events(sender, *a_run("told"))
    assert answer.status_code == 200
    assert answer.json() == {"accepted": 4, "known": 0, "rejected": [], "control": {}}
    run = Run.objects.get(team=sender.team, external_id="told")
    assert run.trace_id == UUID(trace_id_of("told"))
    assert (run.origin, run.status, run.entry_agent) == ("sdk", "completed", "boss")
    assert (run.span_count, run.llm_calls, run.tool_calls) == (3, 1, 1)
    assert (run.input_tokens, run.output_tokens) == (100, 10)


def test_events_in_any_order_and_split_give_the_same_run(sender: Sender) -> None:
    """I22, I49"""
    seen = set()
    for number, order in enumerate(itertools.permutations(range(4))):
        name = f"order {number}"
        events = a_run(name)
        for index in order:
            assert send_events(sender, events[index]).json()["rejected"] == []
        assert send_events(sender, *events).status_code == 200
        run = Run.objects.get(team=sender.team, external_id=name)
        facts = (
            run.status,
            run.entry_agent,
            run.span_count,
            run.llm_calls,
            run.tool_calls,
            run.input_tokens,
            run.output,
        )
        seen.add((*facts, run.started_at, run.ended_at))
    assert len(seen) == 1, seen


def test_one_bad_event_of_five_hundred_is_named_and_the_others_stored(sender: Sender) -> None:
    """I48"""
    events = [event("llm_call", str(i), "big", 1, model="gpt-4o", input_tokens=1) for i in range(500)]
    events[317]["input_tokens"] = -1
    answer = send_events(sender, *events).json()
    assert (answer["accepted"], answer["known"]) == (499, 0)
    ((bad,),) = (answer["rejected"],)
    assert (bad["index"], bad["event_id"]) == (317, "317")
    assert bad["message"].startswith("input_tokens")
    assert Run.objects.get(team=sender.team, external_id="big").input_tokens == 499


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"{}", JSON, 400, "malformed"),
        (b"[1", JSON, 400, "malformed"),
        (b'{"events":[]}', PROTOBUF, 415, "unsupported_media_type"),
        (json.dumps({"events": [{}] * 501}).encode(), JSON, 413, "too_large"),
        (b" " * (5 * 2**20 + 1), JSON, 413, "too_large"),
    ],
)
def test_a_batch_of_events_that_cannot_be_read_is_a_problem_with_a_code(
    sender: Sender, body: bytes, content_type: str, status: int, code: str
) -> None:
    response = sender.post("/api/v1/ingest", body, content_type=content_type)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"]


def test_no_events_are_a_success(sender: Sender) -> None:
    assert send_events(sender).json() == {"accepted": 0, "known": 0, "rejected": [], "control": {}}


# --- being there ----------------------------------------------------------------------------------------------------


def test_being_alive_needs_no_key(sender: Sender) -> None:
    assert sender.client.get("/health/live").json() == {"alive": True}
    assert sender.client.head("/health/live/").status_code == 200
    assert sender.client.post("/health/live").status_code == 405
