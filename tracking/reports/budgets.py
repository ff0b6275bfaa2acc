"""Budgets: how each stands, where it is going, what it spent before, what is under way, and who moved what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core import signing
from django.db import connection
from django.db.models import Q

from tracking.errors import Invalid
from tracking.ledger.budgets import budget_of, budgets_of, period_team, teams_in
from tracking.models import Budget, Team
from tracking.reports.budget_entries import ALL, EntryFilter, EntryPage, HoldPage, entries, holds, teams_seen
from tracking.reports.budget_outlook import HOUR, HOURS_BACK, Clock, Outlook, Past, outlook, pasts
from tracking.reports.budget_standing import SUBJECTS_COUNTED, BudgetRow, Standing, standings, subjects
from tracking.reports.runs import page_rows
from tracking.sql import statements

DAYS_SHOWN = 42
WINDOWS_SHOWN = 12
SUBJECTS_SHOWN = 20
SUBJECTS_LOOKED_AT = 500
ENTRIES_LOOKED_AT = 20_000
_SALT = "tracking.reports.budgets"
_WINDOW_DAYS = {Budget.Window.DAY: 1, Budget.Window.WEEK: 7, Budget.Window.MONTH: 31}


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """A budget of the list. ``exhausted_at``: when it was used up, or will be at this pace; None: not in this window."""

    row: BudgetRow
    outlook: Outlook

    @property
    def exhausted_at(self) -> datetime | None:
        return self.outlook.exhausted_at


@dataclass(frozen=True, slots=True)
class BudgetList:
    lines: list[BudgetLine]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class PastWindow:
    """``starts_at`` None: since ever. ``subjects``: how many used something in it."""

    starts_at: datetime | None
    ends_at: datetime | None
    spent_usd: Decimal
    spent_tokens: int
    subjects: int


@dataclass(frozen=True, slots=True)
class SpentDay:
    """A day of the budget's time zone. Days are of usage where it is kept by the scope, else of the ledger's entries."""

    day: date
    usd: Decimal
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPage:
    """``is_organizations``: of all teams; ``entries`` and ``holds`` are then those of the team, unless all are seen."""

    line: BudgetLine
    budget: Budget
    is_organizations: bool
    subjects: list[Standing]  # of one kept for each of many: the nearest to the limit
    windows: list[PastWindow]  # newest first, the present one too
    days: list[SpentDay]  # oldest first
    holds: HoldPage
    entries: EntryPage


def budget_list(
    team: Team, *, archived: bool = False, limit: int | None = None, cursor: str | None = None, now: datetime | None = None
) -> BudgetList:  # fmt: skip
    """The team's budgets and its organization's, oldest first. Raises Invalid for a cursor of another server."""
    rows_max = page_rows(limit)
    found = budgets_of(team).filter(archived_at__isnull=not archived).order_by("created_at", "id")
    if cursor:
        at, id = _read_cursor(cursor)
        found = found.filter(Q(created_at__gt=at) | Q(created_at=at, pk__gt=id))
    budgets = list(found[: rows_max + 1])
    page = budgets[:rows_max]
    lines = _lines(team, page, now or datetime.now(UTC))
    if len(budgets) <= rows_max:
        return BudgetList(lines, None)
    last = page[-1]
    return BudgetList(lines, signing.dumps([last.created_at.isoformat(), last.pk.hex], salt=_SALT))


def budget_line(team: Team, id: object, *, now: datetime | None = None) -> BudgetLine:
    """One budget with its back-test. Raises NotFound, for another team's budget too."""
    return _line(team, budget_of(team, id), now or datetime.now(UTC))[0]


def budget_glance(team: Team, budget: Budget, *, now: datetime | None = None) -> BudgetLine:
    """The same as the list has it: without the back-test, which is most of the work."""
    return _lines(team, [budget], now or datetime.now(UTC))[0]


def budget_page(
    team: Team, id: object, *, sees_organization: bool = False, only: EntryFilter = ALL, cursor: str | None = None,
    now: datetime | None = None,
) -> BudgetPage:  # fmt: skip
    """Everything of one budget. Raises NotFound, for another team's budget too."""
    now = now or datetime.now(UTC)
    budget = budget_of(team, id)
    line, past = _line(team, budget, now)
    seen = teams_seen(team, budget, sees_organization=sees_organization)
    many = (
        subjects(line.row, budget, limit=SUBJECTS_SHOWN, look=SUBJECTS_LOOKED_AT).subjects if line.row.is_many else []
    )
    return BudgetPage(
        line=line,
        budget=budget,
        is_organizations=budget.team_id is None,
        subjects=many,
        windows=_windows(budget, line.row, now),
        days=_days(budget, line.row, past, seen, now),
        holds=holds(seen, budget),
        entries=entries(seen, budget, only=only, cursor=cursor),
    )


# --- lines -----------------------------------------------------------------------------------------------------------


def _lines(team: Team, budgets: Sequence[Budget], now: datetime) -> list[BudgetLine]:
    rows = standings(team, budgets)
    past = pasts(team, _organization(team, budgets), rows, now)
    clocks = {zone: Clock(zone, now) for zone in {row.zone for row in rows}}
    lines = []
    for budget, row in zip(budgets, rows, strict=True):
        key = (row.scope_kind, row.standing.subject)
        told = outlook(row, past.get(key), clocks[row.zone], with_back_test=False)
        lines.append(BudgetLine(row, _with_past_end(told, team, budget, row)))
    return lines


def _line(team: Team, budget: Budget, now: datetime) -> tuple[BudgetLine, Past | None]:
    (row,) = standings(team, [budget])
    past = pasts(team, _organization(team, [budget]), [row], now, hours=HOURS_BACK)
    found = past.get((row.scope_kind, row.standing.subject))
    told = outlook(row, found, Clock(row.zone, now))
    return BudgetLine(row, _with_past_end(told, team, budget, row)), found


def _organization(team: Team, budgets: Sequence[Budget]) -> list[int]:
    """The teams of the organization, where a budget of it is asked about."""
    if all(budget.team_id is not None for budget in budgets):
        return []
    return teams_in(team.organization_id)


def _with_past_end(told: Outlook, team: Team, budget: Budget, row: BudgetRow) -> Outlook:
    """Of a budget that is used up: when it was, as far as its newest entries tell."""
    if not row.standing.is_exhausted:
        return told
    at = _passed_at(teams_seen(team, budget, sees_organization=True), budget, row.standing)
    return replace(told, exhausted_at=at, exhausted_early_at=None)


def _passed_at(team_ids: Sequence[int], budget: Budget, standing: Standing) -> datetime | None:
    limits: list[tuple[Decimal | None, int | None]] = []
    if standing.limit_usd is not None and standing.spent_usd >= standing.limit_usd:
        limits.append((standing.limit_usd, None))
    if standing.limit_tokens is not None and standing.spent_tokens >= standing.limit_tokens:
        limits.append((None, standing.limit_tokens))
    times = []
    with connection.cursor() as cursor:
        for usd, tokens in limits:
            parameters: dict[str, Any] = {
                "teams": list(team_ids), "budget": budget.pk, "subject": standing.subject, "starts_at": standing.starts_at,
                "limit_usd": usd, "limit_tokens": tokens, "spent_usd": standing.spent_usd,
                "spent_tokens": standing.spent_tokens, "limit": settings.LIMITS["page_rows_max"],
            }  # fmt: skip
            cursor.execute(statements("budget_reports")["passed"], parameters)
            times += [row[0] for row in cursor.fetchall()]
    return min(times, default=None)


# --- the past --------------------------------------------------------------------------------------------------------


def _windows(budget: Budget, row: BudgetRow, now: datetime) -> list[PastWindow]:
    """The last WINDOWS_SHOWN with any spending; none for a budget of very many, and of a window that never ends the one."""
    days = _WINDOW_DAYS.get(Budget.Window(budget.window))
    if row.subjects > SUBJECTS_COUNTED:
        return []
    if days is None:
        used = row.standing.spent_usd or row.standing.spent_tokens
        return (
            [PastWindow(None, None, row.standing.spent_usd, row.standing.spent_tokens, 1)]
            if used and not row.is_many
            else []
        )
    since = now - timedelta(days=days * WINDOWS_SHOWN)
    parameters: dict[str, Any] = {
        "team": period_team(budget), "budget": budget.pk, "since": since, "limit": WINDOWS_SHOWN
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statements("budget_reports")["windows"], parameters)
        return [PastWindow(*row) for row in cursor.fetchall()]


def _days(budget: Budget, row: BudgetRow, past: Past | None, team_ids: Sequence[int], now: datetime) -> list[SpentDay]:
    """The last DAYS_SHOWN days, those without spending too; none where nothing was ever spent."""
    zone = ZoneInfo(row.zone)
    today = now.astimezone(zone).date()
    sums: dict[date, tuple[Decimal, int]] = {}
    if past is not None:
        hours = [*zip(past.usd, past.tokens, strict=True), past.begun]
        for place, (usd, tokens) in enumerate(hours):
            day = (past.starts_at + HOUR * place).astimezone(zone).date()
            before = sums.get(day, (Decimal(0), 0))
            sums[day] = (before[0] + usd, before[1] + tokens)
    else:
        sums = _days_of_entries(budget, row, team_ids, now)
    if not sums:
        return []
    days = [today - timedelta(days=i) for i in range(DAYS_SHOWN - 1, -1, -1)]
    return [SpentDay(day, *sums.get(day, (Decimal(0), 0))) for day in days]


def _days_of_entries(
    budget: Budget, row: BudgetRow, team_ids: Sequence[int], now: datetime
) -> dict[date, tuple[Decimal, int]]:
    parameters: dict[str, Any] = {
        "teams": list(team_ids), "budget": budget.pk, "zone": row.zone, "limit": ENTRIES_LOOKED_AT,
        "since": now - timedelta(days=DAYS_SHOWN),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statements("budget_reports")["days"], parameters)
        return {day: (usd, tokens) for day, usd, tokens in cursor.fetchall()}


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        at, id = signing.loads(cursor[:500], salt=_SALT)
        return datetime.fromisoformat(at), id
    except (signing.BadSignature, ValueError, UnicodeError, TypeError):
        raise Invalid("This cursor is not one this server gave.", field="cursor") from None
