"""The sheet "Roll back": a job's run goes on from a checkpoint, or another process is asked to.

htmx asks the sheet's address for the sheet alone, which opens over its page; opened in a browser it is a page.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards import rollback_page
from dashboards.access import actor, member_team_for
from dashboards.frame import is_fragment
from tracking.checkpoints import rollbacks
from tracking.errors import Conflict, Invalid, NotFound, QuotaReached, TooLarge
from tracking.models import Team
from tracking.queue import forks, states
from tracking.queue.previews import Preview, preview
from tracking.reports.wish_preview import WishPreview, wish_preview


@require_GET
def sheet(request: HttpRequest, run: str) -> HttpResponse:
    """``checkpoint``: a version; the latest where none is given."""
    team = member_team_for(request)
    found = _found(team, run, request.GET.get("checkpoint", "") or "latest")
    return _sheet(request, team, found, {})


@require_POST
def go(request: HttpRequest, run: str) -> HttpResponse:
    """``act``: rollback or fork, of a job's run; and what is changed."""
    team = member_team_for(request)
    found, given = _found(team, run, request.POST.get("checkpoint", "")), _typed(request)
    try:
        if isinstance(found, WishPreview):
            return _asked(request, team, found, given)
        return _gone(request, team, found, given)
    except (Invalid, Conflict, TooLarge, QuotaReached) as error:
        return _sheet(request, team, found, given, fault=error.message, status=422)


@require_POST
def difference(request: HttpRequest, run: str) -> HttpResponse:
    """What the edits change, before they are sent."""
    found = _found(member_team_for(request), run, request.POST.get("checkpoint", ""))
    now = rollback_page.state_of(found) if isinstance(found, WishPreview) else rollback_page.now_of(found)
    context = rollback_page.differences(now, _typed(request))
    return render(request, "dashboards/_rollback_difference.html", context)


@require_POST
def withdraw(request: HttpRequest, run: str) -> HttpResponse:
    """``id``: of what its process was asked for."""
    team = member_team_for(request)
    name = _name_of(team, run)
    try:
        rollbacks.withdraw(team, name, UUID(request.POST.get("id", "")), actor=actor(request))
    except Conflict as error:
        messages.error(request, error.message)
    except (NotFound, ValueError) as error:
        raise Http404("That was not asked for.") from error
    else:
        messages.success(
            request, "It is asked for no more. A process that heard of it already may go back all the same."
        )
    return redirect(_checkpoints_of(name))


def _gone(request: HttpRequest, team: Team, found: Preview, given: dict[str, Any]) -> HttpResponse:
    wish, step = rollback_page.wish_of(found, given), found.position
    if request.POST.get("act") == "fork":
        job = forks.fork(team, found.run, wish, actor=actor(request))
        messages.success(request, f"This job goes on from step {step} of {found.run[:40]}, which is left alone.")
    else:
        row = forks.rollback(team, found.run, wish, actor=actor(request))
        job = found.job
        messages.success(
            request, f"It goes on from step {step} as run {row.new_run.rpartition('.')[2]}. The run before it is kept."
        )
    return redirect(f"/jobs/{job.id}")


def _asked(request: HttpRequest, team: Team, found: WishPreview, given: dict[str, Any]) -> HttpResponse:
    overrides = rollback_page.overrides_of(found, given)
    version = str(found.checkpoint.version)
    rollbacks.request(
        team, found.run, version, reason=given["reason"], actor=actor(request), overrides=overrides,
        budget_usd=rollback_page.budget_of(given),
    )  # fmt: skip
    messages.success(request, f"The run is asked to go on from checkpoint {version}.")
    return redirect(_checkpoints_of(found.run))


def _sheet(
    request: HttpRequest,
    team: Team,
    found: Preview | WishPreview,
    given: dict[str, Any],
    *,
    fault: str = "",
    status: int = 200,
) -> HttpResponse:
    if isinstance(found, WishPreview):
        part, context = "_rollback_wish", rollback_page.of_wish(team, found, given)
    else:
        part, context = "_rollback_job", rollback_page.of_job(team, found, given)
    context |= {"fault": fault, "part": f"dashboards/{part}.html"}
    name = context["part"] if is_fragment(request) else "dashboards/rollback.html"
    return render(request, name, context, status=status)


def _found(team: Team, reference: str, which: str) -> Preview | WishPreview:
    name = _name_of(team, reference)
    try:
        is_jobs = states.job_of_run(team, name) is not None
        return preview(team, name, which) if is_jobs else wish_preview(team, name, which)
    except NotFound as error:
        raise Http404(error.message) from error


def _typed(request: HttpRequest) -> dict[str, Any]:
    given: dict[str, Any] = {name: request.POST.get(name, "").replace("\r\n", "\n") for name in rollback_page.TYPED}
    return {**given, "undo": request.POST.getlist("undo")}


def _checkpoints_of(run: str) -> str:
    return f"/runs/{quote(run, safe='')}?tab=checkpoints"


def _name_of(team: Team, reference: str) -> str:
    """The run's own name, by whichever it is called."""
    try:
        return rollbacks.named(team, reference)
    except NotFound as error:
        raise Http404(error.message) from error
