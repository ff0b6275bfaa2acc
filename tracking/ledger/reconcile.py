"""Do the budgets' sums agree with the entries and the open holds? A difference is told and noted, never put right here.

Whoever puts it right makes an adjustment, with a name and a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction

from tracking import audit
from tracking.audit import SYSTEM
from tracking.ledger.seal import Break, verify
from tracking.models import Alert, AuditEntry, Budget, Team
from tracking.sql import statements

ACTION = "ledger.drift"


@dataclass(frozen=True, slots=True)
class Drift:
    """A period whose sums are not those of its entries and holds. ``team_id`` 0: of the organization."""

    team_id: int
    budget_id: UUID
    subject: str
    starts_at: datetime
    spent_usd: Decimal
    spent_tokens: int
    entered_usd: Decimal
    entered_tokens: int
    held_usd: Decimal
    held_tokens: int
    open_usd: Decimal
    open_tokens: int

    @property
    def key(self) -> str:
        subject = sha256(self.subject.encode()).hexdigest()[:32] if len(self.subject) > 100 else self.subject
        return f"drift:{self.budget_id}:{subject}:{self.starts_at.astimezone(UTC).isoformat()}"


def reconcile() -> list[Drift]:
    """Look at what was in use within a day; opens an alert and notes each difference. Nothing while another looks."""
    return _look("drift")


def reconcile_everything() -> tuple[list[Drift], dict[int, Break]]:
    """Look at every period, entry by entry, and at every chain; breaks by team id."""
    return _look("drift_everywhere"), _look_at_chains()


def _look(name: str) -> list[Drift]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            if not _begins(cursor):
                return []
            cursor.execute(statements("reconcile")[name], {"limit": settings.LIMITS["drifts_told_at_once"]})
            found = [Drift(*row) for row in cursor.fetchall()]
        for drift in found:
            _tell(drift)
    return found


def _look_at_chains() -> dict[int, Break]:
    """Each chain is read in parts; what is added meanwhile waits for its seal and is none of them."""
    with connection.cursor() as cursor:
        cursor.execute(statements("reconcile")["chains"])
        team_ids = [team_id for (team_id,) in cursor.fetchall()]
    broken = {team_id: found for team_id in team_ids if (found := verify(team_id)) is not None}
    for team_id, found in broken.items():
        with transaction.atomic():
            _open(team_id, None, f"drift:chain:{team_id}", {"chain": asdict(found)})
    return broken


def _begins(cursor: Any) -> bool:
    cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(settings.LIMITS["reconcile_ms"])])
    cursor.execute(statements("reconcile")["alone"])
    return bool(cursor.fetchone()[0])


def _tell(drift: Drift) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements("reconcile")["team_of"], {"team": drift.team_id, "budget": drift.budget_id})
        row = cursor.fetchone()
    budget = Budget.objects.filter(pk=drift.budget_id).first()
    facts = {"budget": budget.name if budget is not None else "", **dict(_texts(asdict(drift).items()))}
    _open(row[0] if row is not None else None, drift, drift.key, facts)


def _open(team_id: int | None, drift: Drift | None, key: str, facts: dict[str, Any]) -> None:
    """An alert that counts, and a line in the log when there is something new to say."""
    team = Team.objects.filter(pk=team_id).first() if team_id is not None else None
    kind, of = ("budget", str(drift.budget_id)) if drift is not None else ("team", str(team_id))
    if team is not None:
        known = (
            Alert.objects.filter(team=team, dedupe_key=key, resolved_at=None).values_list("payload", flat=True).first()
        )
        parameters: dict[str, Any] = {"team": team.pk, "key": key, "payload": orjson.dumps(facts).decode()}
        with connection.cursor() as cursor:
            cursor.execute(statements("reconcile")["open_alert"], parameters)
        is_noted = known == facts
    else:
        noted = AuditEntry.objects.filter(team=None, action=ACTION, object_kind=kind, object_id=of)
        is_noted = noted.filter(after={"found": facts}).exists()
    if not is_noted:
        audit.record(SYSTEM, team, ACTION, kind, of, after={"found": facts})


def _texts(facts: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Amounts to the last digit."""
    for name, value in facts:
        yield name, value if isinstance(value, int) else str(value)
