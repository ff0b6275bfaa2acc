"""The rule of loops, case by case: calls of tools."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.wflo.loop_steps import _growing, agent_calls, ask, call, first, run, telling
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
)
from wflo.loops.turns import chat_answer, chat_fingerprint


def test_an_agent_with_tools_whose_user_said_nothing_new_is_no_loop() -> None:
    """The false alarm that would break every framework."""
    user, messages = {"role": "user", "content": "Compare five towns."}, []
    memory = LoopMemory()
    for n, town in enumerate(("Lyon", "Nice", "Metz", "Lille", "Brest")):
        step = ask("", at=3 * n)
        step = replace(step, fingerprint=chat_fingerprint({"messages": [user, *messages]}))
        asked = {"id": f"c{n}", "function": {"name": "weather", "arguments": f'{{"town": "{town}"}}'}}
        said = {"role": "assistant", "content": None, "tool_calls": [asked]}
        assert not check(memory, replace(step, answer=None), GATEWAY).is_loop
        memory, _ = advance(memory, replace(step, answer=chat_answer({"choices": [{"message": said}]})), GATEWAY)
        messages += [said, {"role": "tool", "tool_call_id": f"c{n}", "content": f"{n} degrees"}]
    assert memory.tools_from == "requests"


@pytest.mark.parametrize("passes", [2, 3, 4])
def test_a_call_with_its_answer_is_a_loop_at_the_third_time(passes: int) -> None:
    found = run(agent_calls([call() for _ in range(passes)]))
    assert first(found) == (None if passes < 3 else 6)
    if passes == 4:
        assert (found[-1].loop_type, found[-1].confidence) == (LoopType.TOOL_REPETITION, 0.97)
        assert (found[-1].times, found[-1].first_step, found[-1].pattern) == (4, 1, "a: search")
        assert found[-1].why == "search was called with the same arguments and got the same answer 4 times."


@pytest.mark.parametrize(
    ("calls", "is_loop"),
    [
        pytest.param([call(result=f"r{n}") for n in range(9)], False, id="the answer changes"),
        pytest.param([call(arguments={"page": n}) for n in range(9)], False, id="the arguments change"),
        pytest.param([call(name=f"tool{n}") for n in range(9)], False, id="the tool changes"),
        pytest.param(
            [call(arguments={"a": 1, "b": "X  y"}), call(arguments={"b": "x y", "a": 1})] * 2, True, id="order"
        ),
        pytest.param([call(arguments={"q": "c", "nonce": n}) for n in range(4)], True, id="a nonce"),
        pytest.param([call(result={"v": 1, "ts": n}) for n in range(4)], True, id="a time in the answer"),
        pytest.param([call(result=f"ok, took {n} ms") for n in range(4)], True, id="a duration in the answer"),
        pytest.param([call(result=f"2026-03-01T10:00:0{n}Z") for n in range(4)], False, id="nothing but a time"),
        pytest.param([call(), call(result="new"), call(), call(result="newer"), call()], False, id="news in between"),
        pytest.param([call("bash", {"command": "ls", "description": f"d{n}"}) for n in range(4)], True, id="a remark"),
        pytest.param(
            [call("note", {"description": f"d{n}"}, "ok") for n in range(4)], False, id="no remark but the matter"
        ),
    ],
)
def test_which_calls_are_alike(calls: list[Step], is_loop: bool) -> None:
    assert run(agent_calls(calls))[-1].is_loop is is_loop


def test_calls_of_one_answer_are_one_round_in_any_order() -> None:
    parallel = [ask("Go", answer=None), *(call(at=1.2) for _ in range(5))]
    assert first(run(parallel)) is None
    both = [call("x", {}, "1"), call("y", {}, "2")]
    steps = [step for n in range(4) for step in (ask("Go", answer=None, at=3 * n), *both[:: (-1) ** n])]
    steps = [replace(step, fingerprint=_growing(step, n)) for n, step in enumerate(steps)]
    found = run(steps)
    assert first(found) == 9
    assert found[8].pattern in ("a: x + y", "a: y + x")


@pytest.mark.parametrize(
    ("pauses", "loop_at_call"),
    [
        pytest.param([2, 2, 2, 2], 3, id="no longer pauses"),
        pytest.param([2, 4, 8, 16, 32, 64, 128], 7, id="each pause longer"),
        pytest.param([2, 4, 8, 8, 16, 32], 5, id="until they are not"),
        pytest.param([15, 15, 15, 15, 15, 15, 15], 7, id="long ones need not grow"),
    ],
)
def test_failures_may_be_tried_again_with_growing_pauses(pauses: list[float], loop_at_call: int) -> None:
    steps, at = [], 0.0
    for n, pause in enumerate([*pauses, 0]):
        steps += [replace(ask("Go", answer=None, at=at), fingerprint=_growing(ask("Go"), n))]
        steps.append(call(result="Error: 503 Service Unavailable", at=at + 1.2))
        at += pause + 1.5
    found = run(steps)
    assert first(found) == 2 * loop_at_call
    assert all(one.is_loop for one in found[2 * loop_at_call - 1 :: 2]), "a longer pause later changes nothing"


@pytest.mark.parametrize(
    ("name", "result", "every", "passes"),
    [
        pytest.param("search", "found", 3, 3, id="nothing says wait"),
        pytest.param("get_job", {"status": "queued"}, 3, 21, id="a state that will change"),
        pytest.param("get_job", {"status": "queued"}, 20, 121, id="with long pauses"),
        pytest.param("get_job", {"status": "queued"}, 61, None, id="once a minute"),
        pytest.param("sleep", "ok", 3, 21, id="a tool that waits"),
        pytest.param("search", "found", 12, 11, id="a pause before each"),
        pytest.param("search", "found", 301, None, id="once in five minutes"),
        pytest.param("search", "Error: no such index", 12, 3, id="a failure after a pause"),
    ],
)
def test_who_waits_may_look_again(name: str, result: Any, every: float, passes: int | None) -> None:
    found = run(agent_calls([call(name, result=result) for _ in range(125)], every=every))
    assert first(found) == (None if passes is None else 2 * passes)
    if passes in (11, 21, 121):
        assert found[2 * passes - 1].confidence == 0.9, "only warned of"


def test_a_task_that_asks_for_patience_gets_it() -> None:
    calls = [call("read_sensor", {}, "closed") for _ in range(25)]
    assert first(run(agent_calls(calls, user="Tell me when the door opens."))) == 42
    assert first(run(agent_calls(calls, user="Describe the door."))) == 6


@pytest.mark.parametrize(
    ("cycle", "length_max", "loop_at_call"), [(2, 3, 6), (3, 3, 9), (4, 3, None), (4, 4, 12), (5, 8, 15)]
)
def test_calls_in_turn_are_a_loop_at_the_third_pass(cycle: int, length_max: int, loop_at_call: int | None) -> None:
    calls = [call(f"tool{n % cycle}") for n in range(5 * cycle)]
    found = run(agent_calls(calls), replace(INGEST, cycle_length_max=length_max))
    assert first(found) == (None if loop_at_call is None else 2 * loop_at_call)
    if loop_at_call is not None:
        verdict_ = found[2 * loop_at_call - 1]
        assert (verdict_.loop_type, verdict_.times, verdict_.first_step) == (LoopType.OSCILLATION, 3, 1)
        assert verdict_.pattern == " -> ".join(f"a: tool{n}" for n in range(cycle))


def test_one_error_whatever_the_arguments() -> None:
    guesses = [call("read_file", {"path": f"dir{n}/x.py"}, f"Error: dir{n}/x.py does not exist") for n in range(8)]
    found = run(agent_calls(guesses))
    assert (first(found), found[11].loop_type) == (12, LoopType.FAILING_CALLS)
    mixed = [call("read_file", {"path": f"dir{n}/x.py"}, "text" if n % 3 == 2 else "Error: gone") for n in range(12)]
    assert first(run(agent_calls(mixed))) is None


def test_one_failing_call_whatever_is_tried_in_between() -> None:
    calls = []
    for n in range(8):
        calls += [call("edit", {"new": f"v{n}"}, f"edited {n}"), call("run_tests", {}, "FAILED: 1 failed, 8 passed")]
    found = run(agent_calls(calls))
    assert (first(found), found[23].loop_type, found[23].times) == (24, LoopType.FAILING_CALLS, 6)


def test_a_search_in_known_words_that_finds_nothing() -> None:
    words = ("contoso annual report", "annual contoso report", "report annual contoso", "contoso report annual")
    again = [call("search", {"query": words[n % 4]}, "No results found") for n in range(8)]
    # The first of each four is like none before it, so that no two in a row are the same call.
    found = run(agent_calls(again))
    assert (first(found), found[9].loop_type) == (10, LoopType.EMPTY_CALLS)
    new = [call("search", {"query": f"{words[n % 4]} part{n}"}, "No results found") for n in range(12)]
    assert first(run(agent_calls(new))) is None
    ids = [call("search", {"supplier": n}, []) for n in range(12)]
    assert first(run(agent_calls(ids))) is None


@pytest.mark.parametrize(("policy", "passes"), [(INGEST, 10), (SDK, 3)])
def test_code_that_repeats_itself_may_do_so_for_longer(policy: LoopPolicy, passes: int) -> None:
    assert first(run([call(at=3 * n) for n in range(12)], policy)) == passes


@pytest.mark.parametrize("is_new", [True, False])
def test_a_new_question_of_the_user_begins_anew(is_new: bool) -> None:
    steps = []
    for n in range(6):
        asked = ask("Go.", answer=None, at=3 * n)
        topic = f"topic{n}" if is_new else "topic"
        steps += [replace(asked, fingerprint=replace(_growing(asked, n), topic=topic)), call(at=3 * n + 1.2)]
    assert first(run(steps)) == (None if is_new else 6)


def test_a_talk_that_is_cut_as_it_grows_hides_nothing() -> None:
    """A client that sends the last three calls only."""
    calls = [("ab"[n % 2], "xy"[n % 2]) for n in range(12)]
    policy = replace(
        INGEST, exact_repeats_max=9, samples_max=9, cycle_passes_min=9
    )  # the requests themselves are alike soon
    found = run([telling(calls[max(0, n - 3) : n], at=3 * n) for n in range(12)], policy)
    assert (first(found), found[6].loop_type, found[6].times) == (7, LoopType.OSCILLATION, 3)


def test_what_is_told_again_is_no_new_call() -> None:
    sampled = [telling([("search", "found")], at=3 * n, temperature=n / 10) for n in range(6)]
    assert first(run(sampled)) is None
    at_once = [telling([("search", "found")] * 3, at=0)]
    assert first(run(at_once)) == 1, "a run whose beginning was not seen"


def test_exempt_tools_progress_and_a_policy_that_is_off() -> None:
    steps = agent_calls([call() for _ in range(6)])
    assert first(run(steps)) == 6
    assert first(run(steps, replace(INGEST, exempt_tools=frozenset({"search"})))) is None
    assert first(run(steps, replace(INGEST, is_on=False))) is None
    steps[4] = replace(steps[4], made_progress=True)
    assert first(run(steps)) == 10
