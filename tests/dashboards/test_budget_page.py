"""One budget's page: standing, forecast, ledger, holds, what-if; what admins do to it, and what comes back when it is wrong."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from tests.dashboards.test_budgets_page import HAND, hold, made, shown, spend, words
from tests.make import make_user, signed_in
from tests.tracking.ledger.conftest import LEASE_MS, ceiling
from tracking.ledger import budgets as verbs
from tracking.ledger.calls import Actual, Call
from tracking.ledger.perform import perform
from tracking.ledger.verbs import dispatch, reserve, settle
from tracking.models import Budget, LedgerEntry, Team, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def budget(team: Team) -> Budget:
    return made(team, window="total")


def through(team: Team, usd: str, **call: Any) -> None:
    """A call of the gateway's that cost so much."""
    id = uuid4()
    perform(reserve(Call(team_id=team.pk, **call), ceiling("3"), id=id, lease_ms=LEASE_MS))
    perform(dispatch([team.pk], [id]))
    perform(settle(team.pk, id, Actual(usd=D(usd), tokens=10)))


def part(client: Client, path: str, target: str) -> str:
    return shown(client, path, **{"HX-Request": "true", "HX-Target": target})


def test_it_says_how_the_budget_stands_and_why_nothing_is_forecast(admin: Client, team: Team, budget: Budget) -> None:
    spend(team, "4")
    hold(team, "2", agent="bot")
    page = words(shown(admin, f"/budgets/{budget.pk}"))
    assert "$4.00 free of $10.00 $4.00 spent · $2.00 held" in page
    assert "No forecast. Too little history: 0 hours of use" in page
    assert "1 call in flight" in page
    assert re.search(r"bot \$2\.00 (1:00|0:\d\d) not sent yet", page)


def test_a_used_up_budget_says_when_it_is_free_again(admin: Client, team: Team) -> None:
    budget = made(team, limit_usd="1", window="day")
    spend(team, "1")
    page = words(shown(admin, f"/budgets/{budget.pk}"))
    assert re.search(r"Used up at \d\d:\d\d\. New calls are refused until the next window begins in \d+ (h|min),", page)


def test_the_ledger_says_who_moved_what_and_why(admin: Client, team: Team, budget: Budget) -> None:
    spend(team, "4", agent="bot", models=("gpt-4o",), run="run-9")
    verbs.adjust(budget, team, HAND, usd="-0.25", reason="a credit of the provider")
    page = shown(admin, f"/budgets/{budget.pk}")
    said = words(page)
    assert "+$4.0000" in said
    assert "\N{MINUS SIGN}$0.2500" in said
    assert "a credit of the provider" in said
    assert 'href="/runs/run-9"' in page


def test_the_ledger_is_filtered_by_the_address(admin: Client, team: Team, budget: Budget) -> None:
    spend(team, "1", agent="bot", models=("gpt-4o",))
    spend(team, "2", agent="other", models=("gpt-4o",))
    spend(team, "3", agent="other", models=("small",))
    verbs.adjust(budget, team, HAND, usd="-0.25", reason="a credit")

    def seen(query: str) -> list[str]:
        return re.findall(r"\+\$(\d)\.0000", shown(admin, f"/budgets/{budget.pk}?{query}"))

    assert seen("") == ["3", "2", "1"]
    assert seen("agent=other") == ["3", "2"]
    assert seen("model=gpt-4o") == ["2", "1"]
    assert seen("agent=other&model=gpt-4o") == ["2"]
    assert seen("kind=adjustment") == []
    assert "No entry fits." in shown(admin, f"/budgets/{budget.pk}?agent=nobody")
    shown(admin, f"/budgets/{budget.pk}?kind=gift", status=400)
    shown(admin, f"/budgets/{budget.pk}?cursor=x", status=400)


def test_the_ledger_goes_on_after_its_last_entry(admin: Client, team: Team, budget: Budget, settings: Settings) -> None:
    settings.LIMITS = {**settings.LIMITS, "page_rows": 2}
    for usd in ("1", "2", "3"):
        spend(team, usd, agent="bot")
    first = shown(admin, f"/budgets/{budget.pk}?agent=bot")
    (older,) = re.findall(r'href="(/budgets/[^"]*cursor=[^"]*)"', first)
    assert "agent=bot" in older
    second = part(admin, older.replace("&amp;", "&"), "budget-ledger")
    assert re.findall(r"\+\$(\d)\.0000", first) == ["3", "2"]
    assert re.findall(r"\+\$(\d)\.0000", second) == ["1"]


def test_the_csv_has_the_filters_of_the_page_and_runs_nothing(admin: Client, team: Team, budget: Budget) -> None:
    spend(team, "1", agent="=cmd")
    spend(team, "2", agent="other")
    answer = admin.get(f"/budgets/{budget.pk}/ledger.csv?agent=%3Dcmd")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert [(row["usd"], row["agent"], row["kind"]) for row in rows] == [("1.0000000000", "'=cmd", "charge")]


def test_what_if_says_what_another_limit_would_have_done(admin: Client, team: Team, budget: Budget) -> None:
    for _ in range(3):
        through(team, "2", agent="bot")
    said = part(admin, f"/budgets/{budget.pk}?limit=5&days=7&mode=strict", "what-if-said")
    assert "Would have blocked 1 of 3 calls, all of bot, and saved $2.00." in said
    assert "<nav" not in said
    assert "Would have blocked 1 of 3" in shown(admin, f"/budgets/{budget.pk}?limit=5&days=7&mode=strict")
    assert "limit_usd is a" in part(admin, f"/budgets/{budget.pk}?limit=lots", "what-if-said")
    assert "days is from 1 to 92" in part(admin, f"/budgets/{budget.pk}?days=400", "what-if-said")


def test_the_live_part_is_served_alone(admin: Client, team: Team, budget: Budget) -> None:
    hold(team, "2", agent="bot")
    said = part(admin, f"/budgets/{budget.pk}", "budget-now")
    assert said.lstrip().startswith("<div")
    assert 'data-live="3"' in said
    assert "$8.00 free" in words(said)


def test_of_many_each_has_a_line(admin: Client, team: Team) -> None:
    budget = made(team, scope_kind="user", window="day")
    spend(team, "4", user="u1")
    spend(team, "9", user="u2")
    page = words(shown(admin, f"/budgets/{budget.pk}"))
    assert "this is u2 , the fullest of 2" in page
    assert page.index("u2 $9.00") < page.index("u1 $4.00")


def test_an_admin_changes_it(admin: Client, budget: Budget) -> None:
    given = {"name": "Less", "limit_usd": "$7.50", "limit_tokens": "", "mode": "soft", "alert_at": "50%, 80"}
    assert admin.post(f"/budgets/{budget.pk}/change", given).status_code == 302
    budget.refresh_from_db()
    assert (budget.name, budget.limit_usd, budget.mode, budget.alert_at) == ("Less", D("7.5"), "soft", [50, 80])


@pytest.mark.parametrize(
    ("where", "given", "fault"),
    [
        ("change", {"name": "x", "limit_usd": "-1", "mode": "strict"}, "Limit in USD is"),
        ("change", {"name": "x", "limit_usd": "1", "mode": "strict", "alert_at": "101"}, "Alert at holds"),
        ("raise", {"usd": "", "ends": "tonight"}, "Say how much more"),
        ("raise", {"tokens": "5", "ends": "tonight"}, "no limit in tokens"),
        ("adjust", {"usd": "1", "reason": ""}, "Give a reason"),
        ("adjust", {"usd": "-1", "reason": "too much"}, "more than was spent"),
    ],
)
def test_a_fault_stands_at_its_field_and_the_form_stays_open(
    admin: Client, budget: Budget, where: str, given: dict[str, str], fault: str
) -> None:
    answer = admin.post(f"/budgets/{budget.pk}/{where}", given)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert re.search(rf'<p class="fault"[^>]*>[^<]*{fault}', page)
    assert page.count("<details open>") == 1
    budget.refresh_from_db()
    assert (budget.limit_usd, budget.raised_until) == (10, None)
    assert not LedgerEntry.objects.filter(team=budget.team).exists()


def test_it_is_raised_until_tonight_and_the_raise_ends(admin: Client, budget: Budget) -> None:
    admin.post(f"/budgets/{budget.pk}/raise", {"usd": "2", "ends": "tonight"})
    budget.refresh_from_db()
    assert budget.raised_usd == 2
    assert budget.raised_until is not None
    assert datetime.now(UTC) < budget.raised_until <= datetime.now(UTC) + timedelta(days=1)
    assert "$12.00 free of $12.00" in words(shown(admin, f"/budgets/{budget.pk}"))
    admin.post(f"/budgets/{budget.pk}/raise/end")
    assert "$10.00 free of $10.00" in words(shown(admin, f"/budgets/{budget.pk}"))


def test_an_adjustment_is_entered_with_who_and_why(admin: Client, alice: User, team: Team, budget: Budget) -> None:
    spend(team, "4")
    answer = admin.post(f"/budgets/{budget.pk}/adjust", {"usd": "\N{MINUS SIGN}1.50", "reason": "billed twice"})
    assert answer.status_code == 302
    entry = LedgerEntry.objects.get(kind="adjustment")
    assert (entry.usd, entry.reason) == (D("-1.5"), "billed twice")
    assert entry.actor in words(shown(admin, f"/budgets/{budget.pk}"))


def test_it_is_archived_only_when_somebody_is_sure(admin: Client, budget: Budget) -> None:
    assert admin.post(f"/budgets/{budget.pk}/archive").status_code == 400
    budget.refresh_from_db()
    assert budget.archived_at is None
    assert admin.post(f"/budgets/{budget.pk}/archive", {"sure": "yes"}).status_code == 302
    page = shown(admin, f"/budgets/{budget.pk}")
    assert "it binds no call" in page
    assert "data-live=" not in page
    assert "Keep it so" not in page


def test_a_viewer_looks_and_has_no_forms(team: Team, budget: Budget) -> None:
    page = shown(signed_in(make_user("Vera", team=team, role="viewer")), f"/budgets/{budget.pk}")
    assert "Admins of Core change budgets." in page
    assert '<form class="form"' not in page


def test_another_teams_budget_is_not_there(charlie: User, budget: Budget) -> None:
    client = signed_in(charlie)
    for path in ("", "/ledger.csv"):
        assert client.get(f"/budgets/{budget.pk}{path}").status_code == 404
    for path in ("change", "raise", "raise/end", "adjust", "archive"):
        assert client.post(f"/budgets/{budget.pk}/{path}", {"sure": "yes"}).status_code in (403, 404)
    budget.refresh_from_db()
    assert budget.archived_at is None


def test_an_organizations_budget_is_seen_by_admins_and_changed_by_owners(admin: Client, team: Team) -> None:
    budget = made(team, scope_kind="organization")
    page = shown(admin, f"/budgets/{budget.pk}")
    assert "Owners of the organization and operators change budgets" in page
    assert "Owners of the organization replay" in page
    assert admin.post(f"/budgets/{budget.pk}/archive", {"sure": "yes"}).status_code == 403
    olive = make_user("Olive", team=team, role="viewer")
    team.organization.owners.add(olive)
    assert "Keep it so" in shown(signed_in(olive), f"/budgets/{budget.pk}")


def test_more_entries_and_holds_ask_no_more_questions(admin: Client, team: Team, budget: Budget) -> None:
    spend(team, "0.1", agent="a0")
    hold(team, "0.1", agent="a0")
    shown(admin, f"/budgets/{budget.pk}")
    with CaptureQueriesContext(connection) as few:
        shown(admin, f"/budgets/{budget.pk}")
    for place in range(8):
        spend(team, "0.1", agent=f"a{place}")
        hold(team, "0.1", agent=f"a{place}")
    with CaptureQueriesContext(connection) as many:
        shown(admin, f"/budgets/{budget.pk}")
    assert len(many) == len(few)
    assert len(many) <= 20
