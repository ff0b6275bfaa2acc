"""Loops: runs that went round in circles, what each burned, and the buttons that end it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards.access import may, seat_for
from dashboards.alert_marks import STATE_WORDS
from dashboards.frame import is_fragment
from tracking.errors import Invalid
from tracking.reports import loops as report
from tracking.teams import Role


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the list alone."""
    team = seat_for(request).team
    state = request.GET.get("state", "") or "open"
    if state not in STATE_WORDS:
        raise Invalid(f'"{state}" is no state; there are {", ".join(STATE_WORDS)}', field="state")
    cursor = request.GET.get("cursor")
    found = report.loop_page(team, states=() if state == "all" else (state,), cursor=cursor)
    number, burned = report.open_burn(team)
    context = {
        "team": team,
        "loops": found.loops,
        "next_cursor": found.next_cursor,
        "is_live": not cursor,
        "state": state,
        "state_words": STATE_WORDS,
        "open_loops": number,
        "burned_usd": burned,
        "may_act": may(request, Role.MEMBER),
        "here": "/loops" if state == "open" else f"/loops?state={state}",
    }
    return render(request, "dashboards/_loops_list.html" if is_fragment(request) else "dashboards/loops.html", context)
