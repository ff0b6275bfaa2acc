"""Calls are watched and held to budgets, whatever kind of function makes them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from wflo import recording
from wflo.context import current, current_run
from wflo.decorators import enforce_budget, track_agent_cost, track_llm_call, track_tool_call
from wflo.errors import AgentBudgetExceededError, BudgetExceededError, RunKilledError
from wflo.runs import Run
from wflo.testing import captured

MODEL = "demo/echo"  # $0.1 and $0.4 a million tokens
ANSWER = {"model": MODEL, "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}, "id": "resp-1"}
COST = Decimal("0.5")
PIECES = [
    {"model": MODEL, "choices": [{"delta": {"content": "he"}}]},
    {"choices": [{"delta": {"content": "llo"}, "finish_reason": "stop"}]},
    {"choices": [], "usage": ANSWER["usage"]},
]


def plain(messages: Any = ()) -> Any:
    return ANSWER


async def awaited(messages: Any = ()) -> Any:
    await asyncio.sleep(0)
    return ANSWER


def pieces(messages: Any = ()) -> Iterator[Any]:
    yield from PIECES


async def pieces_async(messages: Any = ()) -> AsyncIterator[Any]:
    for piece in PIECES:
        yield piece


def giving_a_coroutine(messages: Any = ()) -> Any:
    return awaited(messages)


def giving_a_stream(messages: Any = ()) -> Any:
    return iter(PIECES)


KINDS = [plain, awaited, pieces, pieces_async, giving_a_coroutine, giving_a_stream]


def run_of(function: Callable[..., Any], *args: Any) -> Any:
    """Call it as its kind is called, to the end."""

    async def collect(found: Any) -> Any:
        return [piece async for piece in found]

    found = function(*args)
    if inspect.isawaitable(found):
        return asyncio.run(_value(found))
    if hasattr(found, "__aiter__"):
        return asyncio.run(collect(found))
    return list(found) if hasattr(found, "__next__") else found


async def _value(found: Any) -> Any:
    return await found


def ended(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["kind"] == "span.end" and event["span_kind"] == kind]


@pytest.mark.parametrize("function", KINDS, ids=lambda one: one.__name__)
def test_a_call_of_a_model_is_recorded_and_its_answer_given_back(function: Callable[..., Any]) -> None:
    expected = run_of(function)
    with captured() as events, recording.running(Run(name="work")) as run:
        assert run_of(track_llm_call(model=MODEL)(function), [{"role": "user", "content": "hello"}]) == expected
    (call,) = ended(events, "llm")
    assert (call["requested_model"], call["input_tokens"], call["output_tokens"]) == (MODEL, 1_000_000, 1_000_000)
    assert Decimal(call["cost_usd"]) == COST
    assert call["input"] == [{"role": "user", "content": "hello"}]
    assert run.used.whole.cost_usd == COST
    assert run.used.whole.llm_calls == 1


@pytest.mark.parametrize("function", KINDS, ids=lambda one: one.__name__)
def test_signature_name_and_docstring_stay(function: Callable[..., Any]) -> None:
    """K26"""
    for decorate in (track_llm_call, track_tool_call, track_agent_cost("a"), enforce_budget(1)):
        wrapped = decorate(function)
        assert inspect.signature(wrapped) == inspect.signature(function)
        assert wrapped.__name__ == function.__name__
        assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(function)
        assert inspect.isasyncgenfunction(wrapped) == inspect.isasyncgenfunction(function)


@pytest.mark.parametrize("function", KINDS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_decorators_stack_in_any_order(function: Callable[..., Any], order: tuple[int, ...]) -> None:
    decorators = [track_llm_call(model=MODEL), track_tool_call, track_agent_cost("writer", 10), enforce_budget(10)]
    wrapped: Any = function
    for place in order:
        wrapped = decorators[place](wrapped)
    with captured() as events, recording.running(Run()) as run:
        assert run_of(wrapped) == run_of(function)
    assert len(ended(events, "llm")) == len(ended(events, "tool")) == len(ended(events, "agent")) == 1
    assert run.used.whole.cost_usd == COST
    assert current() is None


@pytest.mark.parametrize("function", KINDS, ids=lambda one: one.__name__)
def test_outside_of_a_run_each_call_is_a_run_of_its_own(function: Callable[..., Any]) -> None:
    wrapped = track_llm_call(model=MODEL)(function)
    with captured() as events:
        for _ in range(2):
            run_of(wrapped)
    kinds = [event["kind"] for event in events]
    assert kinds == ["run.start", "span.end", "run.end"] * 2 or sorted(kinds) == sorted(
        ["run.start", "span.end", "run.end"] * 2
    )
    assert len({event["run_id"] for event in events}) == 2
    assert all(event["run_id"].startswith("temp-") for event in events)


def test_a_failure_is_recorded_and_goes_on_as_it_is() -> None:
    class Strange(Exception):
        pass

    @track_llm_call(model=MODEL)
    def failing() -> None:
        raise Strange("no luck")

    with captured() as events, recording.running(Run()) as run, pytest.raises(Strange, match="^no luck$"):
        failing()
    (call,) = ended(events, "llm")
    assert (call["status"], call["error"]) == ("error", "Strange: no luck")
    assert (run.used.whole.llm_calls, run.used.whole.errors, run.used.whole.unpriced_calls) == (1, 1, 0)


def test_the_caller_of_a_generator_is_not_within_its_span_between_pieces() -> None:
    seen = []

    @track_tool_call(tool_name="count")
    def count() -> Iterator[int]:
        for number in range(2):
            scope = current()
            seen.append(scope.span_id if scope else None)
            yield number

    with recording.running(Run()):
        outside = current()
        for _ in count():
            assert current() is outside
    assert None not in seen
    assert len(set(seen)) == 1


def test_a_stream_that_is_left_early_ends_its_span_without_error() -> None:
    with captured() as events, recording.running(Run()):
        stream = track_llm_call(model=MODEL)(pieces)()
        next(stream)
        stream.close()
    (call,) = ended(events, "llm")
    assert call["status"] == "ok"


def test_a_generator_takes_what_is_sent_and_thrown_into_it() -> None:
    @track_tool_call
    def echo() -> Iterator[Any]:
        got = yield "first"
        try:
            yield got
        except ValueError as error:
            yield str(error)

    talk: Any = echo()
    assert next(talk) == "first"
    assert talk.send("second") == "second"
    assert talk.throw(ValueError("third")) == "third"


def test_a_call_within_a_tracked_call_is_counted_once() -> None:
    inner = track_llm_call(model=MODEL)(plain)
    outer = track_llm_call(model="demo/agent")(lambda messages=(): inner(messages))
    with captured() as events, recording.running(Run()) as run:
        assert outer() == ANSWER
    assert (run.used.whole.llm_calls, run.used.whole.cost_usd) == (1, COST)
    assert len(ended(events, "llm")) == 1
    (chain,) = ended(events, "chain")
    assert "input_tokens" not in chain


def test_a_budget_ends_after_the_call_that_is_paid_for_and_before_the_next() -> None:
    call = track_llm_call(model=MODEL)(plain)
    with recording.running(Run(budget_usd=Decimal("0.5"))) as run:
        assert call() == ANSWER  # exactly the budget is no more than it
        with pytest.raises(BudgetExceededError, match="was not made") as refused:
            call()
        assert run.used.whole.llm_calls == 1
        assert (refused.value.spent_usd, refused.value.budget_usd, refused.value.answer) == (COST, COST, None)
    with recording.running(Run(budget_usd=Decimal("0.4"))), pytest.raises(BudgetExceededError) as over:
        call()
    assert over.value.answer == ANSWER


def test_an_agents_budget_is_its_own() -> None:
    call = track_llm_call(model=MODEL)(plain)
    spender = track_agent_cost("spender", 0.4)(lambda: call())
    saver = track_agent_cost("saver", 5)(lambda: call())
    with recording.running(Run()) as run:
        assert saver() == ANSWER
        with pytest.raises(AgentBudgetExceededError) as over:
            spender()
        assert (over.value.agent_name, over.value.spent_usd, over.value.answer) == ("spender", COST, ANSWER)
        assert saver() == ANSWER
        with pytest.raises(AgentBudgetExceededError, match="was not made"):
            spender()
    rows = run.used.by_agent(run.agent_budgets)
    assert {name: row["cost_usd"] for name, row in rows.items()} == {"saver": 2 * COST, "spender": COST}
    assert rows["spender"]["remaining_usd"] == Decimal("-0.1")


def test_a_block_of_work_has_a_budget_of_its_own_each_time() -> None:
    call = track_llm_call(model=MODEL)(plain)
    work = enforce_budget(0.7)(lambda: [call(), call()])
    with recording.running(Run(budget_usd=Decimal(100))) as run:
        for _ in range(2):
            with pytest.raises(BudgetExceededError) as over:
                work()
            assert (over.value.spent_usd, over.value.budget_usd) == (2 * COST, Decimal("0.7"))
        assert run.budget_usd == 100


def test_classes_methods_and_objects_act_as_an_agent() -> None:
    class Writer:
        def run(self, topic: str) -> str:
            run = current_run()
            return f"{topic} by {current().agent if run else None}"  # type: ignore[union-attr]

        @track_tool_call
        @staticmethod
        def static(number: int) -> int:
            return number + 1

        @track_tool_call
        @classmethod
        def named(cls) -> str:
            return cls.__name__

    assert track_agent_cost("one")(Writer()).run("a") == "a by one"
    assert (Writer.static(1), Writer.named()) == (2, "Writer")
    decorated: Any = track_agent_cost("two")(Writer)
    assert decorated is Writer
    assert Writer().run("b") == "b by two"
    with pytest.raises(TypeError, match="cannot be called"):
        track_agent_cost("three")(object())


def test_a_stopped_run_makes_no_more_calls() -> None:
    call = track_llm_call(model=MODEL)(plain)
    with recording.running(Run()) as run:
        call()
        run.control = {"status": "killed", "kill_reason": "it went round in circles"}
        for refused in (call, track_tool_call(plain)):
            with pytest.raises(RunKilledError, match="it went round in circles"):
                refused()
        assert run.used.whole.llm_calls == 1


def test_a_model_without_a_price_is_unknown_and_not_free() -> None:
    answer = {"model": "nobody/knows", "usage": {"input_tokens": 5, "output_tokens": 5}}
    with captured() as events, recording.running(Run()) as run:
        track_llm_call(lambda: answer)()
    (call,) = ended(events, "llm")
    assert "cost_usd" not in call
    assert (run.used.whole.unpriced_calls, run.used.whole.cost_usd) == (1, 0)


def test_tasks_and_threads_keep_sums_exact() -> None:
    call = track_llm_call(model=MODEL)(awaited)

    async def work() -> None:
        with recording.running(Run()) as run:
            await asyncio.gather(
                *(call() for _ in range(200)),
                *(asyncio.to_thread(lambda: asyncio.run(_value(call()))) for _ in range(50)),
            )
            assert (run.used.whole.llm_calls, run.used.whole.cost_usd) == (250, 250 * COST)

    asyncio.run(work())
