"""Agent jobs: the queue and what is in it, asking for one, and one as it goes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards import job_page
from dashboards.access import actor, may, member_team_for, seat_for
from dashboards.frame import is_fragment
from dashboards.job_forms import JobForm, ScheduleForm
from tracking.agents import store as agents
from tracking.errors import Conflict, Invalid, NotFound, QuotaReached, TooLarge
from tracking.models import AgentJob, Team
from tracking.queue import costs, schedules, states, submit
from tracking.queue.submit import Wanted
from tracking.reports import jobs as report
from tracking.teams import Role

ROWS = 50
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("All", ()),
    "open": ("Under way", ("queued", "running")),
    "waiting": ("Waiting for people", ("waiting_approval", "paused_budget", "needs_review")),
    "completed": ("Done", ("completed",)),
    "failed": ("Failed", ("failed",)),
    "cancelled": ("Cancelled", ("cancelled",)),
}


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the queue and the list alone."""
    return _page(request)


def _page(request: HttpRequest, form: ScheduleForm | None = None) -> HttpResponse:
    team = seat_for(request).team
    state, agent = request.GET.get("state", ""), request.GET.get("agent", "")[:200].replace("\0", "")
    if state not in GROUPS:
        raise Invalid(f'"{state}" is no state; there are {", ".join(filter(None, GROUPS))}.', field="state")
    found, more = report.jobs(team, statuses=GROUPS[state][1], agent=agent, limit=ROWS, before=_cursor(request))
    known = costs.of_jobs(team, found)
    standing = report.standing(team)
    context = {
        "team": team, "rows": [(job, known[job.id]) for job in found], "more": more, "state": state, "agent": agent, "groups": GROUPS,
        "standing": standing, "minutes": job_page.bars(standing.per_minute), "hours": job_page.bars(standing.per_hour),
        "may_act": may(request, Role.MEMBER), "before": request.GET.get("before", ""),
        "agents": sorted({*agents.names(team), *(job.agent for job in found), *([agent] if agent else ())}),
    }  # fmt: skip
    if is_fragment(request):
        return render(request, "dashboards/_jobs_list.html", context)
    context |= {"schedules": report.schedules(team), "schedule_form": form or ScheduleForm(auto_id="schedule_%s")}
    return render(request, "dashboards/jobs.html", context, status=200 if form is None else 422)


@require_GET
def new(request: HttpRequest) -> HttpResponse:
    """``agent``, and ``job`` to begin with what another was asked."""
    team = member_team_for(request)
    form = JobForm.of(team, request.GET)
    return _new(request, team, form)


@require_GET
def estimate(request: HttpRequest) -> HttpResponse:
    """What a job of ``agent``, in its ``version``, may come to."""
    team = member_team_for(request)
    agent = request.GET.get("agent", "")[:200].replace("\0", "")
    return render(request, "dashboards/_job_estimate.html", _estimated(team, agent, request.GET.get("version", "")))


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    team = member_team_for(request)
    form = JobForm.of(team, request.POST, is_sent=True)
    if not form.is_valid():
        return _new(request, team, form, status=422)
    try:
        job, _ = submit.submit(team, Wanted(**form.wanted()), actor=actor(request))
    except (Invalid, NotFound, TooLarge, QuotaReached) as error:
        form.refuse(error)
        return _new(request, team, form, status=422)
    return redirect(f"/jobs/{job.id}")


@require_GET
def job(request: HttpRequest, job_id: str) -> HttpResponse:
    """One job; for htmx what changes of it."""
    team = seat_for(request).team
    found = _found(team, job_id)
    context = job_page.body(team, found) | {"may_act": may(request, Role.MEMBER)}
    name = "_job_body" if is_fragment(request) else "job"
    return render(request, f"dashboards/{name}.html", context)


@require_POST
def cancel(request: HttpRequest, job_id: str) -> HttpResponse:
    def act(team: Team) -> str:
        found = states.cancel(team, job_id, reason=request.POST.get("reason", ""), actor=actor(request))
        return "It is cancelled." if found.status == AgentJob.Status.CANCELLED else "Its worker is told to stop."

    return _acted(request, job_id, act)


@require_POST
def retry(request: HttpRequest, job_id: str) -> HttpResponse:
    def act(team: Team) -> str:
        states.retry(team, job_id, actor=actor(request))
        return "It goes on after its last step: nothing that was done is paid for again."

    return _acted(request, job_id, act)


@require_POST
def change(request: HttpRequest, job_id: str) -> HttpResponse:
    """``budget_usd``."""

    def act(team: Team) -> str:
        states.change(team, job_id, actor=actor(request), budget_usd=_usd(request.POST.get("budget_usd", "")))
        return "It has its new budget."

    return _acted(request, job_id, act)


@require_POST
def make_schedule(request: HttpRequest) -> HttpResponse:
    team = member_team_for(request)
    form = ScheduleForm(request.POST, auto_id="schedule_%s")
    if not form.is_valid():
        return _page(request, form)
    try:
        schedules.make(team, actor=actor(request), **form.cleaned_data)
    except (Invalid, NotFound, TooLarge) as error:
        form.refuse(error)
        return _page(request, form)
    messages.success(request, "It is on the schedule.")
    return redirect("jobs")


@require_POST
def change_schedule(request: HttpRequest) -> HttpResponse:
    """``schedule``; ``act``: on, off, delete."""
    team, act = member_team_for(request), request.POST.get("act", "")
    try:
        if act == "delete":
            schedules.remove(team, request.POST.get("schedule", ""), actor=actor(request))
        else:
            schedules.switch(team, request.POST.get("schedule", ""), is_active=act == "on", actor=actor(request))
    except NotFound as error:
        raise Http404(error.message) from error
    messages.success(
        request, {"delete": "It is off the schedule for good.", "on": "It is on again."}.get(act, "It is off.")
    )
    return redirect("jobs")


def _acted(request: HttpRequest, job_id: str, act: Callable[[Team], str]) -> HttpResponse:
    team = member_team_for(request)
    _found(team, job_id)
    try:
        messages.success(request, act(team))
    except (Invalid, Conflict) as error:
        messages.error(request, error.message)
    return redirect(f"/jobs/{job_id}")


def _new(request: HttpRequest, team: Team, form: JobForm, status: int = 200) -> HttpResponse:
    agent, version = (str(form[name].value() or "")[:200].replace("\0", "") for name in ("agent", "version"))
    seldom = [form[name] for name in ("version", "steps_max", "priority", "run_at")]
    is_more_open = any(field.errors or str(field.value() or 0) != "0" for field in seldom)
    context: dict[str, Any] = {
        "team": team,
        "form": form,
        "is_more_open": is_more_open,
        **_estimated(team, agent, version),
    }
    return render(request, "dashboards/job_new.html", context, status=status)


def _estimated(team: Team, agent: str, version: str) -> dict[str, Any]:
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else None
    return {"agent": agent, "version": number, "estimate": report.estimate(team, agent, number) if agent else None}


def _found(team: Team, job_id: str) -> AgentJob:
    try:
        return states.job_of(team, job_id)
    except NotFound as error:
        raise Http404(error.message) from error


def _cursor(request: HttpRequest) -> UUID | None:
    cursor = request.GET.get("before", "")
    try:
        return UUID(cursor) if cursor else None
    except ValueError:
        raise Invalid("before is a job's id, as the page before gave it.", field="before") from None


def _usd(text: str) -> Decimal:
    try:
        found = Decimal(text.strip().lstrip("$"))
    except InvalidOperation:
        found = Decimal(0)
    if not (found.is_finite() and 0 < found < 10**9):
        raise Invalid("A budget is an amount in USD above 0.", field="budget_usd")
    return found
