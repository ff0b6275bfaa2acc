"""What is recorded, and that nothing of recording ever reaches the host."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from wflo import config, decorators, exporter, plain, recording
from wflo.context import current
from wflo.decorators import track_agent_cost, track_llm_call, track_tool_call
from wflo.runs import Run
from wflo.testing import captured

ANSWER = {"model": "demo/echo", "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}}


@pytest.fixture(autouse=True)
def sending(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything up to the exporter's queue is on; what would be queued is here."""
    sent: list[bytes] = []
    monkeypatch.setattr(config, "_present", config.Config(endpoint="http://127.0.0.1:9", api_key="k"))
    monkeypatch.setattr(exporter, "put", sent.append)
    monkeypatch.setattr(recording, "_logged", {})
    return sent


@track_agent_cost("worker")
def host(value: Any = "x") -> list[Any]:
    """A host that uses each of the ways in."""
    call = track_llm_call(model="demo/echo")(lambda messages: ANSWER)
    tool = track_tool_call(lambda argument: argument)
    with recording.running(Run(name="inner")):
        return [call([{"role": "user", "content": value}]), tool(value)]


INTERNAL = [
    (recording, "encoded"),
    (recording, "to_json"),
    (recording, "plain"),
    (recording, "redacted"),
    (recording, "cost_of"),
    (recording, "send"),
    (recording, "_call_fields"),
    (recording.OpenSpan, "_head"),
    (exporter, "put"),
    (plain, "to_json"),
    (decorators, "_asked"),
    (decorators, "answered"),
]


@pytest.mark.parametrize(("where", "name"), INTERNAL, ids=lambda one: getattr(one, "__name__", one))
def test_no_fault_of_our_own_reaches_the_host(
    where: Any, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """K10"""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(where, name, broken)
    with caplog.at_level(logging.WARNING, "wflo"):
        for _ in range(20):
            assert host() == [ANSWER, "x"]
    assert (caplog.records != []) == (name != "to_json" or where is recording)
    places = [record.args[0] for record in caplog.records if record.name == "wflo" and record.args]
    assert len(places) == len(set(places))  # one line a minute for each place


class Slow:
    def __repr__(self) -> str:
        raise AssertionError("nobody asked")


def _deep(levels: int) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    "value",
    [Slow(), _deep(10_000), "x" * 20_000_000, count(), b"x" * 10**7, {"a": {1, 2}}, "\ud800 lone", "\0"],
    ids=lambda one: type(one).__name__,
)
def test_hostile_values_are_bounded(value: Any, sending: list[bytes]) -> None:
    """K11"""
    assert host(value)[1] is value
    assert all(len(event) < 500_000 for event in sending)
    assert all(json.loads(event) for event in sending)


def test_secrets_are_struck_out_before_anything_is_queued(sending: list[bytes]) -> None:
    secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123"
    host(f"the key is {secret}")

    @track_tool_call
    def failing() -> None:
        raise ValueError(f"wrong key {secret}")

    with pytest.raises(ValueError, match="wrong key"):
        failing()
    assert sending
    assert not [event for event in sending if secret.encode() in event]


def test_contents_are_left_out_where_that_is_wanted(sending: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_present", config.Config(endpoint="http://127.0.0.1:9", capture_content=False))
    host("a private word")
    assert sending
    assert b"private word" not in b"".join(sending)


def test_many_threads_count_exactly(sending: list[bytes]) -> None:
    """K13"""
    call = track_llm_call(model="demo/echo")(lambda: ANSWER)
    run = Run()

    def work(_: int) -> None:
        with recording.runs.entered(run, "worker"):
            for _ in range(200):
                call()

    with ThreadPoolExecutor(32) as threads:
        list(threads.map(work, range(32)))
    assert (run.used.whole.llm_calls, run.used.whole.cost_usd) == (6_400, Decimal("0.5") * 6_400)
    ids = {json.loads(event)["span_id"] for event in sending}
    assert len(ids) == len(sending) == 6_400


def test_context_is_kept_over_tasks_threads_and_executors() -> None:
    """K17"""
    seen: list[Any] = []

    @track_tool_call(tool_name="outer")
    async def outer() -> None:
        scope = current()
        loop = asyncio.get_running_loop()
        await asyncio.gather(asyncio.create_task(inner()), inner(), asyncio.to_thread(lambda: seen.append(current())))
        await loop.run_in_executor(None, lambda: None)
        assert current() is scope

    async def inner() -> None:
        await asyncio.sleep(0)
        seen.append(current())

    with recording.running(Run()) as run:
        asyncio.run(outer())
        bare = threading.Thread(target=lambda: seen.append(current()))
        bare.start()
        bare.join()
    *within, outside = seen
    assert [scope.run for scope in within] == [run] * 3
    assert len({scope.span_id for scope in within}) == 1
    assert outside is None  # a bare thread copies no context


def test_what_is_open_is_told_as_begun_once(sending: list[bytes]) -> None:
    with recording.running(Run()):
        scope = current()
        assert scope is not None
        span = recording.begin(scope, recording.Kind.TOOL, "long", input={"q": 1}, tool="long")
        begun = [json.loads(event) for event in recording._announced()]
        assert [(event["kind"], event["span_id"], event["tool"]) for event in begun] == [
            ("span.start", span.id, "long")
        ]
        assert list(recording._announced()) == []
        span.end()
    assert list(recording._announced()) == []


def test_a_stopped_run_is_told_to_its_process() -> None:
    with recording.running(Run()) as run:
        recording.runs.heard({"runs": {run.id: {"status": "killed", "kill_reason": "enough"}, "another": {}}})
        with pytest.raises(recording.runs.RunKilledError, match="enough"):
            track_tool_call(lambda: 1)()


def test_events_of_a_run_are_told_in_order() -> None:
    with captured() as events:
        host()
    assert [event["kind"] for event in events][:2] == ["run.start", "run.start"]
    assert events[-1]["kind"] == "run.end"
    assert {event["run_id"] for event in events if event["kind"] == "span.end" and event["span_kind"] == "llm"} == {
        next(event["run_id"] for event in events if event.get("name") == "inner")
    }


def test_a_stream_that_nobody_reads_to_its_end_is_told_once() -> None:
    """K18: left, collected or cancelled, with the tokens that were told until then."""
    pieces = [{"model": "demo/echo", "usage": {"prompt_tokens": 5, "completion_tokens": 1}}, {}, {}]
    call = track_llm_call(model="demo/echo")(lambda: iter(pieces))

    async def cancelled() -> None:
        @track_llm_call(model="demo/echo")
        async def endless() -> Any:
            yield pieces[0]
            await asyncio.sleep(60)

        async def read() -> None:
            async for _ in endless():
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with captured() as events, recording.running(Run()):
        stream = call()
        next(stream)
        stream.close()
        other = call()
        next(other)
        del stream, other
        gc.collect()
        asyncio.run(cancelled())
    ended = [event for event in events if event["kind"] == "span.end" and event["span_kind"] == "llm"]
    assert [event["input_tokens"] for event in ended] == [5, 5, 5]
    assert len({event["span_id"] for event in ended}) == 3


def test_a_clock_that_jumps_makes_no_time_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    """K19"""
    jumps = iter([10**18, 0, 10**19])
    with captured() as events, recording.running(Run()):
        scope = current()
        assert scope is not None
        monkeypatch.setattr(recording.time, "time_ns", lambda: next(jumps, 0))
        for _ in range(3):
            recording.begin(scope, recording.Kind.TOOL, "x", tool="x").end()
    assert all(0 <= event["duration_ms"] < 60_000 for event in events if event["kind"] == "span.end")


def test_a_field_that_cannot_be_redacted_is_left_out(sending: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """K27"""

    def broken(text: str) -> str:
        raise RuntimeError("the host's own redactor")

    monkeypatch.setattr(config, "_present", config.Config(endpoint="http://127.0.0.1:9", redact=broken))
    host("a private word")
    assert sending
    assert b"private word" not in b"".join(sending)
    assert all(json.loads(event) for event in sending)


def test_the_hosts_exceptions_are_its_own() -> None:
    """K26: type, arguments, cause and traceback."""

    @track_agent_cost("a")
    @track_tool_call
    def failing() -> None:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second", 2) from first

    with pytest.raises(ValueError, match="second") as found:
        failing()
    assert found.value.args == ("second", 2)
    assert isinstance(found.value.__cause__, KeyError)
    assert found.traceback[-1].name == "failing"
