"""The library in a host of its own, sending to a running Wflo: what it recorded is there, and what people decide reaches it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.make import make_key, make_team
from tests.server import ROOT, running_server
from tracking import pricing
from wflo_site.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

PRELUDE = """
import asyncio, json, sys, time
import wflo
from wflo import WfloWorkflow, checkpoint, run, track_agent_cost, track_llm_call, track_tool_call

ANSWER = {"model": "demo/echo", "usage": {"prompt_tokens": 1000, "completion_tokens": 500}, "choices": [{"finish_reason": "stop"}]}

@track_llm_call(model="demo/echo", provider="demo")
def ask(messages):
    return ANSWER

@track_tool_call
def search(query):
    return [query]

def say(**told):
    print(json.dumps(told, default=str), flush=True)
"""


class Hosts:
    """Programs of a team that use the library, and the API they are looked at by."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.api = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=30)

    def start(self, script: str) -> subprocess.Popen[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WFLO_")}
        environ |= {"WFLO_ENDPOINT": self.url, "WFLO_API_KEY": self.key, "PYTHONPATH": str(ROOT)}
        code = PRELUDE + textwrap.dedent(script)
        return subprocess.Popen(
            [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, script: str) -> list[dict[str, Any]]:
        """To its end; what it said."""
        with self.start(script) as process:
            out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        return [json.loads(line) for line in out.splitlines()]

    def checkpoints(self, run: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/v1/runs/{run}/checkpoints", limit=500)["checkpoints"]
        return found

    def tools(self, run: str) -> list[dict[str, Any]]:
        """The tools' spans of a run, none while nothing of it has come."""
        found = self.api.get(f"/api/v1/runs/{run}/spans").json().get("spans", [])
        return [span for span in found if span["kind"] == "tool"]

    def get(self, path: str, **params: Any) -> Any:
        answer = self.api.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def hosts(transactional_db: None, tmp_path: Path) -> Iterator[Hosts]:
    pricing.load_bundled()
    _, key = make_key(make_team("Hosts"), scopes=["ingest", "gateway", "read", "jobs", "admin"])
    with running_server(tmp_path) as server:
        found = Hosts(server.url, key)
        yield found
        found.api.close()


def test_a_workflow_is_there_with_each_agents_cost(hosts: Hosts) -> None:
    (told,) = hosts.run("""
        @checkpoint
        @track_agent_cost("researcher", budget_usd=1)
        def research():
            return {"found": search("owls"), "notes": ask([{"role": "user", "content": "owls"}])["model"]}

        @track_agent_cost("writer")
        async def write():
            ask([{"role": "user", "content": "write"}]); ask([{"role": "user", "content": "more"}])

        async def report(topic):
            research()
            await write()

        flow = WfloWorkflow("report", budget_usd=2, session_id="s1", user_id="ada", tags=["nightly"])
        asyncio.run(flow.execute(report, {"topic": "owls"}))
        say(run=flow.execution_id, trace=flow.get_trace_id(), agents=flow.get_cost_breakdown_by_agent())
    """)
    run = hosts.get(f"/api/v1/runs/{told['run']}")
    assert hosts.get(f"/api/v1/runs/{told['trace']}")["id"] == run["id"]
    assert (run["status"], run["name"], run["origin"]) == ("completed", "report", "sdk")
    assert (run["session_id"], run["user_id"], run["tags"]) == ("s1", "ada", ["nightly"])
    assert (run["llm_calls"], run["tool_calls"], run["cost_status"]) == (3, 1, "known")
    by_agent = {row["key"]: Decimal(str(row["cost_usd"])) for row in run["by_agent"] if row["cost_usd"]}
    assert by_agent == {name: Decimal(row["cost_usd"]) for name, row in told["agents"].items()}
    spans = hosts.get(f"/api/v1/runs/{told['run']}/spans")["spans"]
    kinds = {span["span_id"]: span["kind"] for span in spans}
    (tool,) = hosts.tools(told["run"])
    assert kinds[tool["parent_id"]] == "agent"


def test_a_running_agent_is_seen_while_it_runs_and_stops_when_it_is_told(hosts: Hosts) -> None:
    process = hosts.start("""
        @track_tool_call
        def long():
            say(run=wflo.current_run().id)
            sys.stdin.readline()

        try:
            with run("endless"):
                long()
                for number in range(600):
                    ask([{"role": "user", "content": f"{number}"}])
                    time.sleep(0.1)
        except wflo.RunKilledError as error:
            say(calls=number, reason=error.kill_reason)
    """)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        run = json.loads(process.stdout.readline())["run"]
        wait_until(lambda: hosts.tools(run), seconds=20)
        (open_span,) = hosts.tools(run)
        assert (open_span["name"], open_span["duration_ms"]) == ("long", None)
        assert hosts.get(f"/api/v1/runs/{run}")["status"] == "running"
        process.stdin.write("\n")
        process.stdin.flush()
        wait_until(lambda: hosts.get(f"/api/v1/runs/{run}")["llm_calls"] >= 3, seconds=20)
        before = hosts.get(f"/api/v1/runs/{run}")["llm_calls"]
        assert hosts.api.post(f"/api/v1/runs/{run}/kill", json={"reason": "it never ends"}).status_code == 200
        told = json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate(timeout=60)
    assert told["reason"] == "it never ends"
    assert told["calls"] < before + 60
    assert hosts.get(f"/api/v1/runs/{run}")["status"] == "killed"


def test_a_run_goes_on_from_the_checkpoint_it_is_asked_to(hosts: Hosts) -> None:
    process = hosts.start("""
        begun = []

        async def work(topic, state=None):
            begun.append(state)
            for number in range(state["number"] if state else 0, 400):
                if number == 3 and len(begun) == 1:
                    say(run=flow.execution_id)
                ask([{"role": "user", "content": f"{topic} {number}"}])
                flow.checkpoint(f"step {number}", {"number": number, "notes": {"seen", f"{number}"}})
                if len(begun) == 2 and number >= 4:
                    return "done"
                await asyncio.sleep(0.05)

        flow = WfloWorkflow("long report", max_iterations=None)
        result = asyncio.run(flow.execute(work, {"topic": "owls"}))
        say(result=result, run=flow.execution_id, begun=begun[1:], overrides=flow.run.overrides, budget=str(flow.run.budget_usd))
        before = flow.execution_id
        flow.rollback_to_checkpoint("step 4")
        begun.append("once more")
        asyncio.run(flow.execute(work, {"topic": "owls", "state": flow.restored_state}))
        say(before=before, run=flow.execution_id)
    """)
    assert process.stdout is not None
    try:
        first = json.loads(process.stdout.readline())["run"]
        wait_until(lambda: len(hosts.checkpoints(first)) > 3, seconds=20)
        asked = hosts.api.post(f"/api/v1/runs/{first}/rollback", json={
            "checkpoint": 3, "reason": "it went astray", "overrides": {"model": "demo/agent", "state": {"hint": "look again"}},
            "budget_usd": "0.75",
        })  # fmt: skip
        assert asked.status_code == 202, asked.text
        told, own = json.loads(process.stdout.readline()), json.loads(process.stdout.readline())
        process.communicate(timeout=60)
    finally:
        process.kill()
    assert (told["result"], told["overrides"], told["budget"]) == ("done", {"model": "demo/agent"}, "0.75")
    assert own["before"] == told["run"]
    gone_on = hosts.get(f"/api/v1/runs/{own['run']}")
    assert gone_on["parent_run_id"] == hosts.get(f"/api/v1/runs/{told['run']}")["id"], "by the program's own rollback"
    (state,) = told["begun"]
    assert (state["number"], state["hint"]) == (2, "look again")
    assert told["run"] != first
    (wish,) = hosts.get(f"/api/v1/runs/{first}/rollbacks")["rollbacks"]
    assert (wish["status"], wish["new_run"]) == ("taken", told["run"])
    old, new = hosts.get(f"/api/v1/runs/{first}"), hosts.get(f"/api/v1/runs/{told['run']}")
    assert new["parent_run_id"] == old["id"]
    assert (old["status"], new["status"]) == ("cancelled", "completed")
    kept = hosts.checkpoints(first)
    assert {one["version"]: one["superseded_at"] is None for one in kept}[3] is True
    assert all(one["superseded_at"] for one in kept if one["version"] > 3)


def test_a_call_that_the_library_and_the_gateway_saw_counts_once(hosts: Hosts) -> None:
    budget = {"name": "all", "scope": {"kind": "team"}, "window": "total", "limit_usd": 10, "mode": "strict"}
    made = hosts.api.post("/api/v1/budgets", json=budget)
    assert made.status_code == 201, made.text
    (told,) = hosts.run("""
        from openai import OpenAI
        from wflo.integrations.openai import wrap_openai

        @track_agent_cost("poet")
        def write(client):
            whole = client.chat.completions.create(model="demo/echo", messages=[{"role": "user", "content": "one two three"}])
            pieces = client.chat.completions.create(model="demo/echo", messages=[{"role": "user", "content": "four five"}], stream=True)
            return [whole.choices[0].message.content, "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)]

        with OpenAI(api_key=wflo.configure().api_key, base_url=wflo.configure().endpoint + "/v1") as client:
            with run("poem") as this:
                said = write(wrap_openai(client))
        say(run=this.id, said=said, cost=this.used.whole.cost_usd)
    """)
    assert [words.strip() for words in told["said"]] == ["one two three", "four five"]

    def both_told() -> bool:
        spans = hosts.get(f"/api/v1/runs/{told['run']}/spans")["spans"]
        return sum(span["kind"] == "llm" for span in spans) == 4

    wait_until(both_told, seconds=20)
    run = hosts.get(f"/api/v1/runs/{told['run']}")
    assert (run["llm_calls"], Decimal(str(run["cost_usd"]))) == (2, Decimal(told["cost"]))
    (row,) = [row for row in run["by_agent"] if row["cost_usd"]]
    assert (row["key"], row["llm_calls"]) == ("poet", 2)
    wait_until(lambda: hosts.get(f"/api/v1/budgets/{made.json()['id']}")["held_usd"] == 0, seconds=20)
    assert Decimal(str(hosts.get(f"/api/v1/budgets/{made.json()['id']}")["spent_usd"])) == Decimal(told["cost"])


@pytest.mark.parametrize(
    ("example", "agents"), [("openai_agent.py", ["researcher"]), ("anthropic_agent.py", ["editor", "writer"])]
)
def test_the_examples_cost_the_same_here_and_there(hosts: Hosts, example: str, agents: list[str]) -> None:
    environ = {**os.environ, "WFLO_ENDPOINT": hosts.url, "WFLO_API_KEY": hosts.key, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "examples" / example)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = {name: Decimal(usd) for name, usd in re.findall(r"^(\w+): \$(\S+) in", done.stdout, re.MULTILINE)}
    (run,) = re.findall(r"^run: (\S+)", done.stdout, re.MULTILINE)
    assert sorted(told) == agents

    def as_told() -> bool:
        rows = hosts.get(f"/api/v1/runs/{run}")["by_agent"]
        return {row["key"]: Decimal(str(row["cost_usd"])) for row in rows if row["cost_usd"]} == told

    wait_until(as_told, seconds=20)


def test_opentelemetry_in_one_line(hosts: Hosts) -> None:
    hosts.run("""
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        one = wflo.instrument()
        assert wflo.instrument() is one
        with trace.get_tracer("host").start_as_current_span("chat demo/echo") as span:
            for name, value in {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "demo", "gen_ai.agent.name": "owl",
                                "gen_ai.request.model": "demo/echo", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}.items():
                span.set_attribute(name, value)
    """)
    (row,) = hosts.get("/api/v1/usage", group_by="agent")["rows"]
    assert (row["agent"], row["input_tokens"], row["llm_calls"]) == ("owl", 7, 1)


def test_an_approval_arrives_with_the_next_message_and_without_asking(hosts: Hosts) -> None:
    """The waiting program asks once in an hour; what was decided comes with the answer to its next heartbeat."""
    process = hosts.start("""
        import threading
        import wflo.approvals
        from wflo.bell import bell
        wflo.approvals.ASK_SECONDS = wflo.approvals.ASK_MAX_SECONDS = 3600.0

        @wflo.approval_gate(risk="high", question="Send it?")
        async def send(to):
            return f"sent to {to}"

        def tell(run):
            while not bell._waiting:
                time.sleep(0.02)
            say(run=run)

        with run("careful") as this:
            threading.Thread(target=tell, args=[this.id], daemon=True).start()
            say(answer=asyncio.run(send("ada")))
    """)
    with process:
        assert process.stdout is not None
        try:
            run = json.loads(process.stdout.readline())["run"]  # it has asked, and heard that nobody decided yet
            (one,) = hosts.get("/api/v1/approvals", run=run, status="pending")["approvals"]
            answer = hosts.api.post(f"/api/v1/approvals/{one['id']}/approve", json={"comment": "go"})
            assert answer.status_code == 200
            assert json.loads(process.stdout.readline())["answer"] == "sent to ada"
            told = hosts.get(f"/api/v1/runs/{run}/control")["approvals"][one["id"]]
            assert (told["status"], told["comment"]) == ("approved", "go")
        finally:
            process.kill()
