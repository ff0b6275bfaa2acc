"""The sample team: loaded with one button, removed with one button."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, team_for
from tracking.demo import team as demo
from tracking.errors import Invalid, Unavailable
from tracking.reports.home import has_data
from tracking.tasks import ask, fill_demo

NO_CONTENT = 204


@require_POST
def load(request: HttpRequest) -> HttpResponse:
    """Make the sample team and have a worker send its spans; the person lands in it."""
    organization = admin_team_for(request).organization
    team = demo.demo_team(organization)
    if team is None:
        team = demo.begin(organization, actor=actor(request))
        try:
            ask(fill_demo, team.pk)
        except Unavailable:
            demo.remove(team, actor=actor(request))
            raise
    return HttpResponseRedirect(f"/?team={team.slug}")


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """Nothing until the first span is here, then the way home."""
    if not has_data(team_for(request)):
        return HttpResponse(status=NO_CONTENT)
    return HttpResponse(headers={"HX-Redirect": "/"})


@require_POST
def delete(request: HttpRequest) -> HttpResponse:
    """Remove the sample team that ``?team=`` names, with every row that is its own."""
    team = admin_team_for(request)
    if not team.is_demo:
        raise Invalid(f"{team.name} is no sample team; it cannot be removed with this button.", field="team")
    demo.remove(team, actor=actor(request))
    return HttpResponseRedirect("/")
