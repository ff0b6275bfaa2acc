"""Wire formats read from bytes: whatever the pieces a stream comes in, and whatever a provider counts. No server, no rows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracking.gateway import tokens
from tracking.gateway.dialects import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, Dialect
from tracking.gateway.dialects.counts import Tokens
from tracking.gateway.dialects.sse import EVENT_BYTES_MAX, Events, TooLong, data_of, name_and_data
from wflo.usage import Usage

STREAM = 'event: a\ndata: {"é":1}\n\n: keep-alive\n\ndata: x\ndata: y\n\n\ndata: 漢\n\nevent:b\ndata:z\n\n'


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@given(cuts=st.lists(st.integers(0, 80), max_size=8))
def test_events_are_the_bytes_they_came_in_wherever_they_are_cut(end: str, cuts: list[int]) -> None:
    raw = STREAM.replace("\n", end).encode()
    places = sorted({0, len(raw), *(min(cut, len(raw)) for cut in cuts)})
    events = Events()
    found = [one for a, b in zip(places, places[1:], strict=False) for one in events.cut(raw[a:b])]
    assert b"".join(found) + events.rest == raw
    assert [data_of(one) for one in found if data_of(one)] == ['{"é":1}'.encode(), b"x\ny", "漢".encode(), b"z"]
    assert [name_and_data(one)[0] for one in found if data_of(one)] == [b"a", b"", b"", b"b"]


def test_an_event_without_an_end_is_given_up() -> None:
    events = Events()
    with pytest.raises(TooLong):
        events.cut(b"data: " + b"x" * EVENT_BYTES_MAX)


INSIDE = {"cached_tokens": 40, "cache_write_tokens": 5}
ANSWERS: list[tuple[Dialect, Any, Usage | None]] = [
    (CHAT, {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": INSIDE,
            "completion_tokens_details": {"reasoning_tokens": 9}},
     Usage(input_tokens=100, output_tokens=20, cached_tokens=40, cache_write_tokens=5, reasoning_tokens=9)),
    (RESPONSES, {"input_tokens": 100, "output_tokens": 20, "input_tokens_details": INSIDE,
                 "output_tokens_details": {"reasoning_tokens": 9}},
     Usage(input_tokens=100, output_tokens=20, cached_tokens=40, cache_write_tokens=5, reasoning_tokens=9)),
    (MESSAGES, {"input_tokens": 100, "output_tokens": 20}, Usage(input_tokens=100, output_tokens=20)),
    (MESSAGES, {"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}},
     Usage(input_tokens=145, output_tokens=20, cached_tokens=40, cache_write_tokens=5, cache_write_1h_tokens=3)),
    (MESSAGES, {"input_tokens": 100, "output_tokens": 20, "output_tokens_details": {"thinking_tokens": 9},
                "service_tier": "priority"},
     Usage(input_tokens=100, output_tokens=20, reasoning_tokens=9, service_tier="priority")),
    (EMBEDDINGS, {"prompt_tokens": 7, "total_tokens": 7}, Usage(input_tokens=7, output_tokens=0)),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "usage", "expected"), ANSWERS)
def test_counts_are_read_inclusive(dialect: Dialect, usage: Any, expected: Usage) -> None:
    seen = dialect.answered({"usage": usage})
    assert (seen.usage, seen.is_usage_bad) == (expected, False)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("count", [-5, "12", 1e18, 10**13, True, None, 1.5, [1]])
def test_counts_that_cannot_be_are_not_believed(dialect: Dialect, count: Any) -> None:
    """B19."""
    usage = {"prompt_tokens": count, "completion_tokens": 3, "input_tokens": count, "output_tokens": 3}
    seen = dialect.answered({"usage": usage})
    assert (seen.usage, seen.is_usage_bad) == (None, True)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("answer", [{}, {"usage": None}, {"usage": {}}, {"choices": None, "output": 5, "content": "x", "data": {}}])  # fmt: skip
def test_an_answer_of_another_shape_is_read_as_far_as_it_goes(dialect: Dialect, answer: Any) -> None:
    seen = dialect.answered(answer)
    assert (seen.usage, seen.is_usage_bad, seen.text) == (None, False, "")


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, MESSAGES], ids=lambda dialect: dialect.name)
@given(raw=st.lists(st.sampled_from([b"data: ", b"event: ", b"\n", b"\r\n", b"{}", b"[1]", b'{"type":"content_block_delta","delta":5}',
    b'{"type":"message_start","message":{"usage":[]}}', b'{"type":"response.completed","response":{"output":[5]}}', b"[DONE]",
    b'{"choices":[{"delta":{"tool_calls":[5,{"index":"x"}]}}]}', b'{"type":"response.output_item.added","item":{},"output_index":0}',
    b"\xff\xfe", b'{"usage":{"prompt_tokens":"x"}}', b"content_block_start"]), max_size=30))  # fmt: skip
def test_no_stream_breaks_a_reader(dialect: Dialect, raw: list[bytes]) -> None:
    reader = dialect.reader({"stream_options": {"include_usage": True}})
    out = b"".join(reader.feed(piece) for piece in raw)
    reader.end()
    assert out in b"".join(raw) or reader.held_back


def test_a_cap_below_what_was_set_apart_for_thoughts_lowers_that_too() -> None:
    body = {
        "model": "x",
        "max_tokens": 20_000,
        "thinking": {"type": "enabled", "budget_tokens": 10_000},
        "messages": [{}],
    }
    assert MESSAGES.sent(body, model="y", output_tokens=15_000)["thinking"]["budget_tokens"] == 10_000
    assert MESSAGES.sent(body, model="y", output_tokens=4_000)["thinking"]["budget_tokens"] == 2_000
    assert MESSAGES.sent(body, model="y", output_tokens=1_500)["thinking"]["budget_tokens"] == 1_024
    assert MESSAGES.sent(body, model="y", output_tokens=500)["thinking"] == {"type": "disabled"}
    assert body["max_tokens"] == 20_000


def test_what_is_not_there_to_be_counted_counts_all_the_same() -> None:
    assert tokens.bound([Tokens(5), "abc"], model="x") == 8
    assert tokens.count([Tokens(5)], provider="openai", model="x") == 5
    written = {"type": "document", "source": {"type": "text", "data": "word " * 40_000}}
    assert tokens.bound([written], model="x") > 200_000
    kept = {"model": "x", "input": [{"type": "reasoning", "id": "rs_1", "summary": []}]}
    assert tokens.bound(RESPONSES.counted(kept), model="x") > 4_096
    sealed = {"model": "x", "input": [{"type": "reasoning", "encrypted_content": "a" * 100, "summary": []}]}
    assert 100 < tokens.bound(RESPONSES.counted(sealed), model="x") < 400


def test_tool_calls_of_a_broken_stream_are_recorded_as_far_as_they_came() -> None:
    start = {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}},
    }
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"ci'}}
    reader = MESSAGES.reader({})
    for said in (start, delta):
        reader.feed(f"event: {said['type']}\ndata: {json.dumps(said)}\n\n".encode())
    seen = reader.end()
    assert seen.message[0]["content"] == [{"type": "tool_use", "id": "t", "name": "look", "input": '{"ci'}]
    assert (seen.is_complete, seen.open_block) == (False, 0)
