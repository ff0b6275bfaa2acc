"""The agent loop: tools in turn and at once, totals over all of it, limits, hooks, what it raises and when it stops."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

from wflo.agents import (
    Answer,
    BudgetExceededError,
    Client,
    InvalidRequestError,
    RateLimitError,
    Request,
    RetryConfig,
    Says,
    Scripted,
    Step,
    StepKind,
    acting_as,
    complete,
    counting,
    stream_complete,
    watching,
)
from wflo.agents.loop import MAX_ITERATIONS_TEXT
from wflo.usage import Usage

AT_ONCE = RetryConfig(max_attempts=3, min_wait=0, max_wait=0, multiplier=0)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail() -> str:
    raise ValueError("no")


def ran(work: Any) -> Any:
    return asyncio.run(work)


class Priced:
    """A script whose answers cost a cent each."""

    def __init__(self, *turns: Any) -> None:
        self.script = Scripted(turns)

    async def __call__(self, request: Request) -> Answer:
        answer = await self.script.ask(request)
        answer.cost_usd = Decimal("0.01")
        return answer


def test_tokens_and_dollars_are_of_the_whole_loop() -> None:
    """Trap 1 of the original: the last call alone was counted."""
    ask = Priced([("add", {"a": 1, "b": 2})], [("add", {"a": 3, "b": 3})], "6")
    result = ran(complete("sum", ask=ask, tools=[add]))
    assert result.tokens_used == {"prompt": 30, "completion": 15, "total": 45}
    assert result.cost_usd == Decimal("0.03")
    assert result.estimated_cost_usd == 0.03
    assert (result.iterations, result.tool_calls_made) == (3, 2)


def test_an_unknown_price_makes_an_unknown_cost() -> None:
    result = ran(complete("x", ask=Scripted(["y"])))
    assert result.cost_usd is None
    assert result.tokens_used == {"prompt": 10, "completion": 5, "total": 15}


def test_the_model_is_told_what_its_tools_said_in_its_order() -> None:
    script = Scripted([[("add", {"a": 1, "b": 1}), ("nope", {}), ("fail", {}), ("add", "{bad")], "done"])
    result = ran(complete("x", ask=script, tools=[add, fail]))
    told = [message["content"] for message in script.requests[1].messages if message["role"] == "tool"]
    assert told[0] == "2"
    assert told[1] == 'Error: there is no tool "nope". Tools: add, fail.'
    assert told[2] == "Error: fail failed: ValueError: no"
    assert "no JSON" in told[3]
    assert [entry["error"] for entry in result.tool_execution_history] == [False, True, True, True]
    ids = [message["tool_call_id"] for message in script.requests[1].messages if message["role"] == "tool"]
    assert ids == [call["id"] for call in script.requests[1].messages[2]["tool_calls"]]


def test_tools_of_one_answer_run_at_the_same_time() -> None:
    seen: list[str] = []

    async def slow(name: str) -> str:
        seen.append(f"{name} begins")
        await asyncio.sleep(0.02)
        seen.append(f"{name} ends")
        return name

    ran(complete("x", ask=Scripted([[("slow", {"name": "a"}), ("slow", {"name": "b"})], "done"]), tools=[slow]))
    assert seen[:2] == ["a begins", "b begins"]


def test_turns_that_run_out_are_said_in_words() -> None:
    result = ran(complete("x", ask=Scripted([[("add", {"a": 1, "b": 1})]]), tools=[add], max_tool_iterations=3))
    assert (result.final_response, result.iterations, result.tool_calls_made) == (MAX_ITERATIONS_TEXT, 3, 3)


def test_tools_may_be_left_uncalled() -> None:
    result = ran(
        complete(
            "x",
            ask=Scripted([Says(text="let me", calls=[("add", {"a": 1, "b": 1})])]),
            tools=[add],
            execute_tools=False,
        )
    )
    assert (result.final_response, result.tool_calls_made) == ("let me", 0)
    assert result.messages[-1]["tool_calls"][0]["function"]["name"] == "add"


def test_an_error_says_in_which_turn_and_keeps_its_class() -> None:
    script = Scripted([[("add", {"a": 1, "b": 1})], InvalidRequestError("bad request", status=400)])
    with pytest.raises(InvalidRequestError, match=r"bad request \(in turn 2 of the tool loop\)") as caught:
        ran(complete("x", ask=script, tools=[add]))
    assert (caught.value.iteration, caught.value.status) == (2, 400)


def test_what_may_be_tried_again_is_and_nothing_else() -> None:
    script = Scripted([RateLimitError("slow down"), RateLimitError("slow down"), "fine"])
    assert ran(complete("x", ask=script, retry=AT_ONCE)).final_response == "fine"
    assert len(script.requests) == 3
    script = Scripted([RateLimitError("slow down")])
    with pytest.raises(RateLimitError):
        ran(complete("x", ask=script, retry=AT_ONCE))
    assert len(script.requests) == 3
    script = Scripted([InvalidRequestError("no")])
    with pytest.raises(InvalidRequestError):
        ran(complete("x", ask=script, retry=AT_ONCE))
    assert len(script.requests) == 1


def test_a_budget_is_looked_at_before_each_call_and_what_was_answered_is_kept() -> None:
    ask = Priced([("add", {"a": 1, "b": 1})])
    with pytest.raises(BudgetExceededError, match=r"\$0\.02 of \$0\.02 is spent after 2 calls") as caught:
        ran(complete("x", ask=ask, tools=[add], max_cost_usd=0.02))
    assert len(ask.script.requests) == 2
    assert caught.value.outcome.tally.cost_usd == Decimal("0.02")
    assert len(caught.value.outcome.history) == 2
    assert ran(complete("x", ask=Priced("done"), max_cost_usd="0.001")).final_response == "done"


def test_a_hook_sees_every_step_and_a_run_goes_on_from_any_of_them() -> None:
    """A checkpoint after each step is its messages: a run that goes on from them pays for no step again."""
    steps: list[Step] = []
    turns = [[("add", {"a": 1, "b": 1})], [("add", {"a": 2, "b": 2})], "done"]
    whole = ran(complete("x", ask=Scripted(turns), tools=[add], on_step=steps.append, agent="adder"))
    assert [step.kind for step in steps] == ["model", "tool", "model", "tool", "model"]
    assert {step.agent for step in steps} == {"adder"}
    assert [step.iteration for step in steps] == [1, 1, 2, 2, 3]
    assert [message for step in steps for message in step.messages] == whole.messages[2:]
    from wflo.agents import loop
    from wflo.agents.models import Asked
    from wflo.agents.tools import tools_of

    for kept in range(1, len(steps)):
        if steps[kept - 1].kind is not StepKind.TOOL:
            continue
        before = [*whole.messages[:2], *(message for step in steps[:kept] for message in step.messages)]
        script = Scripted(turns[steps[kept - 1].iteration :])
        outcome = ran(loop.run(Asked(script.ask), Request(model="m", messages=before), tools_of([add])))
        assert (outcome.text, len(script.requests)) == ("done", 3 - steps[kept - 1].iteration)


def test_a_hook_may_be_async_and_what_it_raises_ends_the_run() -> None:
    seen = []

    async def stop(step: Step) -> None:
        seen.append(step)
        raise BudgetExceededError("enough")

    with pytest.raises(BudgetExceededError, match="enough"):
        ran(complete("x", ask=Scripted([[("add", {"a": 1, "b": 1})]]), tools=[add], on_step=stop))
    assert len(seen) == 1


def test_hooks_and_tallies_reach_everything_within() -> None:
    seen: list[Step] = []

    async def work() -> int:
        with watching(seen.append), counting() as tally, acting_as("outer"):
            await asyncio.gather(*(complete("x", ask=Scripted(["y"])) for _ in range(3)))
        await complete("x", ask=Scripted(["y"]))
        return tally.calls

    assert ran(work()) == 3
    assert [(step.kind, step.agent) for step in seen] == [("model", "outer")] * 3


def test_cancelled_it_ends_with_its_tools() -> None:
    ended: list[str] = []

    async def endless() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("tool")
        return ""

    async def work() -> None:
        task = asyncio.create_task(complete("x", ask=Scripted([[("endless", {}), ("endless", {})]]), tools=[endless]))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    began = time.monotonic()
    ran(work())
    assert ended == ["tool", "tool"]
    assert time.monotonic() - began < 30


def test_a_client_remembers_words_and_no_tool_traffic() -> None:
    script = Scripted([[("add", {"a": 1, "b": 1})], "2", "you asked for a sum"])
    client = Client(system_prompt="Be brief.", tools=[add], ask=script)
    ran(client.complete("1 + 1?"))
    ran(client.complete("What did I ask?"))
    assert script.requests[-1].messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "What did I ask?"},
    ]
    assert client.tally.calls == 3
    client.reset_conversation()
    assert client.conversation.messages == []


def test_a_stream_remembers_too_and_ends_with_the_result() -> None:
    async def work() -> tuple[list[Any], Client]:
        client = Client(
            ask=Scripted(
                [[("add", {"a": 1, "b": 1})], Says(text="it is two", usage=Usage(input_tokens=7, output_tokens=3))]
            ),
            tools=[add],
        )
        return [chunk async for chunk in client.stream_complete("1 + 1?")], client

    chunks, client = ran(work())
    assert "".join(chunk.content for chunk in chunks) == "it is two"
    assert [chunk.done for chunk in chunks] == [False, False, False, True]
    assert chunks[-1].result.tokens_used["total"] == 25
    assert chunks[-1].tool_calls_made == chunks[0].tool_calls_made == 1
    assert [message.content for message in client.conversation.messages] == ["1 + 1?", "it is two"]


def test_options_reach_the_provider_and_nothing_else_does() -> None:
    script = Scripted(["y"])
    ran(complete("x", "m", ask=script, temperature=0.2, options={"seed": 4}))
    assert script.requests[0].options == {"temperature": 0.2, "seed": 4}


@pytest.mark.parametrize("turns", [0, -1])
def test_no_turns_at_all_are_refused(turns: int) -> None:
    with pytest.raises(ValueError, match="max_tool_iterations"):
        ran(complete("x", ask=Scripted(["y"]), max_tool_iterations=turns))


def test_the_demo_that_fails_by_turns_is_tried_again_and_its_name_is_checked() -> None:
    assert ran(complete("x", model="demo/error", retry=AT_ONCE)).final_response
    with pytest.raises(InvalidRequestError, match="demo/agent, demo/echo"):
        ran(complete("x", model="demo/nobody"))


def test_the_demo_that_never_stops_is_stopped_by_the_turns() -> None:
    result = ran(complete("x", model="demo/loop", tools=[add]))
    assert (result.final_response, result.tool_calls_made) == (MAX_ITERATIONS_TEXT, 10)


def test_streams_of_words_come_one_by_one() -> None:
    async def work() -> list[str]:
        return [chunk.content async for chunk in stream_complete("one two three", model="demo/echo") if not chunk.done]

    assert ran(work()) == ["one ", "two ", "three"]


def test_the_demo_models_remember_as_their_prices_say() -> None:
    """As through the gateway: demo/json writes a cache first, demo/echo has none."""
    seen: list[Step] = []

    async def talk(model: str) -> None:
        client = Client(model=model, on_step=seen.append)
        await client.complete("one two three")
        await client.complete("four five six")

    for model in ("demo/json", "demo/echo"):
        ran(talk(model))
    first, second, *echo = [step.usage for step in seen]
    assert first is not None
    assert second is not None
    assert (first.cache_write_tokens or 0) > 0
    assert (second.cached_tokens or 0) > 0
    assert [usage.cached_tokens for usage in echo if usage is not None] == [0, 0]
