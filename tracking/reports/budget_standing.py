"""How budgets stand: what is spent, held and free in the present window of each, by the subject nearest to its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection

from tracking.errors import Invalid
from tracking.ledger.budgets import has_subjects, period_team
from tracking.models import ApiKey, Budget, Team
from tracking.reports.runs import page_rows
from tracking.sql import statements

SUBJECTS_COUNTED = 10_000
_SALT = "tracking.reports.budget_standing"
_HUNDRED = Decimal(100)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One subject of a budget in one window. Limits are those in force, a raise included; None: there is none.

    ``starts_at`` None: since ever; ``ends_at`` None: it never ends.
    """

    subject: str
    starts_at: datetime | None
    ends_at: datetime | None
    limit_usd: Decimal | None
    limit_tokens: int | None
    spent_usd: Decimal = _ZERO
    held_usd: Decimal = _ZERO
    spent_tokens: int = 0
    held_tokens: int = 0

    @property
    def free_usd(self) -> Decimal | None:
        """What new calls may still hold; None without a limit in USD."""
        return None if self.limit_usd is None else max(self.limit_usd - self.spent_usd - self.held_usd, _ZERO)

    @property
    def free_tokens(self) -> int | None:
        return None if self.limit_tokens is None else max(self.limit_tokens - self.spent_tokens - self.held_tokens, 0)

    @property
    def spent_percent(self) -> Decimal:
        """Of the limit that is nearest; of a limit of nothing, all of it."""
        return max(_percents((self.spent_usd, self.limit_usd), (self.spent_tokens, self.limit_tokens)))

    @property
    def held_percent(self) -> Decimal:
        return max(_percents((self.held_usd, self.limit_usd), (self.held_tokens, self.limit_tokens)))

    @property
    def is_exhausted(self) -> bool:
        """Whether as much is spent as may be; what is held may yet come back."""
        usd = self.limit_usd is not None and self.spent_usd >= self.limit_usd
        return usd or (self.limit_tokens is not None and self.spent_tokens >= self.limit_tokens)


def _percents(*pairs: tuple[Decimal | int, Decimal | int | None]) -> list[Decimal]:
    return [_HUNDRED * amount / limit if limit else _HUNDRED for amount, limit in pairs if limit is not None] or [_ZERO]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetRow:
    """A budget and how it stands: ``standing`` is that of the subject nearest to its limit.

    ``subjects``: how many have used something in this window, SUBJECTS_COUNTED + 1 for more; ``is_many``: whether it is
    kept for each of many. ``scope_name``: what people call the scope; "" where there is but one of the kind.
    """

    id: UUID
    name: str
    scope_kind: str
    scope_id: str
    scope_name: str
    window: str
    mode: str
    limit_usd: Decimal | None
    limit_tokens: int | None
    alert_at: tuple[int, ...]
    raised_usd: Decimal | None
    raised_tokens: int | None
    raised_until: datetime | None  # None: no raise is in force
    created_at: datetime
    archived_at: datetime | None
    zone: str
    is_many: bool
    subjects: int
    standing: Standing


def standings(team: Team, budgets: Sequence[Budget]) -> list[BudgetRow]:
    """The rows of ``budgets``, in their order, in one question."""
    if not budgets:
        return []
    parameters: dict[str, Any] = {
        "budgets": [budget.pk for budget in budgets],
        "zone": team.time_zone,
        "most": SUBJECTS_COUNTED + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("budget_reports")["standings"], parameters)
        found = {row[0]: row[1:] for row in cursor.fetchall()}
    names = _key_names(team, budgets)
    now = datetime.now(UTC)
    return [_row(team, budget, found[budget.pk], names, now) for budget in budgets]


def _row(team: Team, budget: Budget, found: Sequence[Any], names: Mapping[str, str], now: datetime) -> BudgetRow:
    starts_at, ends_at, subject, spent_usd, held_usd, spent_tokens, held_tokens, subjects = found
    limit_usd, limit_tokens = limits(budget, now)
    is_raised = budget.raised_until is not None and budget.raised_until > now
    return BudgetRow(
        id=budget.pk,
        name=budget.name,
        scope_kind=budget.scope_kind,
        scope_id=budget.scope_id,
        scope_name=names.get(budget.scope_id, budget.scope_id),
        window=budget.window,
        mode=budget.mode,
        limit_usd=budget.limit_usd,
        limit_tokens=budget.limit_tokens,
        alert_at=tuple(budget.alert_at),
        raised_usd=budget.raised_usd if is_raised else None,
        raised_tokens=budget.raised_tokens if is_raised else None,
        raised_until=budget.raised_until if is_raised else None,
        created_at=budget.created_at,
        archived_at=budget.archived_at,
        zone="UTC" if budget.team_id is None else team.time_zone,
        is_many=has_subjects(budget),
        subjects=subjects,
        standing=Standing(
            subject=(budget.scope_id if not has_subjects(budget) else "") if subject is None else subject,
            starts_at=starts_at,
            ends_at=ends_at,
            limit_usd=limit_usd,
            limit_tokens=limit_tokens,
            spent_usd=spent_usd or _ZERO,
            held_usd=held_usd or _ZERO,
            spent_tokens=spent_tokens or 0,
            held_tokens=held_tokens or 0,
        ),
    )


def limits(budget: Budget, now: datetime) -> tuple[Decimal | None, int | None]:
    """In USD and in tokens, as they are in force: a raise lifts only a limit that is there."""
    usd, tokens = budget.limit_usd, budget.limit_tokens
    if budget.raised_until is not None and budget.raised_until > now:
        usd = None if usd is None else usd + (budget.raised_usd or 0)
        tokens = None if tokens is None else tokens + (budget.raised_tokens or 0)
    return usd, tokens


def _key_names(team: Team, budgets: Sequence[Budget]) -> dict[str, str]:
    ids = {budget.scope_id for budget in budgets if budget.scope_kind == Budget.Scope.KEY and budget.scope_id}
    if not ids:
        return {}
    return {str(pk): name for pk, name in ApiKey.objects.filter(team=team, pk__in=ids).values_list("pk", "name")}


# --- all subjects of one ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SubjectPage:
    subjects: list[Standing]
    next_cursor: str | None


def subjects(
    row: BudgetRow, budget: Budget, *, limit: int | None = None, cursor: str | None = None, look: int | None = None
) -> SubjectPage:
    """One page of a budget's subjects in its present window, the nearest to its limit first. Raises Invalid.

    ``look``: only at so many of those that passed the highest thresholds, for a first glance.
    """
    rows_max = page_rows(limit)
    share, after = _read_cursor(cursor)
    standing = row.standing
    parameters: dict[str, Any] = {
        "team": period_team(budget), "budget": row.id, "ends_at": standing.ends_at, "limit_usd": standing.limit_usd,
        "limit_tokens": standing.limit_tokens, "share": share, "subject": after, "limit": rows_max + 1,
        "look": look,
    }  # fmt: skip
    with connection.cursor() as db:
        db.execute(statements("budget_reports")["subjects"], parameters)
        found = db.fetchall()
    page = [
        Standing(
            subject=subject, starts_at=standing.starts_at, ends_at=standing.ends_at, limit_usd=standing.limit_usd,
            limit_tokens=standing.limit_tokens, spent_usd=spent_usd, held_usd=held_usd, spent_tokens=spent_tokens,
            held_tokens=held_tokens,
        )
        for subject, spent_usd, held_usd, spent_tokens, held_tokens, _ in found[:rows_max]
    ]  # fmt: skip
    if len(found) <= rows_max:
        return SubjectPage(page, None)
    return SubjectPage(page, signing.dumps([str(found[rows_max - 1][-1]), page[-1].subject], salt=_SALT))


def _read_cursor(cursor: str | None) -> tuple[Decimal | None, str]:
    if not cursor:
        return None, ""
    try:
        share, subject = signing.loads(cursor[:2_000], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        raise Invalid("This cursor is not one this server gave.", field="cursor") from None
    return Decimal(share), subject
