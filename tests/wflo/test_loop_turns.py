"""Fingerprints: what of a request, an answer and a tool's call is compared, in every dialect; and what of it is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loop_traces import anthropic_body, chat_body, played, responses_body, span_steps, traces
from wflo.loops import (
    Fingerprint,
    Outcome,
    call_of,
    llm_step,
)
from wflo.loops.outcomes import asks_for_patience, outcome_of
from wflo.loops.text import TEXT_READ_MAX, WORDS_KEPT, error_text, plain, result_text, similarity, sketch
from wflo.loops.turns import (
    answer,
    anthropic_answer,
    anthropic_fingerprint,
    chat_answer,
    chat_fingerprint,
    fingerprint,
    react_rounds,
    responses_answer,
    responses_fingerprint,
)

# Only some dialects mark a tool's failure.
SCRIPTS = [
    trace
    for trace in traces()
    if "events" in trace.script and not any("errors" in event for event in trace.script["events"])
]


def chat(*messages: dict[str, Any], **options: Any) -> Fingerprint:
    return chat_fingerprint({"messages": list(messages), **options})


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def calls(*named: tuple[str, str, str]) -> dict[str, Any]:
    told = [{"id": one, "type": "function", "function": {"name": name, "arguments": args}} for one, name, args in named]
    return {"role": "assistant", "content": None, "tool_calls": told}


def told(identity: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": content}


@pytest.mark.parametrize("trace", SCRIPTS[::5], ids=lambda trace: trace.name)
def test_a_turn_is_the_same_in_every_dialect(trace: Any) -> None:
    for call in played(trace):
        found = [
            chat_fingerprint(chat_body(call)),
            anthropic_fingerprint(anthropic_body(call)),
            responses_fingerprint(responses_body(call)),
        ]
        recorded = span_steps(call)[0].fingerprint
        assert recorded is not None
        found.append(recorded)
        for field in ("system", "turn", "shape", "topic", "words", "round_count", "rounds", "is_patient", "may_wait"):
            values = {str(getattr(one, field)) for one in found}
            assert len(values) == 1, field


def test_an_answer_is_the_same_in_every_dialect() -> None:
    words = [
        chat_answer({"choices": [{"message": {"role": "assistant", "content": "Hello there."}}]}),
        anthropic_answer(
            {"content": [{"type": "thinking", "thinking": "?"}, {"type": "text", "text": "Hello  there"}]}
        ),
        responses_answer(
            {
                "output": [
                    {
                        "type": "message",
                        "role": "assistant",
                        "content": [{"type": "output_text", "text": "hello there"}],
                    }
                ]
            }
        ),
    ]
    assert len(set(words)) == 1
    assert (words[0].word_count, words[0].calls) == (2, ())
    called = [
        chat_answer(
            {
                "choices": [
                    {
                        "message": {
                            "content": "I look.",
                            "tool_calls": calls(("1", "f", '{"a": 1, "b": 2}'))["tool_calls"],
                        }
                    }
                ]
            }
        ),
        anthropic_answer({"content": [{"type": "tool_use", "id": "2", "name": "f", "input": {"b": 2, "a": 1}}]}),
        responses_answer(
            {"output": [{"type": "function_call", "call_id": "3", "name": "f", "arguments": '{"b":2,"a":1}'}]}
        ),
    ]
    assert len(set(called)) == 1
    assert called[0].calls == ("f",)


# --- the turn ---------------------------------------------------------------------------------------------------------


def test_a_turn_begins_after_the_last_answer_in_words() -> None:
    new = chat(user("And of Spain?"))
    grown = chat(user("Capital of France?"), {"role": "assistant", "content": "Paris."}, user("And of Spain?"))
    assert (new.turn, new.topic, new.words) == (grown.turn, grown.topic, grown.words)
    assert new.request != grown.request
    assert (new.depth, grown.depth) == (1, 3)


def test_calls_and_their_answers_belong_to_the_turn() -> None:
    asked = [user("Weather?"), calls(("1", "weather", '{"town": "Lyon"}')), told("1", "rain")]
    one = chat(*asked)
    two = chat(*asked, calls(("2", "weather", '{"town": "Nice"}')), told("2", "sun"))
    assert one.topic == two.topic == chat(user("Weather?")).topic
    assert len({chat(user("Weather?")).turn, one.turn, two.turn}) == 3
    assert [len(one.rounds), len(two.rounds), two.round_count] == [1, 2, 2]
    assert [call.name for call in two.rounds[1]] == ["weather"]
    assert two.words == (), "only turns of words are compared by words"


def test_parallel_calls_are_one_round_and_the_same_call_in_it_one_call() -> None:
    both = calls(("1", "f", "{}"), ("2", "g", "{}"), ("3", "f", "{}"))
    found = chat(user("Go"), both, told("2", "y"), told("1", "x"), told("3", "x"))
    assert found.round_count == 1
    assert sorted(call.name for call in found.rounds[0]) == ["f", "g"]


def test_ids_of_calls_make_no_difference() -> None:
    one, two = (chat(user("Go"), calls((x, "f", "{}")), told(x, "y"), calls((y, "f", "{}"))) for x, y in ("ab", "cd"))
    assert one == two


def test_what_a_framework_puts_in_after_a_call_does_not_change_the_topic() -> None:
    asked = [user("Weather?"), calls(("1", "weather", "{}")), told("1", "rain")]
    assert chat(*asked, user("Go on.")).topic == chat(*asked).topic
    assert chat(*asked, user("Go on.")).turn != chat(*asked).turn


def test_words_of_others_at_the_end_belong_to_the_turn() -> None:
    routed = [user("Plot it."), {"role": "assistant", "name": "researcher", "content": "The figures are 1, 2, 3."}]
    assert chat(*routed).turn != chat(user("Plot it.")).turn
    assert chat(*routed).topic == chat(user("Plot it.")).topic


def test_a_dialect_is_named_and_an_unknown_one_refused() -> None:
    body = {"messages": [user("Hi")], "input": "Hi"}
    assert fingerprint(body) == fingerprint(body, "chat") == chat_fingerprint(body)
    assert fingerprint(body, "anthropic") == anthropic_fingerprint(body)
    assert fingerprint(body, "responses") == responses_fingerprint(body)
    said = {
        "choices": [{"message": {"content": "Hi"}}],
        "content": "Hi",
        "output": [{"role": "assistant", "content": "Hi"}],
    }
    assert answer(said) == answer(said, "anthropic") == answer(said, "responses") == chat_answer(said)
    for read in (fingerprint, answer):
        with pytest.raises(ValueError, match="gopher"):
            read(body, "gopher")


@pytest.mark.parametrize("option", [{"model": "x"}, {"temperature": 1}, {"seed": 3}, {"top_p": 0.1}, {"n": 2}])
def test_sampling_belongs_to_the_request(option: dict[str, Any]) -> None:
    assert chat(user("Hi"), **option).request != chat(user("Hi")).request
    assert chat(user("Hi"), **option).turn != chat(user("Hi")).turn
    assert chat(user("Hi"), stream=True, max_tokens=9) == chat(user("Hi"))


def test_the_system_prompt_names_an_unnamed_agent_whatever_the_time() -> None:
    said = [{"role": "system", "content": f"You are Ada. Current time: 2026-03-01 10:00:{n:02d}"} for n in range(2)]
    ada, later = (chat(one, user("Vote.")) for one in said)
    bob = chat({"role": "developer", "content": "You are Bob."}, user("Vote."))
    assert ada.system == later.system != bob.system
    assert ada.request != bob.request
    assert ada.turn == later.turn == bob.turn


def test_asides_of_coding_agents_are_no_words_of_the_turn() -> None:
    def turn(n: int) -> Fingerprint:
        aside = f"<environment_details>\n{n} tokens, 10:0{n}\n</environment_details>"
        return anthropic_fingerprint(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Go on."}, {"type": "text", "text": aside}]}
                ]
            }
        )

    assert turn(1).turn == turn(2).turn
    assert turn(1).request != turn(2).request
    open_ended = chat(user("<system-reminder>" * 5_000))
    assert open_ended.depth == 1


def test_a_chain_of_responses_tells_answers_without_their_calls() -> None:
    def link(n: int, output: str) -> Fingerprint:
        item = {"type": "function_call_output", "call_id": f"c{n}", "output": output}
        return responses_fingerprint({"previous_response_id": f"r{n}", "input": [item]})

    assert link(1, "ok").round_count == 0
    assert link(1, "ok").turn == link(2, "ok").turn != link(3, "no").turn
    assert link(1, "ok").request != link(2, "ok").request


def test_calls_written_as_text_are_rounds() -> None:
    pad = "Question: age?\nThought: look.\nAction: wiki\nAction Input: Lyon\nObservation: a town\nThought: again.\n"
    pad += "Action: wiki\nAction Input: Lyon age\nObservation: old\nvery old\nThought:"
    found = react_rounds(pad)
    assert [one[0][:3] for one in found] == [("wiki", "Lyon", "a town"), ("wiki", "Lyon age", "old\nvery old")]
    assert chat(user(pad)).round_count == 2
    assert chat(user(pad)).topic == chat(user("Question: age?")).topic
    assert react_rounds("Observation: nothing was asked") == []


def test_a_picture_is_part_of_the_turn() -> None:
    seen = [chat(user([{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{n}"}}])) for n in range(2)]
    assert seen[0].turn != seen[1].turn


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("Hello,  World!", "hello world", True),
        ("**1.5**", "15", False),
        ("C++", "C", False),
        ("a/b", "ab", False),
        ("x = -5", "x = 5", False),
        ("?", "!", False),
    ],
)
def test_punctuation_and_what_is_none(one: str, other: str, are_alike: bool) -> None:
    assert (plain(one) == plain(other)) is are_alike


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ({"v": 1, "timestamp": 1}, {"timestamp": 2, "v": 1}, True),
        ({"v": 1}, {"v": 2}, False),
        ("3 passed in 0.12s", "3 passed in 0.45s", True),
        ("3 passed", "4 passed", False),
        ("at 2026-03-01T10:00:00Z: closed", "at 2026-03-01T11:30:00Z: closed", True),
        ("2026-03-01T10:00:00Z", "2026-03-01T11:30:00Z", False),
        ({"time": "10:00"}, {"time": "11:00"}, False),
        ({"id": "5f3e9a1c"}, {"id": "6f3e9a1c"}, False),
        ('{"a": 1, "b": 2}', {"b": 2, "a": 1}, True),
        ("x" * 9_000, "x" * 4_500 + "y" + "x" * 4_499, False),
    ],
)
def test_when_answers_of_tools_are_alike(one: Any, other: Any, are_alike: bool) -> None:
    assert (result_text(one) == result_text(other)) is are_alike


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        (("Error: a.py is gone", {"path": "a.py"}), ("Error: dir/b.py is gone", {"path": "dir/b.py"}), True),
        (("timed out after 30012 ms", {}), ("timed out after 30490 ms", {}), True),
        (("Error: request 5f3e9a1c failed", {}), ("Error: request 7c1d22b0 failed", {}), True),
        (("Error: not found", {}), ("Error: forbidden", {}), False),
    ],
)
def test_when_failures_are_alike(one: tuple[str, Any], other: tuple[str, Any], are_alike: bool) -> None:
    assert (error_text(*one) == error_text(*other)) is are_alike


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ({"q": "Cats ", "k": 3}, '{"k": 3, "q": "cats"}', True),
        ({"page": 1}, {"page": 2}, False),
        ({"id": 1, "idempotency_key": "x"}, {"id": 1, "idempotency_key": "y"}, True),
        ({"nonce": 1}, {"nonce": 2}, False),
        ({"reason": "a"}, {"reason": "b"}, True),
        ({"thought": "a"}, {"thought": "b"}, False),
        ("plain text", "plain  Text", True),
    ],
)
def test_when_arguments_are_alike(one: Any, other: Any, are_alike: bool) -> None:
    assert (call_of("f", one, "x").arguments == call_of("f", other, "x").arguments) is are_alike


def test_likeness_is_jaccards_index() -> None:
    one, other = sketch("abcdefghij"), sketch("abcdefghik")
    assert similarity(one, other) == pytest.approx(9 / 11)
    assert (similarity(one, one), similarity(one, ()), similarity((), ())) == (1.0, 0.0, 0.0)


@given(st.sets(st.integers(0, 3_000), max_size=900), st.sets(st.integers(0, 3_000), max_size=900))
@settings(max_examples=60, deadline=None)
def test_likeness_of_large_sets_is_near_the_true_one(one: set[int], other: set[int]) -> None:
    estimate = similarity(sketch(f"word{n}" for n in one), sketch(f"word{n}" for n in other))
    true = len(one & other) / len(one | other) if one and other else 0.0
    small = max(len(one), len(other)) <= WORDS_KEPT
    assert estimate == pytest.approx(true) if small else abs(estimate - true) < 0.25


# --- what an answer amounts to ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "answer", "outcome"),
    [
        ("search", "Lyon is a town.", Outcome.OK),
        ("search", {"results": [1]}, Outcome.OK),
        ("read", "Error: gone", Outcome.FAILED),
        ("read", "ToolError: 3 validation errors", Outcome.FAILED),
        ("read", "Traceback (most recent call last):", Outcome.FAILED),
        ("read", {"error": {"code": 5}}, Outcome.FAILED),
        ("read", {"ok": False}, Outcome.FAILED),
        ("run", {"exit_code": 1, "stdout": ""}, Outcome.FAILED),
        ("run", {"exit_code": 0, "stdout": "hi"}, Outcome.OK),
        ("read", "No errors were found in the text.", Outcome.OK),
        ("search", "", Outcome.EMPTY),
        ("search", None, Outcome.EMPTY),
        ("search", "[]", Outcome.EMPTY),
        ("search", {"results": [], "count": 0}, Outcome.EMPTY),
        ("search", "No results found", Outcome.EMPTY),
        ("job", {"status": "queued"}, Outcome.WAITING),
        ("get_x", {"status": "completed"}, Outcome.OK),
        ("get_x", {"StackStatus": "CREATE_IN_PROGRESS"}, Outcome.WAITING),
        ("get_x", {"StackStatus": "CREATE_COMPLETE"}, Outcome.OK),
        ("get_x", {"status": "requires_action"}, Outcome.WAITING),
        ("get_x", {"status": "failed"}, Outcome.FAILED),
        ("get_x", {"done": False}, Outcome.WAITING),
        ("get_x", {"done": True}, Outcome.OK),
        ("get_x", {"progress": 40}, Outcome.WAITING),
        ("get_x", [{"status": "completed"}, {"status": "in_progress"}], Outcome.WAITING),
        ("get_x", {"status": "completed", "steps": [{"status": "in_progress"}]}, Outcome.OK),
        ("get_x", "Still creating... [10s elapsed]", Outcome.WAITING),
        ("get_x", "Frame 3 of 250", Outcome.WAITING),
        ("get_x", "Frame 250 of 250", Outcome.OK),
        ("get_x", "The building was finished in 1890 and belongs to the town, whose archive is in it.", Outcome.OK),
        ("sleep", "ok", Outcome.WAITING),
        ("getJobStatus", "x", Outcome.WAITING),
        ("heartbeat", {"alive": True}, Outcome.WAITING),
        ("get_job_status", {"status": "succeeded"}, Outcome.OK),
        ("scroll_down", "ok", Outcome.WAITING),
        ("read_messages", "hi", Outcome.WAITING),
        ("send_message", "sent", Outcome.OK),
    ],
)
def test_what_a_tools_answer_amounts_to(name: str, answer: Any, outcome: Outcome) -> None:
    assert outcome_of(name, answer) is outcome
    if isinstance(answer, dict | list):
        assert outcome_of(name, json.dumps(answer)) is outcome


def test_an_error_flag_is_believed() -> None:
    assert outcome_of("read", "no such thing", is_error=True) is Outcome.FAILED


@pytest.mark.parametrize(
    ("task", "is_patient"),
    [
        ("Tell me when the door opens.", True),
        ("Watch the build.", True),
        ("Run the tests five times.", True),
        ("Check it every two minutes.", True),
        ("Make the tests pass.", False),
        ("Wait. " + "Here is a long text about something else entirely. " * 20, False),
    ],
)
def test_which_tasks_ask_for_patience(task: str, is_patient: bool) -> None:
    assert asks_for_patience(task) is is_patient


# --- whatever is sent -------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "id", "name", "input", "x", "output"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)
ROLES = st.sampled_from(["user", "assistant", "system", "tool", "developer", "?"])
TYPES = st.sampled_from(
    ["text", "tool_use", "tool_result", "function_call", "function_call_output", "message", "reasoning"]
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": ROLES | JSON,
            "content": JSON,
            "type": TYPES | JSON,
            "tool_calls": JSON,
            "output": JSON,
            "name": JSON,
        },
    )
    | JSON,
    max_size=5,
)


@given(MESSAGES | JSON, JSON)
@settings(max_examples=150, deadline=None)
def test_no_shape_is_too_odd(messages: Any, other: Any) -> None:
    for body in ({"messages": messages, "system": other, "n": other}, {"input": messages, "instructions": other}):
        found = [chat_fingerprint(body), anthropic_fingerprint(body), responses_fingerprint(body)]
        assert all(one.request for one in found)
    assert chat_answer({"choices": messages}).key
    assert anthropic_answer({"content": messages}).key
    assert responses_answer({"output": messages}).key
    assert call_of("f", messages, other).key
    if isinstance(messages, list):
        assert llm_step(messages, messages).cost_usd is None


def test_a_deep_or_long_value_is_read_as_it_is() -> None:
    deep: Any = "x"
    for _ in range(2_000):
        deep = [deep]
    assert call_of("f", deep, deep).key
    assert call_of("f", "[" * 50_000, "[" * 50_000).key
    long = "word " * 200_000
    assert chat(user(long)).turn != chat(user(long + "more")).turn
    assert len(long) > TEXT_READ_MAX
