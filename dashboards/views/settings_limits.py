"""Settings: what is done about loops, and how much a run or a team may do."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.limit_forms import LimitForm
from tracking import teams
from tracking.errors import Invalid
from tracking.teams import Role

_FIELDS = ("loop_action", "guard", "run_steps_max", "run_minutes_max", "run_idle_minutes_max", "rpm_max")


@require_GET
def limits(request: HttpRequest) -> HttpResponse:
    return _limits(request)


@require_POST
def change_limits(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    form = LimitForm.of(request)
    if not form.is_valid():
        return _limits(request, form=form)
    values = {name: form.cleaned_data[name] for name in _FIELDS}
    try:
        teams.set_limits(team, loop_policy=form.policy(team.loop_policy), actor=actor(request), **values)
    except Invalid as error:
        form.refuse(error)
        return _limits(request, form=form)
    messages.success(request, "It holds for the next calls, of every process within a few seconds.")
    return redirect("settings_limits")


def _limits(request: HttpRequest, *, form: LimitForm | None = None) -> HttpResponse:
    team = seat_for(request).team
    context = {
        "page": "limits",
        "team": team,
        "form": form or LimitForm.showing(team),
        "can_change": may(request, Role.ADMIN),
        "rules": len(team.loop_policy.get("workflows") or {}),
    }
    return render(request, "dashboards/settings_limits.html", context, status=400 if form else 200)
