"""Stopping runs: one from its page or from the loops, or those that are ticked in the list."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dashboards.access import actor, member_team_for
from tracking import run_control
from tracking.errors import Invalid

_PLACES = ("/runs", "/loops", "/gateway")


@require_POST
def kill(request: HttpRequest) -> HttpResponse:
    """``run``, several times over; ``reason``; ``here``: the page to come back to."""
    team = member_team_for(request)
    runs = [run for run in request.POST.getlist("run") if run]
    here = _kept(request.POST.get("here", ""))
    if not runs:
        messages.warning(request, "None was ticked.")
        return redirect(here)
    try:
        done = run_control.kill(team, runs, reason=request.POST.get("reason", ""), actor=actor(request))
    except Invalid as error:
        messages.error(request, error.message)
        return redirect(here)
    what = "The run is stopped" if len(done) == 1 else f"{len(done):,} runs are stopped"
    messages.success(request, f"{what}: later calls are refused, and streams under way end.")
    return redirect(here)


def _kept(address: str) -> str:
    """Only a page of ours, whatever was sent."""
    parts = urlsplit(address) if len(address) < 2000 and address.isprintable() else urlsplit("")
    is_ours = not parts.scheme and not parts.netloc and address.startswith(_PLACES)
    return address if is_ours else "/runs"
