"""A job from its beginning to its bill, as SaaS LiteLLM's clients drive it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest

from tests.make import make_key, make_team
from tests.tracking.gateway.conftest import INPUT_USD, OUTPUT_USD
from tests.tracking.jobs.conftest import Customer
from tracking.models import (
    Alert,
    CreditAccount,
    CreditEntry,
    Delivery,
    Destination,
    Job,
    JobCall,
    ModelGroup,
    Run,
    Span,
    Team,
)
from wflo_site.processes import wait_until


def test_a_job_is_begun_called_in_and_ended_with_its_bill(customer: Customer) -> None:
    begun = customer.call(
        "POST", "/jobs/create", {"team_id": customer.team.slug, "job_type": "crewai_task", "metadata": {"a": 1}}
    ).json()
    assert (begun["status"], begun["team_id"]) == ("pending", customer.team.slug)
    job = begun["job_id"]
    answer = customer.ask(job, "one two", purpose="researcher_call_1", max_tokens=None, temperature=0.2).json()
    assert answer["response"]["content"]
    assert answer["response"]["finish_reason"] == "stop"
    assert answer["metadata"]["model_group"] == answer["metadata"]["model"] == "echo"
    assert answer["metadata"]["resolved_model"] == "openai/echo"
    customer.ask(job, "three", purpose="writer_call_1")
    assert customer.call("GET", f"/jobs/{job}").json()["status"] == "in_progress"
    tokens_in, tokens_out = customer.gateway.provider.tokens()
    done = customer.complete(job, error_message=None, metadata={"b": 2}).json()
    costs = done["costs"]
    assert (costs["total_calls"], costs["successful_calls"], costs["failed_calls"]) == (2, 2, 0)
    assert costs["total_tokens"] == tokens_in + tokens_out
    assert Decimal(str(costs["total_cost_usd"])) == tokens_in * INPUT_USD + tokens_out * OUTPUT_USD
    assert (costs["credit_applied"], costs["credits_remaining"]) == (True, 99)
    assert [call["purpose"] for call in done["calls"]] == ["researcher_call_1", "writer_call_1"]
    assert done["calls_by_agent"] == {"researcher": 1, "writer": 1}
    shown = customer.call("GET", f"/jobs/{job}").json()
    assert shown["metadata"] == {"a": 1, "b": 2}
    assert shown["model_groups_used"] == ["echo"]
    breakdown = customer.call("GET", f"/jobs/{job}/costs").json()["costs"]
    assert breakdown["total_cost_usd"] == costs["total_cost_usd"]
    assert sum(Decimal(str(one["cost_usd"])) for one in breakdown["breakdown"]) == Decimal(str(costs["total_cost_usd"]))


def test_its_calls_are_spans_of_one_run_with_agents_by_their_purpose(customer: Customer) -> None:
    job = customer.job()
    for purpose in ("researcher_call_1", "critic_message_2", None):
        assert customer.ask(job, f"for {purpose}", purpose=purpose).status_code == 200
    assert wait_until(lambda: Span.objects.filter(team=customer.team).count() == 3, seconds=10)
    assert set(Span.objects.values_list("agent", flat=True).filter(team=customer.team)) == {
        "researcher", "critic", "agent_task",
    }  # fmt: skip
    run = Run.objects.get(team=customer.team)
    assert run.external_id == job
    customer.complete(job)
    assert wait_until(lambda: Run.objects.get(team=customer.team).status == Run.Status.COMPLETED, seconds=10)


def test_a_failed_job_costs_nothing(customer: Customer) -> None:
    job = customer.job()
    customer.ask(job)
    done = customer.complete(job, "failed", error_message="it broke").json()
    assert (done["costs"]["credit_applied"], done["costs"]["credits_remaining"]) == (False, 100)
    assert customer.call("GET", f"/jobs/{job}").json()["error_message"] == "it broke"
    assert not CreditEntry.objects.filter(team=customer.team, kind="deduction").exists()


def test_an_end_said_twice_is_one_and_another_end_is_refused(customer: Customer) -> None:
    job = customer.job()
    customer.ask(job)
    first = customer.complete(job).json()
    assert customer.complete(job).json() == first
    assert customer.complete(job, "COMPLETED").json() == first
    refused = customer.complete(job, "failed")
    assert refused.status_code == 409
    assert "completed already" in refused.json()["detail"]
    assert customer.ask(job).status_code == 409
    assert customer.account.left == 99


def test_two_at_once_charge_once(customer: Customer) -> None:
    job = customer.job()
    customer.ask(job)
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(customer.complete(job).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    assert customer.account.left == 99
    assert CreditEntry.objects.filter(team=customer.team, kind="deduction").count() == 1


def test_fifty_calls_at_once_keep_exact_totals(customer: Customer) -> None:
    job = customer.job()
    threads = [threading.Thread(target=customer.ask, args=(job, f"words {n}")) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens_in, tokens_out = customer.gateway.provider.tokens()
    costs = customer.complete(job).json()["costs"]
    assert (costs["total_calls"], costs["total_tokens"]) == (50, tokens_in + tokens_out)
    assert Decimal(str(costs["total_cost_usd"])) == tokens_in * INPUT_USD + tokens_out * OUTPUT_USD


def test_a_job_of_another_team_or_of_nobody_is_not_found(customer: Customer) -> None:
    other = make_team("Stranger")
    _, key = make_key(other, scopes=["jobs"])
    job = customer.job()
    theirs = Customer(customer.gateway, other, key, "")
    for answer in (theirs.ask(job), theirs.complete(job), theirs.call("GET", f"/jobs/{job}")):
        assert answer.status_code == 404
    for id in (str(uuid4()), "not-a-uuid"):
        assert customer.complete(id).status_code == 404
        assert customer.ask(id).status_code == 404
        assert customer.call("GET", f"/jobs/{id}/costs").status_code == 404
    body = {"team_id": customer.team.slug, "job_type": "x"}
    assert theirs.call("POST", "/jobs/create", body).status_code == 403
    assert "another team" in theirs.call("POST", "/jobs/create", body).json()["detail"]


def test_keys_and_fields_are_checked_in_fastapis_form(customer: Customer) -> None:
    nobody = customer.gateway.client.post("/api/jobs/create", json={}, headers={"authorization": "Bearer sk-nobody"})
    assert nobody.status_code == 401
    assert isinstance(nobody.json()["detail"], str)
    wrong = customer.call("POST", "/jobs/create", {"team_id": customer.team.slug})
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["body", "job_type"]
    job = customer.job()
    wrong = customer.call("POST", f"/jobs/{job}/llm-call", {"model_group": "echo", "messages": []})
    assert wrong.status_code == 422
    assert wrong.json()["detail"][0]["loc"] == ["body", "messages"]
    assert (
        customer.call("POST", f"/jobs/{job}/llm-call", {"messages": [{"role": "user", "content": "x"}]}).status_code
        == 422
    )
    assert customer.complete(job, "done").json()["detail"][0]["loc"] == ["body", "status"]
    _, reader = make_key(customer.team, scopes=["read"])
    assert Customer(customer.gateway, customer.team, reader, "").call("GET", f"/jobs/{job}").status_code == 403


def test_metadata_is_merged_up_to_ten_kilobytes(customer: Customer) -> None:
    job = customer.job(metadata={"a": 1, "b": {"c": 2}})
    merged = customer.call("PATCH", f"/jobs/{job}/metadata", {"metadata": {"b": 3}}).json()
    assert merged["metadata"] == {"a": 1, "b": 3}
    customer.ask(job, call_metadata={"d": 4})
    assert Job.objects.get(team=customer.team, id=job).metadata == {"a": 1, "b": 3, "d": 4}
    large = customer.call("PATCH", f"/jobs/{job}/metadata", {"metadata": {"x": "y" * 10_240}})
    assert large.status_code == 422
    assert "10,240 bytes" in large.json()["detail"][0]["msg"]


def test_a_failed_call_is_told_and_counted_and_others_go_on(customer: Customer) -> None:
    job = customer.job()
    failed = customer.ask(job, group="echo-fail500")
    assert failed.status_code == 500
    assert failed.json()["detail"].startswith("LLM call failed: ")
    assert customer.ask(job).status_code == 200
    costs = customer.complete(job).json()["costs"]
    assert (costs["total_calls"], costs["failed_calls"], costs["credit_applied"]) == (2, 1, True)


def test_a_group_falls_back_and_tells_which_model_answered(customer: Customer) -> None:
    from tests.tracking.gateway.conftest import make_group

    make_group(customer.team, "ChatFast", customer.gateway.provider.url, "echo-fail500", "echo")
    resolved = customer.call("GET", "/model-groups/ChatFast/resolve", team_id=customer.team.slug).json()
    assert (resolved["primary_model"], resolved["fallback_models"]) == ("openai/echo-fail500", ["openai/echo"])
    assert resolved["team_has_access"] is True
    job = customer.job()
    assert customer.ask(job, group="ChatFast").json()["metadata"]["resolved_model"] == "openai/echo"
    assert JobCall.objects.get(team=customer.team).model == "openai/echo"


def test_a_group_without_access_is_told_and_no_error(customer: Customer) -> None:
    ModelGroup.objects.create(team=None, name="ChatAdvanced")
    try:
        found = customer.call("GET", "/model-groups/ChatAdvanced/resolve", team_id=customer.team.slug)
        assert found.status_code == 200
        assert found.json()["team_has_access"] is False
        assert "no access" in found.json()["error"]
        assert customer.ask(customer.job(), group="ChatAdvanced").status_code == 403
    finally:
        ModelGroup.objects.filter(team=None, name="ChatAdvanced").delete()
    assert customer.call("GET", "/model-groups/Nothing/resolve", team_id=customer.team.slug).status_code == 404
    assert customer.call("GET", "/model-groups/echo/resolve", team_id="elsewhere").status_code == 403


def test_an_answer_of_tools_alone_keeps_them(customer: Customer) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
    response = customer.ask(customer.job(), group="echo-tool", tools=tools).json()["response"]
    assert response["content"] is None
    assert response["tool_calls"][0]["function"]["name"] == "look"


def test_a_call_nobody_has_a_price_for_is_unknown_and_not_free(customer: Customer) -> None:
    from tests.tracking.gateway.conftest import make_group

    make_group(customer.team, "mystery", customer.gateway.provider.url, "echo-unpriced-model")
    job = customer.job()
    assert customer.ask(job, group="mystery").json()["metadata"]["cost_usd"] is None
    costs = customer.complete(job).json()["costs"]
    assert (costs["total_cost_usd"], costs["cost_status"], costs["unpriced_calls"]) == (0, "unknown", 1)


def test_budgets_and_the_kill_switch_bind_jobs(customer: Customer) -> None:
    customer.gateway.budget("0.0000001", scope_kind="job", window="run")
    refused = customer.ask(customer.job())
    assert refused.status_code == 429
    assert "cannot pay for this call" in refused.json()["detail"]
    assert refused.headers["x-should-retry"] == "false"


def test_the_teams_guard_binds_jobs(customer: Customer) -> None:
    secret = "sk-proj-" + "a1B2c3D4" * 5
    Team.objects.filter(pk=customer.team.pk).update(guard="block")
    job = customer.job()
    assert wait_until(lambda: customer.ask(customer.job(), f"my key is {secret}").status_code == 400, seconds=15)
    refused = customer.ask(job, f"keep {secret} for me")
    assert "guard does not let through: key" in refused.json()["detail"]
    assert customer.ask(job, "nothing of the kind").status_code == 200
    assert customer.complete(job).json()["costs"]["total_calls"] == 1


@pytest.mark.parametrize(("status", "event"), [("completed", "job.completed"), ("failed", "job.failed")])
def test_a_webhook_is_told_of_the_end(customer: Customer, status: str, event: str) -> None:
    from tracking.alerts import destinations
    from tracking.audit import SYSTEM

    made = destinations.create(
        customer.team, kind="webhook", address="https://example.org/hook", name="jobs", events=[event], actor=SYSTEM
    )
    assert made
    job = customer.job()
    customer.complete(job, status)
    delivery = Delivery.objects.get(team=customer.team, event=event)
    assert delivery.payload["job_id"] == job
    assert delivery.payload["status"] == status
    assert Destination.objects.filter(team=customer.team).exists()


# --- streams ---------------------------------------------------------------------------------------------------------


def _events(text: str) -> list[str]:
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


def test_a_stream_is_openais_chunks_with_the_usage_last(customer: Customer) -> None:
    job = customer.job()
    body = {"model": "echo", "messages": [{"role": "user", "content": "say it"}], "purpose": "writer_call_1"}
    answer = customer.call("POST", f"/jobs/{job}/llm-call-stream", body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    *chunks, done = _events(answer.text)
    assert done == "[DONE]"
    assert json.loads(chunks[-1])["usage"]["total_tokens"] > 0
    costs = customer.complete(job).json()["costs"]
    assert costs["total_calls"] == 1
    assert costs["total_tokens"] == sum(customer.gateway.provider.tokens())


def test_a_stream_that_breaks_says_so_and_counts_as_failed(customer: Customer) -> None:
    job = customer.job()
    body = {"model": "echo-cut", "messages": [{"role": "user", "content": "say it all again from the beginning"}]}
    answer = customer.call("POST", f"/jobs/{job}/llm-call-stream", body)
    assert '"error"' in _events(answer.text)[-1]
    assert wait_until(lambda: JobCall.objects.filter(team=customer.team).exists(), seconds=10)
    assert customer.complete(job).json()["costs"]["failed_calls"] == 1


# --- a job of one call -----------------------------------------------------------------------------------------------


def _one(customer: Customer, path: str = "/jobs/create-and-call", **fields: object) -> dict[str, object]:
    return {
        "team_id": customer.team.slug, "job_type": "one", "model": "echo", "job_metadata": {"a": 1},
        "messages": [{"role": "user", "content": "say it all once and no more"}], **fields,
    }  # fmt: skip


def test_a_job_of_one_call_is_made_called_and_ended(customer: Customer) -> None:
    answer = customer.call("POST", "/jobs/create-and-call", _one(customer)).json()
    assert answer["status"] == "completed"
    assert answer["response"]["content"]
    assert answer["costs"]["total_cost_usd"] > 0
    assert answer["costs"]["credits_remaining"] == 99
    job = Job.objects.get(team=customer.team)
    assert (str(job.id), job.status, job.metadata) == (answer["job_id"], "completed", {"a": 1})


@pytest.mark.parametrize(("model", "status"), [("echo-fail500", 500), ("no-such-model", 403)])
def test_one_that_cannot_be_called_fails_and_is_free(customer: Customer, model: str, status: int) -> None:
    assert customer.call("POST", "/jobs/create-and-call", _one(customer, model=model)).status_code == status
    assert Job.objects.get(team=customer.team).status == "failed"
    assert customer.account.left == 100


def test_the_same_streamed_is_alive_at_once_and_ended_with_its_stream(customer: Customer) -> None:
    answer = customer.call("POST", "/jobs/create-and-call-stream", _one(customer))
    assert answer.text.startswith(":")
    assert _events(answer.text)[-1] == "[DONE]"
    job = Job.objects.get(team=customer.team)
    assert (job.status, job.credit_applied) == ("completed", True)
    assert customer.account.left == 99
    broken = customer.call("POST", "/jobs/create-and-call-stream", _one(customer, model="echo-cut"))
    assert '"error"' in broken.text
    assert wait_until(lambda: Job.objects.filter(team=customer.team, status="failed").exists(), seconds=10)
    assert customer.account.left == 99


def test_a_teams_jobs_are_listed_by_page_and_state(customer: Customer) -> None:
    jobs = [customer.job() for _ in range(3)]
    customer.complete(jobs[0])
    listed = customer.call("GET", f"/teams/{customer.team.slug}/jobs", limit=2).json()
    assert (listed["total"], [job["job_id"] for job in listed["jobs"]]) == (3, [jobs[2], jobs[1]])
    done = customer.call("GET", f"/teams/{customer.team.slug}/jobs", status="COMPLETED").json()
    assert [job["job_id"] for job in done["jobs"]] == [jobs[0]]
    assert customer.call("GET", f"/teams/{customer.team.slug}/jobs", status="odd").status_code == 422
    assert customer.call("GET", "/teams/elsewhere/jobs").status_code == 403
    usage = customer.call("GET", f"/teams/{customer.team.slug}/usage").json()
    assert usage["summary"]["total_jobs"] == 3
    assert usage["job_types"]["agent_task"]["count"] == 3


@pytest.mark.parametrize(("state", "status"), [(Team.Status.SUSPENDED, 403), (Team.Status.PAUSED, 429)])
def test_no_work_for_a_team_that_stands_still(customer: Customer, state: str, status: int) -> None:
    def begun() -> int:
        return customer.call("POST", "/jobs/create", {"team_id": customer.team.slug, "job_type": "x"}).status_code

    job = customer.job()
    customer.admin("PUT", f"/teams/{customer.team.slug}/{'suspend' if status == 403 else 'pause'}")
    assert wait_until(lambda: all(begun() == status for _ in range(8)), seconds=20)  # every process knows
    refused = customer.ask(job)
    assert refused.status_code == status
    assert ("retry-after" in refused.headers) == (status == 429)
    customer.admin("PUT", f"/teams/{customer.team.slug}/resume")
    assert wait_until(lambda: all(begun() == 200 for _ in range(8)), seconds=20)
    assert customer.ask(job).status_code == 200
    assert not Alert.objects.filter(team=customer.team, kind="credit").exists()


def test_a_call_that_ends_after_its_job_is_charged_by_itself(customer: Customer) -> None:
    CreditAccount.objects.filter(team=customer.team).update(mode="consumption_tokens", tokens_per_credit=1)
    job = customer.job()
    assert customer.ask(job, "a b").status_code == 200
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(customer.ask, job, "a b c d e f", group="echo-slow")
        assert wait_until(lambda: len(customer.gateway.provider.requests) == 2, seconds=10)
        first = customer.complete(job).json()["costs"]
        assert late.result().status_code == 200
    whole = customer.call("GET", f"/jobs/{job}/costs").json()
    assert whole["costs"]["total_tokens"] > first["total_tokens"]
    assert customer.account.used == whole["costs"]["total_tokens"]
    entries = CreditEntry.objects.filter(team=customer.team, job_id=job).order_by("id")
    assert [entry.kind for entry in entries] == ["deduction", "adjustment"]
    assert entries[1].before - entries[1].after == -entries[1].amount
