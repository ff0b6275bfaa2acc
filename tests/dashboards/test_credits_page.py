"""Credits as people see them: what is left, what came and went; and what operators do."""

from __future__ import annotations

from decimal import Decimal as D
from uuid import uuid4

import pytest
from django.db import transaction

from tests.make import make_user, signed_in
from tracking import credits
from tracking.audit import SYSTEM
from tracking.models import CreditAccount, Team, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(team: Team) -> User:
    return make_user("Olga", team=team, is_operator=True)


def use(team: Team, usd: str = "0") -> None:
    with transaction.atomic():
        credits.charge(team, uuid4(), "agent_task", client_usd=D(usd), tokens=0)


def test_a_team_without_an_account_is_told_what_credits_are(team: Team, alice: User) -> None:
    text = signed_in(alice).get("/credits").content.decode()
    assert "not billed in credits" in text
    assert "An operator of this installation begins it" in text


def test_what_is_left_and_what_came_and_went(team: Team, alice: User) -> None:
    credits.open_account(team, allocated=28, actor=SYSTEM)
    for _ in range(14):
        use(team)
    text = signed_in(alice).get("/credits").content.decode()
    assert "<b>14 credits</b> left of 28" in text
    assert "about <b>14 days</b>" in text
    assert "14 jobs took 14 credits" in text
    assert text.count("Job completed: agent_task") == 14
    assert "Keep these terms" not in text


def test_when_none_are_left_it_says_so_and_what_was_short(team: Team, alice: User) -> None:
    credits.open_account(team, allocated=1, mode="consumption_usd", actor=SYSTEM)
    use(team, "0.5")
    text = signed_in(alice).get("/credits").content.decode()
    assert "No credits are left." in text
    assert "4 short" in text


def test_older_entries_are_a_page_further(team: Team, alice: User) -> None:
    credits.open_account(team, allocated=1_000, actor=SYSTEM)
    for _ in range(60):
        use(team)
    client = signed_in(alice)
    first = client.get("/credits")
    older = first.context["page"].next_before
    assert older
    second = client.get(f"/credits?before={older}").content.decode()
    assert second.count("<tr data-row>") == 61 - 50
    assert "Nothing is older" in client.get("/credits?before=1").content.decode()
    assert client.get("/credits?before=x").status_code == 200


def test_an_operator_begins_adds_and_sets_terms(team: Team, operator: User) -> None:
    client = signed_in(operator)
    assert client.post("/credits/begin").status_code == 302
    given = {"credits": 100, "kind": "one_time_payment", "paid_usd": "9.99", "reason": "order 7"}
    assert client.post("/credits/add", given).status_code == 302
    terms = {
        "mode": "consumption_tokens", "credits_per_dollar": "10", "tokens_per_credit": "500", "markup_percent": "20",
        "has_refill": "on", "refill_amount": "30", "refill_period": "weekly",
    }  # fmt: skip
    assert client.post("/credits/change", terms).status_code == 302
    account = CreditAccount.objects.get(team=team)
    assert (account.left, account.mode, account.tokens_per_credit, account.has_refill) == (
        100,
        "consumption_tokens",
        500,
        True,
    )
    text = client.get("/credits").content.decode()
    assert "30 credits come weekly" in text
    assert "order 7" in text
    assert "20 % more" in text


def test_what_cannot_be_is_said_at_its_field(team: Team, operator: User) -> None:
    client = signed_in(operator)
    client.post("/credits/begin")
    refused = client.post("/credits/add", {"credits": -5, "kind": "allocation"})
    assert refused.status_code == 422
    assert refused.context["add_form"].errors["credits"]
    half = client.post("/credits/change", {
        "mode": "job_based", "credits_per_dollar": "10", "tokens_per_credit": "1", "markup_percent": "0", "has_refill": "on",
    })  # fmt: skip
    assert half.status_code == 422
    assert half.context["terms_form"].errors["refill_amount"]
    assert CreditAccount.objects.get(team=team).has_refill is False
