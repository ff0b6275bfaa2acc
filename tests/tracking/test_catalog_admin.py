"""The catalogue in the operators' tables: by the same verbs, with a line in the log, and no key shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from tests.make import make_user, signed_in
from tracking import sealed
from tracking.models import AuditEntry, Deployment, ModelAlias, ModelGroup, ProviderCredential, Team

SECRET = "sk-live-0123456789abcdWXYZ"


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(make_user("Oscar", is_operator=True))


def group_form(*deployments: dict[str, Any], initial: int = 0, **fields: Any) -> dict[str, Any]:
    """What the form of a group posts."""
    body = {"name": "g", "display_name": "", "description": "", "cache_seconds": "0", "is_active": "on", **fields}
    body |= {"deployments-TOTAL_FORMS": len(deployments), "deployments-INITIAL_FORMS": initial}
    for place, given in enumerate(deployments):
        row = {"model": "demo/echo", "priority": 0, "weight": 1, "is_active": "on", **given}
        body |= {f"deployments-{place}-{name}": value for name, value in row.items()}
    return body


def post(client: Client, path: str, body: dict[str, Any]) -> Any:
    return client.post(f"/admin/tracking/{path}", {name: value for name, value in body.items() if value is not None})


def last() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def test_a_group_is_made_changed_and_deleted(operator: Client, team: Team) -> None:
    served = {"model": "openai/gpt-4o", "api_base": "https://models.example.org/v1/", "api_key": SECRET}
    made = post(operator, "modelgroup/add/", group_form(served, team=team.pk))
    assert made.status_code == 302, made.content.decode()
    group, row = ModelGroup.objects.get(), Deployment.objects.get()
    assert (group.team, row.api_base, row.key_end) == (team, "https://models.example.org/v1", "WXYZ")
    assert sealed.unseal(row.sealed_key or b"") == SECRET
    assert (last().action, last().team, last().actor_name) == ("model_group.make", team, "Oscar")
    page = operator.get(f"/admin/tracking/modelgroup/{group.pk}/change/").content.decode()
    assert SECRET not in page
    assert "WXYZ" in page

    kept = {"id": row.pk, "group": group.pk, "model": "openai/gpt-4o-mini", "api_base": row.api_base}
    body = group_form(kept, {"priority": 3}, initial=1, cache_seconds="60", fallback_on_auth="on")
    assert post(operator, f"modelgroup/{group.pk}/change/", body).status_code == 302
    group.refresh_from_db()
    first, second = group.deployments.all()
    assert (first.pk, first.model, first.key_end, second.priority) == (row.pk, "openai/gpt-4o-mini", "WXYZ", 3)
    assert (group.cache_seconds, group.fallback_on_auth) == (60, True)
    body = group_form(kept | {"forgets_key": "on"}, {"id": second.pk, "group": group.pk, "DELETE": "on"}, initial=2)
    assert post(operator, f"modelgroup/{group.pk}/change/", body).status_code == 302
    assert group.deployments.get().sealed_key is None
    assert post(operator, f"modelgroup/{group.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not ModelGroup.objects.exists()
    assert last().action == "model_group.delete"


def test_a_group_of_the_installations_is_granted_here(operator: Client, team: Team, other_team: Team) -> None:
    assert post(operator, "modelgroup/add/", group_form({}, teams=[team.pk])).status_code == 302
    group = ModelGroup.objects.get(team=None)
    assert list(group.teams.all()) == [team]
    kept = {"id": group.deployments.get().pk, "group": group.pk}
    body = group_form(kept, initial=1, teams=[other_team.pk])
    assert post(operator, f"modelgroup/{group.pk}/change/", body).status_code == 302
    assert list(group.teams.all()) == [other_team]
    assert last().after["teams"] == [other_team.slug]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"model": "nobody"}, "Name the provider too"),
        ({"api_base": "http://169.254.169.254/"}, "No model is called at"),
        ({"api_base": "nowhere"}, "The address begins with"),
        ({"api_key": "sk-\u00e9"}, "printable ASCII"),
        ({"weight": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_field_is_said_beside_it(operator: Client, team: Team, given: dict[str, Any], fault: str) -> None:
    page = post(operator, "modelgroup/add/", group_form(given, team=team.pk))
    assert page.status_code == 200
    assert fault in page.content.decode()
    assert not ModelGroup.objects.exists()


def test_what_shows_only_while_writing_is_said_on_the_list(operator: Client, team: Team) -> None:
    ModelAlias.objects.create(team=team, name="g", target="demo/echo")
    page = operator.post("/admin/tracking/modelgroup/add/", group_form({}, team=team.pk), follow=True)
    assert "is an alias already" in page.content.decode()
    assert not ModelGroup.objects.exists()


def test_aliases_are_set_and_deleted(operator: Client, team: Team) -> None:
    assert (
        post(operator, "modelalias/add/", {"name": "fast", "target": "demo/echo", "team": team.pk}).status_code == 302
    )
    assert post(operator, "modelalias/add/", {"name": "slow", "target": "demo/slow"}).status_code == 302
    alias = ModelAlias.objects.get(team=team)
    assert post(operator, f"modelalias/{alias.pk}/change/", {"target": "demo/loop"}).status_code == 302
    alias.refresh_from_db()
    assert (alias.target, last().before, last().after) == (
        "demo/loop",
        {"target": "demo/echo"},
        {"target": "demo/loop"},
    )
    chosen = {
        "action": "delete_selected",
        "_selected_action": [str(a.pk) for a in ModelAlias.objects.all()],
        "post": "yes",
    }
    assert operator.post("/admin/tracking/modelalias/", chosen).status_code == 302
    assert not ModelAlias.objects.exists()
    assert AuditEntry.objects.filter(action="model_alias.delete").count() == 2


def test_credentials_are_kept_and_never_shown(operator: Client, team: Team) -> None:
    body = {"provider": "OpenAI", "api_key": SECRET, "api_base": "", "is_active": "on"}
    assert post(operator, "providercredential/add/", body).status_code == 302
    row = ProviderCredential.objects.get()
    assert (row.provider, row.key_end, sealed.unseal(row.sealed_key)) == ("openai", "WXYZ", SECRET)
    path = f"providercredential/{row.pk}/change/"
    page = operator.get(f"/admin/tracking/{path}").content.decode()
    assert SECRET not in page
    assert "WXYZ" in page
    assert post(operator, path, {"api_key": "", "api_base": "https://proxy.example.org"}).status_code == 302
    row.refresh_from_db()
    assert (row.api_base, row.is_active, sealed.unseal(row.sealed_key)) == ("https://proxy.example.org", False, SECRET)
    assert post(operator, path, {"api_key": "sk-another-key-5678", "is_active": "on"}).status_code == 302
    row.refresh_from_db()
    assert row.key_end == "5678"
    assert all(SECRET not in str((entry.before, entry.after)) for entry in AuditEntry.objects.all())
    page = operator.post("/admin/tracking/providercredential/add/", body, follow=True).content.decode()
    assert "already: change that one" in page
    assert post(operator, f"providercredential/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert last().action == "credential.delete"


@pytest.mark.parametrize("table", ["modelgroup", "modelalias", "providercredential"])
def test_nobody_but_operators_comes_in(operator: Client, team: Team, alice: Any, table: str) -> None:
    assert operator.get(f"/admin/tracking/{table}/").status_code == 200
    assert operator.get(f"/admin/tracking/{table}/add/").status_code == 200
    assert signed_in(alice).get(f"/admin/tracking/{table}/").status_code == 302
