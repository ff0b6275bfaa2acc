"""The memory of a run: small, stored as JSON between any two steps, and as good as all steps at once.

The oracles here look at the whole run each time, as the rule is said in docs/loops.md; the memory never does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wflo.loops import (
    GATEWAY,
    INGEST,
    SDK,
    LoopMemory,
    LoopPolicy,
    LoopType,
    Step,
    advance,
    check,
    tool_step,
    verdict,
)
from wflo.loops.memory import Lane
from wflo.loops.policy import LANES_MAX, TURNS_KEPT
from wflo.loops.rhythm import Beat, Mark, Rhythm
from wflo.loops.turns import chat_answer, chat_fingerprint
from wflo.spans import Kind

SECOND = 10**9
T0 = 1_760_000_000 * SECOND
TALKS = [
    [{"role": "user", "content": text}]
    for text in ("Plan it.", "plan it", "Is it there yet?", "Order 7: " + " ".join(f"word{n}" for n in range(40)))
]
TALKS.append([*TALKS[0], {"role": "assistant", "content": "Planned."}, *TALKS[0]])
TOLD = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
TALKS.append([*TALKS[0], TOLD, {"role": "tool", "tool_call_id": "1", "content": "x"}])
FINGERPRINTS = [chat_fingerprint({"messages": talk}) for talk in TALKS]
ANSWERS = [
    chat_answer({"choices": [{"message": {"role": "assistant", "content": text}}]})
    for text in ("Yes.", "No.", " ".join(f"said{n}" for n in range(30)))
]
ANSWERS.append(chat_answer({"choices": [{"message": TOLD}]}))
CALLS = [
    tool_step(name, {"q": asked}, result)
    for name in ("search", "get_status")
    for asked in ("some words here", "here some words")
    for result in ("found", "Error: gone", "[]", {"status": "queued"})
]


@st.composite
def one_step(draw: st.DrawFn) -> Step:
    cost = draw(st.sampled_from((None, Decimal("0.01"), Decimal("1.5"))))
    agent = draw(st.sampled_from("aab"))
    if draw(st.booleans()):
        return replace(draw(st.sampled_from(CALLS)), agent=agent, cost_usd=cost)
    return Step(
        kind=Kind.LLM,
        agent=agent,
        name="m",
        fingerprint=draw(st.sampled_from([*FINGERPRINTS, None])),
        answer=draw(st.sampled_from([*ANSWERS, None])),
        cost_usd=cost,
        has_failed=draw(st.sampled_from((False, False, False, True))),
        attempt=draw(st.sampled_from((0, 0, 0, 0, 1))),
        made_progress=draw(st.sampled_from((False,) * 9 + (True,))),
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Step]:
    """Blocks of a few steps, each several times, at all sorts of pace."""
    at, steps = T0, []
    for _ in range(draw(st.integers(1, 4))):
        block = draw(st.lists(one_step(), min_size=1, max_size=3))
        pause = draw(st.sampled_from((0.0, 1.0, 3.0, 3.0, 20.0, 400.0)))
        for step in block * draw(st.integers(1, 7)):
            steps.append(replace(step, started_ns=at, ended_ns=at + SECOND))
            at += round(pause * SECOND)
    return steps


POLICIES = st.sampled_from((GATEWAY, SDK, INGEST, replace(INGEST, cycle_length_max=8, iterations_max=20)))


def stored(memory: LoopMemory) -> LoopMemory:
    """Out to a store that sorts keys, as PostgreSQL's jsonb does, and back."""
    return LoopMemory.from_dict(json.loads(json.dumps(memory.to_dict(), sort_keys=True)))


@given(runs(), POLICIES)
@settings(max_examples=80, deadline=None)
def test_a_memory_stored_between_any_two_steps_gives_the_verdicts_of_the_whole_run(
    steps: list[Step], policy: LoopPolicy
) -> None:
    kept = whole = LoopMemory()
    for step in steps:
        kept, found = advance(stored(kept), step, policy)
        whole, expected = advance(whole, step, policy)
        assert found == expected
        assert check(stored(kept), step, policy) == check(whole, step, policy)
    assert stored(kept) == whole
    assert verdict(steps, policy) == expected


@given(runs(), POLICIES)
@settings(max_examples=30, deadline=None)
def test_who_holds_a_memory_never_sees_it_change(steps: list[Step], policy: LoopPolicy) -> None:
    memory = LoopMemory()
    for step in steps:
        before = json.dumps(memory.to_dict())
        after, _ = advance(memory, step, policy)
        check(memory, step, policy)
        assert json.dumps(memory.to_dict()) == before
        memory = after


@given(runs(), POLICIES)
@settings(max_examples=80, deadline=None)
def test_money_is_what_was_spent_since_the_loop_began(steps: list[Step], policy: LoopPolicy) -> None:
    memory = LoopMemory()
    for place, step in enumerate(steps, start=1):
        memory, found = advance(memory, step, policy)
        assert memory.spent_usd == sum((one.cost_usd or 0 for one in steps[:place]), Decimal(0))
        if not found.is_loop:
            continue
        assert 1 <= found.first_step <= found.step == place
        since = steps[found.first_step - 1 : place]
        agents = {one.agent for one in found.cycle} if found.cycle[0].kind is Kind.AGENT else {step.agent}
        mine = [one for one in since if one.agent in agents]
        assert (found.run_burned_usd or 0) == sum(one.cost_usd or 0 for one in since)
        assert (found.burned_usd or 0) == sum(one.cost_usd or 0 for one in mine)
        unknown = [one for one in mine if one.cost_usd is None and one.kind is Kind.LLM and not one.has_failed]
        assert found.unpriced_steps == len(unknown)


# --- oracles ----------------------------------------------------------------------------------------------------------


def cycle_at_the_end(keys: Sequence[str], length_max: int, wanted: int) -> tuple[int, int] | None:
    """Length and passes of the shortest cycle that the sequence ends with ``wanted`` times or more, over all of it."""
    for length in range(1, length_max + 1):
        like = 0
        while like + length < len(keys) and keys[-1 - like] == keys[-1 - like - length]:
            like += 1
        cycle = keys[-length:]
        is_made_up = any(
            length % part == 0 and list(cycle) == list(cycle[:part]) * (length // part) for part in range(1, length)
        )
        if like >= length and like // length + 1 >= wanted and not is_made_up:
            return length, like // length + 1
    return None


@given(st.text("abc", max_size=60), st.integers(1, 8), st.integers(2, 4))
@settings(max_examples=200, deadline=None)
def test_a_rhythm_finds_the_cycles_of_the_whole_sequence(keys: str, length_max: int, wanted: int) -> None:
    rhythm = Rhythm()
    for place, key in enumerate(keys):
        rhythm = rhythm.after(Beat(key, key, "a", key, Mark(place + 1)), length_max=length_max, pause_ms=1)
        found = rhythm.cycle(lambda cycle: cycle.passes >= wanted)
        expected = cycle_at_the_end(keys[: place + 1], length_max, wanted)
        assert (found and (len(found.beats), found.passes)) == expected
        if found is not None:
            first = place + 2 - found.passes * len(found.beats)
            assert found.since.step in range(first - len(found.beats) + 1, first + 1)
        assert Rhythm.of(json.loads(json.dumps(rhythm.row()))) == rhythm


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.sampled_from((INGEST, replace(INGEST, cycle_length_max=5))))
@settings(max_examples=80, deadline=None)
def test_calls_of_tools_against_the_whole_run(keys: list[str], policy: LoopPolicy) -> None:
    memory = LoopMemory()
    for place, key in enumerate(keys):
        at = T0 + 3 * place * SECOND
        asked = replace(FINGERPRINTS[0], request=f"r{place}", plain=f"p{place}", turn=f"t{place}", words=())
        times = {"started_ns": at, "ended_ns": at + SECOND}
        memory, found = advance(memory, Step(kind=Kind.LLM, agent="a", fingerprint=asked, **times), policy)
        assert found.is_loop is (place > 0 and cycle_at_the_end(keys[:place], policy.cycle_length_max, 3) is not None)
        memory, found = advance(memory, tool_step(key, {}, "x", agent="a", started_ns=at + SECOND), policy)
        expected = cycle_at_the_end(keys[: place + 1], policy.cycle_length_max, 3)
        assert found.is_loop is (expected is not None)
        if expected is not None:
            assert (len(found.cycle), found.times) == expected
            is_one = expected[0] == 1
            assert found.loop_type is (LoopType.TOOL_REPETITION if is_one else LoopType.OSCILLATION)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_like_requests_against_the_whole_run(asked: list[tuple[int, int]], repeats_max: int) -> None:
    """Requests by number with answers by number, one after the other."""
    policy = replace(INGEST, exact_repeats_max=repeats_max)
    memory = LoopMemory()
    for place, (number, answer) in enumerate(asked):
        fingerprint = chat_fingerprint({"messages": [{"role": "user", "content": f"Question {number}"}]})
        at = T0 + 2 * place * SECOND
        step = Step(
            kind=Kind.LLM,
            agent="a",
            fingerprint=fingerprint,
            answer=ANSWERS[answer],
            started_ns=at,
            ended_ns=at + SECOND,
        )
        memory, found = advance(memory, step, policy)
        like = [one for one in asked[max(0, place - TURNS_KEPT) : place] if one[0] == number]
        answers = {one[1] for one in like} | {answer}
        repeats = len(like) if repeats_max == 1 else len(like) - (len(answers) - 1)
        is_exact = bool(like) and (repeats >= repeats_max or len(like) >= policy.samples_max)
        assert (found.loop_type is LoopType.EXACT_PROMPT) is is_exact
        if is_exact:
            assert found.times >= len(like) + 1


# --- its size, and what is none ---------------------------------------------------------------------------------------


def test_a_long_run_of_many_agents_stays_small() -> None:
    memory, sizes = LoopMemory(), []
    for n in range(450):
        words = " ".join(f"w{n * k}" for k in range(300))
        step = Step(
            kind=Kind.LLM,
            agent=f"agent {n % 50}",
            name="model",
            fingerprint=chat_fingerprint({"messages": [{"role": "user", "content": words}]}),
            answer=chat_answer({"choices": [{"message": {"role": "assistant", "content": words}}]}),
            started_ns=T0 + n * SECOND,
            ended_ns=T0 + n * SECOND + 1,
            cost_usd=Decimal("0.0012345678"),
        )
        memory, _ = advance(memory, step)
        if n % 150 == 149:
            sizes.append(len(json.dumps(memory.to_dict())))
    assert len(memory.lanes) == LANES_MAX
    assert max(sizes) < LANES_MAX * 15_000
    assert sizes[-1] <= sizes[0] * 1.05
    plain_run = LoopMemory()
    for n in range(300):
        plain_run, _ = advance(plain_run, tool_step("search", {"q": f"x{n}"}, f"r{n}", agent="a", started_ns=T0 + n))
    assert len(json.dumps(plain_run.to_dict())) < 3_000


def test_the_agent_silent_for_longest_is_forgotten_whatever_the_store_does_to_the_order() -> None:
    memory = LoopMemory()
    for n in range(LANES_MAX + 1):
        memory, _ = advance(stored(memory), tool_step("f", {}, n, agent=f"agent {(7 * n) % 100}"))
    assert set(memory.lanes) == {f"agent {(7 * n) % 100}" for n in range(1, LANES_MAX + 1)}


@pytest.mark.parametrize(
    "data",
    [
        {"version": 1},
        {"version": 3, "steps": 0},
        {**LoopMemory().to_dict(), "lanes": {"a": {}}},
        {**LoopMemory().to_dict(), "lanes": []},
        {**LoopMemory().to_dict(), "usd": "much"},
        {**LoopMemory().to_dict(), "visit": [1]},
        {"steps": 1},
        {**LoopMemory().to_dict(), "visit": ["a", "a", "", [1, 0, "0"], 0]},
        {**LoopMemory().to_dict(), "lanes": {"a": {**Lane().row(), "stuck": [["key", 1, [0, 0, "0", "0"], "AAA"]]}}},
        {**LoopMemory().to_dict(), "lanes": {"a": {**Lane().row(), "stuck": [["key", 1, [0, 0, "0", "0"], "AAAA"]]}}},
    ],
)
def test_what_is_no_memory_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="memory"):
        LoopMemory.from_dict(data)


def test_a_run_that_begins_has_an_empty_memory() -> None:
    assert LoopMemory.from_dict({}) == LoopMemory()


def test_a_memory_that_an_older_wflo_stored_is_read() -> None:
    """Version 1 held sets of words as lists of numbers. The file is what it stored of this very run."""
    steps = [
        Step(
            kind=Kind.LLM,
            agent="a",
            name="m",
            fingerprint=chat_fingerprint({"messages": [{"role": "user", "content": f"find the {colour} one"}]}),
            answer=chat_answer({"choices": [{"message": {"role": "assistant", "content": "Here it is."}}]}),
            started_ns=at * SECOND,
            ended_ns=(at + 1) * SECOND,
            cost_usd=Decimal("0.01"),
        )
        for colour, at in (("red", 1000), ("blue", 1002))
    ]
    searched = {"started_ns": 1005 * SECOND, "ended_ns": 1006 * SECOND}
    steps.append(tool_step("search", {"q": "three words here"}, "[]", agent="a", **searched))
    memory = LoopMemory()
    for step in steps:
        memory, _ = advance(memory, step)
    old = json.loads((Path(__file__).parents[1] / "data" / "loop_memory_1.json").read_text())
    assert old["version"] == 1
    assert LoopMemory.from_dict(old) == memory
    assert memory.to_dict()["version"] == 2
