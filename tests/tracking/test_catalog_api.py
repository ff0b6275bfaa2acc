"""Model groups, aliases and providers' keys over HTTP: who may say what, what is shown of keys, what names come to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from tests.make import make_key, make_team
from tracking import audit, keys, sealed
from tracking.audit import SYSTEM
from tracking.models import AuditEntry, Deployment, ModelAlias, ModelGroup, ProviderCredential, Team

DEMO = {"model": "demo/echo"}
SECRET = "sk-live-0123456789abcdWXYZ"


class Caller:
    """One key's way in. ``fails`` is the status, and the field that is named."""

    def __init__(self, key: str) -> None:
        self._key = key

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body) if body is not None else ""
        headers = {"Authorization": f"Bearer {self._key}"}
        return Client().generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=headers)

    def done(self, method: str, path: str, body: Any = None) -> Any:
        response = self.call(method, path, body)
        assert response.status_code in (200, 201, 204), response.content
        return response.json() if response.content else None

    def fails(self, method: str, path: str, body: Any = None) -> tuple[int, str | None]:
        response = self.call(method, path, body)
        assert response.status_code >= 400, response.content
        return response.status_code, response.json().get("field")


@pytest.fixture
def admin(team: Team) -> Caller:
    return Caller(make_key(team, scopes=["admin", "read"])[1])


@pytest.fixture
def operator(team: Team) -> Caller:
    return Caller(keys.mint(team, name="op", scopes=["admin", "read"], is_operator=True, actor=SYSTEM)[1])


def own(**fields: Any) -> dict[str, Any]:
    """A deployment as only operators may set one."""
    return {"model": "openai/gpt-4o-mini", "api_base": "https://models.example.org/v1", "api_key": SECRET, **fields}


def test_an_operators_key_makes_a_group_as_the_contract_has_it(team: Team, operator: Caller) -> None:
    body = {
        "name": "ChatFast",
        "deployments": [own(priority=1, weight=2, rpm=60, tpm=9_000), {"model": "gpt-4o"}],
        "cache": {"ttl": 60},
    }
    made = operator.done("POST", "model-groups", body)
    assert (made["name"], made["cache"], made["is_shared"], made["is_active"]) == ("ChatFast", {"ttl": 60}, False, True)
    first, second = made["deployments"]  # in the order they are tried
    assert (first["model"], first["priority"], first["api_base"]) == ("openai/gpt-4o", 0, None)
    assert {name: second[name] for name in ("model", "api_base", "priority", "weight", "rpm", "tpm", "api_key_end")} == {
        "model": "openai/gpt-4o-mini", "api_base": "https://models.example.org/v1", "priority": 1, "weight": 2, "rpm": 60,
        "tpm": 9_000, "api_key_end": "WXYZ",
    }  # fmt: skip
    assert operator.done("GET", "model-groups/ChatFast") == made
    assert operator.done("GET", "model-groups")["model_groups"] == [made]


def test_a_key_is_sealed_and_is_never_seen_again(team: Team, operator: Caller) -> None:
    operator.done("POST", "model-groups", {"name": "g", "deployments": [own()]})
    operator.done("POST", "provider-credentials", {"provider": "openai", "api_key": SECRET})
    row, credential = Deployment.objects.get(), ProviderCredential.objects.get()
    for stored in (row.sealed_key, credential.sealed_key):
        assert stored is not None
        assert SECRET.encode() not in bytes(stored)
        assert sealed.unseal(stored) == SECRET
    shown = [operator.call("GET", path).content.decode() for path in ("model-groups", "provider-credentials")]
    logged = [str((entry.before, entry.after)) for entry in AuditEntry.objects.all()]
    assert all(SECRET[:-4] not in text for text in (*shown, *logged))
    assert all("WXYZ" in text for text in shown)
    short = operator.done("POST", "model-groups", {"name": "h", "deployments": [own(api_key="short")]})
    assert short["deployments"][0]["api_key_end"] is None  # its end would be half of it


def test_a_teams_admin_makes_groups_of_models_that_operators_gave_a_key_for(team: Team, admin: Caller) -> None:
    assert admin.done("POST", "model-groups", {"name": "demo", "deployments": [DEMO]})
    body = {"name": "mine", "deployments": [{"model": "mistral/mistral-large-latest"}]}
    assert admin.fails("POST", "model-groups", body) == (400, "deployments.0.model")
    ProviderCredential.objects.create(provider="mistral", sealed_key=sealed.seal(SECRET))
    assert admin.done("POST", "model-groups", body)["deployments"][0]["model"] == "mistral/mistral-large-latest"
    for field in ("api_base", "api_key"):
        told = {"name": "other", "deployments": [{**DEMO, field: own()[field]}]}
        assert admin.fails("POST", "model-groups", told)[0] == 403
    assert admin.fails("POST", "model-groups", {"name": "all", "deployments": [DEMO], "teams": []})[0] == 403
    assert not ModelGroup.objects.exclude(name__in=("demo", "mine")).exists()


def test_a_key_of_another_organization_is_none_of_this_team(team: Team, admin: Caller) -> None:
    elsewhere = make_team("Elsewhere").organization
    ProviderCredential.objects.create(provider="xai", organization=elsewhere, sealed_key=sealed.seal(SECRET))
    body = {"name": "mine", "deployments": [{"model": "grok-4"}]}
    assert admin.fails("POST", "model-groups", body) == (400, "deployments.0.model")


def test_deployments_are_changed_by_their_id_and_replaced_as_a_list(operator: Caller, admin: Caller) -> None:
    made = operator.done("POST", "model-groups", {"name": "g", "deployments": [own(), DEMO]})
    ids = {row["model"]: row["id"] for row in made["deployments"]}
    openai, demo = ids["openai/gpt-4o-mini"], ids["demo/echo"]
    changed = admin.done("PATCH", "model-groups/g", {"deployments": [{"id": openai, "weight": 7}, {"id": demo}]})
    kept = next(row for row in changed["deployments"] if row["id"] == openai)
    assert (kept["weight"], kept["api_key_end"], kept["api_base"]) == (7, "WXYZ", own()["api_base"])
    for field, value in (
        ("model", "openai/gpt-4o"),
        ("api_base", None),
        ("api_key", None),
        ("api_key", "sk-other-key"),
    ):
        assert admin.fails("PATCH", "model-groups/g", {"deployments": [{"id": openai, field: value}]})[0] == 403, field
    assert len(operator.done("GET", "model-groups/g")["deployments"]) == 2
    changed = operator.done(
        "PATCH", "model-groups/g", {"deployments": [{"id": openai, "api_key": None}, own(weight=3)]}
    )
    assert {(row["weight"], row["api_key_end"]) for row in changed["deployments"]} == {(7, None), (3, "WXYZ")}
    twice = {"deployments": [{"id": openai}, {"id": openai}]}
    assert operator.fails("PATCH", "model-groups/g", twice) == (400, "deployments.1.id")
    assert operator.fails("PATCH", "model-groups/g", {"deployments": [{"id": demo}]}) == (400, "deployments.0.id")


def test_the_rest_of_a_group_is_changed_field_by_field(team: Team, admin: Caller) -> None:
    made = admin.done("POST", "model-groups", {"name": "g", "deployments": [DEMO]})
    change = {"name": "new name", "display_name": "New", "description": "two\nlines", "cache": {"ttl": 5},
              "fallback_on_auth": True, "is_active": False}  # fmt: skip
    changed = admin.done("PATCH", "model-groups/g", change)
    assert {name: changed[name] for name in change} == change
    assert changed["deployments"] == made["deployments"]
    assert admin.fails("GET", "model-groups/g")[0] == 404
    entry = AuditEntry.objects.filter(team=team, action="model_group.change").get()
    assert (entry.before["name"], entry.after["name"], entry.after["is_active"]) == ("g", "new name", False)
    admin.done("PATCH", "model-groups/new%20name", {"cache": None})
    admin.done("PATCH", "model-groups/new%20name", {})  # nothing changed: no line
    assert AuditEntry.objects.filter(action="model_group.change").count() == 2
    admin.done("DELETE", "model-groups/new%20name")
    assert not ModelGroup.objects.exists()
    assert AuditEntry.objects.filter(team=team, action="model_group.delete").count() == 1
    assert audit.verify(team) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 121}, "name"),
        ({"name": 5}, "name"),
        ({"display_name": "a\nb"}, "display_name"),
        ({"description": "d" * 2_001}, "description"),
        ({"cache": {"ttl": -1}}, "cache.ttl"),
        ({"cache": {"ttl": 10**9}}, "cache.ttl"),
        ({"cache": {"seconds": 1}}, "cache.seconds"),
        ({"cache": 5}, "cache"),
        ({"is_active": "yes"}, "is_active"),
        ({"colour": "red"}, "colour"),
        ({"deployments": []}, "deployments"),
        ({"deployments": {}}, "deployments"),
        ({"deployments": [5]}, "deployments.0"),
        ({"deployments": [{}]}, "deployments.0.model"),
        ({"deployments": [DEMO, {"model": "nobody-knows-it"}]}, "deployments.1.model"),
        ({"deployments": [{"model": "demo/"}]}, "deployments.0.model"),
        ({"deployments": [{**DEMO, "weight": 0}]}, "deployments.0.weight"),
        ({"deployments": [{**DEMO, "weight": 1.5}]}, "deployments.0.weight"),
        ({"deployments": [{**DEMO, "priority": -1}]}, "deployments.0.priority"),
        ({"deployments": [{**DEMO, "rpm": 0}]}, "deployments.0.rpm"),
        ({"deployments": [{**DEMO, "tpm": True}]}, "deployments.0.tpm"),
        ({"deployments": [{**DEMO, "timeout_seconds": 10**6}]}, "deployments.0.timeout_seconds"),
        ({"deployments": [{**DEMO, "url": "x"}]}, "deployments.0.url"),
        ({"deployments": [{**DEMO, "id": "x"}]}, "deployments.0.id"),
        ({"deployments": [own(api_key="two words\n")]}, None),
        ({"deployments": [own(api_key="sk-\u00e9")]}, "deployments.0.api_key"),
        ({"deployments": [own(api_key="k" * 4_001)]}, "deployments.0.api_key"),
        ({"teams": ["nowhere"]}, "teams"),
        ({"teams": "core"}, "teams"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_kept(
    operator: Caller, change: dict[str, Any], field: str | None
) -> None:
    body = {"name": "g", "deployments": [DEMO], **change}
    if field is None:
        assert operator.done("POST", "model-groups", body)
        return
    assert operator.fails("POST", "model-groups", body) == (400, field)
    assert not ModelGroup.objects.exists()
    assert not AuditEntry.objects.filter(action="model_group.make").exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/v1", "http://[fe80::1]/v1", "http://0.0.0.0/v1",
        "http://0/v1", "http://0xa9fea9fe/v1", "http://2852039166/v1", "http://127.1/v1", "http://0x7f.1/v1",
        "http://0251.0376.0251.0376/v1", "http://224.0.0.1/v1", "http://[64:ff9b::a9fe:a9fe]/v1", "http://255.255.255.255/",
        "http://127.0.0.1:5432/v1", "http://10.0.0.1:6379/v1", "http://[::1]:22/v1", "https://user:word@example.org/v1",
        "https://example.org/v1?x=1", "https://example.org/v1#x", "file:///etc/passwd", "gopher://example.org/",
        "ftp://example.org", "example.org/v1", "http://", "http://a b/", "http://example.org/\r\nHost: x", "http://x:99999/",
        "http://[1/v1", 5, "https://" + "e" * 500,
    ],
)  # fmt: skip
def test_where_no_model_can_be_is_refused(operator: Caller, address: Any) -> None:
    """S16."""
    body = {"name": "g", "deployments": [own(api_base=address)]}
    assert operator.fails("POST", "model-groups", body) == (400, "deployments.0.api_base")
    given = {"provider": "openai", "api_key": SECRET, "api_base": address}
    assert operator.fails("POST", "provider-credentials", given) == (400, "api_base")


@pytest.mark.parametrize(
    "address",
    ["https://api.example.org/v1/", "http://127.0.0.1:11434/v1", "http://10.1.2.3:8000", "http://[::1]:8000/v1", "http://vllm:8000/v1",
     "http://192.168.0.7", "http://100.64.1.1:8080/v1"],
)  # fmt: skip
def test_models_in_the_house_are_reached(operator: Caller, address: str) -> None:
    made = operator.done("POST", "model-groups", {"name": "g", "deployments": [own(api_base=address)]})
    assert made["deployments"][0]["api_base"] == address.rstrip("/")


# --- several teams -----------------------------------------------------------------------------------------------------


def test_another_teams_group_is_as_absent_as_none(admin: Caller) -> None:
    _, foreign = make_key(make_team("Elsewhere"))
    Caller(foreign).done("POST", "model-groups", {"name": "theirs", "deployments": [DEMO]})
    for method, path in (("GET", "theirs"), ("PATCH", "theirs"), ("DELETE", "theirs"), ("GET", "theirs/resolve")):
        answers = [admin.call(method, f"model-groups/{name}", {}) for name in (path, path.replace("theirs", "none"))]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json()["detail"].replace("theirs", "none") == answers[1].json()["detail"]
    assert admin.done("GET", "model-groups")["model_groups"] == []
    assert admin.done("POST", "model-groups", {"name": "theirs", "deployments": [DEMO]})  # a name of one's own


def test_the_installations_group_is_seen_by_the_teams_it_was_granted(
    team: Team, operator: Caller, admin: Caller
) -> None:
    other = Caller(make_key(make_team("Elsewhere"))[1])
    made = operator.done("POST", "model-groups", {"name": "shared", "deployments": [own()], "teams": [team.slug]})
    assert (made["is_shared"], made["teams"]) == (True, [team.slug])
    seen = admin.done("GET", "model-groups")["model_groups"]
    assert [(group["name"], group["teams"]) for group in seen] == [("shared", None)]
    assert (seen[0]["deployments"][0]["api_base"], seen[0]["deployments"][0]["api_key_end"]) == (None, None)
    assert other.fails("GET", "model-groups/shared")[0] == 404
    assert other.done("GET", "model-groups")["model_groups"] == []
    assert admin.fails("PATCH", "model-groups/shared", {"is_active": False})[0] == 403
    assert admin.fails("DELETE", "model-groups/shared")[0] == 403
    operator.done("PATCH", "model-groups/shared", {"teams": []})
    assert admin.fails("GET", "model-groups/shared")[0] == 404
    assert operator.done("GET", "model-groups/shared")["teams"] == []
    operator.done("DELETE", "model-groups/shared")
    entries = AuditEntry.objects.filter(team=None, object_kind="model group").order_by("id")
    assert [entry.action for entry in entries] == ["model_group.make", "model_group.change", "model_group.delete"]


def test_a_teams_own_group_cannot_become_the_installations(operator: Caller) -> None:
    operator.done("POST", "model-groups", {"name": "g", "deployments": [DEMO]})
    assert operator.fails("PATCH", "model-groups/g", {"teams": []}) == (400, "teams")
    assert operator.fails("POST", "model-groups", {"name": "g", "deployments": [DEMO]}) == (400, "name")


def test_there_is_a_limit_to_everything(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.LIMITS, "groups_per_team", 1)
    monkeypatch.setitem(settings.LIMITS, "deployments_per_group", 2)
    monkeypatch.setitem(settings.LIMITS, "aliases_per_team", 1)
    assert admin.fails("POST", "model-groups", {"name": "g", "deployments": [DEMO] * 3}) == (400, "deployments")
    admin.done("POST", "model-groups", {"name": "g", "deployments": [DEMO] * 2})
    assert admin.fails("POST", "model-groups", {"name": "h", "deployments": [DEMO]})[0] == 400
    admin.done("PUT", "model-aliases", {"name": "a", "target": "g"})
    admin.done("PUT", "model-aliases", {"name": "a", "target": "demo/loop"})
    assert admin.fails("PUT", "model-aliases", {"name": "b", "target": "g"})[0] == 400


# --- what a name comes to ------------------------------------------------------------------------------------------------


def test_a_group_comes_to_its_first_model_and_its_fallbacks(team: Team, operator: Caller) -> None:
    deployments = [{"model": "demo/loop", "priority": 2}, {"model": "demo/echo"}, {"model": "demo/agent", "priority": 1},
                   {"model": "demo/slow", "is_active": False}]  # fmt: skip
    operator.done("POST", "model-groups", {"name": "org/chat", "deployments": deployments})
    assert operator.done("GET", "model-groups/org/chat/resolve") == {
        "group_name": "org/chat", "primary_model": "demo/echo", "fallback_models": ["demo/agent", "demo/loop"],
        "team_has_access": True, "error": None,
    }  # fmt: skip
    operator.done("PUT", "model-aliases", {"name": "chat", "target": "org/chat"})
    assert operator.done("GET", "model-groups/chat/resolve")["primary_model"] == "demo/echo"
    operator.done("PUT", "model-aliases", {"name": "chat", "target": "gpt-4o"})
    assert operator.done("GET", "model-groups/chat/resolve")["primary_model"] == "openai/gpt-4o"
    operator.done("PATCH", "model-groups/org/chat", {"is_active": False})
    assert operator.fails("GET", "model-groups/org/chat/resolve")[0] == 403


def test_a_group_without_access_is_no_error(team: Team, operator: Caller, admin: Caller) -> None:
    operator.done("POST", "model-groups", {"name": "shared", "deployments": [DEMO], "teams": []})
    found = admin.done("GET", "model-groups/shared/resolve")
    assert (found["team_has_access"], found["primary_model"], found["fallback_models"]) == (False, None, [])
    assert "no access" in found["error"]
    assert admin.fails("GET", "model-groups/nothing/resolve")[0] == 404


# --- aliases ---------------------------------------------------------------------------------------------------------------


def test_aliases_are_set_listed_and_deleted(team: Team, operator: Caller, admin: Caller) -> None:
    admin.done("POST", "model-groups", {"name": "g", "deployments": [DEMO]})
    assert admin.done("PUT", "model-aliases", {"name": "fast", "target": "g"})["is_shared"] is False
    admin.done("PUT", "model-aliases", {"name": "fast", "target": "demo/loop"})
    operator.done("PUT", "model-aliases", {"name": "slow", "target": "demo/slow", "is_shared": True})
    listed = admin.done("GET", "model-aliases")["model_aliases"]
    assert [(a["name"], a["target"], a["is_shared"]) for a in listed] == [
        ("fast", "demo/loop", False), ("slow", "demo/slow", True),
    ]  # fmt: skip
    assert admin.fails("PUT", "model-aliases", {"name": "all", "target": "g", "is_shared": True})[0] == 403
    assert admin.fails("DELETE", "model-aliases/slow")[0] == 403
    admin.done("DELETE", "model-aliases/fast")
    operator.done("DELETE", "model-aliases/slow")
    assert not ModelAlias.objects.exists()
    changed = AuditEntry.objects.filter(action="model_alias.set", object_id="fast").latest("id")
    assert (changed.before, changed.after) == ({"target": "g"}, {"target": "demo/loop"})


@pytest.mark.parametrize(
    ("name", "target", "field"),
    [("g", "demo/loop", "name"), ("a", "a", "target"), ("a", "known", "target"), ("a", "nowhere", "target"), ("", "g", "name"),
     ("a", "", "target"), ("a\n", "g", None), ("a\0b", "g", "name")],
)  # fmt: skip
def test_an_alias_hides_nothing_and_leads_somewhere(admin: Caller, name: str, target: str, field: str | None) -> None:
    admin.done("POST", "model-groups", {"name": "g", "deployments": [DEMO]})
    admin.done("PUT", "model-aliases", {"name": "known", "target": "g"})
    body = {"name": name, "target": target}
    if field is None:  # trimmed
        assert admin.done("PUT", "model-aliases", body)["name"] == "a"
        return
    assert admin.fails("PUT", "model-aliases", body) == (400, field)
    assert admin.fails("POST", "model-groups", {"name": "known", "deployments": [DEMO]}) == (400, "name")


# --- credentials -------------------------------------------------------------------------------------------------------------


def test_operators_keep_providers_keys(team: Team, operator: Caller) -> None:
    given = {"provider": "OpenAI", "api_key": SECRET, "api_base": "https://proxy.example.org/v1"}
    made = operator.done("POST", "provider-credentials", given)
    assert (made["provider"], made["organization"], made["api_key_end"]) == ("openai", None, "WXYZ")
    assert operator.fails("POST", "provider-credentials", given) == (400, "provider")
    theirs = operator.done("POST", "provider-credentials", {**given, "organization": team.organization.slug})
    assert theirs["organization"] == team.organization.slug
    path = f"provider-credentials/{made['id']}"
    assert operator.done("PATCH", path, {"is_active": False, "api_base": None})["is_active"] is False
    assert operator.done("PATCH", path, {"api_key": SECRET + "-new"})["api_key_end"] == "-new"
    for wrong in ({"provider": "x"}, {"api_key": ""}, {"api_key": None}, {"is_active": 1}):
        assert operator.fails("PATCH", path, wrong)[0] == 400
    operator.done("DELETE", path)
    assert operator.fails("DELETE", path)[0] == 404
    assert operator.fails("PATCH", "provider-credentials/x", {})[0] == 404
    listed = operator.done("GET", "provider-credentials")["provider_credentials"]
    assert [row["id"] for row in listed] == [theirs["id"]]
    actions = AuditEntry.objects.filter(team=None, object_kind="credential").order_by("id")
    assert [entry.action for entry in actions] == [
        "credential.add",
        "credential.add",
        "credential.change",
        "credential.change",
        "credential.delete",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"provider": ""}, "provider"), ({"provider": "a b"}, "provider"), ({"provider": "a/b"}, "provider"),
     ({"api_key": ""}, "api_key"), ({"api_key": None}, "api_key"), ({"organization": "nowhere"}, "organization"),
     ({"extra": 1}, "extra")],
)  # fmt: skip
def test_a_wrong_field_of_a_credential_is_named(operator: Caller, change: dict[str, Any], field: str) -> None:
    body = {"provider": "openai", "api_key": SECRET, **change}
    assert operator.fails("POST", "provider-credentials", body) == (400, field)
    assert not ProviderCredential.objects.exists()
