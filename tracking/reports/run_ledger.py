"""A run's part in the ledger: what was moved for its calls, what is held for those under way, which budgets it draws on.

Calls of sub-agents carry the root run, and stand there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.core import signing
from django.db import connection

from tracking.errors import Invalid
from tracking.ledger.budgets import budgets_of
from tracking.models import Budget, Team
from tracking.reports.budget_entries import Entry, HoldInFlight
from tracking.reports.budget_standing import Standing, limits
from tracking.reports.runs import RunRow, page_rows
from tracking.sql import statements

BUDGETS_SHOWN = 20
ENTRIES_LOOKED_AT = 20_000
_SALT = "tracking.reports.run_ledger"
_ENTRY = tuple(Entry.__dataclass_fields__)
_HOLD = tuple(HoldInFlight.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the run took of one window of a budget, and how that window stands, under the limit as it is now."""

    budget: Budget
    standing: Standing
    usd: Decimal
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLedger:
    """``count``, ``usd`` and ``tokens`` are of all entries, not only of those of this page."""

    entries: list[Entry]
    next_cursor: str | None
    holds: list[HoldInFlight]
    drawn: list[Drawn]
    count: int
    usd: Decimal
    tokens: int


def run_ledger(team: Team, runs: Sequence[RunRow], *, cursor: str | None = None) -> RunLedger:
    """Raises Invalid for a cursor this server did not give."""
    rows_max = page_rows(None)
    asked = {"team": team.pk, "runs": _names(runs), "limit": rows_max + 1}
    found = [Entry(**row) for row in _rows("entries", _ENTRY, {**asked, "before": _read(cursor)})]
    (sums,) = _rows("sums", ("count", "usd", "tokens"), asked)
    page = found[:rows_max]
    return RunLedger(
        entries=page,
        next_cursor=signing.dumps(page[-1].id, salt=_SALT) if len(found) > rows_max else None,
        holds=[HoldInFlight(**row) for row in _rows("holds", _HOLD, asked)],
        drawn=_drawn(team, asked),
        **sums,
    )


def _names(runs: Sequence[RunRow]) -> list[str]:
    """How calls may have named them."""
    return [name for run in runs for name in (run.external_id, run.trace_id.hex) if name]


_WINDOW = (
    "budget",
    "subject",
    "starts_at",
    "ends_at",
    "usd",
    "tokens",
    "spent_usd",
    "held_usd",
    "spent_tokens",
    "held_tokens",
)


def _drawn(team: Team, asked: dict[str, Any]) -> list[Drawn]:
    rows = _rows("budgets", _WINDOW, {**asked, "look": ENTRIES_LOOKED_AT, "limit": BUDGETS_SHOWN})
    budgets = {budget.pk: budget for budget in budgets_of(team).filter(pk__in={row["budget"] for row in rows})}
    now = datetime.now(UTC)
    return [_window(budgets[row["budget"]], row, now) for row in rows if row["budget"] in budgets]


def _window(budget: Budget, row: dict[str, Any], now: datetime) -> Drawn:
    limit_usd, limit_tokens = limits(budget, now)
    standing = Standing(
        subject=row["subject"], starts_at=row["starts_at"], ends_at=row["ends_at"], limit_usd=limit_usd,
        limit_tokens=limit_tokens, spent_usd=row["spent_usd"], held_usd=row["held_usd"],
        spent_tokens=row["spent_tokens"], held_tokens=row["held_tokens"],
    )  # fmt: skip
    return Drawn(budget, standing, row["usd"], row["tokens"])


def _rows(name: str, fields: Sequence[str], parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as db:
        db.execute(statements("run_ledger")[name], parameters)
        return [dict(zip(fields, row, strict=True)) for row in db.fetchall()]


def _read(cursor: str | None) -> int | None:
    if not cursor:
        return None
    try:
        before = signing.loads(cursor[:500], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        before = None
    if not isinstance(before, int):
        raise Invalid("This cursor is not one this server gave for this list.", field="after")
    return before
