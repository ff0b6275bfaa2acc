"""/api/v1/budgets: what api.md says, to the field; who may look and who may act; each refusal a problem that names its field."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import uuid4

import orjson
import pytest
from django.test import Client
from ninja import Schema

from tests.make import make_key, make_team, make_user
from tests.tracking.ledger.conftest import LEASE_MS, ceiling
from tracking import budget_schemas, keys
from tracking.audit import Actor
from tracking.ledger.calls import Actual, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, reserve, settle
from tracking.models import AuditEntry, Budget, Team, User
from tracking.teams import add_owner

pytestmark = pytest.mark.django_db
MONTH = {"name": "all", "scope": {"kind": "team"}, "window": "month", "limit_usd": 10}


def ask(text: str, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    data = json.dumps(body) if body is not None else ""
    answer = Client().generic(
        method,
        f"/api/v1/budgets{path}",
        data,
        content_type="application/json",
        headers={"Authorization": f"Bearer {text}"},
    )
    assert answer.status_code == status, (answer.status_code, answer.content)
    if status >= 400:
        assert answer["Content-Type"] == "application/problem+json"
    return orjson.loads(answer.content) if answer.content else None


@pytest.fixture
def admin(team: Team) -> str:
    return make_key(team, scopes=["admin", "read"])[1]


def exactly(schema: type[Schema], value: dict[str, Any]) -> None:
    """``value`` has the schema's fields, each and no other, in the schema's types."""
    schema.model_validate(value)
    assert set(value) == {field.alias or name for name, field in schema.model_fields.items()}


def spend(team: Team, usd: str, **call: Any) -> None:
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk, **call), at=datetime.now(UTC), usd=D(usd), tokens=10)]))


def test_a_budget_is_made_listed_changed_and_archived(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "mode": "elastic", "alert_at": [90, 50]}, 201)
    exactly(budget_schemas.BudgetMade, made)
    assert (made["name"], made["mode"], made["alert_at"], made["limit_usd"]) == ("all", "elastic", [50, 90], 10)
    assert made["scope"] == {"kind": "team", "id": None, "name": None}
    assert (made["spent_usd"], made["held_usd"], made["available_usd"]) == (0, 0, 10)
    spend(team, "4")
    perform(reserve(Call(team_id=team.pk), ceiling("1"), id=uuid4(), lease_ms=LEASE_MS))
    (listed,) = ask(admin, "GET", "")["budgets"]
    exactly(budget_schemas.BudgetShown, listed)
    assert (listed["spent_usd"], listed["held_usd"], listed["available_usd"], listed["spent_percent"]) == (4, 1, 5, 40)
    assert listed["window_start"] < listed["window_end"]
    assert (listed["forecast_usd"], listed["exhausted_at"]) == (None, None)  # too little history
    changed = ask(admin, "PATCH", f"/{made['id']}", {"name": "less", "limit_usd": "4.5"})
    exactly(budget_schemas.BudgetWhole, changed)
    assert (changed["name"], changed["available_usd"], changed["alert_at"]) == ("less", 0, [50, 90])
    assert "Too little history" in changed["forecast"]["why_not"]
    ask(admin, "DELETE", f"/{made['id']}", status=204)
    ask(admin, "DELETE", f"/{made['id']}", status=204)
    assert ask(admin, "GET", "")["budgets"] == []
    (gone,) = ask(admin, "GET", "?archived=true")["budgets"]
    assert gone["archived_at"] is not None
    assert ask(admin, "PATCH", f"/{made['id']}", {"name": "x"}, 404)["code"] == "not_found"
    actions = AuditEntry.objects.filter(team=team, object_kind="budget").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["budget.create", "budget.change", "budget.archive"]


def test_what_a_made_budget_refuses_is_refused(team: Team, admin: str) -> None:
    ask(admin, "POST", "", {**MONTH, "limit_usd": 0.3}, 201)
    assert perform(reserve(Call(team_id=team.pk), ceiling("0.3"), id=uuid4(), lease_ms=LEASE_MS)).is_held
    refused = perform(reserve(Call(team_id=team.pk), ceiling("0.1"), id=uuid4(), lease_ms=LEASE_MS))
    assert refused.outcome is Outcome.REFUSED


def test_money_keeps_its_digits_both_ways(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "limit_usd": "123456789.0123456789", "window": "total"}, 201)
    spend(team, "0.0000000001")
    raw = Client().get(f"/api/v1/budgets/{made['id']}", headers={"Authorization": f"Bearer {admin}"}).content
    assert b'"limit_usd":123456789.0123456789' in raw
    assert b'"spent_usd":0.0000000001' in raw
    assert b'"available_usd":123456789.0123456788' in raw


@pytest.mark.parametrize("limit", [0.1, "0.1", 1, 0])
def test_a_limit_is_a_number_or_a_text(team: Team, admin: str, limit: Any) -> None:
    made = ask(admin, "POST", "", {**MONTH, "limit_usd": limit}, 201)
    assert Budget.objects.get(pk=made["id"]).limit_usd == D(str(limit))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"limit_usd": None}, "limit_usd"),
        ({"limit_usd": -1}, "limit_usd"),
        ({"limit_usd": "0.00000000001"}, "limit_usd"),
        ({"limit_usd": "NaN"}, "limit_usd"),
        ({"limit_usd": [1]}, "limit_usd"),
        ({"limit_tokens": -1}, "limit_tokens"),
        ({"limit_tokens": 0.5}, "limit_tokens"),
        ({"window": "year"}, "window"),
        ({"mode": "hard"}, "mode"),
        ({"alert_at": [0]}, "alert_at"),
        ({"alert_at": "50"}, "alert_at"),
        ({"scope": {"kind": "planet"}}, "scope.kind"),
        ({"scope": {"kind": "team", "id": "elsewhere"}}, "scope.id"),
        ({"scope": {"kind": "key", "id": "none"}}, "scope.id"),
        ({"scope": {"kind": "agent", "name": "a"}}, "scope.name"),
        ({"scope": None}, "scope"),
        ({"limit": 5}, "limit"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(team: Team, admin: str, change: dict[str, Any], field: str) -> None:
    answer = ask(admin, "POST", "", {**MONTH, **change}, 400)
    assert answer["code"] == "invalid"
    assert answer["field"].startswith(field)
    assert not Budget.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "{", "null", "{}"])
def test_a_body_that_makes_no_budget_is_refused(admin: str, body: str) -> None:
    headers = {"Authorization": f"Bearer {admin}"}
    answer = Client().generic("POST", "/api/v1/budgets", body, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


@pytest.mark.parametrize(
    ("change", "field"),
    [({"limit_usd": None}, "limit_usd"), ({"window": "day"}, "window"), ({"scope": {"kind": "team"}}, "scope")],
)
def test_a_change_of_what_cannot_be_changed_names_it(admin: str, change: dict[str, Any], field: str) -> None:
    made = ask(admin, "POST", "", MONTH, 201)
    assert ask(admin, "PATCH", f"/{made['id']}", change, 400)["field"] == field


# --- who may ---------------------------------------------------------------------------------------------------------


def test_a_key_that_reads_acts_on_nothing(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", MONTH, 201)
    _, reads = make_key(team, scopes=["read"])
    _, sends = make_key(team, scopes=["ingest", "gateway", "jobs"])
    for path in ("", f"/{made['id']}", f"/{made['id']}/ledger", f"/{made['id']}/holds", f"/{made['id']}/what-if"):
        ask(reads, "GET", path)
        assert ask(sends, "GET", path, status=403)["code"] == "not_allowed"
    for method, path, body in (
        ("POST", "", MONTH),
        ("PATCH", f"/{made['id']}", {"name": "x"}),
        ("DELETE", f"/{made['id']}", None),
        ("POST", f"/{made['id']}/raise", {"usd": 1}),
        ("DELETE", f"/{made['id']}/raise", None),
        ("POST", f"/{made['id']}/adjustments", {"usd": 1, "reason": "r"}),
    ):
        for key in (reads, sends):
            ask(key, method, path, body, 403)
    assert Budget.objects.get().name == "all"


def test_another_teams_budget_is_404_at_every_door(team: Team, other_team: Team, admin: str) -> None:
    _, theirs = make_key(other_team)
    id = ask(admin, "POST", "", MONTH, 201)["id"]
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("POST", "/raise", {"usd": 1}),
        ("DELETE", "/raise", None), ("GET", "/subjects", None), ("GET", "/ledger", None), ("GET", "/holds", None),
        ("POST", "/adjustments", {"usd": 1, "reason": "r"}), ("GET", "/what-if", None),
    ):  # fmt: skip
        found, none = (ask(theirs, method, f"/{one}{path}", body, 404) for one in (id, uuid4()))
        assert found["detail"] == none["detail"] == "This team has no such budget."
    assert ask(theirs, "GET", "")["budgets"] == []


def key_of(team: Team, person: User) -> str:
    return keys.mint(team, name="theirs", scopes=["admin", "read"], actor=Actor.of(person))[1]


def test_over_the_organization_only_an_owners_key_acts(team: Team, admin: str) -> None:
    above = {**MONTH, "scope": {"kind": "organization"}}
    alice = make_user("Alice", team=team, role="admin")
    mine = key_of(team, alice)
    assert ask(mine, "POST", "", above, 403)["code"] == "not_allowed"
    made = ask(admin, "POST", "", above, 201)  # the installation's own key
    for method, path, body in (
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("POST", "/raise", {"usd": 1}),
        ("DELETE", "/raise", None),
        ("POST", "/adjustments", {"usd": 1, "reason": "r"}),
        ("GET", "/what-if", None),
    ):
        ask(mine, method, f"/{made['id']}{path}", body, 403)
    ask(mine, "GET", f"/{made['id']}")
    add_owner(team, alice.email, actor=Actor.of(alice))
    ask(mine, "PATCH", f"/{made['id']}", {"name": "x"})
    _, passed_on = keys.mint(team, name="next", scopes=["admin"], actor=Actor("key", "k", "deployer"))
    ask(passed_on, "POST", "", above, 403)  # who made it is not known
    alice.delete()
    ask(mine, "PATCH", f"/{made['id']}", {"name": "y"}, 403)


def test_of_the_organizations_ledger_a_team_sees_its_own_part(team: Team, admin: str) -> None:
    sister = make_team("Sister", organization=team.organization)
    made = ask(admin, "POST", "", {**MONTH, "scope": {"kind": "organization"}}, 201)
    spend(team, "1", agent="a")
    spend(sister, "2", agent="b")
    theirs = key_of(sister, make_user("Dana", team=sister, role="admin"))
    assert [e["agent"] for e in ask(theirs, "GET", f"/{made['id']}/ledger")["entries"]] == ["b"]
    assert [e["agent"] for e in ask(admin, "GET", f"/{made['id']}/ledger")["entries"]] == ["b", "a"]
    assert ask(theirs, "GET", f"/{made['id']}")["spent_usd"] == 3


# --- what moved, and what might ---------------------------------------------------------------------------------------


def test_the_ledger_pages_and_tells_who_and_why(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "window": "total"}, 201)
    for usd in ("0.1", "0.2", "0.3"):
        spend(team, usd, agent="planner", user="u1", run="r1", models=("m",))
    done = ask(admin, "POST", f"/{made['id']}/adjustments", {"usd": -0.25, "tokens": -3, "reason": "typo"}, 201)
    exactly(budget_schemas.AdjustmentMade, done)
    assert (done["spent_usd"], done["spent_tokens"]) == (0.35, 27)
    first = ask(admin, "GET", f"/{made['id']}/ledger?limit=2")
    rest = ask(admin, "GET", f"/{made['id']}/ledger?limit=2&cursor={first['next_cursor']}")
    found = first["entries"] + rest["entries"]
    for entry in found:
        exactly(budget_schemas.EntryShown, entry)
    assert [entry["usd"] for entry in found] == [-0.25, 0.3, 0.2, 0.1]
    assert (found[0]["kind"], found[0]["reason"], found[0]["actor"]) == ("adjustment", "typo", "test key")
    assert (found[1]["agent"], found[1]["user"], found[1]["run"], found[1]["model"]) == ("planner", "u1", "r1", "m")
    assert (rest["next_cursor"], found[1]["subject"]) == (None, None)
    assert ask(admin, "GET", f"/{made['id']}/ledger?cursor=x", status=400)["field"] == "cursor"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"usd": 1}, "reason"),
        ({"reason": "r"}, "usd"),
        ({"usd": -1, "reason": "r"}, "usd"),
        ({"usd": 1, "reason": "r", "subject": "u"}, "subject"),
        ({"usd": 1, "reason": "r", "at": "2999-01-01T00:00:00Z"}, "at"),
        ({"usd": 1, "reason": "r", "at": "soon"}, "at"),
        ({"usd": 1, "reason": "r", "colour": 1}, "colour"),
    ],
)
def test_an_adjustment_that_makes_no_sense_names_its_field(admin: str, body: dict[str, Any], field: str) -> None:
    made = ask(admin, "POST", "", MONTH, 201)
    assert ask(admin, "POST", f"/{made['id']}/adjustments", body, 400)["field"] == field


def test_holds_in_flight_are_listed_with_their_lease(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "scope": {"kind": "agent"}}, 201)
    for agent in ("a", "b"):
        call = Call(team_id=team.pk, agent=agent, run="r")
        perform(reserve(call, ceiling("0.5"), id=uuid4(), lease_ms=LEASE_MS))
    first = ask(admin, "GET", f"/{made['id']}/holds?limit=1")
    (hold,) = first["holds"]
    exactly(budget_schemas.HoldShown, hold)
    assert (hold["held_usd"], hold["dispatched_at"], hold["run"]) == (0.5, None, "r")
    assert 0 < hold["lease_seconds"] <= LEASE_MS / 1000
    rest = ask(admin, "GET", f"/{made['id']}/holds?cursor={first['next_cursor']}")
    assert {one["subject"] for one in [hold, *rest["holds"]]} == {"a", "b"}
    assert rest["next_cursor"] is None


def test_of_each_user_the_worst_is_in_the_list_and_all_are_a_call_away(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "scope": {"kind": "user"}}, 201)
    assert (made["subject"], made["subjects"]) == (None, 0)
    for n, usd in enumerate(("1", "9", "3")):
        spend(team, usd, user=f"u{n}")
    (listed,) = ask(admin, "GET", "")["budgets"]
    assert (listed["subject"], listed["subjects"], listed["spent_usd"]) == ("u1", 3, 9)
    first = ask(admin, "GET", f"/{made['id']}/subjects?limit=2")
    for one in first["subjects"]:
        exactly(budget_schemas.Subject, one)
    rest = ask(admin, "GET", f"/{made['id']}/subjects?limit=2&cursor={first['next_cursor']}")
    assert [one["subject"] for one in first["subjects"] + rest["subjects"]] == ["u1", "u2", "u0"]


def test_a_raise_is_for_tonight_unless_said_otherwise(admin: str) -> None:
    team = make_team("Berlin", time_zone="Europe/Berlin")
    _, key = make_key(team)
    made = ask(key, "POST", "", MONTH, 201)
    raised = ask(key, "POST", f"/{made['id']}/raise", {"usd": "2.5"})
    assert (raised["raised_usd"], raised["limit_usd"], raised["available_usd"]) == (2.5, 10, 12.5)
    until = datetime.fromisoformat(raised["raised_until"])
    assert datetime.now(UTC) < until <= datetime.now(UTC) + timedelta(days=1, hours=1)
    assert until.hour in (22, 23)  # midnight in Berlin
    ask(key, "DELETE", f"/{made['id']}/raise", status=204)
    assert ask(key, "GET", f"/{made['id']}")["raised_until"] is None
    assert ask(key, "POST", f"/{made['id']}/raise", {"tokens": 5}, 400)["field"] == "tokens"
    assert (
        ask(key, "POST", f"/{made['id']}/raise", {"usd": 1, "until": "2020-01-01T00:00:00Z"}, 400)["field"] == "until"
    )
    assert ask(admin, "POST", f"/{made['id']}/raise", {"usd": 1}, 404)


def test_another_limit_over_the_past_days(team: Team, admin: str) -> None:
    made = ask(admin, "POST", "", {**MONTH, "window": "total"}, 201)
    for agent, usd in (("a", "1"), ("b", "2"), ("b", "3")):
        id = uuid4()
        perform(reserve(Call(team_id=team.pk, agent=agent), ceiling(usd), id=id, lease_ms=LEASE_MS))
        perform(settle(team.pk, id, Actual(usd=D(usd), tokens=1)))
    told = ask(admin, "GET", f"/{made['id']}/what-if?limit_usd=2.5&days=7")
    exactly(budget_schemas.WhatIfAnswer, told)
    assert (told["calls"], told["blocked_calls"], told["saved_usd"], told["limit_usd"]) == (3, 2, 5, 2.5)
    assert told["blocked"] == [{"agent": "b", "calls": 2, "usd": 5, "tokens": 2}]
    assert told["sentence"] == "Would have blocked 2 of 3 calls, all of b, and saved $5.00."
    assert ask(admin, "GET", f"/{made['id']}/what-if?mode=soft")["blocked_calls"] == 0
    for query, field in (("limit_usd=x", "limit_usd"), ("days=0", "days"), ("days=93", "days"), ("mode=hard", "mode")):
        assert ask(admin, "GET", f"/{made['id']}/what-if?{query}", status=400)["field"] == field


def test_a_key_is_shown_by_its_name(team: Team, admin: str) -> None:
    key, _ = make_key(team, name="ci")
    made = ask(admin, "POST", "", {**MONTH, "scope": {"kind": "key", "id": "ci"}}, 201)
    assert made["scope"] == {"kind": "key", "id": str(key.pk), "name": "ci"}


def test_the_list_pages(team: Team, admin: str) -> None:
    for n in range(3):
        ask(admin, "POST", "", {**MONTH, "name": f"b{n}"}, 201)
    first = ask(admin, "GET", "?limit=2")
    rest = ask(admin, "GET", f"?limit=2&cursor={first['next_cursor']}")
    assert [one["name"] for one in first["budgets"] + rest["budgets"]] == ["b0", "b1", "b2"]
    assert ask(admin, "GET", "?cursor=x", status=400)["field"] == "cursor"
