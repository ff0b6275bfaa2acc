"""What was said, read from every way in which contents travel."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tracking.ingest.recordings import CASES, bodies, spans_of
from tracking.ingest.contents import PREVIEW_CHARS, Contents, contents, preview, shortened
from tracking.ingest.logs import by_span
from tracking.ingest.messages import REPR_MAX, Message, decoded, messages_of
from tracking.ingest.otlp import decode_protobuf_logs
from wflo.spans import Kind, Span

ASKED, ANSWERED = "Write a note.", "I will use search first."
CALL = {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "x"}}
RESULT = {"type": "tool_result", "id": "c1", "name": None, "result": [1]}


def read(
    attributes: dict[str, Any], *, kind: Kind = Kind.LLM, convention: str = "otel-genai", **payload: Any
) -> Contents:
    return contents({"attributes": attributes, **payload}, convention=convention, kind=kind)


def shape(messages: list[Message]) -> list[tuple[str, list[dict[str, Any]]]]:
    return [(message.role, list(message.parts)) for message in messages]


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


TALK = [("system", [words("Be brief.")]), ("user", [words(ASKED)])]
REPLY = [("assistant", [words(ANSWERED), CALL])]

PARTS_IN = [
    {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
    {"role": "user", "parts": [{"type": "text", "content": ASKED}]},
]
PARTS_OUT = [{"role": "assistant", "parts": [{"type": "text", "content": ANSWERED}, CALL], "finish_reason": "stop"}]
OPENAI_IN = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": ASKED}]}]
OPENAI_CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "x"}'}}
OPENAI_OUT = {"role": "assistant", "content": ANSWERED, "tool_calls": [OPENAI_CALL]}
ANTHROPIC_OUT = {
    "id": "msg_1",
    "role": "assistant",
    "content": [
        {"type": "text", "text": ANSWERED},
        {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "x"}},
    ],
}
FLAT = {
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.3.message.role": "user",
    "llm.input_messages.3.message.contents.0.message_content.type": "text",
    "llm.input_messages.3.message.contents.0.message_content.text": ASKED,
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": ANSWERED,
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "c1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"q": "x"}',
}
OLD_FLAT = {
    "gen_ai.prompt.0.role": "system",
    "gen_ai.prompt.0.content": "Be brief.",
    "gen_ai.prompt.1.role": "user",
    "gen_ai.prompt.1.content": json.dumps([{"type": "text", "text": ASKED}]),
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": ANSWERED,
    "gen_ai.completion.0.tool_calls.0.id": "c1",
    "gen_ai.completion.0.tool_calls.0.name": "search",
    "gen_ai.completion.0.tool_calls.0.arguments": '{"q": "x"}',
}
EVENTS = [
    {"name": "gen_ai.system.message", "attributes": {"content": "Be brief."}},
    {"name": "gen_ai.user.message", "attributes": {"content": json.dumps([{"text": ASKED}])}},
    {
        "name": "gen_ai.choice",
        "attributes": {
            "finish_reason": "tool_use",
            "message": json.dumps(
                [{"text": ANSWERED}, {"toolUse": {"toolUseId": "c1", "name": "search", "input": {"q": "x"}}}]
            ),
        },
    },
]
DETAILS = {
    "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
    "gen_ai.input.messages": json.dumps(PARTS_IN[1:]),
    "gen_ai.output.messages": json.dumps(PARTS_OUT),
}
LOGS = [
    {"event_name": "gen_ai.system.message", "body": {"content": "Be brief."}, "attributes": {}},
    {"event_name": "gen_ai.user.message", "body": {"content": ASKED}, "attributes": {}},
    {"event_name": "gen_ai.choice", "body": {"index": 0, "message": OPENAI_OUT}, "attributes": {}},
]
WAYS: list[dict[str, Any]] = [
    {"attributes": {"gen_ai.input.messages": json.dumps(PARTS_IN), "gen_ai.output.messages": json.dumps(PARTS_OUT)}},
    {"attributes": DETAILS},
    {"attributes": FLAT},
    {"attributes": OLD_FLAT},
    {"events": EVENTS},
    {"events": [{"name": "gen_ai.client.inference.operation.details", "attributes": DETAILS}]},
    {"logs": LOGS},
    {"logs": [{"event_name": "gen_ai.client.inference.operation.details", "body": None, "attributes": DETAILS}]},
    {"attributes": {"input.value": json.dumps({"messages": OPENAI_IN}), "output.value": json.dumps({"choices": [{"message": OPENAI_OUT}]})}},
    {"attributes": {"mlflow.spanInputs": json.dumps({"messages": OPENAI_IN}), "mlflow.spanOutputs": json.dumps(ANTHROPIC_OUT)}},
    {"attributes": {"langfuse.observation.input": json.dumps(OPENAI_IN), "langfuse.observation.output": json.dumps(OPENAI_OUT)}},
    {"attributes": {"gen_ai.prompt": str({"messages": OPENAI_IN}), "gen_ai.completion": str({"messages": [OPENAI_OUT]})}},
    {
        "attributes": {
            "ai.prompt.messages": json.dumps(OPENAI_IN),
            "ai.response.text": ANSWERED,
            "ai.response.toolCalls": json.dumps([{"toolCallId": "c1", "toolName": "search", "input": '{"q": "x"}'}]),
        }
    },
    {
        "attributes": {
            "traceloop.entity.input": json.dumps({"inputs": {}, "messages": [
                {"lc": 1, "type": "constructor", "id": ["langchain", "SystemMessage"], "kwargs": {"content": "Be brief."}},
                {"type": "human", "data": {"content": ASKED}},
            ]}),
            "traceloop.entity.output": json.dumps({"generations": [[{"text": "", "message": {
                "type": "ai", "data": {"content": ANSWERED, "tool_calls": [{"name": "search", "args": {"q": "x"}, "id": "c1"}]},
            }}]]}),
        }
    },
]  # fmt: skip


@pytest.mark.parametrize("payload", WAYS)
def test_one_talk_is_the_same_talk_in_whatever_way_it_travels(payload: dict[str, Any]) -> None:
    found = read(**{"attributes": {}, **payload})
    assert shape(found.input) == TALK
    assert shape(found.output) == REPLY
    assert (found.input_text, found.output_text) == (ASKED, ANSWERED)


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ({"role": "tool", "tool_call_id": "c1", "content": "[1]"}, ("tool", [RESULT])),
        ({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "[1]"}]}, ("user", [RESULT])),
        ({"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": [1]}]}, ("tool", [RESULT])),
        ({"type": "function_call_output", "call_id": "c1", "output": "[1]"}, ("user", [RESULT])),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}]}, ("assistant", [{"type": "reasoning", "text": "hm"}])),
        ({"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]}, ("assistant", [{"type": "reasoning", "text": "hm"}])),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]},
         ("user", [{"type": "image", "url": "https://x.example/a.png", "mime_type": None}])),
        ({"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]},
         ("user", [{"type": "image", "url": None, "mime_type": "image/png"}])),
        ({"role": "user", "content": [{"type": "video", "n": 1}]}, ("user", [{"type": "other", "value": {"type": "video", "n": 1}}])),
        ({"role": "model", "parts": [{"text": "hi"}]}, ("assistant", [words("hi")])),
        ({"role": "model", "parts": [{"functionCall": {"name": "search", "args": {"q": "x"}}}]},
         ("assistant", [{**CALL, "id": None}])),
        (["user", "hi"], ("user", [words("hi")])),
        ("hi", ("user", [words("hi")])),
        ({"role": "user", "content": "hi", "tool_calls": True}, ("user", [words("hi")])),
        ({"topic": "batteries"}, ("user", [words("batteries")])),
        ({"a": 1, "b": 2}, ("user", [words('{"a":1,"b":2}')])),
    ],
)  # fmt: skip
def test_each_providers_parts_become_one_shape(message: Any, want: tuple[str, list[dict[str, Any]]]) -> None:
    assert shape(messages_of(message, role="user")) == [want]


def test_a_tool_call_told_in_content_and_beside_it_is_one() -> None:
    message = {**ANTHROPIC_OUT, "tool_calls": [OPENAI_CALL]}
    assert shape(messages_of(message, role="assistant")) == REPLY


@pytest.mark.parametrize(
    ("attributes", "asked", "answered"),
    [
        ({"gen_ai.tool.call.arguments": '{"q": "x"}', "gen_ai.tool.call.result": "7"}, '{"q": "x"}', "7"),
        ({"input.value": '{"q": "x"}', "output.value": "found"}, '{"q": "x"}', "found"),
        ({"mlflow.spanInputs": '{"q": "x"}', "mlflow.spanOutputs": '"found"'}, '{"q": "x"}', "found"),
        ({"ai.toolCall.args": '{"q":"x"}', "ai.toolCall.result": '"found"'}, '{"q":"x"}', "found"),
        ({"output.value": '{"type": "tool", "data": {"content": "found", "tool_call_id": "c1"}}'}, "", "found"),
        ({"output.value": '{"output": {"content": "found", "additional_kwargs": {}}}'}, "", "found"),
        ({"output.value": '{"id": "c1", "name": "search", "response": {"result": 7}}'}, "", '{"result":7}'),
        ({"output.value": '[{"text": "found"}, {"text": "more"}]'}, "", "found\nmore"),
        ({"output.value": '[{"text": "found", "score": 1}]'}, "", '[{"text": "found", "score": 1}]'),
        ({"traceloop.entity.output": '{"output": {"lc": 1, "kwargs": {"content": "found", "tool_call_id": "c1"}}, "kwargs": {}}',
          "traceloop.entity.input": '{"input_str": "x", "inputs": {"q": "x"}}'}, '{"q":"x"}', "found"),
        ({"traceloop.entity.output": '{"tool_name": "search", "tool_output": {"tool_name": "search", "raw_output": "found"}}',
          "tool.arguments": '{"q": "x"}'}, '{"q": "x"}', "found"),
        ({"input.value": '{"args": [], "sanitize_inputs_outputs": true, "kwargs": {"q": "x"}}'}, '{"q":"x"}', ""),
        ({"input.value": '{"args": ["x"], "kwargs": {}}'}, '{"args": ["x"], "kwargs": {}}', ""),
        ({"input.value": '{"input": {"q": "x"}, "options": null}'}, '{"q":"x"}', ""),
        ({}, "", ""),
    ],
)  # fmt: skip
def test_a_tool_shows_its_arguments_and_its_result(attributes: dict[str, Any], asked: str, answered: str) -> None:
    found = read(attributes, kind=Kind.TOOL)
    assert (found.input_text, found.output_text) == (asked, answered)


def test_a_tools_result_may_stand_in_events() -> None:
    events = [
        {"name": "gen_ai.tool.message", "attributes": {"content": '{"q": "x"}', "id": "c1"}},
        {"name": "gen_ai.choice", "attributes": {"message": "found"}},
    ]
    found = read({}, kind=Kind.TOOL, events=events)
    assert (found.input_text, found.output_text) == ('{"q": "x"}', "found")


def test_instructions_told_beside_a_system_message_are_told_once() -> None:
    attributes = {**DETAILS, "gen_ai.input.messages": json.dumps(PARTS_IN)}
    assert shape(read(attributes).input) == TALK


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai.tool.definitions": json.dumps([{"type": "function", "name": "search", "description": "Finds", "parameters": SCHEMA}])},
        {"llm.tools.0.tool.json_schema": json.dumps({"type": "function", "function": {"name": "search", "description": "Finds", "parameters": SCHEMA}})},
        {"llm.tools.0.tool.json_schema": json.dumps({"name": "search", "description": "Finds", "input_schema": SCHEMA})},
        {"llm.request.functions.0.name": "search", "llm.request.functions.0.description": "Finds", "llm.request.functions.0.parameters": json.dumps(SCHEMA)},
        {"mlflow.chat.tools": json.dumps([{"type": "function", "function": {"name": "search", "description": "Finds", "parameters": SCHEMA}}])},
        {"ai.prompt.tools": [json.dumps({"type": "function", "name": "search", "description": "Finds", "inputSchema": SCHEMA})]},
        {"langfuse.observation.input": json.dumps({"messages": [], "tools": [{"function": {"name": "search", "description": "Finds", "parameters": SCHEMA}}]})},
        {"langfuse.observation.input": json.dumps([{"role": "tool", "content": {"type": "function", "function": {"name": "search", "description": "Finds", "parameters": SCHEMA}}}])},
    ],
)  # fmt: skip
def test_the_tools_a_model_was_offered_are_read(attributes: dict[str, Any]) -> None:
    found = read(attributes)
    assert [(tool.name, tool.description, tool.parameters) for tool in found.tools] == [("search", "Finds", SCHEMA)]
    assert not any(message.role == "tool" for message in found.input)


def test_documents_keep_their_scores_and_their_order() -> None:
    attributes = {
        "retrieval.documents.1.document.content": "second",
        "retrieval.documents.0.document.content": "first",
        "retrieval.documents.0.document.id": "n1",
        "retrieval.documents.0.document.score": 0.9,
    }
    found = read(attributes, kind=Kind.RETRIEVER).documents
    assert [(one.content, one.id, one.score) for one in found] == [("first", "n1", 0.9), ("second", None, None)]
    listed = {"mlflow.spanOutputs": json.dumps([{"page_content": "first", "metadata": {"id": "n1"}}])}
    assert [(one.content, one.id) for one in read(listed, kind=Kind.RETRIEVER).documents] == [("first", "n1")]


def test_values_are_tried_as_json_then_as_python_then_kept_as_text() -> None:
    assert decoded('{"a": [1]}') == {"a": [1]}
    assert decoded("{'a': None, 'b': (1, 2)}") == {"a": None, "b": (1, 2)}
    assert decoded("{not either}") == "{not either}"
    assert decoded("plain") == "plain"
    assert decoded("[" * 100_000) == "[" * 100_000
    long = "{'a': '" + "x" * REPR_MAX + "'}"
    assert decoded(long) == long
    assert decoded("__import__('os')") == "__import__('os')"


def test_log_records_of_a_recording_carry_what_was_said() -> None:
    records = [record for _, body in bodies("openai-otel-v2", signal="logs") for record in decode_protobuf_logs(body)]
    by_id = {(one.trace_id, one.span_id): one.records for one in by_span(records)[0]}
    calls = [span for span in spans_of("openai-otel-v2") if span.kind is Kind.LLM]
    read_back = [read(span.attributes, logs=by_id.get((span.trace_id, span.span_id), [])) for span in calls]

    assert all(found.input_text for found in read_back)
    assert read_back[0].input_text == "Write a short, sourced note on solid-state battery production in 2026."
    assert read_back[0].output_text == "I will use search_web first."
    assert [part["name"] for part in read_back[0].output[0].parts if part["type"] == "tool_call"] == ["search_web"]


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("autogen-native", "openai-otel-v2")])
def test_every_recording_shows_what_was_asked_and_answered(case: str) -> None:
    calls = [span for span in spans_of(case) if span.kind is Kind.LLM]
    found = [read(span.attributes, convention=span.convention, events=span.events) for span in calls]

    assert any(one.input_text for one in found)
    said = [part["type"] for one in found for message in one.output for part in message.parts]
    assert "text" in said
    assert "tool_call" in said


def test_a_preview_is_short_and_in_one_line() -> None:
    asked = "line\n" * 1_000
    span = Span(
        trace_id="1" * 32, span_id="2" * 16, kind=Kind.LLM, attributes={"input.value": asked, "output.value": "x" * 400}
    )
    first, last = map(shortened, preview(span))
    assert len(first) == len(last) == PREVIEW_CHARS
    assert "\n" not in first
    assert last.endswith("…")
    assert preview(Span(trace_id="1" * 32, span_id="2" * 16)) == ("", "")


def test_a_preview_says_what_the_user_asked_first_and_what_came_last() -> None:
    span = Span(
        trace_id="1" * 32,
        span_id="2" * 16,
        kind=Kind.CHAIN,
        attributes={
            "input.value": json.dumps({"messages": [["system", "Be brief."], ["user", ASKED]]}),
            "output.value": json.dumps({"messages": [["user", ASKED], ["ai", "first"], ["ai", "last"]]}),
        },
    )
    assert preview(span) == (ASKED, "last")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30)
    | st.sampled_from(["user", "text", "tool", "ai", '{"role": "user"}', "[[", "{'a'"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["role", "content", "type", "parts", "text", "message", "messages", "tool_calls", "function", "id", "data", "kwargs", "name", "input", "update", "choices"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
keys = st.sampled_from(
    [
        *FLAT,
        *OLD_FLAT,
        *DETAILS,
        "input.value",
        "output.value",
        "ai.response.toolCalls",
        "events",
        "langfuse.observation.input",
    ]
    + ["llm.tools.0.tool.json_schema", "retrieval.documents.0.document.content", "llm.input_messages.x.message"]
)


@given(
    st.dictionaries(keys, anything | anything.map(json.dumps), max_size=6),
    anything,
    anything,
    st.sampled_from(list(Kind)),
)
@settings(max_examples=150, deadline=None)
def test_nothing_a_sender_writes_can_break_the_reading(
    attributes: dict[str, Any], events: Any, logs: Any, kind: Kind
) -> None:
    for convention in ("logfire", "openinference"):
        found = contents({"attributes": attributes, "events": events, "logs": logs}, convention=convention, kind=kind)
        for message in found.input + found.output:
            assert message.parts
            assert all(isinstance(part["type"], str) for part in message.parts)
        assert isinstance(found.input_text, str)
        assert isinstance(found.output_text, str)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ([{"type": "text", "content": "in the hub"}], "in the hub"),
        ([{"type": "text", "text": '{"parcel": 7}'}], {"parcel": 7}),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([{"type": "image", "uri": "x"}], [{"type": "image", "uri": "x"}]),
        ('{"parcel": 7}', {"parcel": 7}),
    ],
)
def test_what_a_tool_answered_is_shown_as_it_said_it(content: object, answer: object) -> None:
    (message,) = messages_of([{"role": "tool", "content": content}], role="user")
    assert message.parts[0]["result"] == answer
