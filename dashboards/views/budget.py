"""One budget: how it stands, where it is going, what it spent, who moved what, and what another limit would have done.

One address says everything (``kind``, ``agent``, ``model``, ``cursor`` of the ledger; ``limit``, ``days``, ``mode`` of what-if).
htmx asks the same address for a part of it, named by its target; opened in a browser, each shows the whole page.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards import budget_figures, numbers
from dashboards.access import may, seat_for
from dashboards.budget_cards import Bar, Card, Measured, bar, card, forecast_of, nearest, rough
from dashboards.budget_forms import AdjustForm, ChangeBudgetForm, RaiseForm
from dashboards.budget_words import KIND_WORDS, MODE_NOTES, until
from dashboards.csv_rows import Cell, csv_text
from dashboards.forms import PageForm
from tracking.errors import Invalid
from tracking.ledger.budgets import budget_of
from tracking.models import Budget, LedgerEntry, Team
from tracking.reports.agents import colours
from tracking.reports.budget_entries import Entry, EntryFilter, HoldPage, entries, holds, key_names, teams_seen
from tracking.reports.budget_outlook import Range
from tracking.reports.budget_standing import Standing
from tracking.reports.budgets import BudgetLine, BudgetPage, budget_glance, budget_page
from tracking.reports.what_if import WhatIf, what_if
from tracking.teams import Role

PARTS = {"budget-now": "now", "budget-ledger": "ledger", "what-if-said": "what_if"}
EXPORT_ROWS = 10_000
WHAT_IF_DAYS = (7, 30, 92)
_TEXT_MAX = 200


@require_GET
def page(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    return shown(request, budget_id)


def shown(
    request: HttpRequest, budget_id: UUID, *, changing: PageForm | None = None, raising: PageForm | None = None,
    adjusting: PageForm | None = None,
) -> HttpResponse:  # fmt: skip
    """The page, or for htmx a part; with a form that found fault, the page with that form open."""
    team, now = seat_for(request).team, datetime.now(UTC)
    budget = budget_of(team, budget_id)
    part = _part(request)
    if part == "now":
        return render(request, "dashboards/_budget_now.html", _now(request, team, budget, now))
    if part == "what_if":
        return render(request, "dashboards/_what_if.html", {"budget": budget, **_what_if(request, team, budget)})
    only = _only(request)
    seen = teams_seen(team, budget, sees_organization=may(request, Role.OWNER))
    if part == "ledger":
        ledger = entries(seen, budget, only=only, cursor=request.GET.get("cursor"))
        context = _ledger(request, team, budget, seen, only, ledger.entries, ledger.next_cursor)
        return render(request, "dashboards/_budget_ledger.html", context)
    found = budget_page(
        team,
        budget_id,
        sees_organization=may(request, Role.OWNER),
        only=only,
        cursor=request.GET.get("cursor"),
        now=now,
    )
    drawn = card(found.line, now)
    context = {
        **_standing(request, team, budget, drawn, found.holds, now),
        **_ledger(request, team, budget, seen, only, found.entries.entries, found.entries.next_cursor),
        **_what_if(request, team, budget),
        **_past(found, drawn, now),
        **_forms(budget, found.line, changing, raising, adjusting),
    }
    context["opened"] = context["opened"] or request.GET.get("act", "")
    has_fault = any(form is not None for form in (changing, raising, adjusting))
    return render(request, "dashboards/budget.html", context, status=422 if has_fault else 200)


@require_GET
def ledger_csv(request: HttpRequest, budget_id: UUID) -> HttpResponse:
    """The ledger as CSV with the filters of the page, EXPORT_ROWS at most."""
    team = seat_for(request).team
    budget = budget_of(team, budget_id)
    seen = teams_seen(team, budget, sees_organization=may(request, Role.OWNER))
    found: list[Entry] = []
    cursor: str | None = None
    while len(found) < EXPORT_ROWS:
        part = entries(seen, budget, only=_only(request), limit=settings.LIMITS["page_rows_max"], cursor=cursor)
        found += part.entries
        cursor = part.next_cursor
        if cursor is None:
            break
    rows = csv_text(_EXPORTED, map(_exported, found[:EXPORT_ROWS]))
    response = HttpResponse(rows, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="ledger-{budget.pk}.csv"'
    return response


_EXPORTED = ("id", "at", "kind", "usd", "tokens", "key_id", "run", "agent", "model", "end_user", "is_estimated",
             "subject", "window_start", "actor", "reason")  # fmt: skip


def _exported(entry: Entry) -> list[Cell]:
    values = (getattr(entry, name) for name in _EXPORTED)
    return [value.isoformat() if isinstance(value, datetime) else value for value in values]


def _part(request: HttpRequest) -> str:
    htmx = getattr(request, "htmx", None)
    if not htmx or htmx.history_restore_request:
        return ""
    return PARTS.get(htmx.target or "", "")


def _only(request: HttpRequest) -> EntryFilter:
    kind = request.GET.get("kind", "")
    if kind and kind not in LedgerEntry.Kind.values:
        raise Invalid(f"kind is one of {', '.join(LedgerEntry.Kind.values)}.", field="kind")
    return EntryFilter(kind, *(_clean(request.GET.get(name, "")) for name in ("agent", "model")))


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()[:_TEXT_MAX]


# --- parts -----------------------------------------------------------------------------------------------------------


def _now(request: HttpRequest, team: Team, budget: Budget, now: datetime) -> dict[str, Any]:
    """Standing and holds without what costs more: asked every few seconds."""
    seen = teams_seen(team, budget, sees_organization=may(request, Role.OWNER))
    return _standing(request, team, budget, card(budget_glance(team, budget, now=now), now), holds(seen, budget), now)


def _standing(
    request: HttpRequest, team: Team, budget: Budget, drawn: Card, held: HoldPage, now: datetime
) -> dict[str, Any]:
    is_above = budget.team_id is None
    return {
        "team": team,
        "budget": budget,
        "card": drawn,
        "now": now,
        "holds": held.holds,
        "more_holds": held.next_cursor is not None,
        "colours": colours(team) if held.holds else {},
        "is_live": budget.archived_at is None,
        "is_above": is_above,
        "may_set": may(request, Role.OWNER if is_above else Role.ADMIN) and budget.archived_at is None,
        "mode_note": MODE_NOTES[budget.mode],
    }


def _ledger(
    request: HttpRequest, team: Team, budget: Budget, seen: list[int], only: EntryFilter, found: list[Entry],
    next_cursor: str | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "team": team,
        "budget": budget,
        "only": only,
        "is_filtered": bool(only.kind or only.agent or only.model),
        "lines": found,
        "next_cursor": next_cursor,
        "key_names": key_names(seen, {entry.key_id for entry in found}),
        "kind_words": KIND_WORDS,
        "has_tokens": budget.limit_tokens is not None,
        "is_many": any(entry.subject != budget.scope_id for entry in found),
        "is_continued": bool(request.GET.get("cursor")),
    }


def _what_if(request: HttpRequest, team: Team, budget: Budget) -> dict[str, Any]:
    """A budget over all teams is replayed only for who may see all their calls."""
    rules = may(request, Role.OWNER)
    if budget.team_id is None and not rules:
        return {"may_replay": False}
    in_usd = budget.limit_usd is not None
    asked = _clean(request.GET.get("limit", ""))[:40]
    field = "limit_usd" if in_usd else "limit_tokens"
    limits: dict[str, Any] = {field: asked or None}
    is_asked = any(request.GET.get(name) for name in ("limit", "days", "mode"))
    told: WhatIf | None = None
    error = ""
    try:
        if is_asked:  # a replay reads many entries
            told = what_if(
                teams_seen(team, budget, sees_organization=rules), budget,
                mode=request.GET.get("mode") or None, days=_days(request), **limits,
            )  # fmt: skip
    except Invalid as fault:
        error = fault.message
    limit = budget.limit_usd if in_usd else Decimal(budget.limit_tokens or 0)
    return {
        "may_replay": True,
        "what_if": told,
        "what_if_error": error,
        "what_if_limit": asked or numbers.exact(limit),
        "what_if_most": numbers.exact((limit or Decimal(1)) * 2),
        "what_if_step": numbers.exact((limit or Decimal(1)) / 50) if in_usd else 1,
        "what_if_days": WHAT_IF_DAYS,
        "what_if_unit": "USD" if in_usd else "tokens",
    }


def _days(request: HttpRequest) -> int | None:
    text = request.GET.get("days", "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 4:
        raise Invalid("days is a whole number.", field="days")
    return int(text)


def _past(found: BudgetPage, drawn: Card, now: datetime) -> dict[str, Any]:
    outlook, zone = found.line.outlook, found.line.row.zone
    ranged = forecast_of(outlook, drawn.main.unit)
    most = max((window.spent_usd for window in found.windows), default=Decimal(0))
    early = outlook.exhausted_early_at
    return {
        "figure": budget_figures.chart(drawn, found.days, now),
        "is_by_day": budget_figures.is_by_day(drawn),
        "outlook": outlook,
        "ranged": ranged,
        "range_words": _range_words(ranged, drawn) if ranged else [],
        "exhausted": until(outlook.exhausted_at, zone, now) if outlook.exhausted_at else "",
        "exhausted_early": until(early, zone, now) if early else "",
        "windows": [(window, float(window.spent_usd / most) if most else 0.0) for window in found.windows],
        "subjects": [_subject(one) for one in found.subjects],
    }


def _range_words(ranged: Range, drawn: Card) -> list[str]:
    return ["" if one is None else rough(one, drawn.main) for one in (ranged.p10, ranged.p50, ranged.p90)]


def _subject(standing: Standing) -> tuple[Standing, Measured, Bar]:
    main = nearest(standing)
    return standing, main, bar(main)


def _forms(
    budget: Budget, line: BudgetLine, changing: PageForm | None, raising: PageForm | None, adjusting: PageForm | None
) -> dict[str, Any]:
    more = None if budget.limit_usd is None else numbers.exact((budget.limit_usd / 5).quantize(Decimal("0.01")))
    raised = {"usd": more} if more else {"tokens": (budget.limit_tokens or 0) // 5}
    subject = line.row.standing.subject if line.row.is_many else ""
    return {
        "changing": changing or ChangeBudgetForm.showing(budget),
        "raising": raising or RaiseForm(initial=raised, auto_id="raise_%s"),
        "adjusting": adjusting or AdjustForm(initial={"subject": subject}, auto_id="adjust_%s"),
        "opened": "change" if changing else "raise" if raising else "adjust" if adjusting else "",
    }
