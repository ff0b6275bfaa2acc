"""What admins do to a budget: change it, raise it for a while, put right what it spent, archive it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from dashboards import numbers
from dashboards.access import actor, admin_team_for, may
from dashboards.budget_forms import AdjustForm, ChangeBudgetForm, RaiseForm
from dashboards.budget_words import until
from dashboards.views.budget import shown
from tracking.errors import Invalid
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand, budget_of, zone_of
from tracking.models import Budget, Team
from tracking.teams import Role


@require_POST
def change(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    team, budget, hand = _asked(request, budget_id)
    form = ChangeBudgetForm.of(request, auto_id="change_%s")
    if not form.is_valid():
        return shown(request, budget_id, changing=form)
    try:
        changed = verbs.change(budget, team, hand, form.values())
    except Invalid as error:
        form.refuse(error)
        return shown(request, budget_id, changing=form)
    messages.success(request, f"{changed.name} is changed.")
    return redirect("budget", budget.pk)


@require_POST
def lift(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    """Lets more be spent for a while."""
    team, budget, hand = _asked(request, budget_id)
    form = RaiseForm.of(request, auto_id="raise_%s")
    if not form.is_valid():
        return shown(request, budget_id, raising=form)
    given = form.values(budget, team)
    try:
        verbs.raise_until(budget, team, hand, **given)
    except Invalid as error:
        form.refuse(error)
        return shown(request, budget_id, raising=form)
    said = until(given["until"], zone_of(budget, team), given["until"])
    messages.success(request, f"{budget.name} is raised. The raise ends {said}.")
    return redirect("budget", budget.pk)


@require_POST
def end_raise(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    team, budget, hand = _asked(request, budget_id)
    verbs.end_raise(budget, team, hand)
    messages.success(request, f"The limit of {budget.name} is the limit again.")
    return redirect("budget", budget.pk)


@require_POST
def adjust(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    team, budget, hand = _asked(request, budget_id)
    form = AdjustForm.of(request, auto_id="adjust_%s")
    if not form.is_valid():
        return shown(request, budget_id, adjusting=form)
    try:
        done = verbs.adjust(budget, team, hand, **form.values())
    except Invalid as error:
        form.refuse(error)
        return shown(request, budget_id, adjusting=form)
    messages.success(request, f"Adjusted: {numbers.usd(done.spent_usd)} is spent in this window now.")
    return redirect("budget", budget.pk)


@require_POST
def archive(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    team, budget, hand = _asked(request, budget_id)
    if request.POST.get("sure") != "yes":
        raise Invalid("Say that you are sure.", field="sure")
    if verbs.archive(budget, team, hand):
        messages.success(request, f"{budget.name} is archived. It binds no call any more, and its ledger stays.")
    else:
        messages.warning(request, f"{budget.name} was archived before.")
    return redirect("budgets")


def _asked(request: HttpRequest, budget_id: UUID) -> tuple[Team, Budget, Hand]:
    """The budget and who acts. Raises PermissionDenied, NotFound."""
    team = admin_team_for(request)
    return team, budget_of(team, budget_id), Hand(actor(request), may(request, Role.OWNER))
