"""Circuits: which agents, components and deployments are cut off, why and until when; and the hands that move them."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.breaker_forms import BreakerForm, CutOffForm
from dashboards.frame import is_fragment
from tracking import agent_breaker
from tracking.errors import Conflict, Invalid, NotAllowed
from tracking.models import Circuit
from tracking.reports import circuits as report
from tracking.teams import Role

KINDS = {"": "All", "agent": "Agents", "component": "Components", "deployment": "Deployments"}
ACTIONS = {
    "circuit.move": {"open": "opened", "half_open": "is being tried", "closed": "closed"},
    "circuit.open": {"open": "was cut off by hand"},
    "circuit.allow": {"half_open": "may be tried"},
    "circuit.reset": {"closed": "was reset"},
}
NAME_MAX = 220


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the circuits and their history alone."""
    return _page(request)


@require_POST
def reset(request: HttpRequest) -> HttpResponse:
    """It is well: call it again."""
    return _moved(request, agent_breaker.reset, "It is called again.")


@require_POST
def allow(request: HttpRequest) -> HttpResponse:
    """One call may try."""
    return _moved(request, agent_breaker.allow, "Its next call tries whether all is well.")


@require_POST
def cut_off(request: HttpRequest) -> HttpResponse:
    """``circuit`` of an agent, ``reason``, ``minutes``."""
    team = admin_team_for(request)
    form = CutOffForm(request.POST, auto_id="cut_%s", names=report.agent_names(team))
    if not form.is_valid():
        return _page(request, cut_form=form)
    given = form.cleaned_data
    try:
        agent_breaker.open_by_hand(
            team, given["circuit"], reason=given["reason"], minutes=given["minutes"], actor=actor(request)
        )
    except Invalid as error:
        form.refuse(error)
        return _page(request, cut_form=form)
    messages.success(request, "Its calls are refused from now on, by every process within a second.")
    return redirect("circuits")


@require_POST
def change_breaker(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    form = BreakerForm.of(request, auto_id="breaker_%s")
    if not form.is_valid():
        return _page(request, form=form)
    try:
        agent_breaker.set_policy(team, form.cleaned_data, actor=actor(request))
    except Invalid as error:
        form.refuse(error)
        return _page(request, form=form)
    messages.success(request, "It holds for the next calls, of every process within a few seconds.")
    return redirect("circuits")


def _moved(request: HttpRequest, verb: Callable[..., Circuit], said: str) -> HttpResponse:
    team, name = admin_team_for(request), request.POST.get("circuit", "")[:NAME_MAX].replace("\0", "")
    try:
        verb(team, name, actor=actor(request), is_operator=may(request, Role.OPERATOR))
    except (Conflict, NotAllowed) as error:
        messages.error(request, error.message)
    else:
        messages.success(request, said)
    return redirect("circuits")


def _page(request: HttpRequest, *, form: BreakerForm | None = None, cut_form: CutOffForm | None = None) -> HttpResponse:
    team = seat_for(request).team
    kind, chosen = request.GET.get("kind", ""), request.GET.get("circuit", "")[:NAME_MAX].replace("\0", "")
    if kind not in KINDS:
        raise Invalid(f'"{kind}" is no kind; there are {", ".join(filter(None, KINDS))}.', field="kind")
    lines = report.circuit_lines(team)
    shown = [line for line in lines if kind in ("", line.kind) and chosen in ("", line.row.name)]
    context: dict[str, object] = {
        "team": team,
        "lines": shown,
        "open_lines": [line for line in lines if not line.is_closed],
        "history": [(move, _words(move)) for move in report.moves(team, lines, chosen)],
        "kinds": KINDS,
        "kind": kind,
        "chosen": chosen,
        "may_act": may(request, Role.ADMIN),
        "is_operator": may(request, Role.OPERATOR),
    }
    if is_fragment(request):
        return render(request, "dashboards/_circuits_list.html", context)
    policy, names = agent_breaker.policy_of(team), report.agent_names(team)
    context |= {
        "policy": policy,
        "form": form or BreakerForm.showing(policy),
        "cut_form": cut_form or CutOffForm(auto_id="cut_%s", names=names),
        "has_agents": bool(names),
    }
    is_wrong = form is not None or cut_form is not None
    return render(request, "dashboards/circuits.html", context, status=422 if is_wrong else 200)


def _words(move: report.Move) -> str:
    if move.action == "breaker.change":
        return "; ".join(f"{name.replace('_', ' ')}: {_said(value)}" for name, value in move.after.items())
    return ACTIONS.get(move.action, {}).get(str(move.after.get("state")), str(move.after.get("state") or ""))


def _said(value: object) -> str:
    return "none" if value is None else "yes" if value is True else "no" if value is False else str(value)
