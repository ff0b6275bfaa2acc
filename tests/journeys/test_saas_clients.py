"""Acceptance: programs written against SaaS LiteLLM, with nothing changed but the address and the key.

Each client here does what a wrapper of that system does, in the same order, with the same fields and nulls.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import Gateway, _running, gateway, make_gateway, make_group
from tests.tracking.jobs.conftest import with_operator
from tracking import credits
from tracking.audit import SYSTEM
from tracking.models import ModelGroup, Run, RunControl, Span
from wflo_site.processes import wait_until

__all__ = ["_running", "gateway"]


class Wrapper:
    """Begins a job, resolves its group, calls the model with a purpose, completes; fails the job when it is left by an
    exception."""

    def __init__(self, url: str, key: str, team_id: str, group: str, job_type: str) -> None:
        self.api = httpx.Client(base_url=f"{url}/api", headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self.team_id, self.group, self.job_type = team_id, group, job_type
        self.job_id = ""
        self.resolved = ""
        self.counts: dict[str, int] = {}

    def start(self, **metadata: Any) -> str:
        body = {"team_id": self.team_id, "job_type": self.job_type, "metadata": metadata}
        answer = self.api.post("/jobs/create", json=body)
        answer.raise_for_status()
        self.job_id = answer.json()["job_id"]
        found = self.api.get(f"/model-groups/{self.group}/resolve", params={"team_id": self.team_id})
        found.raise_for_status()
        if not found.json()["team_has_access"]:
            raise ValueError(f"Team does not have access to {self.group}")
        self.resolved = found.json()["primary_model"]
        return self.job_id

    def ask(self, words: str, *, who: str = "", purpose: str | None = None) -> str:
        if who:
            self.counts[who] = self.counts.get(who, 0) + 1
            purpose = f"{who}_call_{self.counts[who]}"
        body = {
            "model_group": self.group, "messages": [{"role": "user", "content": words}], "temperature": 0.7,
            "max_tokens": None, "purpose": purpose,
        }  # fmt: skip
        answer = self.api.post(f"/jobs/{self.job_id}/llm-call", json=body)
        answer.raise_for_status()
        return str(answer.json()["response"]["content"])

    def complete(self, status: str = "completed", error: str | None = None) -> dict[str, Any]:
        body = {"status": status, "error_message": error}
        answer = self.api.post(f"/jobs/{self.job_id}/complete", json=body)
        answer.raise_for_status()
        return dict(answer.json())

    @contextmanager
    def task(self, **metadata: Any) -> Iterator[Wrapper]:
        self.start(**metadata)
        try:
            yield self
        except Exception as error:
            self.complete("failed", str(error))
            raise
        self.complete()


@pytest.fixture
def wrapper(gateway: Gateway) -> Iterator[Wrapper]:
    credits.open_account(gateway.team, allocated=100, actor=SYSTEM)
    make_group(gateway.team, "ChatFast", gateway.provider.url, "echo", "echo-slow")
    _, key = make_key(gateway.team, scopes=["jobs"])
    made = Wrapper(gateway.server.url, key, gateway.team.slug, "ChatFast", "crewai_task")
    with made.api:
        yield made


def test_a_crew_works_through_a_job_and_prints_its_summary(wrapper: Wrapper, gateway: Gateway) -> None:
    """Script 1 and 2: the summary's fields, nulls, credits less one."""
    wrapper.start(task_name="Research", agent_framework="crewai")
    assert wrapper.resolved == "openai/echo"
    for who in ("researcher", "writer", "researcher"):
        assert wrapper.ask(f"{who}, go on {wrapper.counts}", who=who)
    assert wrapper.ask("and without a purpose")
    done = wrapper.complete()
    costs = done["costs"]
    printed = f"{done['job_id']} {costs['total_calls']} {costs['total_tokens']} ${costs['total_cost_usd']:.6f}"
    assert printed.startswith(f"{wrapper.job_id} 4 ")
    assert costs["credits_remaining"] == 99
    assert done["calls_by_agent"] == wrapper.counts == {"researcher": 2, "writer": 1}


def test_a_task_that_breaks_fails_its_job_and_costs_nothing(wrapper: Wrapper, gateway: Gateway) -> None:
    def work() -> None:
        with wrapper.task(user_id="u1"):
            wrapper.ask("what now")
            raise RuntimeError("no idea")

    with pytest.raises(RuntimeError, match="no idea"):
        work()
    job = wrapper.api.get(f"/jobs/{wrapper.job_id}").json()
    assert (job["status"], job["error_message"]) == ("failed", "no idea")
    assert wrapper.api.get(f"/credits/teams/{wrapper.team_id}/balance").json()["credits_remaining"] == 100


def test_a_stranger_is_refused_and_a_group_without_access_is_a_value_error(wrapper: Wrapper, gateway: Gateway) -> None:
    other = make_team("Stranger")
    _, key = make_key(other, scopes=["jobs"])
    stranger = Wrapper(gateway.server.url, key, wrapper.team_id, "ChatFast", "x")
    with stranger.api, pytest.raises(httpx.HTTPStatusError, match="403"):
        stranger.start()
    ModelGroup.objects.create(team=None, name="ChatAdvanced")
    try:
        wrapper.group = "ChatAdvanced"
        with pytest.raises(ValueError, match="does not have access"):
            wrapper.start()
    finally:
        ModelGroup.objects.filter(team=None, name="ChatAdvanced").delete()


def test_agentwalls_clients_run_unchanged(gateway: Gateway) -> None:
    """Script 3: two steps of a run, a loop told with its steps, a killed run, wrong keys and bodies, costs that add up."""
    headers = {"agentwall_run_id": "research-1", "agentwall_agent_id": "researcher"}
    first = gateway.chat("find three papers", **headers).json()
    second = gateway.chat("now compare them", **headers).json()
    assert [one["agentwall"]["step"] for one in (first, second)] == [1, 2]
    total = first["agentwall"]["cost_usd"] + second["agentwall"]["cost_usd"]
    assert second["agentwall"]["total_run_cost"] == pytest.approx(total)
    refused = gateway.chat("now compare them", **headers)
    if refused.status_code == 200:
        refused = gateway.chat("now compare them", **headers)
    error = refused.json()["detail"]["error"]
    assert (refused.status_code, error["code"]) == (429, "loop_detected")
    assert error["steps"]
    wrong = gateway.client.post("/v1/chat/completions", json={}, headers={"authorization": "Bearer nobody"})
    assert wrong.status_code == 401
    assert gateway.post("/v1/chat/completions", {"model": "echo", "messages": "x"}).status_code == 422


def test_two_teams_with_one_run_id_are_apart(gateway: Gateway) -> None:
    """Script 5."""
    other = make_gateway(gateway.server, gateway.provider, "Others")
    with other.client:
        for one in (gateway, other):
            assert one.chat(f"hello from {one.team.slug}", agentwall_run_id="shared").json()["agentwall"]["step"] == 1
        killed = gateway.client.post(
            "/v1/runs/shared/kill", json={}, headers={"authorization": f"Bearer {gateway.key}"}
        )
        assert killed.status_code == 200
        assert gateway.chat("again", agentwall_run_id="shared").status_code == 429
        assert other.chat("again", agentwall_run_id="shared").status_code == 200
        other.at_rest()


def test_fifty_calls_of_one_run_keep_step_tokens_and_cost(gateway: Gateway) -> None:
    """Script 9, first half; the second, two completions at once, is tests/tracking/jobs/test_jobs.py."""
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: gateway.chat(f"question {n} of many", agentwall_run_id="wide"), range(50)))
    assert [answer.status_code for answer in answers] == [200] * 50
    assert sorted(answer.json()["agentwall"]["step"] for answer in answers) == list(range(1, 51))
    gateway.at_rest()
    control = RunControl.objects.get(team=gateway.team, run="wide")
    assert (control.steps, control.tokens) == (50, sum(gateway.provider.tokens()))
    assert control.cost_usd == gateway.billed()
    assert wait_until(lambda: Span.objects.filter(team=gateway.team).count() == 50, seconds=10)
    assert Run.objects.get(team=gateway.team, external_id="wide").llm_calls == 50


def test_an_operator_runs_the_full_chain_with_the_key_as_bearer(gateway: Gateway) -> None:
    """The linked full-chain page sends the administrator's key as the bearer."""
    key = with_operator(gateway).admin_key
    with httpx.Client(
        base_url=f"{gateway.server.url}/api", headers={"Authorization": f"Bearer {key}"}, timeout=30
    ) as api:
        _full_chain(gateway, api)


def _full_chain(gateway: Gateway, api: httpx.Client) -> None:
    slug = f"chain-{gateway.team.pk}"
    assert api.post("/organizations/create", json={"organization_id": slug, "name": "Chain"}).status_code == 200
    group = {"group_name": f"Chat-{slug}", "display_name": "Chat", "description": "", "models": [
        {"model_name": "demo/echo", "priority": 0}, {"model_name": "demo/json", "priority": 1},
    ]}  # fmt: skip
    assert api.post("/model-groups/create", json=group).status_code == 200
    team = api.post("/teams/create", json={
        "organization_id": slug, "team_id": slug, "team_alias": "Chain", "model_groups": [f"Chat-{slug}"],
        "credits_allocated": 10, "metadata": {},
    }).json()  # fmt: skip
    wrapper = Wrapper(gateway.server.url, team["virtual_key"], slug, f"Chat-{slug}", "custom_agent")
    with wrapper.api, wrapper.task():
        wrapper.ask("first", purpose="call_1")
    assert api.get(f"/credits/teams/{slug}/balance").json()["credits_remaining"] == 9
