"""Runs that go round in circles are stopped; runs that work are not. The numbers B… are cases of the catalogue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db.models import F

from tests.tracking.gateway.conftest import Gateway
from tracking.models import Alert, Run, RunControl
from wflo_site.processes import wait_until

TOOL = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}


def say(gateway: Gateway, words: str, run: str = "run-1", **fields: Any) -> Any:
    headers = {"x_wflo_run_id": run, **fields.pop("headers", {})}
    return gateway.chat(words, headers=headers, **fields)


def test_the_same_words_twice_in_one_run_are_a_loop_and_end_it(gateway: Gateway) -> None:
    """B38: AgentWall's own example."""
    gateway.budget("1")
    assert say(gateway, "do it").status_code == 200
    refused = say(gateway, "do it")
    assert refused.status_code == 429
    assert refused.headers["x-should-retry"] == "false"
    error = refused.json()["detail"]["error"]
    assert (error["type"], error["loop_type"], error["run_id"]) == ("loop_detected", "exact_prompt", "run-1")
    assert error["steps"] == 2
    assert error["confidence"] == 1.0
    killed = say(gateway, "something else")
    assert (killed.status_code, killed.json()["error"]["type"]) == (429, "run_killed")
    assert say(gateway, "do it", run="run-2").status_code == 200
    alert = Alert.objects.get(team=gateway.team, kind="loop")
    assert alert.payload["pattern"]
    assert float(alert.payload["burned_usd"]) > 0
    assert wait_until(lambda: Run.objects.filter(team=gateway.team, loop_detected=True).exists(), seconds=10)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_and_a_whole_answer_are_remembered_alike(gateway: Gateway, stream: bool) -> None:
    say(gateway, "do it", stream=stream)
    assert say(gateway, "do it", stream=not stream).status_code == 429


def test_a_talk_that_goes_on_is_none(gateway: Gateway) -> None:
    messages: list[dict[str, Any]] = []
    for n in range(6):
        messages.append({"role": "user", "content": f"question {n} about topic number {n * 7}"})
        body = {"model": "echo", "messages": messages}
        answer = gateway.post("/v1/chat/completions", body, x_wflo_run_id="talk")
        assert answer.status_code == 200
        messages.append(answer.json()["choices"][0]["message"])


def test_an_agent_that_works_with_tools_is_none(gateway: Gateway) -> None:
    """Trap 7 of the original: the last words of the user are the same at every step of a tool loop."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "find what there is"}]
    for n in range(5):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "search", "arguments": f'{{"page": {n}}}'}}
        body = {"model": "echo", "messages": messages, "tools": [TOOL]}
        assert gateway.post("/v1/chat/completions", body, x_wflo_run_id="tools").status_code == 200
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{n}", "content": f"page {n}: nothing new"})


def test_a_client_that_tries_again_is_none(gateway: Gateway) -> None:
    """Trap 8 of the original."""
    assert say(gateway, "do it").status_code == 200
    assert say(gateway, "do it", headers={"x_stainless_retry_count": "1"}).status_code == 200


def test_what_failed_was_no_turn(gateway: Gateway) -> None:
    assert say(gateway, "do it", model="echo-fail500").status_code == 500
    assert say(gateway, "do it").status_code == 200


def test_agents_of_one_run_are_told_apart(gateway: Gateway) -> None:
    for agent in ("a", "b"):
        assert say(gateway, "do it", headers={"x_wflo_agent": agent}).status_code == 200


def test_calls_at_the_same_time_are_samples(gateway: Gateway) -> None:
    """B39"""
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: say(gateway, "do it", model="echo-slow").status_code, range(8)))
    assert got == [200] * 8


@pytest.mark.parametrize(("action", "second", "third"), [("off", 200, 200), ("warn", 200, 200), ("block", 429, 200)])
def test_a_team_says_what_is_done(gateway: Gateway, action: str, second: int, third: int) -> None:
    gateway.team.loop_action = action
    gateway.team.save(update_fields=["loop_action"])

    def takes() -> bool:
        run = f"probe-{RunControl.objects.count()}"
        say(gateway, "do it", run=run)
        return say(gateway, "do it", run=run).status_code == second

    assert wait_until(takes, seconds=5)
    say(gateway, "do it", run="r")
    again = say(gateway, "do it", run="r")
    assert again.status_code == second
    assert ("warning" in again.json().get("agentwall", {})) is (action == "warn")
    assert say(gateway, "another thing entirely", run="r").status_code == third


def test_what_another_process_remembers_counts_and_the_call_it_stops_is_neither_a_step_nor_paid(
    gateway: Gateway,
) -> None:
    """A process that judged by an older memory holds first and is told of the newer one with it."""
    gateway.budget("1")
    for words in ("do it", "do that"):
        say(gateway, words, run="elsewhere")
    say(gateway, "do it")
    newer = RunControl.objects.get(team=gateway.team, run="elsewhere")
    mine = RunControl.objects.filter(team=gateway.team, run="run-1")
    mine.update(loop_state=newer.loop_state, version=F("version") + 1)
    before = mine.get()
    assert say(gateway, "do that").json()["detail"]["error"]["type"] == "loop_detected"
    after = mine.get()
    assert (after.steps, after.cost_usd) == (before.steps, before.cost_usd) == (1, before.cost_usd)
    assert after.killed_at is not None
    gateway.at_rest()
    assert len(gateway.provider.bill) == 3


def test_a_memory_that_moved_stops_no_honest_call(gateway: Gateway) -> None:
    say(gateway, "do that", run="elsewhere")
    say(gateway, "do it")
    newer = RunControl.objects.get(team=gateway.team, run="elsewhere")
    mine = RunControl.objects.filter(team=gateway.team, run="run-1")
    mine.update(loop_state=newer.loop_state, version=F("version") + 1)
    assert say(gateway, "another thing").status_code == 200
    assert (mine.get().steps, mine.get().loop_state["steps"], mine.get().version) == (2, 2, 3)


def test_a_memory_that_cannot_be_read_begins_anew(gateway: Gateway) -> None:
    """A newer Wflo wrote it, before it was taken back for this one."""
    say(gateway, "do it")
    mine = RunControl.objects.filter(team=gateway.team, run="run-1")
    mine.update(loop_state={"version": 99}, version=F("version") + 1)
    assert say(gateway, "do it").status_code == 200
    assert mine.get().loop_state["steps"] == 1
    assert say(gateway, "do it").status_code == 429


def test_turns_that_are_answered_at_the_same_time_are_all_remembered(gateway: Gateway) -> None:
    with ThreadPoolExecutor(8) as threads:
        said = threads.map(lambda n: say(gateway, f"thing number {n} of them", model="echo-slow").status_code, range(8))
    assert set(said) == {200}
    assert RunControl.objects.get(team=gateway.team, run="run-1").loop_state["steps"] == 8
