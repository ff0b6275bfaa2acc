"""The kill switch: later calls are refused by every process, and what streams ends and says why."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any

import pytest

from tests.tracking.gateway.conftest import Gateway
from tracking import run_control
from tracking.audit import SYSTEM
from tracking.models import LedgerEntry, Run, RunControl, Span
from wflo_site.processes import wait_until


def kill(gateway: Gateway, run: str, reason: str = "wrong customer") -> None:
    assert wait_until(lambda: RunControl.objects.filter(team=gateway.team, run=run).exists(), seconds=10)
    run_control.kill(gateway.team, [run], reason=reason, actor=SYSTEM)


def test_a_killed_run_makes_no_more_calls(gateway: Gateway) -> None:
    assert gateway.chat("one", headers={"x_wflo_run_id": "r"}).status_code == 200
    kill(gateway, "r")
    calls = len(gateway.provider.requests)
    refused = gateway.chat("two", headers={"x_wflo_run_id": "r"})
    error = refused.json()["detail"]["error"]
    assert (refused.status_code, error["code"], error["agentwall_code"]) == (429, "run_killed", "agentwall_killed")
    assert (error["run_id"], error["kill_reason"]) == ("r", "wrong customer")
    assert refused.headers["x-should-retry"] == "false"
    assert len(gateway.provider.requests) == calls
    assert wait_until(lambda: Run.objects.filter(team=gateway.team, status="killed").exists(), seconds=10)
    assert gateway.chat("two", headers={"x_wflo_run_id": "other"}).status_code == 200


def test_children_end_with_the_run_above_them_and_a_child_alone(gateway: Gateway) -> None:
    numbers = count(17)

    def child(name: str) -> int:
        words = f"number {next(numbers)} of {name}"
        return gateway.chat(words, headers={"x_wflo_run_id": name, "x_wflo_root_run_id": "root"}).status_code

    assert [child("a"), child("b")] == [200, 200]
    assert wait_until(lambda: Run.objects.filter(team=gateway.team, external_id="a").exists(), seconds=10)
    run_control.kill(gateway.team, ["a"], reason="", actor=SYSTEM)
    assert [child("a"), child("b")] == [429, 200]
    kill(gateway, "root")
    assert child("b") == 429


def test_a_run_that_was_completed_goes_on_when_it_calls_again(gateway: Gateway) -> None:
    headers = {"x_wflo_run_id": "r"}
    assert gateway.chat("one", headers=headers).status_code == 200
    run_control.complete(gateway.team, ["r"], actor=SYSTEM)
    assert run_control.control(gateway.team, "r").status == "completed"
    assert gateway.chat("two", headers=headers).status_code == 200
    assert run_control.control(gateway.team, "r").status == "running"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "go"}]}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "go"}], "max_tokens": 2000}),
        ("/v1/responses", {"input": "go"}),
    ],
)
def test_an_answer_under_way_ends_and_says_why(gateway: Gateway, path: str, body: dict[str, Any]) -> None:
    """Forty seconds of words, and one look a second: it ends long before they do, and what came is paid for."""
    gateway.budget("1")
    model = "anthropic/echo-long-drip" if path == "/v1/messages" else "echo-long-drip"
    if path == "/v1/messages":
        gateway.deploy(model)
    elif path == "/v1/responses":
        model = gateway.deploy("openai/echo-long-drip")
    headers = {"authorization": f"Bearer {gateway.key}", "x-wflo-run-id": "r"}
    lines: list[str] = []
    with gateway.client.stream("POST", path, json={"model": model, "stream": True, **body}, headers=headers) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            lines.append(line)
            if len(lines) == 10:
                kill(gateway, "r")
    said = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    errors = [event["error"] for event in said if event.get("error")]
    assert [error["code"] for error in errors] == ["run_killed"]
    assert errors[0]["kill_reason"] == "wrong customer"
    assert len(said) < 1_000
    gateway.at_rest()
    assert LedgerEntry.objects.filter(team=gateway.team).count() == 1
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).exists(), seconds=10)


def test_a_stream_that_says_nothing_ends_too(gateway: Gateway) -> None:
    headers = {"authorization": f"Bearer {gateway.key}", "x-wflo-run-id": "r"}
    body = {"model": "echo-pause", "stream": True, "messages": [{"role": "user", "content": "one two three"}]}
    began = time.monotonic()
    with gateway.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
        lines = answer.iter_lines()
        next(lines)
        kill(gateway, "r")
        rest = "\n".join(lines)
    assert '"finish_reason":"killed"' in rest
    assert '"code":"run_killed"' in rest
    assert rest.rstrip().endswith("[DONE]")
    assert time.monotonic() - began < 25  # the provider pauses for half a minute
