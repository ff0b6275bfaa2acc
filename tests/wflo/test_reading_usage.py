"""Usage is read from what providers answer, whole and in pieces, by object and by dict."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Message, MessageDeltaUsage, RawMessageDeltaEvent, RawMessageStartEvent
from anthropic.types.raw_message_delta_event import Delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

from wflo.reading_usage import StreamReader, answered, usage_of
from wflo.usage import Usage

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
        "service_tier": "standard",
    },
}
GEMINI = {
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
    "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {
        "promptTokenCount": 11,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 8,
        "cachedContentTokenCount": 2,
        "toolUsePromptTokenCount": 4,
    },
}
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 30,
        "output_tokens": 12,
        "total_tokens": 42,
        "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 6},
    },
}


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (CHAT, Usage(input_tokens=20, output_tokens=9, cached_tokens=5, reasoning_tokens=4, audio_input_tokens=1)),
        (
            ChatCompletion.model_validate(CHAT),
            Usage(input_tokens=20, output_tokens=9, cached_tokens=5, reasoning_tokens=4, audio_input_tokens=1),
        ),
        (
            Response.model_validate(RESPONSE),
            Usage(input_tokens=30, output_tokens=12, cached_tokens=10, cache_write_tokens=0, reasoning_tokens=6),
        ),
        (
            Message.model_validate(CLAUDE),
            Usage(
                input_tokens=130,
                output_tokens=7,
                cached_tokens=100,
                cache_write_tokens=20,
                cache_write_1h_tokens=5,
                service_tier="standard",
            ),
        ),
        (GEMINI, Usage(input_tokens=15, output_tokens=11, cached_tokens=2, reasoning_tokens=8)),
        (
            {"usage_metadata": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}},
            Usage(input_tokens=3, output_tokens=2),
        ),
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
    ],
)
def test_whole_answers(answer: Any, usage: Usage) -> None:
    assert usage_of(answer) == usage


@pytest.mark.parametrize(
    "answer", [None, "", "text", 5, [], {}, {"usage": {}}, {"usage": {"prompt_tokens": -1}}, object()]
)
def test_what_tells_no_usage_is_unknown(answer: Any) -> None:
    assert usage_of(answer) is None


def test_an_answer_that_raises_when_asked_is_unknown() -> None:
    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    assert usage_of(Hostile()) is None


def test_what_an_answer_says_of_itself() -> None:
    told = answered(ChatCompletion.model_validate(CHAT))
    assert (told.model, told.response_id, told.finish_reason) == ("gpt-4o-mini-2024-07-18", "chatcmpl-1", "stop")
    assert answered(Message.model_validate(CLAUDE)).finish_reason == "end_turn"


def test_pieces_of_openais_stream() -> None:
    reader = StreamReader()
    base = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    for choices, usage in (
        ([{"index": 0, "delta": {"content": "hel"}, "finish_reason": None}], None),
        ([{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}], None),
        ([], {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}),
    ):
        reader.feed(ChatCompletionChunk.model_validate(base | {"choices": choices, "usage": usage}))
    assert reader.text == "hello"
    assert (reader.found.usage, reader.found.finish_reason) == (Usage(input_tokens=4, output_tokens=2), "stop")


def test_pieces_of_anthropics_stream_are_merged() -> None:
    reader = StreamReader()
    start = CLAUDE | {"content": [], "stop_reason": None}
    reader.feed(RawMessageStartEvent(type="message_start", message=Message.model_validate(start)))
    reader.feed({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}})
    delta = Delta(stop_reason="end_turn", stop_sequence=None)
    reader.feed(RawMessageDeltaEvent(type="message_delta", delta=delta, usage=MessageDeltaUsage(output_tokens=44)))
    usage = reader.found.usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (130, 44, 100)
    assert (reader.text, reader.found.finish_reason, reader.found.response_id) == ("hi", "end_turn", "msg_1")


def test_pieces_of_the_responses_stream() -> None:
    reader = StreamReader()
    reader.feed({"type": "response.output_text.delta", "delta": "hi"})
    reader.feed({"type": "response.completed", "response": RESPONSE})
    assert reader.text == "hi"
    assert reader.found.usage == Usage(
        input_tokens=30, output_tokens=12, cached_tokens=10, cache_write_tokens=0, reasoning_tokens=6
    )
