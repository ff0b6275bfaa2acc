"""OTLP bodies that belong elsewhere or are too much, logs and metrics. The numbers I… are cases of the catalogue."""

from __future__ import annotations

import resource
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.tracking.ingest.otlp_bodies import (
    SPAN,
    TRACE,
    as_json,
    logs,
    metrics,
    span,
)
from tests.tracking.ingest.otlp_wire import BOTH, GOOD, delimited
from tracking.errors import TooLarge
from tracking.ingest.decoded import ATTRIBUTES_MAX, EVENTS_MAX, LINKS_MAX, DecodeError
from tracking.ingest.logs import by_span
from tracking.ingest.otlp import (
    decode_json,
    decode_json_logs,
    decode_json_metrics,
    decode_protobuf,
    decode_protobuf_logs,
    decode_protobuf_metrics,
)
from tracking.ingest.prescan import ITEMS_MAX

# --- what belongs elsewhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "count"),
    [(logs(count=3), "logs", 3), (logs(trace_id="", span_id=""), "logs", 1), (metrics(), "metrics", 1)],
)
def test_logs_and_metrics_sent_as_traces_are_all_rejected_with_a_hint(body: bytes, name: str, count: int) -> None:
    """I27"""
    decoded = decode_protobuf(body)
    assert decoded.spans == []
    assert len(decoded.rejected) == count
    assert f"send it to /v1/{name}" in decoded.hint


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"resourceLogs": [{"scopeLogs": [{"logRecords": [{}, {}]}]}]}, "logs"),
        ({"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m"}]}]}]}, "metrics"),
    ],
)
def test_json_logs_and_metrics_sent_as_traces_are_all_rejected_with_a_hint(body: dict[str, Any], name: str) -> None:
    """I27"""
    decoded = decode_json(orjson.dumps(body))
    assert decoded.spans == []
    assert decoded.rejected[0].code == f"is_{name}"


# --- too much -------------------------------------------------------------------------------------------------------


@BOTH
def test_more_than_is_kept_of_one_span_is_cut_and_counted(
    encode: Callable[..., bytes], decode: Callable[..., Any]
) -> None:
    """I29"""
    many: dict[str, Any] = {f"llm.input_messages.{i}.message.content": "x" for i in range(10_000)}
    many["llm.token_count.prompt"] = 42
    event = {"name": "token", "time_ns": 1, "attributes": {}}
    link = {"trace_id": "aa" * 16, "span_id": "bb" * 8, "attributes": {}}
    (got,) = decode(encode([span(attributes=many, events=[event] * 10_000, links=[link] * 10_000)])).spans
    assert len(got.attributes) == ATTRIBUTES_MAX
    assert got.attributes["llm.token_count.prompt"] == 42, "indexed contents give way, counts stay"
    assert (len(got.events), len(got.links)) == (EVENTS_MAX, LINKS_MAX)
    assert got.notes == (
        f"{10_001 - ATTRIBUTES_MAX} of 10001 attributes of the span were dropped",
        f"{10_000 - EVENTS_MAX} of 10000 events were dropped",
        f"{10_000 - LINKS_MAX} of 10000 links were dropped",
    )


@BOTH
@pytest.mark.parametrize("key", ["__proto__", "", "k" * 10_000, "a.b'c\"d", "\u202eevil", "\U0001f600", "x" * 2_700])
def test_any_key_is_kept(encode: Callable[..., bytes], decode: Callable[..., Any], key: str) -> None:
    """I30"""
    assert decode(encode([span(attributes={key: "v"})])).spans[0].attributes == {key: "v"}


@BOTH
def test_more_spans_than_a_request_may_have_are_refused(
    encode: Callable[..., bytes], decode: Callable[..., Any]
) -> None:
    small = span(name="")
    assert len(decode(encode([small] * ITEMS_MAX)).spans) == ITEMS_MAX
    with pytest.raises(TooLarge, match="10,000 spans"):
        decode(encode([small] * (ITEMS_MAX + 1)))


def nested(numbers: tuple[int, ...], content: bytes) -> bytes:
    for number in reversed(numbers):
        content = delimited(number, content)
    return content


@pytest.mark.parametrize(
    "body",
    [
        b"\x0a\x00" * 2_000_000,
        nested((1,), b"\x12\x00" * 2_000_000),
        nested((1, 2), b"\x12\x00" * 2_000_000),
        nested((1, 2), b"\x18\x00" * 2_000_000),
        nested((1, 1), b"\x0a\x00" * 2_000_000),
        nested((1, 2, 2), GOOD + b"\x4a\x00" * 2_000_000),
        nested((1, 2, 2), GOOD + b"\x5a\x00" * 2_000_000),
        nested((1, 2, 2), GOOD + nested((9, 2, 5), b"\x0a\x00" * 2_000_000)),
        nested((1, 2, 2), GOOD + nested((11, 3, 2, 6), b"\x0a\x00" * 2_000_000)),
    ],
    ids=["resources", "scopes", "spans", "unknown", "resource", "attributes", "events", "array", "map-in-event"],
)
def test_a_body_of_two_million_empty_things_is_refused_without_decoding_it(body: bytes) -> None:
    """I8"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        decode_protobuf(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024, "KiB"


@pytest.mark.parametrize(
    "body",
    [
        b'{"resourceSpans":[' + b"{}," * 1_300_000 + b"{}]}",
        b'{"resourceSpans":[' + b"[]," * 1_300_000 + b"[]]}",
        b'{"resourceSpans":[' + b"0," * 2_000_000 + b"0]}",
        b'{"resourceSpans":[' + b'"a",' * 2_000_000 + b'"a"]}',
        b'{"resourceSpans":[' + b'{"":0},' * 900_000 + b"0]}",
    ],
    ids=["objects", "arrays", "numbers", "texts", "members"],
)
def test_json_of_a_million_values_is_refused_without_decoding_it(body: bytes) -> None:
    """I9"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TooLarge):
        decode_json(body)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 24 * 1024, "KiB"


def test_text_full_of_brackets_is_not_mistaken_for_a_bomb() -> None:
    """I9"""
    code = '{"a":[1,2,{"b":"\\\\"}]},' * 100_000
    (got,) = decode_json(as_json([span(attributes={"folder": "C:\\", "code": code})])).spans
    assert got.attributes == {"folder": "C:\\", "code": code}


# --- log records and metrics ----------------------------------------------------------------------------------------


def test_log_records_find_their_span() -> None:
    contents, rejected = by_span(decode_protobuf_logs(logs(count=2)))
    assert rejected == []
    (one,) = contents
    assert (one.trace_id, one.span_id) == (TRACE, SPAN)
    assert [record["body"] for record in one.records] == [{"content": "hello 0"}, {"content": "hello 1"}]
    assert one.records[0]["event_name"] == "gen_ai.user.message"
    assert one.records[0]["attributes"] == {"gen_ai.system": "openai"}


def test_json_log_records_say_the_same() -> None:
    record = {
        "timeUnixNano": "1790000000000000001",
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "attributes": [{"key": "event.name", "value": {"stringValue": "gen_ai.choice"}}],
        "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "hello"}}]}},
    }
    body = orjson.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    ((contents,), rejected) = by_span(decode_json_logs(body))
    assert rejected == []
    assert contents.trace_id == TRACE
    assert contents.records[0]["event_name"] == "gen_ai.choice"
    assert contents.records[0]["body"] == {"content": "hello"}


@pytest.mark.parametrize(("trace_id", "span_id"), [("", ""), ("00" * 16, SPAN), (TRACE, "00" * 8), (TRACE, "ab")])
def test_a_log_record_of_no_span_is_not_kept(trace_id: str, span_id: str) -> None:
    contents, rejected = by_span(decode_protobuf_logs(logs(trace_id=trace_id, span_id=span_id)))
    assert contents == []
    assert [one.code for one in rejected] == ["no_span"]


def test_metrics_are_counted() -> None:
    assert decode_protobuf_metrics(metrics()) == 1
    assert decode_json_metrics(b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{},{}]}]}]}') == 2


@pytest.mark.parametrize(
    "decode", [decode_protobuf_logs, decode_json_logs, decode_protobuf_metrics, decode_json_metrics]
)
def test_logs_and_metrics_that_cannot_be_read_are_refused(decode: Callable[[bytes], Any]) -> None:
    with pytest.raises(DecodeError):
        decode(b'{"resourceLogs":[{]}')
