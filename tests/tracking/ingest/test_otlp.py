"""Decoding of OTLP bodies. The numbers I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests.tracking.ingest.otlp_bodies import (
    GOLDEN,
    PARENT,
    SPAN,
    TRACE,
    json_span,
    protobuf,
    span,
)
from tests.tracking.ingest.otlp_wire import BOTH, GOOD, delimited, json_request, request_of
from tracking.errors import TooLarge
from tracking.ingest.decoded import DecodeError
from tracking.ingest.otlp import (
    decode_json,
    decode_protobuf,
)
from wflo.spans import Status

# --- what a good body says ------------------------------------------------------------------------------------------


@BOTH
def test_a_span_says_the_same_in_protobuf_and_json(encode: Callable[..., bytes], decode: Callable[..., Any]) -> None:
    """I1"""
    decoded = decode(encode([GOLDEN]))
    (got,) = decoded.spans
    for name in ("trace_id", "span_id", "parent_id", "name", "attributes", "events", "links", "error", "resource"):
        assert getattr(got, name) == GOLDEN[name], name
    assert got.scope == GOLDEN["scope"]
    assert got.status is Status.ERROR
    assert (got.started_ns, got.ended_ns) == (1_790_000_000_000_000_001, 1_790_000_001_500_000_002)
    assert decoded.rejected == []


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decode_protobuf, b""),
        (decode_protobuf, request_of()),
        (decode_json, b"{}"),
        (decode_json, b'{"resourceSpans":[]}'),
    ],
)
def test_an_empty_request_has_no_spans(decode: Callable[[bytes], Any], body: bytes) -> None:
    """I2"""
    decoded = decode(body)
    assert (decoded.spans, decoded.rejected) == ([], [])


@BOTH
def test_an_open_span_has_no_end(encode: Callable[..., bytes], decode: Callable[..., Any]) -> None:
    assert decode(encode([span(ended_ns=0)])).spans[0].ended_ns is None


def test_bytes_become_base64_text() -> None:
    (got,) = decode_protobuf(protobuf([span(attributes={"image": b"\xff\x00"})])).spans
    assert got.attributes == {"image": "/wA="}


@BOTH
def test_what_the_sender_dropped_is_noted(encode: Callable[..., bytes], decode: Callable[..., Any]) -> None:
    if encode is protobuf:
        body = request_of(bytes.fromhex(f"0a10{TRACE}1208{SPAN}") + b"\x50\x07")
    else:
        body = json_request({**json_span(span()), "droppedAttributesCount": 7})
    assert decode(body).spans[0].notes == ("the sender dropped 7 attributes",)


def test_resources_are_shared_by_their_spans_only() -> None:
    first = protobuf([span(resource={"service.name": "a"}), span(span_id="01" * 8, resource={"service.name": "a"})])
    second = protobuf([span(resource={"service.name": "b"})])
    one, two, three = decode_protobuf(first + second).spans
    assert one.resource is two.resource
    assert three.resource == {"service.name": "b"}


# --- ids ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"trace_id": b""}, "bad_trace_id"),
        ({"trace_id": b"\0" * 16}, "bad_trace_id"),
        ({"trace_id": b"\1" * 15}, "bad_trace_id"),
        ({"trace_id": b"\1" * 17}, "bad_trace_id"),
        ({"span_id": b""}, "bad_span_id"),
        ({"span_id": b"\0" * 8}, "bad_span_id"),
        ({"span_id": b"\1" * 16}, "bad_span_id"),
        ({"parent_id": b"\1" * 3}, "bad_parent_span_id"),
    ],
)
def test_a_bad_id_rejects_its_span_alone_in_protobuf(changes: dict[str, Any], code: str) -> None:
    """I26"""
    decoded = decode_protobuf(protobuf([span(), span(**changes), span(span_id="02" * 8)]))
    assert [one.span_id for one in decoded.spans] == [SPAN, "02" * 8]
    assert [(one.index, one.code) for one in decoded.rejected] == [(1, code)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"traceId": None}, "bad_trace_id"),
        ({"traceId": ""}, "bad_trace_id"),
        ({"traceId": "0" * 32}, "bad_trace_id"),
        ({"traceId": TRACE[:-1]}, "bad_trace_id"),
        ({"traceId": TRACE + "0"}, "bad_trace_id"),
        ({"traceId": "z" * 32}, "bad_trace_id"),
        ({"traceId": 12}, "bad_trace_id"),
        ({"traceId": base64.b64encode(bytes.fromhex(TRACE)).decode()}, "bad_trace_id"),
        ({"spanId": base64.b64encode(bytes.fromhex(SPAN)).decode()}, "bad_span_id"),
        ({"parentSpanId": "abc"}, "bad_parent_span_id"),
    ],
)
def test_a_bad_id_rejects_its_span_alone_in_json(changes: dict[str, Any], code: str) -> None:
    """I26"""
    decoded = decode_json(json_request(json_span(span()), {**json_span(span()), **changes}))
    assert len(decoded.spans) == 1
    assert [(one.index, one.code) for one in decoded.rejected] == [(1, code)]


def test_ids_are_kept_lower_case() -> None:
    """I26"""
    upper = {**json_span(span()), "traceId": TRACE.upper(), "spanId": SPAN.upper(), "parentSpanId": PARENT.upper()}
    (got,) = decode_json(json_request(upper)).spans
    assert (got.trace_id, got.span_id, got.parent_id) == (TRACE, SPAN, PARENT)


@pytest.mark.parametrize("parent", ["", "0" * 16, None])
def test_a_parent_of_zeros_is_no_parent(parent: str | None) -> None:
    """I26"""
    assert decode_json(json_request({**json_span(span()), "parentSpanId": parent})).spans[0].parent_id is None
    assert decode_protobuf(protobuf([span(parent_id=parent)])).spans[0].parent_id is None


# --- JSON's own rules -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"resourceSpans":[],}', "not JSON"),
        (b'{"resourceSpans":[] /* none */}', "not JSON"),
        (b'{"resourceSpans":NaN}', "not JSON"),
        (b'{"resourceSpans":', "not JSON"),
        (b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff"}]}]}]}', "not JSON"),
        ('{"resourceSpans":[]}'.encode("utf-16"), "not JSON"),
        (b"[]", "not an object"),
        (b"", "not JSON"),
    ],
    ids=["I46-trailing-comma", "I46-comment", "I13-nan", "cut", "I16-not-utf8", "I5-utf16", "array", "nothing"],
)
def test_what_is_not_strict_json_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        decode_json(body)


def test_a_byte_order_mark_is_dropped_and_the_last_of_two_keys_wins() -> None:
    """I46"""
    body = json_request(json_span(span())).replace(b'"name": "step"', b'"name": "first", "name": "last"')
    (got,) = decode_json(b"\xef\xbb\xbf" + body).spans
    assert got.name == "last"


def test_half_a_surrogate_pair_becomes_a_replacement_character_and_whole_pairs_stay() -> None:
    """I15"""
    text = r'"\ud800 x \udc00 \ud83d\ude00 \\ud800 \ud800\ud83d\ude00"'
    body = json_request(json_span(span(name="NAME"))).replace(b'"NAME"', text.encode())
    (got,) = decode_json(body).spans
    assert got.name == "\ufffd x \ufffd \U0001f600 \\ud800 \ufffd\U0001f600"


@pytest.mark.parametrize(
    ("path", "spoil"),
    [
        ("resourceSpans", {"resourceSpans": {}}),
        ("resourceSpans[0]", {"resourceSpans": [7]}),
        ("resourceSpans[0].resource", {"resourceSpans": [{"resource": "x"}]}),
        ("resourceSpans[0].resource.attributes", {"resourceSpans": [{"resource": {"attributes": {"a": 1}}}]}),
        ("resourceSpans[0].scopeSpans[1]", {"resourceSpans": [{"scopeSpans": [{}, "x"]}]}),
        ("resourceSpans[0].scopeSpans[0].scope.name", {"resourceSpans": [{"scopeSpans": [{"scope": {"name": 1}}]}]}),
        ("resourceSpans[0].scopeSpans[0].spans[0]", {"resourceSpans": [{"scopeSpans": [{"spans": [None]}]}]}),
    ],
)
def test_a_wrong_shape_above_the_spans_is_refused_with_its_path(path: str, spoil: dict[str, Any]) -> None:
    """I28"""
    with pytest.raises(DecodeError) as refused:
        decode_json(orjson.dumps(spoil))
    assert refused.value.field == path
    assert refused.value.message.startswith(f"{path}: expected ")


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("attributes", {"attributes": {"a": "b"}}),
        ("attributes[0]", {"attributes": ["a"]}),
        ("attributes[0]", {"attributes": [{"value": {"stringValue": "x"}}]}),
        ("attributes[0].value", {"attributes": [{"key": "a", "value": "x"}]}),
        ("attributes[0].value.intValue", {"attributes": [{"key": "a", "value": {"intValue": "x"}}]}),
        ("attributes[0].value.intValue", {"attributes": [{"key": "a", "value": {"intValue": 1.5}}]}),
        ("attributes[0].value.boolValue", {"attributes": [{"key": "a", "value": {"boolValue": 1}}]}),
        ("attributes[0].value.doubleValue", {"attributes": [{"key": "a", "value": {"doubleValue": "fast"}}]}),
        ("attributes[0].value.stringValue", {"attributes": [{"key": "a", "value": {"stringValue": 1}}]}),
        ("attributes[0].value.arrayValue", {"attributes": [{"key": "a", "value": {"arrayValue": []}}]}),
        ("name", {"name": 5}),
        ("startTimeUnixNano", {"startTimeUnixNano": -1}),
        ("startTimeUnixNano", {"startTimeUnixNano": "yesterday"}),
        ("endTimeUnixNano", {"endTimeUnixNano": 2**64}),
        ("status", {"status": "OK"}),
        ("status.code", {"status": {"code": True}}),
        ("status.message", {"status": {"code": 2, "message": 5}}),
        ("events", {"events": "none"}),
        ("events[0].timeUnixNano", {"events": [{"timeUnixNano": "x"}]}),
        ("links[0].attributes", {"links": [{"attributes": {}}]}),
    ],
)
def test_a_wrong_shape_in_a_span_is_refused_with_its_path(path: str, changes: dict[str, Any]) -> None:
    """I28"""
    with pytest.raises(DecodeError) as refused:
        decode_json(json_request(json_span(span()), {**json_span(span()), **changes}))
    assert refused.value.field == f"resourceSpans[0].scopeSpans[0].spans[1].{path}"


@pytest.mark.parametrize("code", [2, "2", "STATUS_CODE_ERROR"])
def test_enums_come_by_number_or_name(code: object) -> None:
    """I28"""
    (got,) = decode_json(json_request({**json_span(span()), "status": {"code": code, "message": "m"}})).spans
    assert (got.status, got.error) == (Status.ERROR, "m")


def test_snake_case_is_read_and_unknown_fields_are_ignored() -> None:
    """I28"""
    snake = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": PARENT,
        "name": "x",
        "start_time_unix_nano": 5.0,
        "end_time_unix_nano": 9,
        "shiny": {"new": 1},
        "attributes": [
            {"key": "a", "value": {"string_value": "b"}},
            {"key": "c", "value": {"int_value": 3}},
            {"key": "future", "value": {"vectorValue": [1]}},
        ],
        "events": [{"name": "e", "time_unix_nano": "7"}],
    }
    body = orjson.dumps({"resource_spans": [{"scope_spans": [{"scope": {"name": "s"}, "spans": [snake]}]}], "x": 1})
    (got,) = decode_json(body).spans
    assert (got.parent_id, got.started_ns, got.ended_ns, got.scope) == (PARENT, 5, 9, "s")
    assert got.attributes == {"a": "b", "c": 3, "future": None}
    assert got.events == [{"name": "e", "time_ns": 7, "attributes": {}}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"intValue": "9223372036854775808"}, 2**63),
        ({"intValue": 2**64 - 1}, 2**64 - 1),
        ({"intValue": "-9223372036854775809"}, -(2**63) - 1),
        ({"intValue": "9" * 100_000}, "9" * 100_000),
        ({"intValue": 3.0}, 3),
        ({"doubleValue": "Infinity"}, math.inf),
        ({"doubleValue": "-Infinity"}, -math.inf),
        ({"doubleValue": -0.0}, -0.0),
        ({"doubleValue": 5}, 5.0),
        ({"bytesValue": "/wA="}, "/wA="),
        ({}, None),
        (None, None),
        ({"stringValue": "a\0b"}, "a\0b"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_odd_values_are_handed_on_for_cleaning(value: object, expected: object) -> None:
    """I12, I13, I14"""
    raw = {**json_span(span()), "attributes": [{"key": "a", "value": value}]}
    (got,) = decode_json(json_request(raw)).spans
    assert got.attributes == {"a": expected}


def test_a_not_a_number_is_handed_on_for_cleaning() -> None:
    """I13"""
    raw = {**json_span(span()), "attributes": [{"key": "a", "value": {"doubleValue": "NaN"}}]}
    assert math.isnan(decode_json(json_request(raw)).spans[0].attributes["a"])
    assert math.isnan(decode_protobuf(protobuf([span(attributes={"a": math.nan})])).spans[0].attributes["a"])


@pytest.mark.parametrize("depth", [6_000, 100_000])
def test_json_nested_too_deep_is_refused(depth: int) -> None:
    """I10"""
    with pytest.raises((DecodeError, TooLarge)):
        decode_json(b'{"resourceSpans":' + b"[" * depth + b"]" * depth + b"}")


@BOTH
@pytest.mark.parametrize("depth", [33, 101, 300])
def test_a_value_nested_too_deep_refuses_the_body(
    encode: Callable[..., bytes], decode: Callable[..., Any], depth: int
) -> None:
    """I11"""
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    with pytest.raises(DecodeError):
        decode(encode([span(attributes={"a": value})]))


@BOTH
def test_a_value_of_thirty_two_levels_is_read(encode: Callable[..., bytes], decode: Callable[..., Any]) -> None:
    value: Any = "x"
    for _ in range(32):
        value = [value]
    assert decode(encode([span(attributes={"a": value})])).spans[0].attributes["a"] == value


# --- protobuf's own faults ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        request_of(GOOD + delimited(5, b"\xff\xfe")),
        request_of(GOOD + delimited(9, delimited(1, b"\xff"))),
        delimited(1, delimited(1, delimited(1, delimited(1, b"\xff")))),
        request_of(GOOD)[:-3],
        request_of(GOOD) + b"\x0a",
        b"\x0b",
        b"\x08" + b"\xff" * 11,
        b"{}",
        b"hello, world",
        delimited(1, delimited(2, b"\x09\x01")),
        delimited(1, delimited(2, bytes([2 << 3 | 2, len(GOOD) + 4]) + GOOD)) + b"\x0a\x02\x12\x00",
    ],
    ids=[
        "I16-name",
        "I16-key",
        "I16-resource",
        "cut",
        "tag-at-the-end",
        "group",
        "endless-varint",
        "json",
        "text",
        "cut-fixed64",
        "length-past-its-parent",
    ],
)
def test_what_is_not_otlp_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="not OTLP protobuf"):
        decode_protobuf(body)


def test_unknown_fields_of_every_wire_type_are_stepped_over() -> None:
    odd = b"\x78\x05" + b"\x79" + b"\0" * 8 + b"\x7d" + b"\0" * 4 + delimited(15, b"abc") + b"\x88\x80\x01\x05"
    inner = delimited(2, GOOD) + odd
    body = delimited(1, delimited(2, inner) + odd) + odd
    assert [one.span_id for one in decode_protobuf(body).spans] == [SPAN]


def test_a_resource_sent_in_two_parts_is_merged() -> None:
    def part(key: str) -> bytes:
        return delimited(1, delimited(1, delimited(1, key.encode()) + delimited(2, delimited(1, b"v"))))

    body = delimited(1, part("a") + delimited(2, delimited(2, GOOD)) + part("b"))
    assert decode_protobuf(body).spans[0].resource == {"a": "v", "b": "v"}
