"""What administrators do on the SaaS surface, with the key in either header, and that nobody else does it."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test import Client as DjangoClient
from django.test.utils import CaptureQueriesContext

from tests.make import PASSWORD, make_key, make_team, make_user
from tests.tracking.jobs.conftest import Customer
from tracking.models import ApiKey, ModelGroup, Organization, Team
from wflo_site.processes import wait_until

ADMINS = [
    ("POST", "/organizations/create"), ("GET", "/organizations"), ("GET", "/organizations/x"),
    ("GET", "/organizations/x/teams"), ("GET", "/organizations/x/usage"), ("POST", "/model-groups/create"),
    ("GET", "/model-groups"), ("GET", "/model-groups/x"), ("PUT", "/model-groups/x/models"),
    ("DELETE", "/model-groups/x"), ("POST", "/teams/create"), ("GET", "/teams"), ("GET", "/teams/x"),
    ("PUT", "/teams/x"), ("DELETE", "/teams/x"), ("PUT", "/teams/x/suspend"), ("PUT", "/teams/x/pause"),
    ("PUT", "/teams/x/resume"), ("PUT", "/teams/x/access-groups"), ("POST", "/credits/teams/x/add"),
    ("POST", "/credits/teams/x/replenish"), ("POST", "/credits/teams/x/configure-auto-refill"),
    ("PATCH", "/credits/teams/x/budget-mode"), ("PATCH", "/credits/teams/x/conversion-rates"),
    ("GET", "/jobs/teams/x"), ("GET", "/jobs/teams/x/y"), ("GET", "/jobs/organizations/x/stats"),
    ("GET", "/jobs/organizations/x/analytics"), ("GET", "/models"), ("POST", "/models/create"), ("DELETE", "/models/x"),
    ("GET", "/model-access-groups"), ("POST", "/model-access-groups/create"), ("DELETE", "/model-access-groups/x"),
    ("GET", "/provider-credentials"), ("POST", "/provider-credentials/create"), ("DELETE", "/provider-credentials/1"),
    ("GET", "/admin-users"), ("POST", "/admin-users"), ("GET", "/admin-users/1"), ("PUT", "/admin-users/1"),
    ("DELETE", "/admin-users/1"), ("GET", "/admin-users/me"), ("POST", "/admin-users/logout"),
    ("POST", "/admin-users/change-password"), ("GET", "/admin-users/audit-logs"), ("GET", "/stats/dashboard"),
]  # fmt: skip


@pytest.fixture
def name() -> str:
    return f"acme-{time.monotonic_ns()}"


def test_only_operators_keys_administer(customer: Customer) -> None:
    _, admin = make_key(customer.team, scopes=["admin", "jobs", "read"])
    theirs = Customer(customer.gateway, customer.team, admin, "")
    for method, path in ADMINS:
        assert theirs.call(method, path, {}).status_code == 403, (method, path)
        assert customer.gateway.client.request(method, f"/api{path}", json={}).status_code == 401, (method, path)


def test_from_an_organization_to_a_paid_job(customer: Customer, name: str) -> None:
    made = customer.admin(
        "POST", "/organizations/create", {"organization_id": name, "name": "Acme", "metadata": {"a": 1}}
    )
    assert (made.status_code, made.json()["metadata"]) == (200, {"a": 1})
    again = customer.admin("POST", "/organizations/create", {"organization_id": name, "name": "Acme"})
    assert again.status_code == 400
    assert "already exists" in again.json()["detail"]
    group = {
        "group_name": f"Chat-{name}",
        "display_name": "Chat",
        "models": [{"model_name": "demo/echo", "priority": 0}],
    }
    assert customer.admin("POST", "/model-groups/create", group).status_code == 200
    body = {
        "organization_id": name, "team_id": f"{name}-eng", "team_alias": "Engineers", "model_groups": [f"Chat-{name}"],
        "credits_allocated": 5, "metadata": {"tier": "gold"}, "budget_mode": "job_based",
    }  # fmt: skip
    team = customer.admin("POST", "/teams/create", body).json()
    assert (team["credits_allocated"], team["credits_remaining"], team["model_groups"]) == (5, 5, [f"Chat-{name}"])
    assert "already exists" in customer.admin("POST", "/teams/create", body).json()["detail"]
    theirs = Customer(customer.gateway, Team.objects.get(slug=f"{name}-eng"), team["virtual_key"], customer.admin_key)
    resolved = theirs.call("GET", f"/model-groups/Chat-{name}/resolve", team_id=f"{name}-eng").json()
    assert (resolved["primary_model"], resolved["team_has_access"]) == ("demo/echo", True)
    job = theirs.job()
    assert theirs.ask(job, group=f"Chat-{name}").status_code == 200
    assert theirs.complete(job).json()["costs"]["credits_remaining"] == 4
    assert theirs.call("GET", f"/credits/teams/{name}-eng/balance").json()["credits_used"] == 1
    refused = customer.admin("DELETE", f"/model-groups/Chat-{name}")
    assert (refused.status_code, "assigned" in refused.json()["detail"]) == (400, True)
    listed = customer.admin("GET", f"/organizations/{name}/teams").json()
    assert [one["team_id"] for one in listed["teams"]] == [f"{name}-eng"]
    assert customer.admin("GET", f"/organizations/{name}/usage").json()["summary"]["total_jobs"] == 1
    stats = customer.admin("GET", f"/jobs/organizations/{name}/stats").json()
    assert (stats["total_jobs"], stats["completed_jobs"], stats["success_rate"]) == (1, 1, 100.0)
    analytics = customer.admin("GET", f"/jobs/organizations/{name}/analytics").json()
    assert [one["provider"] for one in analytics["provider_usage"]] == ["demo"]
    assert analytics["spend_per_team"][0]["team_id"] == f"{name}-eng"
    assert customer.admin("PUT", f"/teams/{name}-eng/access-groups", {"access_groups": []}).json()["model_groups"] == []
    assert customer.admin("DELETE", f"/model-groups/Chat-{name}").json()["deleted"] is True
    assert not ModelGroup.objects.filter(name=f"Chat-{name}").exists()


def test_a_closed_team_calls_no_more_and_its_record_stays(customer: Customer, name: str) -> None:
    customer.admin("POST", "/organizations/create", {
        "organization_id": name, "name": "Acme", "create_default_team": True, "default_team_credits": 3,
    })  # fmt: skip
    default = customer.admin("GET", f"/teams/{name}_default").json()
    assert default["credits_remaining"] == 3
    assert customer.admin("DELETE", f"/teams/{name}_default").status_code == 400
    made = customer.admin("POST", "/teams/create", {"organization_id": name, "team_id": name}).json()
    theirs = Customer(customer.gateway, Team.objects.get(slug=name), made["virtual_key"], "")
    assert customer.admin("DELETE", f"/teams/{name}").json()["deleted"] is True
    body = {"team_id": name, "job_type": "x"}
    assert wait_until(lambda: theirs.call("POST", "/jobs/create", body).status_code == 401, seconds=20)
    assert customer.admin("GET", f"/teams/{name}").status_code == 404
    assert Team.objects.filter(slug=name).exists()


def test_credits_are_added_paid_for_and_refilled(customer: Customer) -> None:
    path = f"/credits/teams/{customer.team.slug}"
    assert customer.admin("POST", f"{path}/add", {"credits": 50, "reason": "trial"}).json()["credits_remaining"] == 150
    paid = {"credits": 100, "payment_type": "subscription", "payment_amount_usd": 20}
    assert customer.admin("POST", f"{path}/replenish", paid).json()["credits_remaining"] == 250
    odd = customer.admin("POST", f"{path}/replenish", {**paid, "payment_type": "gift"})
    assert (odd.status_code, odd.json()["detail"][0]["loc"]) == (422, ["body", "payment_type"])
    refill = {"enabled": True, "refill_amount": 10, "refill_period": "weekly"}
    assert customer.admin("POST", f"{path}/configure-auto-refill", refill).json()["next_refill_at"]
    assert customer.admin("PATCH", f"{path}/budget-mode", {"budget_mode": "consumption_usd"}).status_code == 200
    rates = customer.admin(
        "PATCH", f"{path}/conversion-rates", {"credits_per_dollar": 1000, "markup_percent": 50}
    ).json()
    assert (rates["credits_per_dollar"], rates["markup_percent"]) == (1000, 50)
    assert customer.call("GET", f"{path}/conversion-rates").json()["budget_mode"] == "consumption_usd"
    entries = customer.call("GET", f"{path}/transactions").json()
    assert [one["transaction_type"] for one in entries["transactions"]] == [
        "subscription_payment", "allocation", "allocation",
    ]  # fmt: skip
    assert entries["total"] == 3
    few = customer.call("POST", f"{path}/check", credits_needed=1000).json()
    assert (few["has_credits"], few["error"]) == (False, "Insufficient credits")
    assert customer.call("GET", "/credits/teams/elsewhere/balance").status_code == 403


def test_a_customer_pays_the_markup_and_credits_by_it(customer: Customer) -> None:
    path = f"/credits/teams/{customer.team.slug}"
    customer.admin("PATCH", f"{path}/conversion-rates", {"credits_per_dollar": 100_000, "markup_percent": 100})
    customer.admin("PATCH", f"{path}/budget-mode", {"budget_mode": "consumption_usd"})
    job = customer.job()
    customer.ask(job, "one two three")
    costs = customer.complete(job).json()["costs"]
    assert costs["total_cost_usd"] == pytest.approx(2 * costs["provider_cost_usd"])
    assert costs["credits_remaining"] == 100 - -(-round(costs["total_cost_usd"] * 10**10) * 100_000 // 10**10)
    assert customer.call("GET", f"/jobs/{job}/costs").json()["costs"]["total_cost_usd"] == costs["total_cost_usd"]


def test_without_credits_no_work_begins(customer: Customer) -> None:
    job = customer.job()
    customer.admin("PUT", f"/teams/{customer.team.slug}", {"credits_allocated": 0})
    refused = customer.call("POST", "/jobs/create", {"team_id": customer.team.slug, "job_type": "x"})
    assert (refused.status_code, "credit" in refused.json()["detail"]) == (403, True)
    assert customer.ask(job).status_code == 403
    assert customer.complete(job).json()["costs"]["credits_remaining"] == 0
    customer.admin("PUT", f"/teams/{customer.team.slug}", {"credits_unlimited": True})
    assert customer.ask(customer.job()).status_code == 200


def test_jobs_are_watched_by_page_type_and_day(customer: Customer) -> None:
    jobs = [customer.job(job_type=kind) for kind in ("a", "b", "b")]
    for words, purpose in (("how", "plan"), ("and how else", "plan"), ("now write", "write")):
        customer.ask(jobs[1], words, purpose=purpose)
    path = f"/jobs/teams/{customer.team.slug}"
    found = customer.admin("GET", path, job_type="b", page_size=1).json()
    assert (found["total"], found["total_pages"], len(found["jobs"])) == (2, 2, 1)
    one = customer.admin("GET", path, job_id_filter=jobs[1][:13]).json()["jobs"][0]
    assert (one["job_id"], one["total_calls"], one["retry_count"]) == (jobs[1], 3, 1)
    assert customer.admin("GET", path, end_date="2020-01-01").json()["total"] == 0
    assert customer.admin("GET", path, start_date="soon").status_code == 422
    assert len(customer.admin("GET", f"{path}/{jobs[1]}").json()["calls"]) == 3
    assert customer.admin("GET", f"{path}/nothing").status_code == 404
    assert customer.admin("GET", "/stats/dashboard").json()["jobs"] >= 3


def test_aliases_access_groups_and_credentials_are_the_catalogues(customer: Customer, name: str) -> None:
    alias = customer.admin(
        "POST", "/models/create", {"model_alias": f"m-{name}", "actual_model": "openai/gpt-4o-mini"}
    ).json()
    assert alias["actual_model"] == "openai/gpt-4o-mini"
    assert f"m-{name}" in [one["model_alias"] for one in customer.admin("GET", "/models").json()]
    credential = customer.admin(
        "POST", "/provider-credentials/create", {"provider": "openai", "api_key": "sk-abcdefgh1234"}
    )
    assert credential.json()["api_key"] == "…1234"
    made = customer.admin(
        "POST", "/model-access-groups/create", {"group_name": f"g-{name}", "model_aliases": [f"m-{name}"]}
    )
    assert made.json()["models"][0]["model_name"] == "openai/gpt-4o-mini"
    assert "sk-abc" not in customer.admin("GET", "/provider-credentials").text
    put = {"models": [{"model_name": "demo/echo"}, {"model_name": "openai/gpt-4o", "priority": 1}]}
    models = customer.admin("PUT", f"/model-groups/g-{name}/models", put).json()["models"]
    assert [one["model_name"] for one in models] == ["demo/echo", "openai/gpt-4o"]
    for path in (f"/model-access-groups/g-{name}", f"/models/m-{name}"):
        assert customer.admin("DELETE", path).json()["deleted"] is True
    id = credential.json()["credential_id"]
    assert customer.admin("DELETE", f"/provider-credentials/{id}").json()["deleted"] is True


def test_an_administrator_signs_in_for_a_key_that_ends(customer: Customer, name: str) -> None:
    operator = make_user(f"op-{name}", password=PASSWORD, is_operator=True)
    body = {"email": operator.email, "password": PASSWORD}
    wrong = customer.gateway.client.post("/api/admin-users/login", json={**body, "password": "nope"})
    assert wrong.status_code == 401
    found = customer.gateway.client.post("/api/admin-users/login", json=body).json()
    signed_in = Customer(customer.gateway, customer.team, found["access_token"], "")
    assert signed_in.call("GET", "/admin-users/me").json()["email"] == operator.email
    made = signed_in.call("POST", "/admin-users", {
        "email": f"new-{name}@example.org", "password": "a long enough password 2", "role": "user",
    }).json()  # fmt: skip
    assert made["role"] == "user"
    changed = signed_in.call("PUT", f"/admin-users/{made['user_id']}", {"role": "admin", "display_name": "N"}).json()
    assert (changed["role"], changed["display_name"]) == ("admin", "N")
    assert signed_in.call("DELETE", f"/admin-users/{made['user_id']}").json()["deleted"] is True
    short = signed_in.call("POST", "/admin-users/change-password", {"current_password": PASSWORD, "new_password": "x"})
    assert short.status_code == 422
    assert signed_in.call("GET", "/admin-users/audit-logs").json()[0]["action"]
    plain = make_user(f"plain-{name}", password=PASSWORD)
    refused = customer.gateway.client.post("/api/admin-users/login", json={"email": plain.email, "password": PASSWORD})
    assert refused.status_code == 403
    assert customer.gateway.client.post("/api/admin-users/setup", json=body).status_code == 400
    assert signed_in.call("POST", "/admin-users/logout").status_code == 200
    assert wait_until(lambda: signed_in.call("GET", "/admin-users/me").status_code == 401, seconds=20)
    assert not ApiKey.objects.filter(created_by=operator, revoked_at=None).exists()


def test_tries_to_sign_in_are_few(customer: Customer, name: str) -> None:
    operator = make_user(f"op-{name}", password=PASSWORD, is_operator=True)
    body = {"email": operator.email, "password": "guess"}
    statuses = [customer.gateway.client.post("/api/admin-users/login", json=body).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert Organization.objects.exists()


def test_lists_cost_the_same_however_many_there_are_and_go_on_behind_a_name(customer: Customer, name: str) -> None:
    assert customer.admin("POST", "/organizations/create", {"organization_id": name, "name": "Acme"}).status_code == 200
    organization, admin = Organization.objects.get(slug=name), f"Bearer {customer.admin_key}"
    asked: list[int] = []
    for letter in "abcd":
        team = make_team(f"{name}-{letter}")
        Team.objects.filter(pk=team.pk).update(slug=f"{name}-{letter}", organization=organization)
        with CaptureQueriesContext(connection) as queries:
            for path in (f"organizations/{name}/teams", f"organizations/{name}/usage", f"teams?organization_id={name}"):
                assert DjangoClient().get(f"/api/{path}", headers={"authorization": admin}).status_code == 200
        asked.append(len(queries))
    assert asked[1] == asked[-1]
    page = customer.admin("GET", "/teams", organization_id=name, limit=2, after=f"{name}-a").json()
    assert [team["team_id"] for team in page] == [f"{name}-b", f"{name}-c"]
    listed = customer.admin("GET", "/organizations", limit=1, after=name[:-1]).json()
    assert [one["organization_id"] for one in listed] == [name]
    assert customer.admin("GET", "/organizations", limit=0).status_code == 422
    assert set(customer.admin("GET", f"/organizations/{name}/usage").json()["teams"]) == {f"{name}-{x}" for x in "abcd"}
