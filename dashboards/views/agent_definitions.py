"""Agents as data: the page that makes and edits one, and the page of its versions."""

from __future__ import annotations

from itertools import groupby
from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from dashboards.access import actor, may, member_team_for, seat_for
from dashboards.agent_forms import AgentForm
from dashboards.agent_words import FIELDS, PATTERN_WORDS, RISK_WORDS, ROLLBACK_WORDS, SOURCES, difference, written
from dashboards.model_choices import model_choices
from tracking import tools
from tracking.agents import store
from tracking.agents.definition import Definition
from tracking.agents.store import Kept
from tracking.errors import Conflict, Invalid, NotFound, TooLarge
from tracking.models import Team
from tracking.teams import Role
from tracking.tools import Choice

VERSIONS_SHOWN = 100


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """``name``: of an agent that was seen at work; ``copy``: one that is defined, whose fields are taken."""
    team = member_team_for(request)
    if request.method == "POST":
        return _posted(request, team, None)
    copied = request.GET.get("copy", "")
    form = AgentForm.empty(name=request.GET.get("name", "")[:200])
    if copied:
        form = AgentForm.showing({**store.find(team, copied).body, "name": ""})
    return _page(request, team, form, None)


@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    team = member_team_for(request)
    kept = store.find(team, name)
    if request.method == "POST":
        return _posted(request, team, kept)
    return _page(request, team, AgentForm.showing(kept.body), kept)


@require_http_methods(["GET", "POST"])
def versions(request: HttpRequest, name: str) -> HttpResponse:
    """``a`` and ``b``: two versions, compared. Posted: ``act``, archive or restore (with ``version``, or out of the archive)."""
    if request.method == "POST":
        return _acted(request, member_team_for(request), name)
    team = seat_for(request).team
    kept = store.find(team, name)
    listed = store.versions(team, name, limit=VERSIONS_SHOWN)
    after = _number(request.GET.get("b")) or kept.version
    before = _number(request.GET.get("a")) or (after - 1 or None)
    shown = store.find(team, name, after)
    older = None if before is None else store.find(team, name, before)
    lines = [("", line) for line in written(shown.body)]
    if older is not None:
        lines = difference(written(older.body), written(shown.body))
    context = {
        "team": team,
        "kept": kept,
        "rows": _rows(listed),
        "more": max(0, kept.version - len(listed)),
        "after": after,
        "before": before,
        "lines": lines,
        "can_change": may(request, Role.MEMBER),
    }
    return render(request, "dashboards/agent_versions.html", context)


def _posted(request: HttpRequest, team: Team, kept: Kept | None) -> HttpResponse:
    form = AgentForm.of(request.POST)
    if kept is not None:
        form.values["name"] = kept.name
    if request.POST.get("again"):
        return _page(request, team, form, kept)
    given = form.given()
    if form.is_wrong:
        return _page(request, team, form, kept)
    expected = 0 if kept is None else _number(request.POST.get("version")) or kept.version
    try:
        definition = Definition.read(team, given)
        made, is_new = store.save(
            team, definition, actor=actor(request), note=form.values["note"], expected_version=expected
        )
    except (Invalid, Conflict, TooLarge) as error:
        form.refuse(error)
        return _page(request, team, form, kept)
    if is_new:
        messages.success(request, f"{made.name} is kept as version {made.version}. Jobs asked for from now on get it.")
    else:
        messages.success(request, "Nothing was changed.")
    return redirect(f"/agents/{quote(made.name, safe='')}")


def _page(request: HttpRequest, team: Team, form: AgentForm, kept: Kept | None) -> HttpResponse:
    choices = tools.catalogue(team)
    known = {choice.name for choice in choices}
    context = {
        "team": team,
        "form": form,
        "kept": kept,
        "version": request.POST.get("version") or (kept.version if kept else ""),
        "groups": _grouped(choices),
        "known": known,
        "gone": [name for name in form.tools if name not in known],
        "patterns": [(name, words[0]) for name, words in PATTERN_WORDS.items()],
        "models": model_choices(team),
        "agents": [name for name in store.names(team) if kept is None or name != kept.name],
        "risks": RISK_WORDS,
        "rollbacks": ROLLBACK_WORDS,
        "can_add_tools": may(request, Role.ADMIN),
    }
    return render(request, "dashboards/agent_edit.html", context, status=422 if form.is_wrong else 200)


def _grouped(choices: list[Choice]) -> list[tuple[str, list[Choice]]]:
    def source(one: Choice) -> str:
        return SOURCES.get(one.source) or f"From {one.server}"

    return [(word, list(found)) for word, found in groupby(choices, source)]


def _acted(request: HttpRequest, team: Team, name: str) -> HttpResponse:
    act, version = request.POST.get("act", ""), _number(request.POST.get("version"))
    try:
        if act == "archive":
            store.archive(team, name, actor=actor(request))
            messages.success(request, f"{name} is archived: no new job gets it. Its costs and versions stay.")
            return redirect("agents")
        if act != "restore":
            raise Invalid("One can archive and restore.", field="act")
        kept, _ = store.restore(team, name, version, actor=actor(request))
        messages.success(request, f"{name} is version {kept.version} now.")
    except NotFound:
        raise
    except (Invalid, Conflict, TooLarge) as error:
        messages.error(request, error.message)
    return redirect(f"/agents/{quote(name, safe='')}/versions")


def _rows(listed: list[Any]) -> list[dict[str, Any]]:
    """Each version with what changed in it; the oldest shown may have one before it that is not."""
    older = [*listed[1:], None]
    return [{"saved": one, "changed": _changed(before, one)} for one, before in zip(listed, older, strict=True)]


def _changed(before: Any, after: Any) -> list[str]:
    if before is None:
        return []
    return [name.replace("_", " ") for name in FIELDS if before.body.get(name) != after.body.get(name)]


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
