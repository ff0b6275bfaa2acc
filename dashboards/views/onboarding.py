"""Onboarding: a key, snippets that send a span with it, and a line that turns when the first span is here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for, team_for
from tracking import keys, teams
from tracking.models import Team
from tracking.reports import found
from tracking.teams import Role

STOP_POLLING = 286  # htmx: this was the last one
_UNKNOWN_KEY = "$WFLO_API_KEY"
_KEY_NAME = "onboarding"


@dataclass(frozen=True, slots=True)
class Snippet:
    """Text to copy. ``name`` is of the template it is made from."""

    name: str
    label: str
    note: str
    text: str


_SNIPPETS = (
    ("environment", "Environment", "For any program with an OpenTelemetry SDK or an instrumented agent framework."),
    ("python", "Python", "A span of its own, without a framework."),
    ("curl", "curl", "One model call, sent by hand."),
)


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
def make_key(request: HttpRequest) -> HttpResponse:
    """A key that may send spans; its text is in the snippets of this answer and never again."""
    team = admin_team_for(request)
    _, text = keys.mint(team, name=_KEY_NAME, scopes=["ingest"], actor=actor(request))
    return _page(request, text)


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """The waiting line; with the first run in it, polling ends."""
    context = _state(team_for(request))
    return render(request, "dashboards/_first_span.html", context, status=STOP_POLLING if context["run"] else 200)


def _page(request: HttpRequest, key: str = "") -> HttpResponse:
    seat = seat_for(request)
    context = {
        "key": key,
        "snippets": snippets(settings.WFLO_PUBLIC_URL, key),
        "can_make": may(request, Role.ADMIN),
        "who": teams.who_can_grant(seat.team, Role.ADMIN),
        **_state(seat.team),
    }
    response = render(request, "dashboards/onboarding.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


def snippets(address: str, key: str = "") -> list[Snippet]:
    """Programs that send a span to ``address``; without a key they read one from the environment."""
    context = {"address": address, "key": key or _UNKNOWN_KEY, "key_in_header": quote(key) if key else _UNKNOWN_KEY}
    return [
        Snippet(name, label, note, render_to_string(f"dashboards/snippets/{name}.txt", context).strip())
        for name, label, note in _SNIPPETS
    ]


def _state(team: Team) -> dict[str, object]:
    runs = found.find(team, "", limit=1).runs
    return {"run": runs[0] if runs else None}
