"""Alerts: what needs a person, newest first; seen and closed one by one or together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, may, member_team_for, seat_for
from dashboards.alert_marks import KINDS, STATE_WORDS, Mark, kind_word, mark
from dashboards.frame import is_fragment
from tracking import alerts
from tracking.alerts import destinations
from tracking.audit import Actor
from tracking.errors import Invalid
from tracking.models import Team
from tracking.reports import alerts as report
from tracking.reports.alerts import AlertRow
from tracking.teams import Role


@dataclass(frozen=True, slots=True)
class Line:
    row: AlertRow
    mark: Mark


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the list alone."""
    seat = seat_for(request)
    team = seat.team
    state = request.GET.get("state", "") or "open"
    if state not in STATE_WORDS:
        raise Invalid(f'"{state}" is no state; there are {", ".join(STATE_WORDS)}', field="state")
    states = () if state == "all" else (state,)
    kinds = request.GET.getlist("kind")
    cursor = request.GET.get("cursor")
    found = report.alert_page(team, kinds=kinds, states=states, run=request.GET.get("run", ""), cursor=cursor)
    context = {
        "team": team,
        "lines": [Line(row, mark(row)) for row in found.rows],
        "next_cursor": found.next_cursor,
        "is_live": not cursor,
        "state": state,
        "state_words": STATE_WORDS,
        "kinds": kinds,
        "kind_words": {kind: kind_word(kind) for kind in KINDS},
        "kind_counts": report.counts_by_kind(team, states),
        "open_alerts": report.open_alerts(team),
        "here": _address(request),
        "may_act": may(request, Role.MEMBER),
        "may_set": may(request, Role.ADMIN),
    }
    if is_fragment(request):
        return render(request, "dashboards/_alerts_list.html", context)
    context["places"] = destinations.destinations_of(team)
    return render(request, "dashboards/alerts.html", context)


@require_POST
def acknowledge(request: HttpRequest) -> HttpResponse:
    return _act(request, alerts.acknowledge, "acknowledged")


@require_POST
def resolve(request: HttpRequest) -> HttpResponse:
    return _act(request, alerts.resolve, "resolved")


def _act(request: HttpRequest, verb: Callable[..., int], word: str) -> HttpResponse:
    """On one, whose button was pressed, or on those that are ticked."""
    team: Team = member_team_for(request)
    who: Actor = actor(request)
    chosen = [request.POST["one"]] if request.POST.get("one") else request.POST.getlist("alert")
    number = verb(team, _ids(chosen), actor=who)
    if not chosen:
        messages.warning(request, "None was ticked.")
    elif number:
        messages.success(request, f"{number:,} alert{'' if number == 1 else 's'} {word}.")
    else:
        messages.warning(request, f"Somebody was there before: they are {word} already.")
    return redirect(f"/alerts{_kept(request.POST.get('here', ''))}")


def _ids(values: Iterable[str]) -> list[UUID]:
    try:
        return [UUID(value) for value in values]
    except ValueError:
        raise Invalid("This is no alert.", field="alert") from None


def _address(request: HttpRequest) -> str:
    """The filters of the page, to come back to."""
    kept = [(name, value) for name in ("state", "kind", "run") for value in request.GET.getlist(name) if value]
    return urlencode(kept)


def _kept(query: str) -> str:
    """Only a query of this page, whatever was sent."""
    fits = query and all(part.partition("=")[0] in ("state", "kind", "run") for part in query.split("&"))
    return f"?{query}" if fits and query.isprintable() and query.isascii() and len(query) < 1000 else ""
