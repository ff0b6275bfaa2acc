"""A team's alerts as people and programs read them: newest first, by kind and standing, and how many are open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core import signing
from django.db.models import Q, QuerySet

from tracking.alerts.words import Words, sentence
from tracking.errors import Invalid
from tracking.models import Alert, Delivery, Destination, Team
from tracking.reports.runs import page_rows

STATES: tuple[str, ...] = ("open", "acknowledged", "resolved")
KINDS: tuple[str, ...] = tuple(Alert.Kind.values)
OPEN_COUNTED_MAX = 100
HISTORY_ROWS = 20
_SALT = "tracking.reports.alerts"
_STATES = {
    "open": Q(resolved_at=None, acknowledged_at=None),
    "acknowledged": Q(resolved_at=None) & ~Q(acknowledged_at=None),
    "resolved": ~Q(resolved_at=None),
}


@dataclass(frozen=True, slots=True)
class AlertRow:
    """``words`` say what happened and what to do; ``facts`` are what they were made of."""

    id: UUID
    kind: str
    severity: str
    words: Words
    run: str
    agent: str
    facts: dict[str, Any]
    times: int
    opened_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    resolved_at: datetime | None
    delivered_at: datetime | None

    @property
    def state(self) -> str:
        if self.resolved_at is not None:
            return "resolved"
        return "open" if self.acknowledged_at is None else "acknowledged"


@dataclass(frozen=True, slots=True)
class AlertPage:
    rows: list[AlertRow]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class OpenAlerts:
    """Open and not acknowledged: at most OPEN_COUNTED_MAX are counted. ``burns``: money goes while nobody acts."""

    count: int
    burns: bool

    @property
    def shown(self) -> str:
        return f"{OPEN_COUNTED_MAX - 1}+" if self.count >= OPEN_COUNTED_MAX else str(self.count or "")


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    event: str
    title: str
    state: str
    attempts: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime


def alert_page(
    team: Team,
    *,
    kinds: Sequence[str] = (),
    states: Sequence[str] = (),
    run: str = "",
    limit: int | None = None,
    cursor: str | None = None,
) -> AlertPage:
    """None of ``kinds`` or ``states`` means any. Raises Invalid naming the field."""
    rows_max = page_rows(limit)
    alerts = _filtered(team, kinds, states, run)
    if cursor:
        opened_at, key = _after(cursor)
        alerts = alerts.filter(Q(opened_at__lt=opened_at) | Q(opened_at=opened_at, pk__lt=key))
    found = list(alerts.select_related("acknowledged_by").order_by("-opened_at", "-pk")[: rows_max + 1])
    rows = [alert_row(alert) for alert in found[:rows_max]]
    has_more = len(found) > rows_max
    return AlertPage(rows, _cursor(rows[-1]) if has_more else None)


def open_alerts(team: Team) -> OpenAlerts:
    newest = Alert.objects.filter(_STATES["open"], team=team).order_by("-opened_at")
    severities = list(newest.values_list("kind", "severity")[:OPEN_COUNTED_MAX])
    burns = any(kind == Alert.Kind.LOOP or severity == Alert.Severity.CRITICAL for kind, severity in severities)
    return OpenAlerts(len(severities), burns)


def counts_by_kind(team: Team, states: Sequence[str]) -> dict[str, int]:
    """Alerts of each kind, for the filters of the page: of the newest LIMIT only, so that it costs the same always."""
    newest = _filtered(team, (), states, "").order_by("-opened_at").values_list("kind", flat=True)[:1000]
    counts: dict[str, int] = {}
    for kind in newest:
        counts[kind] = counts.get(kind, 0) + 1
    return counts


def deliveries_of(destination: Destination) -> list[DeliveryRow]:
    """The last ones, newest first."""
    rows = Delivery.objects.filter(team_id=destination.team_id, destination=destination).order_by("-created_at")
    return [
        DeliveryRow(
            row.event,
            str(row.payload.get("title", "")),
            row.state,
            row.attempts,
            row.error,
            row.created_at,
            row.finished_at,
            row.next_at,
        )
        for row in rows[:HISTORY_ROWS]
    ]


def alert_row(alert: Alert) -> AlertRow:
    return AlertRow(
        id=alert.pk,
        kind=alert.kind,
        severity=alert.severity,
        words=sentence(alert),
        run=alert.run,
        agent=alert.agent,
        facts=alert.payload if isinstance(alert.payload, dict) else {},
        times=alert.times,
        opened_at=alert.opened_at,
        last_at=alert.last_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=str(alert.acknowledged_by) if alert.acknowledged_by else "",
        resolved_at=alert.resolved_at,
        delivered_at=alert.delivered_at,
    )


def _filtered(team: Team, kinds: Sequence[str], states: Sequence[str], run: str) -> QuerySet[Alert]:
    for field, values, known in (("kind", kinds, KINDS), ("state", states, STATES)):
        for value in values:
            if value not in known:
                raise Invalid(f'"{value}" is no {field}; there are {", ".join(known)}', field=field)
    alerts = Alert.objects.filter(team=team)
    if kinds:
        alerts = alerts.filter(kind__in=kinds)
    if states:
        standing = Q()
        for state in states:
            standing |= _STATES[state]
        alerts = alerts.filter(standing)
    return alerts.filter(run=run.replace("\0", "")) if run else alerts


def _cursor(row: AlertRow) -> str:
    return signing.dumps([row.opened_at.isoformat(), row.id.hex], salt=_SALT)


def _after(cursor: str) -> tuple[datetime, UUID]:
    """The cursor is signed: its parts are as they were given."""
    try:
        opened_at, key = signing.loads(cursor[:1_000], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        raise Invalid("This cursor is not one this server gave.", field="cursor") from None
    return datetime.fromisoformat(opened_at), UUID(hex=key)
