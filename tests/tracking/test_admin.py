"""Operators' tables: who reaches them, what they refuse, and that each change is in the audit log."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client

from tests.make import make_key, make_user, signed_in
from tracking import audit
from tracking.jobs import lifecycle
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.models import (
    AuditEntry,
    Budget,
    CreditAccount,
    CreditEntry,
    LedgerRow,
    Membership,
    Organization,
    Team,
    User,
)


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_user("Oscar", is_operator=True))


def _latest(team: Team | None) -> AuditEntry:
    return AuditEntry.objects.filter(team=team).latest("id")


@pytest.mark.parametrize(
    "table",
    [
        "user", "organization", "team", "membership", "apikey", "auditentry", "price", "budget", "ledgerrow",
        "creditaccount", "creditentry", "jobrow",
    ],
)  # fmt: skip
def test_each_table_opens_and_none_shows_a_digest(operator: Client, team: Team, alice: User, table: str) -> None:
    key, text = make_key(team)
    page = operator.get(f"/admin/tracking/{table}/")
    assert page.status_code == 200
    assert text.rsplit("_", 1)[1] not in page.content.decode()
    if table == "apikey":
        detail = operator.get(f"/admin/tracking/apikey/{key.pk}/change/").content.decode()
        assert "digest" not in detail.lower()


def test_nobody_but_operators_comes_in(team: Team, alice: User) -> None:
    client = signed_in(alice)
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/tracking/user/").status_code == 302


@pytest.mark.parametrize("table", ["auditentry", "apikey", "price"])
def test_some_tables_are_only_looked_at(operator: Client, team: Team, table: str) -> None:
    make_key(team)
    assert operator.get(f"/admin/tracking/{table}/add/").status_code == 403
    entry = AuditEntry.objects.first()
    assert entry is not None
    assert operator.post(f"/admin/tracking/auditentry/{entry.pk}/change/", {"action": "x"}).status_code == 403
    assert operator.post(f"/admin/tracking/auditentry/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"retention_days": "0"}, "greater than or equal to 1"),
        ({"retention_days": "99999"}, "less than or equal to 3650"),
        ({"time_zone": "Mars/Olympus"}, "Give a time zone by its name"),
        ({"name": "a\x01b"}, "in one line"),
        ({"redaction": "some"}, "Select a valid choice"),
    ],
)
def test_a_team_is_checked_as_on_its_settings_page(
    operator: Client, team: Team, change: dict[str, str], fault: str
) -> None:
    body = {
        "organization": team.organization_id,
        "name": team.name,
        "slug": team.slug,
        "time_zone": "UTC",
        "retention_days": "90",
        "redaction": "secrets",
        "status": "active",
        "loop_action": "kill",
        "guard": "off",
        **change,
    }
    page = operator.post(f"/admin/tracking/team/{team.pk}/change/", body)
    assert page.status_code == 200
    assert fault in page.content.decode()


def test_changes_are_in_the_log_with_before_and_after(operator: Client, team: Team, alice: User) -> None:
    body = {
        "organization": team.organization_id,
        "name": "Kernel",
        "slug": team.slug,
        "time_zone": "UTC",
        "retention_days": "30",
        "redaction": team.redaction,
        "status": "active",
        "loop_action": "kill",
        "guard": "off",
    }
    assert operator.post(f"/admin/tracking/team/{team.pk}/change/", body).status_code == 302
    entry = _latest(team)
    assert (entry.action, entry.actor_name) == ("team.change", "Oscar")
    assert (entry.before, entry.after) == (
        {"name": "Core", "retention_days": 90},
        {"name": "Kernel", "retention_days": 30},
    )

    member = Membership.objects.get(user=alice)
    body = {"team": team.pk, "user": alice.pk, "role": "viewer"}
    assert operator.post(f"/admin/tracking/membership/{member.pk}/change/", body).status_code == 302
    assert (_latest(team).action, _latest(team).after) == ("membership.change", {"role": "viewer"})
    assert operator.post(f"/admin/tracking/membership/{member.pk}/delete/", {"post": "yes"}).status_code == 302
    assert _latest(team).action == "membership.delete"
    assert audit.verify(team) is None
    assert audit.verify(None) is None


def test_a_person_made_here_signs_in_and_no_password_is_in_the_log(operator: Client, team: Team) -> None:
    body = {
        "email": "Dana@Example.org",
        "name": "Dana",
        "usable_password": "true",
        "password1": "quite long enough",
        "password2": "quite long enough",
    }
    page = operator.post("/admin/tracking/user/add/", body)
    assert page.status_code == 302, page.content.decode()
    user = User.objects.get(email="dana@example.org")
    assert user.check_password("quite long enough")
    entry = _latest(None)
    assert entry.action == "user.create"
    assert "quite long enough" not in str(entry.after)
    changed = operator.post(
        f"/admin/tracking/user/{user.pk}/password/",
        {"usable_password": "true", "password1": "another long one", "password2": "another long one"},
    )
    assert changed.status_code == 302
    user.refresh_from_db()
    assert user.check_password("another long one")
    assert _latest(None).action == "user.change"
    assert "another long one" not in str(_latest(None).after)


def test_owners_named_here_are_in_the_log(operator: Client, team: Team, alice: User) -> None:
    organization = Organization.objects.get(pk=team.organization_id)
    body = {"name": organization.name, "slug": organization.slug, "owners": [alice.pk]}
    assert operator.post(f"/admin/tracking/organization/{organization.pk}/change/", body).status_code == 302
    assert list(organization.owners.all()) == [alice]
    assert _latest(None).after == {"owners": ["Alice"]}


def test_keys_are_revoked_here(operator: Client, team: Team) -> None:
    key, _ = make_key(team)
    body = {"action": "revoke", "_selected_action": [str(key.pk)]}
    assert operator.post("/admin/tracking/apikey/", body).status_code == 302
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert (_latest(team).action, _latest(team).actor_name) == ("key.revoke", "Oscar")


def test_a_team_is_not_deleted_here(operator: Client, team: Team) -> None:
    assert operator.post(f"/admin/tracking/team/{team.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Team.objects.filter(pk=team.pk).exists()


def test_a_deleted_person_leaves_their_entries(operator: Client, team: Team, alice: User, bob: User) -> None:
    audit.record(audit.Actor.of(bob), team, "price.set", "price", "gpt-4o")
    assert operator.post(f"/admin/tracking/user/{bob.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Membership.objects.filter(user=bob.pk).exists()
    assert AuditEntry.objects.filter(team=team, actor_name="Bob").exists()
    assert _latest(None).action == "user.delete"


def test_tables_without_a_log_of_changes_are_not_here(operator: Client) -> None:
    page = operator.get("/admin/").content.decode()
    assert "/admin/tracking/team/" in page
    assert "/admin/account/" not in page
    assert "/admin/socialaccount/" not in page
    assert "/admin/auth/" not in page


# --- money -----------------------------------------------------------------------------------------------------------


def _budget(of: Team, **given: Any) -> dict[str, Any]:
    return {
        "team": of.pk, "organization": of.organization_id, "scope_kind": "agent", "scope_id": "planner", "window": "month",
        "name": "planner", "limit_usd": "5", "limit_tokens": "", "mode": "strict", "alert_at": "50,90", **given,
    }  # fmt: skip


def test_a_budget_is_made_changed_and_archived_here_by_the_same_verbs(operator: Client, team: Team) -> None:
    made = operator.post("/admin/tracking/budget/add/", _budget(team))
    assert made.status_code == 302, made.content.decode()
    budget = Budget.objects.get()
    assert (budget.team, budget.scope_id, budget.alert_at, budget.created_by.name) == (
        team,
        "planner",
        [50, 90],
        "Oscar",
    )
    assert (_latest(team).action, _latest(team).actor_name) == ("budget.create", "Oscar")
    address = f"/admin/tracking/budget/{budget.pk}/change/"
    changed = operator.post(address, _budget(team, limit_usd="7", scope_id="writer", window="day"))
    assert changed.status_code == 302, changed.content.decode()
    budget.refresh_from_db()
    assert (budget.limit_usd, budget.scope_id, budget.window) == (7, "planner", "month")
    assert _latest(team).after["limit"] == {"usd": "7", "tokens": None}
    operator.post("/admin/tracking/budget/", {"action": "archive", "_selected_action": [str(budget.pk)]})
    assert _latest(team).action == "budget.archive"
    assert operator.post(address, _budget(team, limit_usd="9")).status_code == 403
    assert operator.post(f"/admin/tracking/budget/{budget.pk}/delete/", {"post": "yes"}).status_code == 403
    assert audit.verify(team) is None


def test_a_budget_over_the_organization_has_no_team(operator: Client, team: Team) -> None:
    above = _budget(team, team="", scope_kind="organization", scope_id="")
    assert operator.post("/admin/tracking/budget/add/", above).status_code == 302
    budget = Budget.objects.get()
    assert (budget.team, budget.organization) == (None, team.organization)
    changed = operator.post(f"/admin/tracking/budget/{budget.pk}/change/", {**above, "limit_usd": "6"})
    assert changed.status_code == 302
    assert _latest(team).action == "budget.change"


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"limit_usd": ""}, "Give a limit"),
        ({"limit_usd": "-1"}, "0 or more"),
        ({"alert_at": "0"}, "from 1 to 100"),
        ({"name": "a\x01b"}, "name is one line"),
        ({"scope_kind": "team", "scope_id": "elsewhere"}, "leave the id out"),
        ({"scope_kind": "key", "scope_id": "none"}, "no key"),
        ({"scope_kind": "organization", "scope_id": ""}, "leave it empty"),
        ({"team": ""}, "Give the team"),
    ],
)
def test_a_budget_is_checked_as_everywhere(operator: Client, team: Team, given: dict[str, Any], fault: str) -> None:
    page = operator.post("/admin/tracking/budget/add/", _budget(team, **given))
    assert page.status_code == 200
    assert fault in html.unescape(page.content.decode())
    assert not Budget.objects.exists()


def test_too_many_budgets_are_refused_with_a_sentence(operator: Client, team: Team, settings: Any) -> None:
    settings.LIMITS = {**settings.LIMITS, "budgets_per_team": 0}
    page = operator.post("/admin/tracking/budget/add/", _budget(team), follow=True)
    assert "at most 0 budgets" in page.content.decode()
    assert not Budget.objects.exists()


def test_a_team_that_moves_opens_its_budgets_windows_anew(operator: Client, team: Team) -> None:
    operator.post("/admin/tracking/budget/add/", _budget(team, window="day"))
    body = {
        "organization": team.organization_id, "name": team.name, "slug": team.slug, "time_zone": "Europe/Berlin",
        "retention_days": "90", "redaction": team.redaction, "status": "active", "loop_action": "kill", "guard": "off",
    }  # fmt: skip
    assert operator.post(f"/admin/tracking/team/{team.pk}/change/", body).status_code == 302
    assert _latest(team).after == {"time_zone": "Europe/Berlin"}


def test_entries_are_looked_at_and_never_changed(operator: Client, team: Team) -> None:
    operator.post("/admin/tracking/budget/add/", _budget(team, scope_kind="team", scope_id=""))
    hand = Hand(audit.SYSTEM)
    budgets.adjust(Budget.objects.get(), team, hand, usd="1.5", reason="seen on the bill")
    page = operator.get("/admin/tracking/ledgerrow/").content.decode()
    assert "seen on the bill" in page
    entry = LedgerRow.objects.get(team=team)
    assert operator.get(f"/admin/tracking/ledgerrow/{entry.pk}/change/").status_code == 200
    assert operator.get("/admin/tracking/ledgerrow/add/").status_code == 403
    assert operator.post(f"/admin/tracking/ledgerrow/{entry.pk}/change/", {"usd": "0"}).status_code == 403
    assert operator.post(f"/admin/tracking/ledgerrow/{entry.pk}/delete/", {"post": "yes"}).status_code == 403


def test_a_credit_account_is_opened_and_changed_here_by_the_same_verbs(operator: Client, team: Team) -> None:
    body = {
        "team": team.pk, "allocated": "50", "mode": "consumption_usd", "credits_per_dollar": "100", "tokens_per_credit": "1000",
        "markup_percent": "20", "refill_amount": "", "refill_period": "",
    }  # fmt: skip
    page = operator.post("/admin/tracking/creditaccount/add/", body)
    assert page.status_code == 302, page.content.decode()
    account = CreditAccount.objects.get(team=team)
    assert (account.allocated, account.mode, account.markup_percent) == (50, "consumption_usd", 20)
    assert CreditEntry.objects.get(team=team).amount == 50
    assert _latest(team).action.startswith("credits.")
    address = f"/admin/tracking/creditaccount/{team.pk}/change/"
    wrong = operator.post(address, {**body, "has_refill": "on"}).content.decode()
    assert wrong.count("A refill needs it.") == 2
    right = {**body, "has_refill": "on", "refill_amount": "10", "refill_period": "daily", "allocated": "999"}
    assert operator.post(address, right).status_code == 302
    account.refresh_from_db()
    assert (account.allocated, account.refill_amount, account.refill_period) == (50, 10, "daily")
    assert account.refill_at is not None
    assert _latest(team).action == "credits.refill"
    assert operator.post(address, {**body, "refill_amount": "10", "refill_period": "daily"}).status_code == 302
    account.refresh_from_db()
    assert (account.has_refill, account.refill_amount) == (False, 10)
    assert operator.post(f"/admin/tracking/creditaccount/{team.pk}/delete/", {"post": "yes"}).status_code == 403
    assert audit.verify(team) is None


def test_a_second_account_is_said_to_be_one_too_many(operator: Client, team: Team) -> None:
    body = {"team": team.pk, "allocated": "5", "mode": "job_based", "credits_per_dollar": "1", "tokens_per_credit": "1",
            "markup_percent": "0", "refill_amount": "", "refill_period": ""}  # fmt: skip
    assert operator.post("/admin/tracking/creditaccount/add/", body).status_code == 302
    assert "already exists" in operator.post("/admin/tracking/creditaccount/add/", body).content.decode()


def test_jobs_are_looked_at_here(operator: Client, team: Team) -> None:
    job = lifecycle.create(team, "agent_task", user_id="u1", metadata={})
    page = operator.get(f"/admin/tracking/jobrow/?q={job.id}").content.decode()
    assert str(job.id) in page
    assert operator.get(f"/admin/tracking/jobrow/{job.id}/change/").status_code == 200
    assert operator.post(f"/admin/tracking/jobrow/{job.id}/delete/", {"post": "yes"}).status_code == 403
