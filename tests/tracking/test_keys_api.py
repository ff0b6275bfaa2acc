from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from tests.make import make_key, make_team, signed_in
from tracking import keys
from tracking.audit import SYSTEM
from tracking.keys import ALL_SCOPES, caller_for
from tracking.models import ApiKey, AuditEntry, Team, User
from wflo.keys import new_key
from wflo_site.api import api
from wflo_site.hot_doors import HOT_PATHS

SCOPES = Path(__file__).parent.parent / "data" / "api_scopes.csv"


def _call(text: str | None, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {text}"} if text else {}
    data = json.dumps(body) if body is not None else ""
    return Client(enforce_csrf_checks=True).generic(
        method, path, data, content_type="application/json", headers=headers
    )


def _operations() -> set[tuple[str, str]]:
    paths = api.get_openapi_schema()["paths"]
    return {(method.upper(), path) for path in paths if path not in HOT_PATHS for method in paths[path]}


def _needed() -> dict[tuple[str, str], str]:
    with SCOPES.open(newline="") as file:
        return {(row["method"], row["path"]): row["scope"] for row in csv.DictReader(file)}


def test_every_operation_says_which_scope_it_needs() -> None:
    assert _operations() == set(_needed()), "say in tests/data/api_scopes.csv which scope each call needs"


@pytest.mark.parametrize(("method", "path"), sorted(_needed()))
def test_an_operation_is_open_to_a_right_key_of_its_scope_and_to_no_other(team: Team, method: str, path: str) -> None:
    needed = _needed()[method, path]
    address = path.replace("{key_id}", "none").replace("{run}", "none")
    address = address.replace("{trace_id}", "0" * 32).replace("{span_id}", "0" * 16).replace("{id}", f"{UUID(int=0)}")
    needed, *enough = needed.split("|")  # any of them
    is_operators = needed == "operator"  # an operator's key with the scope "admin", and no other admin's
    _, text = keys.mint(
        team, name="right", scopes=["admin" if is_operators else needed], is_operator=is_operators, actor=SYSTEM
    )
    _, others = make_key(team, scopes=[scope for scope in ALL_SCOPES if scope not in (needed, *enough)])
    ended, expired = make_key(team, expires_at=datetime.now(UTC) + timedelta(days=1))
    ApiKey.objects.filter(pk=ended.pk).update(expires_at=datetime.now(UTC) - timedelta(days=1))
    gone, revoked = make_key(team)
    keys.revoke(gone, actor=SYSTEM)
    assert _call(text, method, address).status_code not in (401, 403, 500)
    for other in enough:
        assert _call(make_key(team, scopes=[other])[1], method, address).status_code not in (401, 403, 500)
    assert _call(others, method, address).status_code == 403
    for wrong in (None, expired, revoked, new_key(), text[:-1] + ("a" if text[-1] != "a" else "b"), "x", "\u00e9"):
        response = _call(wrong, method, address)
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert response.headers["Content-Type"].startswith("application/problem+json")
        assert response.json()["code"] == "unauthenticated"
    assert _call(None, method, f"{address}?api_key={text}&key={text}").status_code == 401


def test_a_signed_in_browser_is_nobody_to_the_api(alice: User) -> None:
    for client in (signed_in(alice), signed_in(alice, csrf=True)):
        assert client.get("/api/v1/keys").status_code == 401
        assert client.post("/api/v1/keys", {}, content_type="application/json").status_code == 401


def test_a_key_makes_lists_and_revokes_keys_of_its_team(team: Team) -> None:
    _, admin = make_key(team, scopes=["admin"], name="deployer")
    body = {"name": "ci", "scopes": ["ingest"], "allowed_models": ["gpt-4o"], "expires_at": "2099-01-01T00:00:00Z"}
    body |= {"rpm_max": 60, "tpm_max": 90_000, "concurrent_max": 4}
    made = _call(admin, "POST", "/api/v1/keys", body)
    assert made.status_code == 201
    answer = made.json()
    assert answer["key"].startswith(answer["prefix"])
    assert caller_for(answer["key"]).scopes == {"ingest"}
    policy = caller_for(answer["key"]).policy
    assert (policy.key_rpm_max, policy.key_tpm_max, policy.key_concurrent_max) == (60, 90_000, 4)
    assert (answer["rpm_max"], answer["tpm_max"], answer["concurrent_max"]) == (60, 90_000, 4)
    assert (answer["name"], answer["scopes"], answer["expires_at"]) == ("ci", ["ingest"], "2099-01-01T00:00:00Z")
    entry = AuditEntry.objects.get(action="key.make", object_id=answer["id"])
    assert (entry.actor_kind, entry.actor_name, entry.request_id) == ("key", "deployer", made.headers["X-Request-Id"])

    listed = _call(admin, "GET", "/api/v1/keys")
    assert {key["name"] for key in listed.json()["keys"]} == {"ci", "deployer"}
    assert answer["key"] not in listed.content.decode()

    assert _call(admin, "DELETE", f"/api/v1/keys/{answer['id']}").status_code == 204
    assert _call(answer["key"], "GET", "/api/v1/keys").status_code == 401
    assert _call(admin, "DELETE", f"/api/v1/keys/{answer['id']}").status_code == 204


def test_a_key_ends_in_any_zone_that_can_be_written(team: Team) -> None:
    _, admin = make_key(team, scopes=["admin"])
    body = {
        "name": "ci",
        "scopes": ["read"],
        "expires_at": "2099-01-01T00:00:00-21:49",
    }  # further than PostgreSQL reads
    assert _call(admin, "POST", "/api/v1/keys", body).json()["expires_at"] == "2099-01-01T21:49:00Z"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"allowed_models": ["m" * 201]}, "allowed_models"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"rpm_max": 0}, "rpm_max"),
        ({"concurrent_max": 2**31}, "concurrent_max"),
        ({"expires_at": "9999-12-31T23:59:59-21:49"}, "expires_at"),
    ],
)
def test_a_wrong_field_is_named(team: Team, change: dict[str, Any], field: str) -> None:
    _, admin = make_key(team, scopes=["admin"])
    response = _call(admin, "POST", "/api/v1/keys", {"name": "k", "scopes": ["read"], **change})
    assert response.status_code == 400
    assert field in response.json()["field"]


@pytest.mark.parametrize("body", ["", "[]", "{", "null", '{"name": "k"}', '{"name": 1, "scopes": "read"}'])
def test_a_body_that_makes_no_key_is_refused(team: Team, body: str) -> None:
    _, admin = make_key(team, scopes=["admin"])
    headers = {"Authorization": f"Bearer {admin}"}
    response = Client().generic("POST", "/api/v1/keys", body, content_type="application/json", headers=headers)
    assert response.status_code == 400
    assert response.json()["code"] == "invalid"


def test_another_teams_key_is_as_absent_as_none(team: Team) -> None:
    _, admin = make_key(team, scopes=["admin"])
    foreign, text = make_key(make_team("Elsewhere"))
    answers = [_call(admin, "DELETE", f"/api/v1/keys/{wanted}").json() for wanted in (foreign.pk, "nonsense")]
    assert [answer["status"] for answer in answers] == [404, 404]
    assert answers[0]["detail"] == answers[1]["detail"]
    assert caller_for(text)
