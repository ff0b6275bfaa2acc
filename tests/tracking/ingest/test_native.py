"""Our own events -> Span. The numbers I… are cases of the catalogue of ingest faults."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import orjson
import pytest

from tracking.errors import TooLarge
from tracking.ingest.decoded import DecodeError
from tracking.ingest.native import Events, decode_events
from wflo.ids import root_span_id_of, trace_id_of
from wflo.spans import Kind, Span, Status

AT = "2026-11-20T10:00:00Z"
AT_NS = 1_795_168_800 * 10**9


def event(kind: str = "llm_call", **fields: Any) -> dict[str, Any]:
    given = {"kind": kind, "event_id": "e1", "run_id": "order-17", "ts": AT, **fields}
    return {name: value for name, value in given.items() if value is not ...}


def decode(*events: object, most: int = 500) -> Events:
    return decode_events(orjson.dumps({"events": events}), events_max=most)


def one(**fields: Any) -> Span:
    decoded = decode(event(**fields))
    assert decoded.rejected == []
    (span,) = decoded.spans
    return span


def test_an_llm_call_is_a_whole_span() -> None:
    span = one(
        agent="researcher",
        model="gpt-4o-2024-08-06",
        requested_model="gpt-4o",
        provider="openai",
        input_tokens=1200,
        output_tokens="80",
        cached_tokens=1000.0,
        cost_usd=0.0042,
        duration_ms=1500.5,
        purpose="plan",
        attempt=2,
        finish_reason="stop",
        response_id="chatcmpl-1",
        input=[{"role": "user", "content": "hi"}],
        output="hello",
        seq=3,
    )
    assert (span.kind, span.agent, span.model, span.requested_model) == (
        Kind.LLM,
        "researcher",
        "gpt-4o-2024-08-06",
        "gpt-4o",
    )
    assert span.usage is not None
    assert (span.usage.input_tokens, span.usage.output_tokens, span.usage.cached_tokens) == (1200, 80, 1000)
    assert span.reported_cost_usd == Decimal("0.0042")
    assert (span.started_ns, span.ended_ns) == (AT_NS, AT_NS + 1_500_500_000)
    assert (span.purpose, span.attempt, span.finish_reason, span.response_id) == ("plan", 2, "stop", "chatcmpl-1")
    assert span.attributes["gen_ai.usage.input_tokens"] == 1200
    assert span.attributes["gen_ai.input.messages"] == '[{"role":"user","content":"hi"}]'
    assert span.attributes["gen_ai.output.messages"] == "hello"
    assert span.attributes["wflo.seq"] == 3
    assert (span.run_id, span.trace_id) == ("order-17", trace_id_of("order-17"))
    assert span.parent_id == root_span_id_of("order-17")


def test_unknown_tokens_stay_unknown() -> None:
    assert one(model="gpt-4o").usage is None


def test_a_failed_tool_call_says_so() -> None:
    span = one(kind="tool_call", tool="search", tool_call_id="call_1", error="no network", input={"q": "x"})
    assert (span.kind, span.tool_name, span.tool_call_id) == (Kind.TOOL, "search", "call_1")
    assert (span.status, span.error) == (Status.ERROR, "no network")
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"q":"x"}'


def test_a_run_opens_and_closes_one_span() -> None:
    decoded = decode(
        event(
            "run.start",
            event_id="1",
            agent="boss",
            input="go",
            session_id="s1",
            user_id="u1",
            tags=["a"],
            metadata={"k": 1},
        ),
        event("run.end", event_id="2", ts="2026-11-20T10:00:09Z", output={"ok": True}),
    )
    start, end = decoded.spans
    assert start.span_id == end.span_id == root_span_id_of("order-17")
    assert (start.kind, start.ended_ns, start.session_id, start.user_id) == (Kind.AGENT, None, "s1", "u1")
    assert (start.tags, start.metadata) == (("a",), {"k": 1})
    assert (end.kind, end.name) == (Kind.OTHER, ""), "the start's word stands"
    assert (end.ended_ns, end.status) == (AT_NS + 9 * 10**9, Status.OK)
    assert end.attributes["output.value"] == '{"ok":true}'
    assert decoded.run_ids == ["order-17"]


def test_a_span_opens_and_closes_under_its_own_id() -> None:
    decoded = decode(
        event("span.start", event_id="1", span_id="step 1", span_kind="retriever", name="look up"),
        event("span.end", event_id="2", span_id="step 1", ts="2026-11-20T10:00:02.5Z"),
        event("tool_call", event_id="3", tool="t", parent_span_id="step 1"),
    )
    start, end, child = decoded.spans
    assert start.span_id == end.span_id == child.parent_id
    assert (start.kind, end.kind) == (Kind.RETRIEVER, Kind.OTHER)
    assert (start.ended_ns, end.ended_ns) == (None, AT_NS + 2_500_000_000)


def test_a_sub_run_is_linked_to_the_run_that_began_it() -> None:
    span = one(kind="run.start", parent_run_id="order-16")
    assert span.links == [
        {"trace_id": trace_id_of("order-16"), "span_id": root_span_id_of("order-16"), "attributes": {}}
    ]


@pytest.mark.parametrize("kind", ["agent_message", "loop", "retry", "circuit", "consensus", "checkpoint"])
def test_what_happened_at_a_moment_is_a_step_with_its_facts(kind: str) -> None:
    span = one(kind=kind, name="x", count=3, detail={"a": [1]})
    assert (span.kind, span.name, span.started_ns, span.ended_ns) == (Kind.OTHER, f"{kind}: x", AT_NS, AT_NS)
    assert span.attributes[f"wflo.{kind}.count"] == 3
    assert span.attributes[f"wflo.{kind}.detail"] == {"a": [1]}


def test_ids_follow_from_the_event_alone() -> None:
    """I49"""
    events = [event(event_id=f"e{i}", run_id=f"r{i % 3}") for i in range(50)]
    ids = {e["event_id"]: (s.trace_id, s.span_id) for e, s in zip(events, decode(*events).spans, strict=True)}
    assert len(set(ids.values())) == 50
    random.Random(1).shuffle(events)
    again = {e["event_id"]: (s.trace_id, s.span_id) for e, s in zip(events, decode(*events).spans, strict=True)}
    assert again == ids


def test_ids_given_in_hex_are_kept() -> None:
    span = one(trace_id="AB" * 16, span_id="CD" * 8, parent_span_id="ef" * 8)
    assert (span.trace_id, span.span_id, span.parent_id) == ("ab" * 16, "cd" * 8, "ef" * 8)


@pytest.mark.parametrize(
    ("ts", "expected_ns"),
    [
        ("2026-11-20T10:00:00+00:00", AT_NS),
        ("2026-11-20T12:00:00+02:00", AT_NS),
        ("2026-11-20T10:00:00", AT_NS),
        ("2026-11-20 10:00:00.123456Z", AT_NS + 123_456_000),
        (1_795_168_800, AT_NS),
        (1_795_168_800.25, AT_NS + 250_000_000),
    ],
)
def test_times_are_read_exactly(ts: object, expected_ns: int) -> None:
    assert one(ts=ts).started_ns == expected_ns


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"kind": ...}, "missing", "kind"),
        ({"kind": "span"}, "unknown_kind", "kind"),
        ({"kind": 5}, "invalid", "kind"),
        ({"event_id": ...}, "missing", "event_id"),
        ({"event_id": "e" * 129}, "too_long", "event_id"),
        ({"run_id": ""}, "missing", "run_id"),
        ({"run_id": 17}, "invalid", "run_id"),
        ({"ts": ...}, "missing", "ts"),
        ({"ts": "noon"}, "invalid", "ts"),
        ({"ts": -1}, "invalid", "ts"),
        ({"ts": 1e300}, "invalid", "ts"),
        ({"ts": True}, "invalid", "ts"),
        ({"trace_id": "xyz"}, "invalid", "trace_id"),
        ({"trace_id": "0" * 32}, "invalid", "trace_id"),
        ({"input_tokens": -1}, "invalid", "input_tokens"),
        ({"input_tokens": 1.5}, "invalid", "input_tokens"),
        ({"input_tokens": True}, "invalid", "input_tokens"),
        ({"output_tokens": "many"}, "invalid", "output_tokens"),
        ({"output_tokens": 10**15}, "invalid", "output_tokens"),
        ({"attempt": 40_000}, "invalid", "attempt"),
        ({"first_token_ms": 1e300}, "invalid", "first_token_ms"),
        ({"cost_usd": -0.01}, "invalid", "cost_usd"),
        ({"cost_usd": "NaN"}, "invalid", "cost_usd"),
        ({"cost_usd": "Infinity"}, "invalid", "cost_usd"),
        ({"cost_usd": 10**9}, "invalid", "cost_usd"),
        ({"cost_usd": []}, "invalid", "cost_usd"),
        ({"duration_ms": -5}, "invalid", "duration_ms"),
        ({"duration_ms": 1e18}, "invalid", "duration_ms"),
        ({"attributes": []}, "invalid", "attributes"),
        ({"metadata": "x"}, "invalid", "metadata"),
        ({"tags": "x"}, "invalid", "tags"),
        ({"tags": [1]}, "invalid", "tags"),
        ({"status": "fine"}, "invalid", "status"),
        ({"agent": "a" * 201}, "too_long", "agent"),
        ({"kind": "tool_call"}, "missing", "tool"),
        ({"kind": "span.start"}, "missing", "span_id"),
        ({"kind": "span.start", "span_id": "x", "span_kind": "dance"}, "invalid", "span_kind"),
    ],
)
def test_a_bad_event_is_rejected_alone_with_its_place_and_field(fields: dict[str, Any], code: str, field: str) -> None:
    """I48, I17"""
    decoded = decode(event(event_id="a"), event(**fields), event(event_id="b"))
    assert decoded.places == [0, 2]
    ((index, got, message),) = [(r.index, r.code, r.message) for r in decoded.rejected]
    assert (index, got) == (1, code)
    assert message.startswith(f"{field}: ")


def test_one_bad_of_five_hundred_is_named_and_the_others_are_kept() -> None:
    """I48"""
    events = [event(event_id=str(i)) for i in range(500)]
    events[317]["input_tokens"] = -1
    decoded = decode(*events)
    assert len(decoded.spans) == 499
    assert [(r.index, r.event_id) for r in decoded.rejected] == [(317, "317")]


@pytest.mark.parametrize("name", ["attributes", "metadata", "input", "state"])
def test_what_is_nested_too_deep_is_rejected(name: str) -> None:
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    decoded = decode(event("checkpoint", **{name: deep}))
    assert [r.code for r in decoded.rejected] == ["too_deep"]


def test_a_nul_in_an_id_becomes_a_replacement_character() -> None:
    """I14"""
    assert one(run_id="a\0b", session_id="c\0").run_id == "a\ufffdb"


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"events":{}}', b'{"events":null}', b"null", b"7"])
def test_a_body_without_events_is_refused(body: bytes) -> None:
    with pytest.raises(DecodeError, match="events"):
        decode_events(body, events_max=500)


def test_no_events_are_no_spans_and_too_many_are_refused() -> None:
    assert decode().spans == []
    with pytest.raises(TooLarge):
        decode(event(), event(), event(), most=2)
