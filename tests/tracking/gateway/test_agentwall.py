"""AgentWall's clients before a running gateway: its acceptance scripts, its own surface, and the traps of the original."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.utils.timezone import now

from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD, Gateway, make_gateway
from tracking import keys
from tracking.audit import SYSTEM
from tracking.models import ApiKey, AuditEntry, Budget, RunControl
from wflo_site.processes import wait_until


class Client:
    """As AgentWall's guide writes one: a run is a UUID made here, an answer is read as OpenAI's, an error by ``detail``."""

    def __init__(self, gateway: Gateway, key: str | None = None) -> None:
        self.http, self.url = gateway.client, f"{gateway.server.url}/v1"
        self.headers = {"Authorization": f"Bearer {gateway.key if key is None else key}"}

    def create_run(self) -> str:
        return str(uuid.uuid4())

    def post(self, body: dict[str, Any]) -> httpx.Response:
        return self.http.post(f"{self.url}/chat/completions", json=body, headers=self.headers)

    def chat(self, messages: Any, run_id: str | None = None, model: str = "echo", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": messages, **more}
        return self.post(body if run_id is None else {**body, "agentwall_run_id": run_id})

    def safe_chat(self, messages: Any, run_id: str) -> str:
        answer = self.chat(messages, run_id)
        if answer.status_code == 429:
            error = answer.json()["detail"]["error"]
            if error["type"] == "loop_detected":
                return f"Loop detected after {error['steps']} steps"
        answer.raise_for_status()
        text: str = answer.json()["choices"][0]["message"]["content"]
        return text

    def runs(self, path: str = "", *, method: str = "GET", **body: Any) -> httpx.Response:
        return self.http.request(method, f"{self.url}/runs{path}", headers=self.headers, json=body or None)


def user(words: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": words}]


# --- its acceptance scripts ---------------------------------------------------------------------------------------------


def test_basic_and_two_steps_of_one_run(gateway: Gateway) -> None:
    client = Client(gateway)
    basic = client.chat(user("What is 2 + 2?")).json()
    assert basic["choices"][0]["message"]["content"] == "What is 2 + 2?"
    assert basic["agentwall"]["step"] == 1
    run = client.create_run()
    messages = user("Research topic X")
    first = client.chat(messages, run)
    messages += [first.json()["choices"][0]["message"], *user("Summarize it in one line")]
    second = client.chat(messages, run)
    told = second.json()["agentwall"]
    assert (told["run_id"], told["step"], told["total_run_steps"]) == (run, 2, 2)
    assert told["total_run_cost"] > first.json()["agentwall"]["total_run_cost"] > 0
    assert second.headers["X-AgentWall-Run-ID"] == run
    assert second.headers["X-AgentWall-Step"] == "2"
    assert float(second.headers["X-AgentWall-Cost"]) == pytest.approx(told["cost_usd"])


def test_a_runs_cost_has_all_that_was_answered_before(gateway: Gateway) -> None:
    client, run, total = Client(gateway), str(uuid.uuid4()), 0.0
    for number in range(40):
        told = client.chat(user(f"question {number} of forty"), run).json()["agentwall"]
        total += told["cost_usd"]
        assert told["total_run_cost"] == pytest.approx(total)


def test_a_stream_is_lines_of_data_until_done(gateway: Gateway) -> None:
    client = Client(gateway)
    said, is_done = "", False
    body = {"model": "echo", "messages": user("one two three"), "stream": True}
    with client.http.stream("POST", f"{client.url}/chat/completions", json=body, headers=client.headers) as answer:
        for line in answer.iter_lines():
            if line == "data: [DONE]":
                is_done = True
            elif line.startswith("data: "):
                choices = json.loads(line[6:])["choices"]
                said += choices[0]["delta"].get("content") or "" if choices else ""
    assert (said.split(), is_done) == (["one", "two", "three"], True)


def test_the_second_identical_prompt_is_a_loop_of_two_steps(gateway: Gateway) -> None:
    client = Client(gateway)
    run = client.create_run()
    assert client.safe_chat(user("do the same"), run) == "do the same"
    assert client.safe_chat(user("do the same"), run) == "Loop detected after 2 steps"
    shown = client.runs(f"/{run}").json()
    assert (shown["status"], shown["kill_reason"]) == ("killed", "loop_detected:exact_prompt")
    assert client.safe_chat(user("do the same"), client.create_run()) == "do the same"


def test_a_key_that_is_missing_wrong_or_revoked(gateway: Gateway) -> None:
    def code(answer: httpx.Response) -> tuple[int, str, str]:
        error = answer.json()["detail"]["error"]
        assert error == answer.json()["error"]
        return answer.status_code, error["type"], error["code"]

    wrong = (401, "authentication_error", "invalid_api_key")
    missing = (401, "authentication_error", "missing_api_key")
    body = {"model": "echo", "messages": user("hi")}
    assert code(Client(gateway, "aw-nobody").chat(user("hi"))) == wrong
    assert code(gateway.client.post("/v1/chat/completions", json=body)) == missing
    for address in ("/v1/chat/completions?api_key=", "/v1/chat/completions?key="):
        assert code(gateway.client.post(address + gateway.key, json=body)) == missing  # addresses end up in logs
    assert code(gateway.client.get(f"/v1/runs?api_key={gateway.key}")) == missing
    assert code(gateway.client.get(f"/health/detailed?api_key={gateway.key}")) == missing
    by_other_header = gateway.client.post("/v1/chat/completions", json=body, headers={"X-API-Key": gateway.key})
    assert by_other_header.status_code == 200
    for key in ApiKey.objects.filter(team=gateway.team):
        keys.revoke(key, actor=SYSTEM)
    assert wait_until(lambda: Client(gateway).chat(user("hi")).status_code == 401, seconds=5)
    assert code(Client(gateway).chat(user("hi"))) == wrong


def test_a_wrong_request_is_422_and_names_the_field(gateway: Gateway) -> None:
    answer = Client(gateway).post({"model": "echo", "messages": "no list"})
    error = answer.json()["detail"]["error"]
    assert (answer.status_code, error["type"], error["code"]) == (422, "validation_error", "invalid_request")
    assert error["details"][0]["field"] == "messages"
    assert error["details"][0]["message"]


def test_a_client_that_adds_up_its_tokens_comes_to_what_the_run_says(gateway: Gateway) -> None:
    client = Client(gateway)
    run = client.create_run()
    used = sum(client.chat(user(f"number {n * 37}"), run).json()["usage"]["total_tokens"] for n in (3, 4, 5))
    gateway.at_rest()
    assert wait_until(lambda: client.runs(f"/{run}").json()["total_tokens"] == used, seconds=10)


# --- its surface --------------------------------------------------------------------------------------------------------


def test_runs_are_listed_read_stopped_and_ended(gateway: Gateway) -> None:
    client = Client(gateway)
    for run in ("my-run-1", "with/slash", "last"):
        assert client.chat(user(f"words of {run}"), run).status_code == 200
    first = client.runs("?limit=2").json()
    rest = client.runs(f"?limit=2&cursor={first['next_cursor']}").json()
    assert [one["run_id"] for one in first["runs"] + rest["runs"]] == ["last", "with/slash", "my-run-1"]
    assert rest["next_cursor"] is None
    shown = client.runs("/with/slash").json()
    assert (shown["run_id"], shown["status"], shown["step_count"]) == ("with/slash", "running", 1)
    killed = client.runs("/with/slash/kill", method="POST", reason="wrong customer").json()
    assert (killed["status"], killed["kill_reason"]) == ("killed", "wrong customer")
    refused = client.chat(user("more"), "with/slash").json()["detail"]["error"]
    assert (refused["type"], refused["kill_reason"]) == ("run_killed", "wrong customer")
    assert client.runs("/last/complete", method="POST").json()["status"] == "completed"
    assert [one["run_id"] for one in client.runs("?status=running").json()["runs"]] == ["my-run-1"]
    assert AuditEntry.objects.get(team=gateway.team, action="run.kill").actor_kind == "key"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/none", 404), ("POST", "/none/kill", 404), ("POST", "", 405), ("DELETE", "/none", 405),
     ("GET", "?limit=0", 400), ("GET", "?status=odd", 400), ("GET", "?cursor=%00", 400)],
)  # fmt: skip
def test_what_cannot_be_is_refused(gateway: Gateway, method: str, path: str, status: int) -> None:
    answer = Client(gateway).runs(path, method=method)
    assert answer.status_code == status
    assert answer.json()["detail"]["error"]["message"]


def test_a_key_without_the_scope_stops_nothing(gateway: Gateway) -> None:
    Client(gateway).chat(user("hi"), "r")
    _, reader = keys.mint(gateway.team, name="reader", scopes=["read"], actor=SYSTEM)
    assert Client(gateway, reader).runs("/r/kill", method="POST").status_code == 403
    assert RunControl.objects.get(team=gateway.team, run="r").killed_at is None


def test_health_says_who_answers_and_for_a_key_what_it_depends_on(gateway: Gateway) -> None:
    health = gateway.client.get("/health").json()
    assert health["status"] == "healthy"
    assert set(health) == {"status", "service", "version", "timestamp"}
    assert gateway.client.get("/health/live").json() == {"alive": True}
    ready = gateway.client.get("/health/ready").json()
    assert ready["ready"]
    assert ready["checks"]["database"]["status"] == "ok"
    assert gateway.client.get("/health/detailed").status_code == 401
    whole = gateway.client.get("/health/detailed", headers={"X-API-Key": gateway.key}).json()
    assert whole["status"] == "healthy"
    assert {name: check["status"] for name, check in whole["checks"].items()} == {"database": "ok", "redis": "ok"}


# --- the traps of the original, by number; 7 and 8 are in test_loops.py -------------------------------------------------


def test_trap_1_two_teams_may_use_the_same_name_for_a_run(gateway: Gateway) -> None:
    others = make_gateway(gateway.server, gateway.provider, "Others")
    with others.client:
        ours, theirs = Client(gateway), Client(others)
        assert ours.chat(user("hi"), "same").status_code == 200
        assert theirs.runs("/same").status_code == 404
        assert theirs.runs("/same/kill", method="POST").status_code == 404
        answer = theirs.chat(user("hi"), "same")
        assert (answer.status_code, answer.json()["agentwall"]["step"]) == (200, 1)
        assert theirs.runs("/same/kill", method="POST").json()["status"] == "killed"
        assert ours.chat(user("and more"), "same").json()["agentwall"]["step"] == 2
        assert [one["status"] for one in ours.runs().json()["runs"]] == ["running"]


def test_trap_2_what_a_run_may_spend_is_what_all_its_calls_spend(gateway: Gateway) -> None:
    one = INPUT_USD + 4 * OUTPUT_USD
    gateway.budget(str(one * 3), window=Budget.Window.RUN)
    client = Client(gateway)
    got = [client.chat(user(f"{n}bcd"), "r", model="echo-long", max_tokens=4) for n in range(4)]
    assert [answer.status_code for answer in got] == [200, 200, 200, 429]
    error = got[3].json()["detail"]["error"]
    assert (error["type"], error["code"], error["agentwall_code"]) == (
        "budget_exceeded",
        "budget_exceeded",
        "agentwall_budget",
    )
    assert (error["run_id"], error["exceeded_limit"]) == ("r", "run")
    assert Decimal(str(error["current_cost"])) <= Decimal(str(error["limit"])) == one * 3
    assert client.chat(user("abcd"), "another", model="echo-long", max_tokens=4).status_code == 200
    assert 0 <= client.runs("/r").json()["budget_remaining"] < one


def test_trap_3_an_answer_that_was_paid_is_given(gateway: Gateway) -> None:
    """It says more than it was allowed to: the money is gone, the words are not thrown away."""
    gateway.budget("0.001", window=Budget.Window.RUN)
    answer = Client(gateway).chat(user("a"), "r", model="echo-deaf", max_tokens=80)
    assert answer.status_code == 200
    assert len(answer.json()["choices"][0]["message"]["content"].split()) == 200
    assert Client(gateway).chat(user("b"), "r").status_code == 429


def test_trap_4_fifty_at_once_lose_no_step_no_token_and_no_cost(gateway: Gateway) -> None:
    probe = Client(gateway)  # a new price is heard of within two seconds
    assert wait_until(lambda: probe.chat(user("hi")).json()["agentwall"]["cost_usd"] is not None, seconds=5)
    gateway.provider.clear()
    limits = httpx.Limits(max_connections=50)
    with (
        httpx.Client(base_url=gateway.server.url, timeout=60, limits=limits) as http,
        ThreadPoolExecutor(50) as threads,
    ):
        many = Gateway(gateway.server, gateway.provider, http, gateway.team, gateway.key)
        client = Client(many)
        got = list(threads.map(lambda n: client.chat(user(f"item {n * 7919} of many"), "r"), range(50)))
    assert [answer.status_code for answer in got] == [200] * 50
    assert sorted(answer.json()["agentwall"]["step"] for answer in got) == list(range(1, 51))
    billed, tokens = gateway.billed(), sum(gateway.provider.tokens())
    gateway.at_rest()
    row = RunControl.objects.get(team=gateway.team, run="r")
    assert (row.steps, row.tokens, row.cost_usd) == (50, tokens, billed)


def test_trap_5_a_run_that_goes_quiet_is_over_and_goes_on_when_it_calls(gateway: Gateway) -> None:
    client = Client(gateway)
    client.chat(user("hi"), "r")
    gateway.at_rest()
    assert client.runs("/r").json()["status"] == "running"
    RunControl.objects.filter(team=gateway.team, run="r").update(last_at=now() - timedelta(hours=1))
    assert client.runs("/r").json()["status"] == "completed"
    assert client.chat(user("hi again, later"), "r").json()["agentwall"]["step"] == 2
    assert client.runs("/r").json()["status"] == "running"


def test_trap_6_a_stream_costs_what_its_provider_says_the_prompt_too(gateway: Gateway) -> None:
    client = Client(gateway)
    words = "a prompt that is much longer than its answer " * 20
    assert client.chat(user(words), "r", stream=True, max_tokens=3).status_code == 200
    billed = gateway.billed()
    gateway.at_rest()
    assert wait_until(lambda: RunControl.objects.get(team=gateway.team, run="r").cost_usd == billed > 0, seconds=10)


def test_trap_9_a_talk_at_a_persons_pace_lasts_hours(gateway: Gateway) -> None:
    """Nothing limits a run's time unless the team says so; how long it may be quiet is another limit than how long it lasts."""
    client, row = Client(gateway), RunControl.objects.filter(team=gateway.team)
    client.chat(user("good morning"), "r")
    gateway.at_rest()
    row.update(started_at=now() - timedelta(hours=9), last_at=now() - timedelta(hours=1))
    assert client.chat(user("I am back from lunch"), "r").status_code == 200
    gateway.team.run_idle_minutes_max = 30
    gateway.team.save(update_fields=["run_idle_minutes_max"])
    got: list[httpx.Response] = []

    def is_refused() -> bool:
        gateway.at_rest()
        row.update(last_at=now() - timedelta(hours=1))
        got.append(client.chat(user(f"back again {uuid.uuid4()}"), "r"))
        return got[-1].status_code == 429

    assert wait_until(is_refused, seconds=5)  # what a team sets is heard of within a second
    error = got[-1].json()["detail"]["error"]
    assert (error["type"], error["agentwall_code"], error["limit"]) == ("run_limit_exceeded", "agentwall_limit", "idle")
