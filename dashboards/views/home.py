"""Now: one sentence of state, then the evidence for each of its words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from dashboards import access
from dashboards.budget_cards import card, most_urgent, stand
from dashboards.day_chart import day_chart
from dashboards.frame import is_fragment
from tracking.models import Team
from tracking.reports import home as report
from tracking.reports.budgets import budget_list
from tracking.reports.home import AgentToday
from tracking.teams import Role

SORTS = ("cost", "change")
BUDGETS_SHOWN = 5


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    team = access.team_for(request)
    if not report.has_data(team):
        if team.is_demo:
            return render(
                request, "dashboards/home_waiting.html", {"team": team, "may_change": access.may(request, Role.ADMIN)}
            )
        return HttpResponseRedirect(reverse("onboarding"))
    now = datetime.now(UTC)
    found = report.home(team, now)
    sort = request.GET.get("sort", "") if request.GET.get("sort", "") in SORTS else SORTS[0]
    context = {
        "team": team,
        "home": found,
        "chart": day_chart(found.spend, found.day.hour),
        "agents": sorted(found.agents, key=_change, reverse=True) if sort == "change" else found.agents,
        "sort": sort,
        "sorts": SORTS,
        "live_more": found.live_count - len(found.live),
        "may_change": access.may(request, Role.ADMIN),
        **_money(team, now),
    }
    return render(request, "dashboards/_home.html" if is_fragment(request) else "dashboards/home.html", context)


def _money(team: Team, now: datetime) -> dict[str, Any]:
    """Where the money stands over all budgets, and those of them that matter first."""
    found = budget_list(team, limit=settings.LIMITS["page_rows_max"], now=now)
    cards = [card(line, now) for line in found.lines]
    shown = most_urgent(cards, BUDGETS_SHOWN)
    rest = most_urgent(cards, len(cards))[BUDGETS_SHOWN:]
    fullest = max((int(one.main.share * 100) for one in rest), default=0)
    return {
        "stand": stand(cards),
        "budgets": shown,
        "budget_count": len(cards),
        "more_budgets": len(rest),
        "fullest": fullest,
    }


def _change(agent: AgentToday) -> Decimal:
    """How many dollars more than usual."""
    return (agent.row.cost_usd or Decimal(0)) - (agent.usual_usd or Decimal(0))
