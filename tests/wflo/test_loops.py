"""The rule of loops, case by case: requests, several agents, money, the policy. Whole runs of agents are in tests/data/loops."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.wflo.loop_steps import SECOND, T0, _growing, agent_calls, ask, call, first, run, telling
from wflo.loops import (
    GATEWAY,
    INGEST,
    NO_LOOP,
    SDK,
    Action,
    LoopMemory,
    LoopPolicy,
    LoopType,
    Step,
    advance,
    check,
    verdict,
)
from wflo.loops.turns import chat_fingerprint

# --- requests ---------------------------------------------------------------------------------------------------------


def test_a_gateway_refuses_the_same_message_the_second_time() -> None:
    """AgentWall's acceptance: one message, sent twice within a run."""
    memory, seen = advance(LoopMemory(), ask("Hello", answer="Hi"), GATEWAY)
    assert seen == NO_LOOP
    planned = ask("Hello", answer=None, at=5, cost_usd=None)
    found = check(memory, planned, GATEWAY)
    assert (found.loop_type, found.confidence, found.action) == (LoopType.EXACT_PROMPT, 1.0, Action.KILL)
    assert (found.times, found.first_step, found.step, found.steps) == (2, 1, 2, 2)
    assert found.why == "The same request came twice."
    assert memory.steps == 1, "a check remembers nothing"


def test_a_talk_that_grows_is_no_loop() -> None:
    """AgentWall's example of two steps."""
    memory, _ = advance(LoopMemory(), ask("What is 2+2?", answer="4"), GATEWAY)
    assert not check(memory, ask("What is 2+2?", "4", "And times 3?", answer=None, at=3), GATEWAY).is_loop


@pytest.mark.parametrize(
    ("policy", "at"), [(GATEWAY, 2), (SDK, 3), (INGEST, 3), (replace(INGEST, exact_repeats_max=4), 5)]
)
def test_how_many_like_requests_pass(policy: LoopPolicy, at: int) -> None:
    assert first(run([ask("Hello", answer="Hi", at=3 * n) for n in range(7)], policy)) == at


@pytest.mark.parametrize(
    ("texts", "loop_type"),
    [
        (("Do it now", "do it NOW ", "\n Do it now"), LoopType.EXACT_PROMPT),
        (("Do it, now!", "Do it now", "Do  it now."), LoopType.NORMALISED_MATCH),
        (("Write it in C++", "Write it in C#", "Write it in C"), None),
        (("Order 1", "Order 2", "Order 3"), None),
        (("!", "?", "..."), None),
    ],
)
def test_what_makes_requests_alike(texts: tuple[str, ...], loop_type: LoopType | None) -> None:
    assert run([ask(text, answer="Yes", at=3 * n) for n, text in enumerate(texts)])[-1].loop_type == loop_type


@pytest.mark.parametrize(
    "texts",
    [
        [f"Plan it. nonce: {n}f3e" for n in range(9)],
        [f"Plan it. Request id: 0a1b2c3d{n}" for n in range(9)],
        [f"Current time: 2026-03-01 10:0{n}:00. Plan it." for n in range(9)],
        [f"Attempt {n + 1} of 9: plan it" for n in range(9)],
    ],
)
def test_a_changing_nonce_hides_nothing(texts: list[str]) -> None:
    found = run([ask(text, answer="I will plan it.", at=3 * n) for n, text in enumerate(texts)])
    assert first(found) == 3
    assert found[2].loop_type is LoopType.NORMALISED_MATCH


def test_a_bare_id_is_an_item_until_its_answer_came_five_times() -> None:
    ids = [f"{n}f3e9a{n}c" for n in range(7)]
    same = run([ask(f"Process {one}", answer="I need the plan.", at=3 * n) for n, one in enumerate(ids)])
    assert first(same) == 5
    assert first(run([ask(f"Process {one}", answer=f"Done: {n}", at=3 * n) for n, one in enumerate(ids)])) is None


def test_requests_in_turn_are_a_loop_at_the_second_pass() -> None:
    """A-B-A-B, where one repeat is allowed; where none is, the second A is one already."""
    steps = [ask("AB"[n % 2], answer="xy"[n % 2], at=3 * n) for n in range(10)]
    found = run(steps, SDK)
    assert first(found) == 4
    assert (found[3].loop_type, found[3].times, found[3].first_step) == (LoopType.OSCILLATION, 2, 1)
    assert first(run(steps, GATEWAY)) == 3


def test_a_request_that_brings_a_new_answer_each_time_is_sampled() -> None:
    fresh = [ask("Name a colour", answer=f"colour{n}", at=3 * n) for n in range(12)]
    assert first(run(fresh)) == 9
    assert first(run(fresh, GATEWAY)) == 2


@pytest.mark.parametrize("many", [40, 41])
def test_requests_at_the_same_time_are_samples_up_to_a_number(many: int) -> None:
    found = run([ask("Name a colour", answer="red", at=n / 1000) for n in range(many)], GATEWAY)
    assert first(found) == (None if many == 40 else 41)


def test_a_gateway_that_counts_requests_in_flight_stops_too_many() -> None:
    assert not check(LoopMemory(), ask("Hello", answer=None, siblings=40), GATEWAY).is_loop
    assert check(LoopMemory(), ask("Hello", answer=None, siblings=41), GATEWAY).loop_type is LoopType.EXACT_PROMPT


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": 1},
        {"is_resent": True},
        {"agent": "b"},
        {"n": 5},
        {"temperature": 0.7},
        {"model": "other"},
        {"system": "You are another."},
    ],
)
def test_what_is_no_repetition(changes: dict[str, Any]) -> None:
    memory, _ = advance(LoopMemory(), ask("Hello", answer="Hi"), GATEWAY)
    assert check(memory, ask("Hello", answer=None, at=3), GATEWAY).is_loop
    assert not check(memory, ask("Hello", answer=None, at=3, **changes), GATEWAY).is_loop


def test_a_failed_attempt_is_no_turn() -> None:
    memory, _ = advance(LoopMemory(), ask("Hello", answer=None, has_failed=True), GATEWAY)
    assert not check(memory, ask("Hello", answer=None, at=3), GATEWAY).is_loop


def test_a_request_may_fail_ten_times() -> None:
    found = run([ask("Hello", answer=None, has_failed=True, at=3 * n) for n in range(12)])
    assert first(found) == 11
    assert (found[10].loop_type, found[10].action) == (LoopType.FAILING_CALLS, Action.WARN)


def test_agents_without_a_name_are_told_apart_by_their_system_prompt() -> None:
    steps = [ask("Vote.", answer="yes", agent="", system=f"You are {name}.", at=3 * n) for n, name in enumerate("ABCD")]
    assert first(run(steps, GATEWAY)) is None
    assert first(run([*steps, replace(steps[0], started_ns=T0 + 60 * SECOND)], GATEWAY)) == 5


def test_a_question_asked_twice_in_a_talk_is_none_and_the_third_like_answer_is() -> None:
    talk: list[str] = []
    steps = []
    for n in range(4):
        talk.append("What is the capital of France?")
        steps.append(ask(*talk, answer="Paris.", at=3 * n))
        talk.append("Paris.")
    found = run(steps, GATEWAY)
    assert first(found) == 3
    assert found[2].loop_type is LoopType.NORMALISED_MATCH
    memory = LoopMemory()
    for step in steps[:2]:
        memory, _ = advance(memory, step, GATEWAY)
    assert check(memory, replace(steps[2], answer=None), GATEWAY).is_loop, "refused before it is paid"


def test_who_takes_time_to_ask_again_may_ask_ten_times() -> None:
    talk: list[str] = []
    steps = []
    for n in range(12):
        talk.append("Is it there?")
        steps.append(ask(*talk, answer="No.", at=20 * n))
        talk.append("No.")
    found = run(steps)
    assert (first(found), found[10].confidence) == (11, 0.9)


def test_turns_in_the_same_words_need_two_hits() -> None:
    words = re.findall(r"\w+", "please write the short report on battery storage for our investors this week")
    said = re.findall(r"\w+", "the report says that storage grew in every region while prices fell again this year")
    turns = [(" ".join(words[n:] + words[:n]), " ".join(said[n:] + said[:n])) for n in range(5)]
    found = run([ask(turn, answer=answer, at=3 * n) for n, (turn, answer) in enumerate(turns)])
    assert first(found) == 3
    assert (found[2].loop_type, found[2].similarity) == (LoopType.SIMILAR_PROMPT, 1.0)
    new = [ask(f"{turn} item{n}", answer=answer, at=3 * n) for n, (turn, answer) in enumerate(turns)]
    assert first(run(new)) is None, "a new word is a new item"
    short = [ask(turn, answer="Done.", at=3 * n) for n, (turn, _) in enumerate(turns)]
    assert first(run(short)) is None, "short answers are alike by chance"


def test_the_same_long_answer_in_a_talk_is_warned_of_at_the_sixth() -> None:
    stuck = "I am here to help you with anything that you need today so tell me what it is."
    talk: list[str] = []
    steps = []
    for n in range(8):
        talk.append(f"{'abcdefgh'[n]}{n} something else entirely {n * 7}?")
        steps.append(ask(*talk, answer=stuck, at=3 * n))
        talk.append(stuck)
    found = run(steps, GATEWAY)
    assert (first(found), found[5].loop_type, found[5].action) == (6, LoopType.EXACT_RESPONSE, Action.WARN)


def test_items_of_a_batch_may_get_the_same_long_answer() -> None:
    said = "No private data was found on this page so nothing has to be removed or reported to anybody."
    talk: list[str] = []
    steps = []
    for n in range(9):
        talk.append(f"Check page {n} for private data and tell me what has to be done about it")
        steps.append(ask(*talk, answer=said, at=3 * n))
        talk.append(said)
    assert first(run(steps, GATEWAY)) is None, "in one talk"
    pages = ("lamp", "chair", "table", "shelf", "mirror", "carpet", "sofa", "clock")
    alone = [ask(f"{one} {one}s {one}ed {n}", answer=said, at=3 * n) for n, one in enumerate(pages)]
    assert first(run(alone, GATEWAY)) is None, "each in a talk of its own"


def test_what_is_sent_again_after_five_minutes_is_none_but_at_a_gateway() -> None:
    steps = [ask("Summarise the news.", answer="None today.", at=360 * n) for n in range(6)]
    assert first(run(steps)) is None
    assert first(run(steps, GATEWAY)) == 2


def test_a_number_of_calls_may_be_granted() -> None:
    policy = replace(SDK, iterations_max=3)
    found = run([ask(f"Step {n}", answer=f"done {n}", at=3 * n) for n in range(5)], policy)
    assert (first(found), found[3].loop_type, found[3].action) == (4, LoopType.MAX_ITERATIONS, Action.BLOCK)


# --- several agents ---------------------------------------------------------------------------------------------------


def hand_overs(passes: int) -> list[Step]:
    steps = []
    for n in range(passes):
        steps.append(ask("Refund?", answer=None, agent="triage", at=6 * n))
        steps.append(call("transfer_to_billing", {}, "ok", agent="triage", at=6 * n + 1.2))
        steps.append(ask("Refund?", answer=None, agent="billing", at=6 * n + 3))
        steps.append(call("transfer_to_triage", {}, "ok", agent="billing", at=6 * n + 4.2))
    return [replace(step, fingerprint=_growing(step, 0)) if step.fingerprint else step for step in steps]


def test_agents_that_pass_a_turn_to_and_fro() -> None:
    """Each in words of its own, so that no agent repeats itself: only the two together do."""
    steps = []
    for n in range(9):
        agent, other = ("pro", "con")[n % 2], ("con", "pro")[n % 2]
        steps.append(ask(f"{other}: no", answer=f"{agent}: yes", agent=agent, at=3 * n))
    policy = replace(INGEST, exact_repeats_max=9, samples_max=9, passes_min=9)
    found = run(steps, policy)
    assert (first(found), found[6].loop_type, found[6].times) == (7, LoopType.OSCILLATION, 3)
    assert found[6].pattern == "pro -> con"
    assert (found[6].burned_usd, found[6].first_step) == (Decimal("0.07"), 1), "of both agents"


def test_one_agent_alone_hands_nothing_over() -> None:
    """Calls of another that failed stand between its own."""
    steps = []
    for n in range(9):
        steps.append(ask("Vote.", answer="yes", at=6 * n))
        steps.append(ask(f"Say {n}.", answer=None, agent="b", has_failed=True, at=6 * n + 3))
    policy = replace(INGEST, exact_repeats_max=9, samples_max=9, cycle_passes_min=99)
    assert first(run(steps, policy)) is None


def test_an_agent_that_loops_is_found_among_others_that_work() -> None:
    steps = []
    for n in range(5):
        steps += [replace(step, agent="busy") for step in agent_calls([call(result=f"news {n}")])]
        steps += agent_calls([call()])
    steps = [
        replace(step, started_ns=T0 + n * SECOND, ended_ns=T0 + n * SECOND + 10**8) for n, step in enumerate(steps)
    ]
    steps = [replace(step, fingerprint=_growing(step, n)) for n, step in enumerate(steps)]
    found = run(steps)
    assert first(found) == 12
    assert {one.cycle[0].agent for one in found if one.is_loop} == {"a"}


# --- money and names --------------------------------------------------------------------------------------------------


def test_what_a_loop_has_burned() -> None:
    before = [ask("Something else", answer="ok", at=-9, cost_usd=Decimal(5))]
    others = [ask("Else", answer="x", agent="b", at=1, cost_usd=Decimal("0.5"))]
    steps = agent_calls([call() for _ in range(4)])
    found = run([*before, *steps[:2], *others, *steps[2:]])[-1]
    assert (found.first_step, found.step, found.steps) == (2, 10, 9)
    assert (found.burned_usd, found.run_burned_usd, found.unpriced_steps) == (Decimal("0.04"), Decimal("0.54"), 0)
    assert found.usd_per_minute == Decimal("0.04") * 60_000 / (found.seen_ms - found.began_ms)


def test_an_unknown_cost_is_no_zero() -> None:
    unknown = [replace(step, cost_usd=None) for step in agent_calls([call() for _ in range(3)])]
    found = run(unknown)[-1]
    assert (found.burned_usd, found.run_burned_usd, found.unpriced_steps) == (None, None, 3)
    assert found.usd_per_minute is None
    partly = agent_calls([call() for _ in range(3)])
    partly[0] = replace(partly[0], cost_usd=None)
    found = run(partly)[-1]
    assert (found.burned_usd, found.unpriced_steps) == (Decimal("0.02"), 1)


def test_the_same_loop_has_one_signature_wherever_its_cycle_is_cut() -> None:
    calls = [call(f"tool{n % 2}") for n in range(9)]
    found = [one for one in run(agent_calls(calls)) if one.is_loop]
    assert len({one.pattern for one in found}) == 2
    assert len({one.signature for one in found}) == 1
    other = [one for one in run(agent_calls([call("other") for _ in range(3)])) if one.is_loop]
    assert other[0].signature != found[0].signature


def test_all_steps_at_once_give_the_last_verdict() -> None:
    steps = agent_calls([call() for _ in range(4)])
    assert verdict(steps) == run(steps)[-1]
    assert verdict(steps[:4]) == NO_LOOP
    assert verdict([]) == NO_LOOP


def test_requests_and_spans_that_tell_of_the_same_calls_count_them_once() -> None:
    memory, messages = LoopMemory(), [{"role": "user", "content": "Go"}]
    for n in range(2):
        asked = replace(ask("", at=3 * n), fingerprint=chat_fingerprint({"messages": messages}), answer=None)
        memory, found = advance(memory, asked, INGEST)
        assert not found.is_loop
        memory, found = advance(memory, call(at=3 * n + 1.2), INGEST)
        assert not found.is_loop
        told = {"id": f"c{n}", "function": {"name": "search", "arguments": '{"q": "cats"}'}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [told]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": "found"},
        ]
    asked = replace(ask("", at=9), fingerprint=chat_fingerprint({"messages": messages}), answer=None)
    assert not advance(memory, asked, INGEST)[1].is_loop
    assert memory.tools_from == "spans"


def test_spans_of_calls_that_requests_told_first_are_no_calls() -> None:
    told = [("look", "a town"), ("search", "found"), ("search", "found")]
    steps = [
        telling(told[:1], at=0),
        call("search", {}, "found", at=1.2),
        telling(told[:2], at=3),
        call("search", {}, "found", at=4.2),
        telling(told, at=6),
    ]
    assert first(run(steps)) is None
    assert first(run([*steps, telling([*told, told[-1]], at=9)])) == 6


# --- the policy -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "confidence", "action"),
    [
        (GATEWAY, 1.0, Action.KILL),
        (GATEWAY, 0.95, Action.KILL),
        (GATEWAY, 0.94, Action.WARN),
        (SDK, 0.97, Action.BLOCK),
        (SDK, 0.9, Action.WARN),
        (INGEST, 1.0, Action.WARN),
        (replace(INGEST, strongest=Action.NONE), 1.0, Action.NONE),
    ],
)
def test_what_is_done_about_a_loop(policy: LoopPolicy, confidence: float, action: Action) -> None:
    assert policy.action(confidence) is action


@pytest.mark.parametrize(
    "fields",
    [
        {"passes_min": 1},
        {"exact_repeats_max": 0},
        {"samples_max": 10},
        {"cycle_length_max": 9},
        {"cycle_length_max": 0},
        {"similarity_min": 0},
        {"failing_calls_min": 1},
    ],
)
def test_a_policy_that_finds_everything_or_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        LoopPolicy(**fields)


def test_a_team_changes_some_fields() -> None:
    changed = INGEST.changed({"passes_min": 5, "strongest": "kill", "exempt_tools": ["search"], "iterations_max": None})
    assert changed == replace(INGEST, passes_min=5, strongest=Action.KILL, exempt_tools=frozenset({"search"}))
    assert INGEST.changed({}) == INGEST


@pytest.mark.parametrize(
    "given",
    [
        {"passes": 5},
        {"passes_min": "5"},
        {"passes_min": True},
        {"passes_min": None},
        {"is_on": 1},
        {"strongest": "explode"},
        {"exempt_tools": "search"},
        {"similarity_min": "high"},
    ],
)
def test_what_no_policy_can_hold_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        INGEST.changed(given)
