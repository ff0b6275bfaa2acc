"""All budgets: how each stands and where it is going; the form that makes one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards import numbers
from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.budget_cards import Card, card, stand
from dashboards.budget_forms import PRESETS, NewBudgetForm
from dashboards.budget_words import MODE_NOTES
from dashboards.frame import is_fragment
from tracking.errors import Invalid
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand
from tracking.models import Team
from tracking.reports.agents import colours
from tracking.reports.budgets import budget_list
from tracking.teams import Role
from tracking.usage.query import usage

_DEPTHS = {"organization": 0, "team": 1}  # a call must fit every budget above it
_SPENT_DAYS = 30
NAMES_OFFERED = 50


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the list alone. ``archived=1`` shows those given up."""
    team, now = seat_for(request).team, datetime.now(UTC)
    archived = request.GET.get("archived") == "1"
    cursor = request.GET.get("cursor")
    most = settings.LIMITS["page_rows_max"]
    found = budget_list(team, archived=archived, limit=most, cursor=cursor, now=now)
    cards = _in_order([card(line, now) for line in found.lines])
    context = {
        "team": team,
        "now": now,
        "cards": cards,
        "stand": stand(cards),
        "archived": archived,
        "next_cursor": found.next_cursor,
        "is_live": not archived and not cursor,
        "may_set": may(request, Role.ADMIN),
    }
    if is_fragment(request):
        return render(request, "dashboards/_budgets.html", context)
    if not cards and not archived and context["may_set"]:
        context |= _asking(request, team, NewBudgetForm(rules_organization=may(request, Role.OWNER)), now)
    return render(request, "dashboards/budgets.html", context)


@require_GET
def new(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    form = NewBudgetForm(
        initial={"scope_kind": request.GET.get("scope", "team"), "scope_id": request.GET.get("id", "")},
        rules_organization=may(request, Role.OWNER),
    )
    return _form_page(request, team, form)


@require_POST
def make(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    rules = may(request, Role.OWNER)
    form = NewBudgetForm(request.POST, rules_organization=rules)
    if not form.is_valid():
        return _form_page(request, team, form)
    try:
        made = verbs.create(team, Hand(actor(request), rules), **form.values())
    except Invalid as error:
        form.refuse(error)
        return _form_page(request, team, form)
    opened = made.opening
    before = f" It begins with {numbers.usd(opened.usd)} used in this window before." if opened.usd else ""
    messages.success(request, f"{made.budget.name} holds from now on.{before}")
    return redirect("budget", made.budget.pk)


def _form_page(request: HttpRequest, team: Team, form: NewBudgetForm) -> HttpResponse:
    context = {"team": team, **_asking(request, team, form, datetime.now(UTC))}
    return render(request, "dashboards/budget_new.html", context, status=422 if form.errors else 200)


def _asking(request: HttpRequest, team: Team, form: NewBudgetForm, now: datetime) -> dict[str, object]:
    """What the form is drawn with: what was spent lately says which limit makes sense."""
    spent = usage([team.pk], start=now - timedelta(days=_SPENT_DAYS), end=now).totals.cost_usd
    return {
        "form": form,
        "presets": [(preset, numbers.usd(Decimal(preset)).removesuffix(".00")) for preset in PRESETS],
        "spent_lately": spent,
        "spent_days": _SPENT_DAYS,
        "agents": sorted(colours(team))[:NAMES_OFFERED],
        "mode_notes": MODE_NOTES,
        "is_told_all": bool(form.errors) or request.path.endswith("/new"),
    }


def _in_order(cards: Sequence[Card]) -> list[Card]:
    """The widest first, and of those the oldest: a row stays where it was."""
    return sorted(cards, key=lambda one: _DEPTHS.get(one.row.scope_kind, 2))
