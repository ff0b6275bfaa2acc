"""The gateway: what may be named as a model, calls under way, what was refused and why, what the cache saved."""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, person, seat_for
from dashboards.forms import PageForm
from dashboards.frame import is_fragment
from dashboards.gateway_forms import CredentialForm, GroupForm
from tracking import catalog, circuits
from tracking.catalog import Hand
from tracking.errors import NotFound, WfloServerError
from tracking.models import ModelGroup, Team
from tracking.reports import gateway as report
from tracking.teams import Role

CODE_WORDS = {
    "budget_exceeded": "no money",
    "loop_detected": "loop",
    "run_killed": "run stopped",
    "run_limit_exceeded": "run's limit",
    "rate_limit_exceeded": "too many calls",
    "model_unpriced": "no price",
    "model_not_allowed": "model not allowed",
    "dlp_violation": "guard",
    "circuit_open": "given a rest",
    "team_not_active": "team stands still",
    "insufficient_credits": "no credits",
    "invalid_request": "wrong request",
}


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the calls under way alone."""
    return _page(request)


@require_GET
def blocked(request: HttpRequest) -> HttpResponse:
    """Why a call was not made: by the id that its answer told, or out of the latest."""
    team = seat_for(request).team
    asked, codes = request.GET.get("request", "").strip()[:80], request.GET.getlist("code")
    found, problem = None, ""
    if asked:
        try:
            found = report.blocked(team, asked)
        except NotFound as error:
            problem = error.message
    rows = report.refusals(team, codes=codes, cursor=request.GET.get("cursor"))
    context = {
        "team": team,
        "asked": asked,
        "found": found,
        "problem": problem,
        "rows": rows.rows,
        "next_cursor": rows.next_cursor,
        "codes": [(code, CODE_WORDS.get(code, code.replace("_", " "))) for code in report.codes_of(team)],
        "chosen": codes,
        "words": CODE_WORDS,
    }
    return render(request, "dashboards/blocked.html", context, status=404 if problem else 200)


@require_POST
def save_group(request: HttpRequest) -> HttpResponse:
    """A new group, or one that ``group`` names, with what was typed."""
    team, hand = admin_team_for(request), _hand(request)
    was = request.POST.get("group", "")
    form = GroupForm.of(request, auto_id=f"group-{was or 'new'}_%s")
    try:
        group = catalog.group_of(team, was, hand=hand) if was else None
        if form.is_valid():
            given = {
                "name": form.cleaned_data["name"],
                "deployments": form.deployments(group),
                "cache": {"ttl": form.cleaned_data["cache_seconds"] or 0},
            }
            if group is None:
                catalog.make_group(team, given, hand=hand)
            else:
                catalog.change_group(group, given, hand=hand)
            messages.success(request, f"{given['name']} is what callers may name from now on.")
            return redirect("gateway")
    except NotFound:
        raise
    except WfloServerError as error:
        form.refuse(_at_models(error))
    return _page(request, group_form=form, changing=was)


@require_POST
def delete_group(request: HttpRequest) -> HttpResponse:
    team, hand = admin_team_for(request), _hand(request)
    group = catalog.group_of(team, request.POST.get("group", ""), hand=hand)
    try:
        catalog.delete_group(group, hand=hand)
        messages.success(request, f"{group.name} is gone: calls that name it are refused.")
    except WfloServerError as error:
        messages.error(request, error.message)
    return redirect("gateway")


@require_POST
def reset_circuit(request: HttpRequest) -> HttpResponse:
    """It is well: call it again."""
    team = admin_team_for(request)
    row = circuits.circuit_of(team, request.POST.get("circuit", "")[:200])
    if row.team_id == circuits.SHARED and not may(request, Role.OPERATOR):
        messages.error(request, "Other teams call it too: an operator resets it.")
    else:
        circuits.reset(row, actor=actor(request), team=team)
        messages.success(request, "It is called again.")
    return redirect("gateway")


@require_POST
def add_credential(request: HttpRequest) -> HttpResponse:
    seat_for(request, Role.OPERATOR)
    form = CredentialForm.of(request, auto_id="credential_%s")
    if form.is_valid():
        try:
            row = catalog.add_credential(form.cleaned_data, hand=_hand(request))
        except WfloServerError as error:
            form.refuse(error)
        else:
            messages.success(request, f"The key of {row.provider} that ends in {row.key_end} is sealed.")
            return redirect("gateway")
    return _page(request, credential_form=form)


@require_POST
def delete_credential(request: HttpRequest) -> HttpResponse:
    seat_for(request, Role.OPERATOR)
    hand = _hand(request)
    row = catalog.credential_of(request.POST.get("credential", ""), hand=hand)
    catalog.delete_credential(row, hand=hand)
    messages.success(request, f"The key of {row.provider} is gone.")
    return redirect("gateway")


def _page(
    request: HttpRequest,
    *,
    group_form: GroupForm | None = None,
    changing: str = "",
    credential_form: PageForm | None = None,
) -> HttpResponse:
    team = seat_for(request).team
    live = report.live_calls(team)
    context: dict[str, object] = {
        "team": team,
        "live": live,
        "held_usd": sum((call.held_usd for call in live), Decimal(0)),
        "live_max": report.LIVE_MAX,
    }
    if is_fragment(request):
        return render(request, "dashboards/_gateway_live.html", context)
    can_change, is_operator = may(request, Role.ADMIN), may(request, Role.OPERATOR)
    rows = circuits.circuits_of(team)
    found = report.groups(team, rows)
    context |= {
        "address": settings.WFLO_PUBLIC_URL,
        "groups": [(one, _form_of(one.group, team, can_change, is_operator, group_form, changing)) for one in found],
        "new_form": group_form if group_form is not None and not changing else GroupForm(auto_id="group-new_%s"),
        "is_new_open": group_form is not None and not changing,
        "resting": report.resting(rows),
        "refusals": report.refusals(team).rows[:8],
        "words": CODE_WORDS,
        "days": report.cache_days(team),
        "can_change": can_change,
        "is_operator": is_operator,
    }
    if is_operator:
        context["credentials"] = catalog.credentials(_hand(request))
        context["credential_form"] = credential_form or CredentialForm(auto_id="credential_%s")
    is_wrong = group_form is not None or credential_form is not None
    return render(request, "dashboards/gateway.html", context, status=422 if is_wrong else 200)


def _form_of(
    group: ModelGroup, team: Team, can_change: bool, is_operator: bool, typed: GroupForm | None, changing: str
) -> GroupForm | None:
    """None where the person may not change this group."""
    if not (is_operator or (can_change and group.team_id == team.pk)):
        return None
    if typed is not None and changing == group.name:
        return typed
    return GroupForm.showing(group, auto_id=f"group-{group.pk}_%s")


def _at_models(error: WfloServerError) -> WfloServerError:
    """The form has one field for all deployments."""
    if error.field and error.field.startswith("deployments"):
        error.field = "models"
    return error


def _hand(request: HttpRequest) -> Hand:
    return Hand.of(person(request), request_id=getattr(request, "id", ""))
