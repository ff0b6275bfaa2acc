"""A budget's ledger and its holds, as people and programs read them.

A budget of the whole organization is seen by all its teams; of its entries and holds each sees its own, and who rules
the organization sees all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core import signing
from django.db import connection

from tracking.errors import Invalid
from tracking.ledger.budgets import teams_in
from tracking.models import ApiKey, Budget, Team
from tracking.reports.runs import page_rows
from tracking.sql import statements

_SALT = "tracking.reports.budget_entries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Money moved; ``usd`` and ``tokens`` below 0 give back. ``window_start`` None: of a window without a beginning.

    ``actor``: who did it, for what people did. Texts are "" where there is nothing to say.
    """

    id: int
    team_id: int
    at: datetime
    kind: str
    usd: Decimal
    tokens: int
    key_id: str
    run: str
    agent: str
    model: str
    end_user: str
    is_estimated: bool
    reservation_id: UUID | None
    actor: str
    reason: str
    subject: str
    window_start: datetime | None


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Only entries of one kind, agent or model; "" lets all through."""

    kind: str = ""
    agent: str = ""
    model: str = ""


ALL = EntryFilter()


@dataclass(frozen=True, slots=True)
class EntryPage:
    entries: list[Entry]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldInFlight:
    """Money held for a call under way. ``lease_seconds`` below 0: its lease ran out, and it will be closed soon."""

    id: UUID
    team_id: int
    created_at: datetime
    dispatched_at: datetime | None  # None: not sent yet
    lease_until: datetime
    lease_seconds: float
    held_usd: Decimal
    held_tokens: int
    key_id: str
    run: str
    agent: str
    model: str
    end_user: str
    subject: str


@dataclass(frozen=True, slots=True)
class HoldPage:
    holds: list[HoldInFlight]
    next_cursor: str | None


def teams_seen(team: Team, budget: Budget, *, sees_organization: bool = False) -> list[int]:
    """Whose entries of a budget are shown."""
    if budget.team_id is not None or not sees_organization:
        return [team.pk]
    return teams_in(team.organization_id)


def entries(
    team_ids: Sequence[int], budget: Budget, *, only: EntryFilter = ALL, limit: int | None = None,
    cursor: str | None = None,
) -> EntryPage:  # fmt: skip
    """One page, newest first. Raises Invalid for a cursor this server did not give."""
    rows_max = page_rows(limit)
    (before,) = _read(cursor, 1) or (None,)
    wanted = {"before": before, "kind": only.kind, "agent": only.agent, "model": only.model}
    found = [Entry(**row) for row in _rows("entries", _ENTRY, team_ids, budget, rows_max + 1, **wanted)]
    if len(found) <= rows_max:
        return EntryPage(found, None)
    return EntryPage(found[:rows_max], signing.dumps([found[rows_max - 1].id], salt=_SALT))


def holds(team_ids: Sequence[int], budget: Budget, *, limit: int | None = None, cursor: str | None = None) -> HoldPage:
    """One page of calls under way, oldest first. Raises Invalid for a cursor this server did not give."""
    rows_max = page_rows(limit)
    after, after_id = _read(cursor, 2) or (None, None)
    rows = _rows("holds", _HOLD, team_ids, budget, rows_max + 1, after=after, after_id=after_id)
    found = [HoldInFlight(**row) for row in rows]
    if len(found) <= rows_max:
        return HoldPage(found, None)
    last = found[rows_max - 1]
    return HoldPage(found[:rows_max], signing.dumps([last.created_at.isoformat(), last.id.hex], salt=_SALT))


def key_names(team_ids: Sequence[int], ids: set[str]) -> dict[str, str]:
    """What keys of the teams are called, by their ids."""
    if not ids - {""}:
        return {}
    keys = ApiKey.objects.filter(team__in=team_ids, pk__in=ids - {""})
    return {str(pk): name for pk, name in keys.values_list("pk", "name")}


_ENTRY = tuple(Entry.__dataclass_fields__)
_HOLD = tuple(HoldInFlight.__dataclass_fields__)


def _rows(
    name: str, fields: Sequence[str], team_ids: Sequence[int], budget: Budget, limit: int, **more: Any
) -> list[dict[str, Any]]:
    parameters: dict[str, Any] = {"teams": list(team_ids), "budget": budget.pk, "limit": limit, **more}
    with connection.cursor() as db:
        db.execute(statements("budget_reports")[name], parameters)
        return [dict(zip(fields, row, strict=True)) for row in db.fetchall()]


def _read(cursor: str | None, parts: int) -> list[Any] | None:
    """The parts of a cursor as they were given: it is signed."""
    if not cursor:
        return None
    try:
        found: list[Any] = signing.loads(cursor[:500], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        found = []
    if len(found) != parts:
        raise Invalid("This cursor is not one this server gave for this list.", field="cursor")
    return found
