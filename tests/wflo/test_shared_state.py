"""State that agents of a run share, and what they tell one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from wflo import recording
from wflo.agent_messages import messages, send_message
from wflo.runs import Run, entered
from wflo.shared_state import ConflictError, SharedState
from wflo.testing import captured


def test_nobody_overwrites_what_they_have_not_read() -> None:
    state = SharedState(Run())
    assert state.get("plan", "none") == "none"
    assert state.set("plan", ["one"], version=0) == 1
    with pytest.raises(ConflictError) as conflict:
        state.set("plan", ["mine"], version=0)
    assert (conflict.value.present, conflict.value.version) == (["one"], 1)
    assert state.set("plan", {"at": datetime(2026, 1, 1, tzinfo=UTC)}) == 2
    assert state.get("plan") == {"at": datetime(2026, 1, 1, tzinfo=UTC)}
    state.delete("plan")
    assert state.read("plan").version == 0


@pytest.mark.parametrize(
    ("how", "theirs", "ours", "both"),
    [
        ("last", {"a": 1}, {"b": 2}, {"b": 2}),
        ("merge", {"a": 1, "c": 1}, {"b": 2, "c": 2}, {"a": 1, "b": 2, "c": 2}),
        ("append", [1, 2], [2, 3], [1, 2, 3]),
        (lambda theirs, ours: theirs + ours, 1, 2, 3),
    ],
)
def test_conflicts_may_be_merged(how: Any, theirs: Any, ours: Any, both: Any) -> None:
    state = SharedState("run of this test")
    state.set("x", theirs)
    stale = state.read("x").version - 1
    state.set("x", ours, version=stale, on_conflict=how)
    assert state.get("x") == both
    state.delete("x")


def test_many_that_update_lose_nothing() -> None:
    state = SharedState(Run())
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: state.update("count", lambda before: (before or 0) + 1), range(200)))
    assert (state.get("count"), state.read("count").version) == (200, 200)


def test_runs_are_apart_and_one_is_needed() -> None:
    with recording.running(Run()):
        SharedState().set("x", 1)
    with recording.running(Run()):
        assert SharedState().get("x") is None
    with pytest.raises(ValueError, match="run"):
        SharedState()
    with pytest.raises(ValueError, match="on_conflict"):
        SharedState("r").set("x", 1, on_conflict="never")


def test_messages_wait_for_their_agent_in_order() -> None:
    run = Run()
    with captured() as events, recording.running(run):
        with entered(run, "researcher"):
            send_message("writer", {"notes": [1]})
            send_message("writer", "hurry", kind="nudge")
            send_message("editor", "later")
        with entered(run, "writer"):
            assert [message.content for message in messages(kind="nudge")] == ["hurry"]
            (first,) = messages()
            assert (first.content, first.from_agent, first.to) == ({"notes": [1]}, "researcher", "writer")
            assert messages() == []
    assert [(event["name"], event["to"]) for event in events if event["kind"] == "agent_message"] == [
        ("researcher to writer", "writer"),
        ("researcher to writer", "writer"),
        ("researcher to editor", "editor"),
    ]
    with recording.running(Run()):
        assert messages("editor") == []
