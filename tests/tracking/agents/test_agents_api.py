"""Agents, tools and their servers through the front door."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import types
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from tests.make import make_key
from tests.tracking.tools.servers import Mcp, mcp_server
from tracking import agents_schemas
from tracking.agents_schemas import Agents, AgentShown, AgentVersions, Servers, ServerShown, Tools
from tracking.models import AuditEntry, Team
from tracking.tools import ToolContext, offered
from wflo_site.api import api

pytestmark = pytest.mark.django_db

DEFINED = {
    "name": "refund-resolver",
    "description": "Decides about refunds.",
    "instructions": "You decide about refunds.",
    "model": "demo/agent",
    "tools": ["calculator", "remember", "hand_off"],
    "members": [{"name": "checker", "instructions": "You check figures.", "tools": ["calculator"]}],
    "limits": {"steps": 20, "cost_usd": 0.25},
    "output_schema": {"type": "object", "properties": {"refund": {"type": "boolean"}}},
    "parameters": {"temperature": 0.2},
    "approvals": {"remember": "low"},
    "rollback_on": ["loop"],
}


@pytest.fixture
def key(team: Team) -> str:
    return make_key(team)[1]


@pytest.fixture
def mcp(settings: Settings) -> Iterator[Mcp]:
    settings.WFLO_ALLOW_PRIVATE_EGRESS = (ip_network("127.0.0.0/8"),)
    with mcp_server() as server:
        yield server


def call(key: str, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    data = json.dumps(body) if body is not None else ""
    headers = {"Authorization": f"Bearer {key}"}
    answer = Client().generic(method, f"/api/v1/{path}", data, content_type="application/json", headers=headers)
    assert answer.status_code == status, answer.content
    return json.loads(answer.content) if answer.content else None


def refused(key: str, method: str, path: str, body: Any, *, status: int = 400) -> tuple[str, str]:
    found = call(key, method, path, body, status=status)
    return found.get("field"), found["detail"]


# --- agents -------------------------------------------------------------------------------------------------------------


def test_an_agent_is_defined_read_changed_and_archived(team: Team, key: str) -> None:
    made = call(key, "POST", "agents", {**DEFINED, "note": "first"}, status=201)
    AgentShown.model_validate(made)
    assert {name: made[name] for name in ("version", "note", "model", "pattern")} == {
        "version": 1,
        "note": "first",
        "model": "demo/agent",
        "pattern": "single",
    }
    assert made["limits"] == {"steps": 20, "tool_iterations": 10, "cost_usd": 0.25, "minutes": None}
    assert call(key, "GET", "agents/refund-resolver") == made
    changed = call(key, "PATCH", "agents/refund-resolver", {"model": "demo/echo", "expected_version": 1})
    assert (changed["version"], changed["model"], changed["tools"]) == (2, "demo/echo", DEFINED["tools"])
    assert call(key, "GET", "agents/refund-resolver?version=1") == {**made, "archived_at": None}
    whole = call(key, "PUT", "agents/refund-resolver", {"model": "demo/echo"})
    assert (whole["version"], whole["tools"], whole["members"]) == (3, [], [])
    assert call(key, "PUT", "agents/refund-resolver", {"model": "demo/echo"})["version"] == 3, "nothing new"
    call(key, "PUT", "agents/another", {"model": "demo/echo"}, status=201)
    back = call(key, "POST", "agents/refund-resolver/restore", {"version": 1})
    assert (back["version"], back["tools"], back["note"]) == (4, DEFINED["tools"], "Version 1 again")
    call(key, "DELETE", "agents/refund-resolver", status=204)
    assert [one["name"] for one in call(key, "GET", "agents")["agents"]] == ["another"]
    assert call(key, "GET", "agents?archived=true")["agents"][0]["archived_at"] is not None
    assert call(key, "POST", "agents/refund-resolver/restore")["archived_at"] is None
    assert AuditEntry.objects.filter(team=team, object_id="refund-resolver").count() == 6


def test_lists_go_on_by_their_cursor(key: str) -> None:
    for name in ("c", "a", "b"):
        call(key, "POST", "agents", {"name": name, "model": "demo/echo"}, status=201)
    for turn in range(4):
        call(key, "PATCH", "agents/a", {"instructions": str(turn)})
    page = call(key, "GET", "agents?limit=2")
    Agents.model_validate(page)
    assert ([one["name"] for one in page["agents"]], page["next_cursor"]) == (["a", "b"], "b")
    rest = call(key, "GET", "agents?limit=2&cursor=b")
    assert ([one["name"] for one in rest["agents"]], rest["next_cursor"]) == (["c"], None)
    page = call(key, "GET", "agents/a/versions?limit=3")
    AgentVersions.model_validate(page)
    assert [one["version"] for one in page["versions"]] == [5, 4, 3]
    rest = call(key, "GET", f"agents/a/versions?limit=3&cursor={page['next_cursor']}")
    assert ([one["version"] for one in rest["versions"]], rest["next_cursor"]) == ([2, 1], None)
    assert refused(key, "GET", "agents/a/versions?cursor=x", None)[0] == "cursor"


def test_who_changed_it_meanwhile_is_not_run_over(key: str) -> None:
    call(key, "POST", "agents", DEFINED, status=201)
    call(key, "PATCH", "agents/refund-resolver", {"model": "demo/echo"})
    field, told = refused(key, "PATCH", "agents/refund-resolver", {"model": "x", "expected_version": 1}, status=409)
    assert (field, "its version is 2" in told) == ("expected_version", True)
    assert refused(key, "POST", "agents", DEFINED, status=409)[0] == "name"
    assert (
        refused(key, "PUT", "agents/nobody", {"model": "x", "expected_version": 3}, status=409)[0] == "expected_version"
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model": ""}, "model"),
        ({"tools": ["fly"]}, "tools"),
        ({"members": [{"name": "a", "agent": "nobody"}]}, "members.0.agent"),
        ({"limits": {"steps": "many"}}, "limits.steps"),
        ({"note": 7}, "note"),
        ({"note": "x" * 501}, "note"),
        ({"expected_version": -1}, "expected_version"),
        ({"expected_version": True}, "expected_version"),
        ({"name": "another"}, "name"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_named(key: str, body: dict[str, Any], field: str) -> None:
    call(key, "POST", "agents", DEFINED, status=201)
    assert refused(key, "PATCH", "agents/refund-resolver", body)[0] == field
    assert call(key, "GET", "agents/refund-resolver")["version"] == 1


def test_another_team_has_none_of_it(key: str, other_team: Team) -> None:
    call(key, "POST", "agents", DEFINED, status=201)
    stranger = make_key(other_team)[1]
    assert call(stranger, "GET", "agents")["agents"] == []
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/versions"),
        ("POST", "/restore"),
    ):
        call(stranger, method, f"agents/refund-resolver{path}", None if method in ("GET", "DELETE") else {}, status=404)
    call(stranger, "POST", "agents", DEFINED, status=201)


def test_names_with_odd_letters_are_found(key: str) -> None:
    for name in ("Übersetzer 2", "a?b#c%d", "a:b"):
        call(key, "POST", "agents", {"name": name, "model": "demo/echo"}, status=201)
    assert call(key, "GET", "agents/%C3%9Cbersetzer%202")["name"] == "Übersetzer 2"
    assert call(key, "GET", "agents/a%3Fb%23c%25d")["name"] == "a?b#c%d"


# --- tools and servers --------------------------------------------------------------------------------------------------


def test_tools_are_listed_with_what_they_do(key: str) -> None:
    page = call(key, "GET", "tools")
    Tools.model_validate(page)
    found = {one["name"]: one for one in page["tools"]}
    assert (found["remember"]["effect"], found["remember"]["has_undo"]) == ("write", True)
    assert found["calculator"]["parameters"]["required"] == ["expression"]


def test_a_server_is_added_tested_changed_and_removed(team: Team, key: str, mcp: Mcp) -> None:
    mcp.wants = "Bearer hush"
    body = {"name": "shop", "url": f"{mcp.url}?key=hush", "headers": {"Authorization": "Bearer hush"}}
    made = call(key, "POST", "mcp-servers", body, status=201)
    ServerShown.model_validate(made)
    assert ([one["name"] for one in made["tools"]], made["error"]) == (["shop__search", "shop__order_place"], "")
    assert call(key, "GET", "tools")["tools"][-1]["server"] == "shop"
    changed = call(key, "PATCH", "mcp-servers/shop", {"effects": {"search": "write"}})
    assert (changed["tools"][0]["effect"], changed["tools"][0]["told_effect"]) == ("write", "read")
    mcp.wants = "Bearer other"
    assert "other credentials" in call(key, "POST", "mcp-servers/shop/test")["error"]
    page = call(key, "GET", "mcp-servers")
    Servers.model_validate(page)
    assert "hush" not in json.dumps([page, made, changed])
    assert refused(key, "POST", "mcp-servers", body, status=409)[0] == "name"
    assert refused(key, "POST", "mcp-servers", {**body, "name": "X"})[0] == "name"
    assert refused(key, "PATCH", "mcp-servers/shop", {"url": "http://10.0.0.1/"})[0] == "url"
    call(key, "DELETE", f"mcp-servers/{made['id']}", status=204)
    call(key, "GET", "mcp-servers/shop", status=404)


def test_only_admins_of_the_same_team_reach_a_server(team: Team, key: str, mcp: Mcp, other_team: Team) -> None:
    call(key, "POST", "mcp-servers", {"name": "shop", "url": mcp.url}, status=201)
    jobs = make_key(team, scopes=["jobs", "read"])[1]
    call(jobs, "POST", "mcp-servers", {"name": "two", "url": mcp.url}, status=403)
    call(jobs, "POST", "agents", {"name": "a", "model": "demo/agent", "tools": ["shop__search"]}, status=201)
    stranger = make_key(other_team)[1]
    assert call(stranger, "GET", "mcp-servers")["mcp_servers"] == []
    for method in ("GET", "PATCH", "DELETE"):
        call(stranger, method, "mcp-servers/shop", {} if method == "PATCH" else None, status=404)
    assert refused(stranger, "POST", "agents", {"name": "a", "model": "m", "tools": ["shop__search"]})[0] == "tools"


# --- what the file says --------------------------------------------------------------------------------------------------


DOCS = Path(__file__).resolve().parents[3] / "docs" / "agents-as-data.md"


def test_the_example_of_the_documentation_is_taken_as_it_stands(key: str) -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    given = json.loads(example)
    made = call(key, "POST", "agents", given, status=201)
    limits = {name: made["limits"][name] for name in given["limits"]}
    assert {name: made[name] for name in given if name not in ("limits", "members")} == {
        name: value for name, value in given.items() if name not in ("limits", "members")
    }
    assert limits == given["limits"]


def test_the_function_of_the_documentation_is_a_tool(
    team: Team, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    module = types.ModuleType("documented_tools")
    exec(compile(example, str(DOCS), "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.WFLO_TOOLS = ["documented_tools:send_mail"]
    (one,) = offered(ToolContext(team=team), ["send_mail"])
    assert (one.effect, one.risk, one.tool.description) == ("write", "high", "Sends a mail to a customer.")
    result = asyncio.run(one.tool.call({"to": "ada", "subject": "Hello"}))
    assert result.text == "sent as message 17"
    assert one.undo is not None
    assert asyncio.run(_waited(one.undo(result.arguments, result.text))) == "the mail to ada was recalled"


async def _waited(coroutine: Any) -> str:
    return str(await coroutine)


def test_the_openapi_file_tells_the_bodies_exactly(key: str) -> None:
    """What it takes fits the file, what it refuses mostly does not; answers fit the schemas above."""
    paths = api.get_openapi_schema()["paths"]

    def body(path: str, method: str) -> Any:
        return paths[path][method]["requestBody"]["content"]["application/json"]["schema"]

    new, change = body("/api/v1/agents", "post"), body("/api/v1/agents/{name}", "patch")
    assert "$ref" not in json.dumps([new, change])
    validator = jsonschema.Draft202012Validator
    validator.check_schema(new)
    validator(new).validate({**DEFINED, "note": "x"})
    validator(change).validate({"limits": {"steps": 3}, "expected_version": 1})
    for wrong in (
        {"name": "a"},
        {**DEFINED, "pattern": "swarm"},
        {**DEFINED, "limits": {"steps": 0}},
        {**DEFINED, "x": 1},
    ):
        assert not validator(new).is_valid(wrong)
        call(key, "POST", "agents", wrong, status=400)
    assert body("/api/v1/agents/{name}", "put")["required"] == ["model"]
    assert agents_schemas.AgentShown.model_fields.keys() == call(key, "POST", "agents", DEFINED, status=201).keys()
