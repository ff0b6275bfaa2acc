"""Settings: the tools that agents may have, and the servers they come from."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.tool_forms import ServerChangeForm, ServerForm
from tracking import tools
from tracking.errors import Conflict, Invalid
from tracking.models import McpServer, Team
from tracking.teams import Role
from tracking.tools import mcp_servers, registry


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Adds a server and looks at it."""
    team = admin_team_for(request)
    form = ServerForm.of(request, auto_id="new_%s")
    if not form.is_valid():
        return _page(request, form=form)
    given = form.cleaned_data
    try:
        row = mcp_servers.add(
            team, name=given["name"], url=given["url"], headers=given["headers"], actor=actor(request)
        )
    except (Invalid, Conflict) as error:
        form.refuse(error)
        return _page(request, form=form)
    _tell(request, row)
    return redirect("settings_tools")


@require_POST
def change(request: HttpRequest, server_id: UUID) -> HttpResponse:
    """``effect-<tool>``: read, write or empty, as the server says; ``undo-<tool>``: the tool that takes it back, or empty;
    ``is_active``: on, off."""
    team = admin_team_for(request)
    row = mcp_servers.find(team, str(server_id))
    form = ServerChangeForm.of(request, auto_id=f"{row.id}_%s")
    if not form.is_valid():
        return _page(request, changing=(row, form))
    given = form.cleaned_data
    try:
        mcp_servers.change(
            row, url=given["url"] or None, headers=given["headers"] or None, is_active=request.POST.get("is_active") == "on",
            effects=_typed(request, "effect-"), undos=_typed(request, "undo-"), actor=actor(request),
        )  # fmt: skip
    except Invalid as error:
        form.refuse(error)
        return _page(request, changing=(row, form))
    messages.success(request, f"{row.name} is as you say, from the next run on.")
    return redirect("settings_tools")


@require_POST
def test(request: HttpRequest, server_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    _tell(request, mcp_servers.look(mcp_servers.find(team, str(server_id))))
    return redirect("settings_tools")


@require_POST
def remove(request: HttpRequest, server_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    row = mcp_servers.find(team, str(server_id))
    mcp_servers.remove(row, actor=actor(request))
    messages.success(request, f"{row.name} is gone. Agents that have its tools do not run until they are changed.")
    return redirect("settings_tools")


def _typed(request: HttpRequest, prefix: str) -> dict[str, str]:
    """What was chosen for each tool, where something was."""
    given = {name.removeprefix(prefix): str(value) for name, value in request.POST.items() if name.startswith(prefix)}
    return {name: value for name, value in given.items() if value}


def _tell(request: HttpRequest, row: McpServer) -> None:
    if row.error:
        messages.error(request, f"{row.name}: {row.error}")
    else:
        count = len(row.tools)
        messages.success(request, f"{row.name} answered and has {count} tool{'' if count == 1 else 's'}.")


def _page(
    request: HttpRequest, *, form: ServerForm | None = None, changing: tuple[McpServer, ServerChangeForm] | None = None
) -> HttpResponse:
    team = seat_for(request).team
    can_change = may(request, Role.ADMIN)
    choices = tools.catalogue(team)
    context = {
        "page": "tools",
        "team": team,
        "servers": [_server(row, changing) for row in _rows(team)],
        "own": [choice for choice in choices if choice.source != "mcp"],
        "count": len(choices),
        "faults": registry.faults() if can_change else [],
        "form": form or ServerForm(auto_id="new_%s"),
        "can_change": can_change,
    }
    status = 422 if form is not None or changing is not None else 200
    return render(request, "dashboards/settings_tools.html", context, status=status)


def _rows(team: Team) -> list[McpServer]:
    return mcp_servers.of_team(team)


def _server(row: McpServer, changing: tuple[McpServer, ServerChangeForm] | None) -> dict[str, object]:
    is_typed = changing is not None and changing[0].id == row.id
    form = changing[1] if changing is not None and is_typed else ServerChangeForm(auto_id=f"{row.id}_%s")
    return {
        "of": row,
        "origin": mcp_servers.origin(row),
        "tools": [(one, row.effects.get(one.own_name, "")) for one in mcp_servers.tools_of(row)],
        "form": form,
        "is_open": is_typed,
    }
