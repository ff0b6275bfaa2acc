"""The rule of loops, case by case. A small cast of steps; whole runs of agents are in tests/data/loops."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

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
    Verdict,
    advance,
    check,
    tool_step,
    verdict,
)
from wflo.loops_turns import chat_answer, chat_fingerprint
from wflo.spans import Kind

SECOND = 10**9
T0 = 1_760_000_000 * SECOND


def ask(*said: str, answer: str | None = "", agent: str = "a", at: float = 0, **more: Any) -> Step:
    """A call of a model. ``said``: the talk, the user first, then in turns; ``answer`` None: not known."""
    messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(said)]
    options = {key: more.pop(key) for key in ("n", "temperature", "model", "seed") if key in more}
    system = [{"role": "system", "content": more.pop("system")}] if "system" in more else []
    started = T0 + round(at * SECOND)
    known = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    fields: dict[str, Any] = {
        "kind": Kind.LLM,
        "agent": agent,
        "name": "gpt-4.1",
        "fingerprint": chat_fingerprint({"messages": [*system, *messages], **options}),
        "answer": None if answer is None else chat_answer(known),
        "started_ns": started,
        "ended_ns": started + SECOND,
        "cost_usd": Decimal("0.01"),
    }
    return Step(**(fields | more))


def call(
    name: str = "search",
    arguments: Any = None,
    result: Any = "found",
    *,
    at: float = 0,
    takes: float = 0.2,
    agent: str = "a",
    **more: Any,
) -> Step:
    started = T0 + round(at * SECOND)
    ended = started + round(takes * SECOND)
    given = {"q": "cats"} if arguments is None else arguments
    return tool_step(name, given, result, agent=agent, started_ns=started, ended_ns=ended, **more)


def run(steps: Iterable[Step], policy: LoopPolicy = INGEST) -> list[Verdict]:
    """The verdict at every step."""
    memory, verdicts = LoopMemory(), []
    for step in steps:
        memory, found = advance(memory, step, policy)
        verdicts.append(found)
    return verdicts


def agent_calls(calls: Iterable[Step], *, every: float = 3, user: str = "Go on.") -> list[Step]:
    """Calls of tools with the calls of the model that asked for them, one round every so many seconds."""
    steps: list[Step] = []
    for place, one in enumerate(calls):
        begins = place * every
        steps.append(ask(user, answer=None, at=begins))
        started = T0 + round((begins + 1.2) * SECOND)
        steps.append(replace(one, started_ns=started, ended_ns=started + (one.ended_ns - one.started_ns)))
    return [replace(step, fingerprint=_growing(step, place)) for place, step in enumerate(steps)]


def _growing(step: Step, place: int) -> Any:
    """The talk of an agent with tools grows, so no two of its requests are alike."""
    if step.fingerprint is None:
        return None
    return replace(
        step.fingerprint, request=f"r{place}", plain=f"p{place}", turn=f"t{place}", shape=f"s{place}", words=()
    )


def first(verdicts: list[Verdict]) -> int | None:
    """The ordinal of the first step that is part of a loop."""
    return next((place for place, one in enumerate(verdicts, start=1) if one.is_loop), None)


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


# --- calls of tools ---------------------------------------------------------------------------------------------------


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


def telling(rounds: Iterable[tuple[str, str]], *, at: float, **options: Any) -> Step:
    """A call of a model whose request tells these calls and answers."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Compare."}]
    for n, (name, result) in enumerate(rounds):
        told = {"id": f"c{n}", "function": {"name": name, "arguments": "{}"}}
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [told]},
            {"role": "tool", "tool_call_id": f"c{n}", "content": result},
        ]
    return replace(ask("", at=at), fingerprint=chat_fingerprint({"messages": messages, **options}), answer=None)


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
