"""Credits: what is left and how long it lasts, what came and went; operators add and set terms."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, may, seat_for
from dashboards.credit_forms import AccountForm, AddForm
from dashboards.forms import PageForm
from tracking import credits
from tracking.errors import WfloServerError
from tracking.reports.credits import credit_page
from tracking.teams import Role

_ID_MAX = 2**63 - 1


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """From now on the team is billed in credits."""
    team = seat_for(request, Role.OPERATOR).team
    try:
        credits.open_account(team, actor=actor(request))
    except WfloServerError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{team.name} is billed in credits from now on. It has none yet: add some.")
    return redirect("credits")


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    team = seat_for(request, Role.OPERATOR).team
    form = AddForm.of(request, auto_id="add_%s")
    if form.is_valid():
        given = form.cleaned_data
        try:
            entry = credits.add(
                team,
                given["credits"],
                kind=given["kind"],
                reason=given["reason"],
                paid_usd=given["paid_usd"],
                actor=actor(request),
            )
        except WfloServerError as error:
            form.refuse(error)
        else:
            messages.success(request, f"{team.name} has {entry.after:,} credits now, {entry.before:,} before.")
            return redirect("credits")
    return _page(request, add_form=form)


@require_POST
def change(request: HttpRequest) -> HttpResponse:
    team = seat_for(request, Role.OPERATOR).team
    form = AccountForm.of(request, auto_id="terms_%s")
    if form.is_valid():
        try:
            credits.set_terms(team, actor=actor(request), **form.cleaned_data)
        except WfloServerError as error:
            form.refuse(error)
        else:
            messages.success(request, "The terms are changed. They hold for jobs that end from now on.")
            return redirect("credits")
    return _page(request, terms_form=form)


def _page(
    request: HttpRequest, *, add_form: PageForm | None = None, terms_form: PageForm | None = None
) -> HttpResponse:
    team = seat_for(request).team
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and int(text) <= _ID_MAX else None
    found = credit_page(team, before=before, limit=settings.LIMITS["page_rows"])
    may_change = may(request, Role.OPERATOR)
    context: dict[str, object] = {"team": team, "page": found, "before": before, "may_change": may_change}
    if found.account is not None and may_change:
        context["add_form"] = add_form or AddForm(auto_id="add_%s")
        shown = AccountForm.showing(found.account)
        shown.auto_id = "terms_%s"
        context["terms_form"] = terms_form or shown
    is_wrong = add_form is not None or terms_form is not None
    return render(request, "dashboards/credits.html", context, status=422 if is_wrong else 200)
