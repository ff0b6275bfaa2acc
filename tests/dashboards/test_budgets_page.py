"""The list of budgets: what each says, who may make one, and what comes back when something is wrong."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.make import make_user, signed_in
from tests.tracking.ledger.conftest import LEASE_MS, ceiling
from tracking.audit import SYSTEM
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand
from tracking.ledger.calls import Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, reserve
from tracking.models import Budget, Team, User

pytestmark = pytest.mark.django_db
HAND = Hand(SYSTEM, rules_organization=True)


@pytest.fixture
def admin(alice: User) -> Client:
    return signed_in(alice)


def made(team: Team, **given: Any) -> Budget:
    given = {"scope_kind": "team", "scope_id": None, "window": "month", "name": "All of us", "limit_usd": "10", **given}
    return verbs.create(team, HAND, **given).budget


def spend(team: Team, usd: str, tokens: int = 10, **call: Any) -> None:
    now = datetime.now(UTC)
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk, **call), at=now, usd=D(usd), tokens=tokens)]))


def hold(team: Team, usd: str, **call: Any) -> None:
    perform(reserve(Call(team_id=team.pk, **call), ceiling(usd), id=uuid4(), lease_ms=LEASE_MS))


def shown(client: Client, path: str, status: int = 200, **headers: str) -> str:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, answer.content.decode()
    return answer.content.decode()


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_without_a_budget_an_admin_is_asked_for_the_first(admin: Client) -> None:
    page = shown(admin, "/budgets")
    assert "Nothing limits what Core spends yet." in page
    assert 'name="preset" value="50"' in page
    assert re.search(r'value="team" checked', page)
    assert re.search(r'value="month" checked', page)


def test_without_a_budget_a_member_is_told_who_sets_one(bob: User) -> None:
    page = shown(signed_in(bob), "/budgets")
    assert "Admins of Core set budgets" in page
    assert 'name="preset"' not in page


def test_one_click_on_an_amount_sets_a_budget(admin: Client, team: Team) -> None:
    answer = admin.post("/budgets/make", {"scope_kind": "agent", "window": "day", "preset": "50", "limit_usd": ""})
    budget = Budget.objects.get(team=team)
    assert answer.headers["Location"] == f"/budgets/{budget.pk}"
    assert (budget.name, budget.scope_kind, budget.scope_id, budget.window) == ("each agent, day", "agent", "", "day")
    assert (budget.limit_usd, budget.mode, budget.alert_at) == (50, "strict", [50, 75, 90, 100])


def test_amounts_are_read_as_people_write_them(admin: Client, team: Team) -> None:
    given = {"scope_kind": "team", "window": "month", "limit_usd": "$1,500.50", "limit_tokens": "2,000,000"}
    admin.post("/budgets/make", {**given, "mode": "elastic", "name": "Autumn"})
    budget = Budget.objects.get(team=team)
    assert (budget.name, budget.limit_usd, budget.limit_tokens, budget.mode) == (
        "Autumn",
        D("1500.5"),
        2_000_000,
        "elastic",
    )


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"limit_usd": "much"}, "Limit in USD is a"),
        ({"limit_usd": ""}, "Give a limit"),
        ({"limit_usd": "5", "scope_kind": "key", "scope_id": "nobody"}, "has no key"),
        ({"limit_usd": "5", "window": "fortnight"}, "Select a valid choice"),
    ],
)
def test_a_fault_stands_at_its_field_and_nothing_is_made(admin: Client, given: dict[str, str], fault: str) -> None:
    answer = admin.post("/budgets/make", {"scope_kind": "team", "window": "day", **given})
    assert answer.status_code == 422
    assert re.search(rf'<p class="fault"[^>]*>[^<]*{fault}', answer.content.decode())
    assert not Budget.objects.exists()


def test_only_an_owner_is_offered_all_teams(admin: Client, team: Team) -> None:
    given = {"scope_kind": "organization", "window": "month", "preset": "50"}
    assert "All teams" not in shown(admin, "/budgets/new")
    assert admin.post("/budgets/make", given).status_code == 422
    olive = make_user("Olive", team=team, role="viewer")
    team.organization.owners.add(olive)
    assert "All teams" in shown(signed_in(olive), "/budgets/new")
    assert signed_in(olive).post("/budgets/make", given).status_code == 302
    assert Budget.objects.get().team is None


def test_a_member_makes_none(bob: User) -> None:
    given = {"scope_kind": "team", "window": "month", "preset": "50"}
    assert signed_in(bob).post("/budgets/make", given).status_code == 403
    assert signed_in(bob).get("/budgets/new").status_code == 403


def test_each_budget_says_what_is_spent_held_and_free(admin: Client, team: Team) -> None:
    made(team, window="total")
    spend(team, "4")
    hold(team, "2")
    page = shown(admin, "/budgets")
    assert "All of us: $4.00 spent, $2.00 held, $4.00 free of $10.00" in page
    assert re.search(r'class="spent" x="0.00%" width="40.00%"', page)
    assert re.search(r'class="held" x="40.00%" width="20.00%"', page)
    assert "Core: $4.00 free of $10.00 in all." in words(page)
    assert 'data-live="5"' in page


def test_of_many_the_fullest_is_named(admin: Client, team: Team) -> None:
    made(team, scope_kind="user", window="day", name="Users")
    spend(team, "4", user="u1")
    spend(team, "9", user="u2")
    assert "fullest of 2: u2" in words(shown(admin, "/budgets"))


def test_what_is_used_up_is_said_first(admin: Client, team: Team) -> None:
    made(team)
    made(team, name="Bot", scope_kind="agent", scope_id="bot", limit_usd="1")
    made(team, name="Lenient", scope_kind="agent", scope_id="bot", limit_usd="1", mode="soft")
    spend(team, "1.5", agent="bot")
    said = words(shown(admin, "/budgets"))
    assert re.search(r"Bot was used up at \d\d:\d\d: new calls are refused\.", said)
    assert re.search(r"Lenient went over at \d\d:\d\d\.", said)
    assert said.count("new calls are refused") == 1


def test_a_raise_is_marked(admin: Client, team: Team) -> None:
    budget = made(team, window="total")
    verbs.raise_until(budget, team, HAND, until=datetime.now(UTC) + timedelta(days=3), usd="5")
    page = words(shown(admin, "/budgets"))
    assert re.search(r"raised to \d+ \w{3}", page)
    assert "$15.00 free of $15.00" in page


def test_tokens_are_shown_as_tokens(admin: Client, team: Team) -> None:
    made(team, limit_usd=None, limit_tokens=40_000, window="total")
    spend(team, "4", tokens=10_000)
    assert "10k tokens spent, 0 tokens held, 30k tokens free of 40k tokens" in shown(admin, "/budgets")


def test_archived_ones_are_behind_a_filter(admin: Client, team: Team) -> None:
    verbs.archive(made(team, name="Old one"), team, HAND)
    made(team, name="New one")
    assert "Old one" not in shown(admin, "/budgets")
    page = shown(admin, "/budgets?archived=1")
    assert "Old one" in page
    assert "New one" not in page
    assert "data-live=" not in page


def test_another_teams_budgets_are_not_shown(admin: Client, other_team: Team) -> None:
    made(other_team, name="Theirs")
    assert "Theirs" not in shown(admin, "/budgets")


def test_htmx_gets_the_list_alone(admin: Client, team: Team) -> None:
    made(team)
    part = shown(admin, "/budgets", **{"HX-Request": "true"})
    assert part.lstrip().startswith("<div")
    assert "<nav" not in part


def test_more_budgets_ask_no_more_questions(admin: Client, team: Team) -> None:
    made(team)
    shown(admin, "/budgets")
    with CaptureQueriesContext(connection) as few:
        shown(admin, "/budgets")
    for place in range(6):
        made(team, name=f"b{place}")
    with CaptureQueriesContext(connection) as many:
        shown(admin, "/budgets")
    assert len(many) == len(few)
    assert len(many) <= 10
