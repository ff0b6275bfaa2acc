"""Loops are noticed in the agent's own process; honest repetition is not."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from tests.wflo.calls import KINDS, called, of_kind
from wflo import recording
from wflo.decorators import track_agent_cost, track_llm_call, track_tool_call
from wflo.errors import InfiniteLoopDetectedError
from wflo.looping import detect_infinite_loop
from wflo.runs import Run
from wflo.testing import captured


def tools(answers: Any) -> Any:
    """A tool that answers one after the other."""
    return track_tool_call(tool_name="search_web")(lambda query: next(answers))


def same() -> Any:
    return (["nothing new"] for _ in count())


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_tool_with_the_same_answer_is_a_loop(kind: str) -> None:
    tool, done = tools(same()), []

    def agent() -> None:
        for _ in range(50):
            done.append(tool("owls"))

    with captured() as events, recording.running(Run()), pytest.raises(InfiniteLoopDetectedError) as found:
        called(detect_infinite_loop(of_kind(kind, agent)))
    assert 2 <= len(done) <= 5
    assert "search_web" in found.value.repeated_pattern
    assert found.value.similarity > 0.9
    assert found.value.iteration >= 2
    (told,) = [event for event in events if event["kind"] == "loop"]
    assert "search_web" in told["pattern"]


def test_honest_polling_and_paging_pass() -> None:
    growing = (f"{number * 10} % done" for number in count())
    pages = ([f"page {number}", f"entry {number * 7}"] for number in count())
    poll = track_tool_call(tool_name="job_status")(lambda job: next(growing))
    page = track_tool_call(tool_name="fetch_page")(lambda number: next(pages))

    @detect_infinite_loop
    def agent() -> str:
        for number in range(9):
            poll("job-1")
            page(number)
        return "done"

    with recording.running(Run()):
        assert agent() == "done"


def test_even_polling_has_an_end() -> None:
    poll = track_tool_call(tool_name="job_status")(lambda job: "nothing new")

    @detect_infinite_loop
    def agent() -> None:
        for _ in range(500):
            poll("job-1")

    with recording.running(Run()) as run, pytest.raises(InfiniteLoopDetectedError):
        agent()
    assert 15 <= run.used.whole.tool_calls <= 40


def test_agents_of_one_run_are_apart() -> None:
    tool = tools(same())

    @detect_infinite_loop
    def crew() -> None:
        for name in "abcdefgh":
            track_agent_cost(f"agent {name}")(lambda: tool("owls"))()

    with recording.running(Run()):
        crew()


def test_a_model_that_is_asked_the_same_again_and_again() -> None:
    answer = {
        "choices": [{"message": {"role": "assistant", "content": "I will look into the matter of the owls once more."}}]
    }
    ask = track_llm_call(model="demo/echo")(lambda messages: answer)

    @detect_infinite_loop(max_iterations=50)
    def agent() -> None:
        for _ in range(20):
            ask([{"role": "user", "content": "Tell me all about the owls of Europe and where they live."}])

    with recording.running(Run()) as run, pytest.raises(InfiniteLoopDetectedError):
        agent()
    assert run.used.whole.llm_calls <= 5


def test_more_rounds_than_it_may_make() -> None:
    numbers = count()
    answers = (
        {"choices": [{"message": {"role": "assistant", "content": f"Idea number {n}: {'x' * n}"}}]} for n in count()
    )
    ask = track_llm_call(model="demo/echo")(lambda messages: next(answers))

    @detect_infinite_loop(max_iterations=5)
    def agent() -> None:
        for _ in range(20):
            ask([{"role": "user", "content": f"question {next(numbers)} about {'y' * next(numbers)}"}])

    with recording.running(Run()) as run, pytest.raises(InfiniteLoopDetectedError):
        agent()
    assert 5 <= run.used.whole.llm_calls <= 7


def test_the_function_itself_called_again_and_again() -> None:
    step = detect_infinite_loop(lambda state: {"plan": "the same as ever"})
    with recording.running(Run()), pytest.raises(InfiniteLoopDetectedError):
        [step({"goal": "x"}) for _ in range(10)]
    with recording.running(Run()):
        step({"goal": "x"})
        step({"goal": "x"})
        for number in range(10):
            step({"goal": f"another {number}"})


def test_a_warning_only_warns(caplog: pytest.LogCaptureFixture) -> None:
    tool = tools(same())

    @detect_infinite_loop(action="warn")
    def agent() -> str:
        for _ in range(6):
            tool("owls")
        return "done"

    with recording.running(Run()):
        assert agent() == "done"
    assert any("repeats itself" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"max_iterations": 0}, "max_iterations"),
        ({"similarity_threshold": 1.5}, "similarity_threshold"),
        ({"action": "stop"}, "action"),
    ],
)
def test_arguments_that_mean_nothing(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}"):
        detect_infinite_loop(**arguments)
