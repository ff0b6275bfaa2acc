"""Agents as data, the tools they may have, and servers of tools over HTTP.

Looking needs the scope "read"; defining agents "jobs" or "admin"; servers of tools are added and changed with "admin".
"""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Body, Path, Query, Router, Status

from tracking import tools
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.agents.store import Kept
from tracking.agents_schemas import (
    AgentChange,
    Agents,
    AgentShown,
    AgentVersions,
    NewAgent,
    NewServer,
    Restored,
    ServerChange,
    Servers,
    ServerShown,
    Tools,
    body_of,
)
from tracking.audit import Actor
from tracking.errors import Invalid, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import McpServer, Team
from tracking.reading_json import write
from tracking.tools import mcp_servers

router = Router(tags=["Agents"])
READ, ADMIN = ApiKeyAuth(Scope.READ), ApiKeyAuth(Scope.ADMIN)
DEFINE = ApiKeyAuth(Scope.JOBS, Scope.ADMIN)
Name = Annotated[str, Path(description="the agent's name", max_length=200)]
Server = Annotated[str, Path(description="the server's id or name", max_length=60)]
Limit = Annotated[int, Query(ge=1, le=500)]
Given = Body[dict[str, Any]]


# --- agents -------------------------------------------------------------------------------------------------------------


@router.get("/agents", auth=READ, response=Agents, summary="The agents that the team defined, by name")
def list_agents(
    request: HttpRequest, archived: bool = False, limit: Limit = 50, cursor: str | None = None
) -> HttpResponse:
    found = store.of_team(_team(request), is_archived=archived, limit=limit + 1, after=cursor or "")
    more = found[limit - 1].name if len(found) > limit else None
    return _answer({"agents": [_agent_json(one) for one in found[:limit]], "next_cursor": more})


@router.post(
    "/agents", auth=DEFINE, response={201: AgentShown}, summary="Define an agent", openapi_extra=body_of(NewAgent)
)
def make_agent(request: HttpRequest, body: Given) -> HttpResponse:
    team = _team(request)
    given, note, _ = _parts(body)
    definition = Definition.read(team, given)
    kept, _ = store.save(team, definition, actor=_actor(request), note=note, expected_version=0)
    return _answer(_agent_json(kept), 201)


@router.get("/agents/{name}", auth=READ, response=AgentShown, summary="An agent, as it is or as it was")
def get_agent(request: HttpRequest, name: Name, version: Annotated[int | None, Query(ge=1)] = None) -> HttpResponse:
    return _answer(_agent_json(store.find(_team(request), name, version)))


@router.put(
    "/agents/{name}",
    auth=DEFINE,
    response={200: AgentShown, 201: AgentShown},
    summary="Define an agent whole: a new one, or a new version",
    openapi_extra=body_of(AgentChange, without=("name",)),
)
def put_agent(request: HttpRequest, name: Name, body: Given) -> HttpResponse:
    return _saved(request, name, body, {})


@router.patch(
    "/agents/{name}",
    auth=DEFINE,
    response=AgentShown,
    summary="Change fields of an agent: a new version",
    openapi_extra=body_of(AgentChange, without=("name",), is_whole=False),
)
def change_agent(request: HttpRequest, name: Name, body: Given) -> HttpResponse:
    present = store.find(_team(request), name)
    return _saved(request, name, {"expected_version": present.version, **body}, present.body)


@router.delete("/agents/{name}", auth=DEFINE, response={204: None}, summary="Archive an agent: no new job gets it")
def archive_agent(request: HttpRequest, name: Name) -> Status[None]:
    store.archive(_team(request), name, actor=_actor(request))
    return Status(204, None)


@router.get("/agents/{name}/versions", auth=READ, response=AgentVersions, summary="Every version, the newest first")
def list_versions(request: HttpRequest, name: Name, limit: Limit = 50, cursor: str | None = None) -> HttpResponse:
    team = _team(request)
    row = store.find(team, name).row
    found = store.versions(team, name, limit=limit + 1, before=_number(cursor))
    more = str(found[limit - 1].version) if len(found) > limit else None
    return _answer({"versions": [_agent_json(Kept(row, one)) for one in found[:limit]], "next_cursor": more})


@router.post(
    "/agents/{name}/restore", auth=DEFINE, response=AgentShown, summary="Bring an older version back as the newest"
)
def restore_agent(request: HttpRequest, name: Name, body: Restored | None = None) -> HttpResponse:
    version, note = (None, "") if body is None else (body.version, body.note)
    kept, _ = store.restore(_team(request), name, version, actor=_actor(request), note=note)
    return _answer(_agent_json(kept))


def _saved(request: HttpRequest, name: str, body: dict[str, Any], before: dict[str, Any]) -> HttpResponse:
    team = _team(request)
    given, note, expected = _parts(body)
    if given.get("name", name) != name:
        raise Invalid("An agent keeps its name: its costs are charged to it. Define another one.", field="name")
    definition = Definition.read(team, {**before, **given, "name": name})
    kept, is_new = store.save(team, definition, actor=_actor(request), note=note, expected_version=expected)
    return _answer(_agent_json(kept), 201 if is_new and kept.version == 1 else 200)


def _parts(body: dict[str, Any]) -> tuple[dict[str, Any], str, int | None]:
    """The definition, the note, the version that was read."""
    given = dict(body)
    note, expected = given.pop("note", ""), given.pop("expected_version", None)
    if not isinstance(note, str):
        raise Invalid("note is a text.", field="note")
    if expected is not None and (not isinstance(expected, int) or isinstance(expected, bool) or expected < 0):
        raise Invalid("expected_version is the number of a version, or 0.", field="expected_version")
    return given, note, expected


def _agent_json(kept: Kept) -> dict[str, Any]:
    body, limits = kept.body, kept.body["limits"]
    cost = limits["cost_usd"]
    return {
        **body,
        "limits": {**limits, "cost_usd": None if cost is None else Decimal(cost)},
        "id": kept.row.id,
        "version": kept.version,
        "note": kept.saved.note,
        "created_by": kept.saved.created_by,
        "created_at": kept.saved.created_at,
        "archived_at": kept.row.archived_at,
    }


# --- tools --------------------------------------------------------------------------------------------------------------


@router.get("/tools", auth=READ, response=Tools, summary="Every tool that agents of the team may have")
def list_tools(request: HttpRequest) -> HttpResponse:
    return _answer({"tools": [asdict(one) for one in tools.catalogue(_team(request))], "next_cursor": None})


# --- servers of tools ---------------------------------------------------------------------------------------------------


@router.get("/mcp-servers", auth=READ, response=Servers, summary="Servers of tools, and what they listed last")
def list_servers(request: HttpRequest) -> HttpResponse:
    rows = mcp_servers.of_team(_team(request))
    return _answer({"mcp_servers": [_server_json(row) for row in rows], "next_cursor": None})


@router.post("/mcp-servers", auth=ADMIN, response={201: ServerShown}, summary="Add a server of tools, and look at it")
def add_server(request: HttpRequest, body: NewServer) -> HttpResponse:
    row = mcp_servers.add(_team(request), name=body.name, url=body.url, headers=body.headers, actor=_actor(request))
    return _answer(_server_json(row), 201)


@router.get("/mcp-servers/{server}", auth=READ, response=ServerShown, summary="One server of tools")
def get_server(request: HttpRequest, server: Server) -> HttpResponse:
    return _answer(_server_json(mcp_servers.find(_team(request), server)))


@router.patch("/mcp-servers/{server}", auth=ADMIN, response=ServerShown, summary="Change a server of tools")
def change_server(request: HttpRequest, server: Server, body: ServerChange) -> HttpResponse:
    row = mcp_servers.find(_team(request), server)
    return _answer(_server_json(mcp_servers.change(row, actor=_actor(request), **body.model_dump())))


@router.delete("/mcp-servers/{server}", auth=ADMIN, response={204: None}, summary="Remove a server of tools")
def remove_server(request: HttpRequest, server: Server) -> Status[None]:
    mcp_servers.remove(mcp_servers.find(_team(request), server), actor=_actor(request))
    return Status(204, None)


@router.post("/mcp-servers/{server}/test", auth=ADMIN, response=ServerShown, summary="Ask it which tools it has")
def test_server(request: HttpRequest, server: Server) -> HttpResponse:
    return _answer(_server_json(mcp_servers.look(mcp_servers.find(_team(request), server))))


def _server_json(row: McpServer) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "origin": mcp_servers.origin(row),
        "has_headers": row.sealed_headers is not None,
        "is_active": row.is_active,
        "effects": row.effects,
        "undos": row.undos,
        "tools": [asdict(one) for one in mcp_servers.tools_of(row)],
        "checked_at": row.checked_at,
        "error": row.error,
        "created_at": row.created_at,
    }


def _number(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdigit() or len(cursor) > 9:
        raise Invalid("A cursor is what the page before gave as next_cursor.", field="cursor")
    return int(cursor)


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _actor(request: HttpRequest) -> Actor:
    return _caller(request).actor(request_id=getattr(request, "id", ""))


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _answer(value: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json", status=status)
