"""Deliveries: what is to be told where. Rows, so that whatever dies they are there for the next who looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count

from tracking.alerts.destinations import wants
from tracking.alerts.events import is_muted
from tracking.alerts.messages import ALERT_EVENT, alert_payload
from tracking.models import Alert, Delivery, Destination
from tracking.sql import statements

# How long to wait after each failed try; after the last one a delivery is given up.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600))
State = Delivery.State


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until its lease is over. ``attempts`` counts this one."""

    id: UUID
    destination_id: UUID
    event: str
    payload: dict[str, Any]
    attempts: int
    created_at: datetime


def fan_out(now: datetime | None = None) -> int:
    """A delivery for each alert not handed over yet and each destination that wants it; how many alerts there were.

    One alert is handed over once, by whoever comes first; others pass it by.
    """
    now = now or datetime.now(UTC)
    with transaction.atomic():
        waiting = Alert.objects.select_for_update(skip_locked=True, no_key=True).filter(delivered_at=None)
        alerts = list(waiting.order_by("opened_at")[: settings.LIMITS["alerts_per_round"]])
        if not alerts:
            return 0
        by_team = _destinations({alert.team_id for alert in alerts})
        room = _room([d for destinations in by_team.values() for d in destinations])
        deliveries = []
        for alert in alerts:
            payload = alert_payload(alert)
            for destination in by_team.get(alert.team_id, ()):
                if wants(destination, alert.kind, alert.severity) and not is_muted(destination, now):
                    deliveries.append(_delivery(alert, destination, payload, now, room))
        Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(delivered_at=now)
    return len(alerts)


def claim(now: datetime | None = None) -> list[Claimed]:
    """What is due, ours for LIMITS["delivery_lease_seconds"]."""
    now = now or datetime.now(UTC)
    limits = settings.LIMITS
    values: dict[str, Any] = {
        "now": now,
        "until": now + timedelta(seconds=limits["delivery_lease_seconds"]),
        "each": limits["deliveries_per_webhook"],
        "gathered": limits["deliveries_gathered"],
        "limit": limits["deliveries_per_round"],
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("alerts")["claim"], values)
        rows = cursor.fetchall()
    claimed = [Claimed(a, b, event, _json(payload), n, at) for a, b, event, payload, n, at in rows]
    return sorted(claimed, key=lambda delivery: (delivery.created_at, delivery.id))


def settle(claimed: Sequence[Claimed], why: Mapping[UUID, str | None], now: datetime | None = None) -> None:
    """``why`` each failed: '' when it arrived, None when it was not tried. Only those still ours are changed."""
    now = now or datetime.now(UTC)
    for delivery in claimed:
        ours = Delivery.objects.filter(pk=delivery.id, attempts=delivery.attempts, state=State.WAITING)
        error = why[delivery.id]
        if error is None:
            ours.update(attempts=delivery.attempts - 1, next_at=now)
        elif not error:
            ours.update(state=State.DELIVERED, error="", finished_at=now)
        elif delivery.attempts > len(PAUSES):
            ours.update(state=State.GIVEN_UP, error=error[:300], finished_at=now)
        else:
            ours.update(error=error[:300], next_at=now + PAUSES[delivery.attempts - 1])


def clear(now: datetime | None = None) -> int:
    """Forget deliveries finished and alerts resolved long ago; how many."""
    now = now or datetime.now(UTC)
    before = now - timedelta(days=settings.LIMITS["deliveries_kept_days"])
    gone, _ = Delivery.objects.filter(finished_at__lt=before).delete()
    old = Alert.objects.filter(resolved_at__lt=now - timedelta(days=settings.LIMITS["alerts_kept_days"]))
    return gone + old.delete()[0]


def _destinations(team_ids: Iterable[int]) -> dict[int, list[Destination]]:
    by_team: dict[int, list[Destination]] = {}
    for destination in Destination.objects.filter(team_id__in=team_ids).order_by("created_at", "pk"):
        by_team.setdefault(destination.team_id, []).append(destination)
    return by_team


def _room(destinations: Sequence[Destination]) -> dict[UUID, int]:
    """How many more may wait for each: one that is long dead does not fill the table."""
    waiting = Delivery.objects.filter(destination__in=destinations, state=State.WAITING)
    counts = dict(waiting.values_list("destination").annotate(n=Count("pk")))
    most = settings.LIMITS["deliveries_waiting_per_destination"]
    return {destination.pk: most - counts.get(destination.pk, 0) for destination in destinations}


def _delivery(
    alert: Alert, destination: Destination, payload: dict[str, Any], now: datetime, room: dict[UUID, int]
) -> Delivery:
    room[destination.pk] -= 1
    delivery = Delivery(
        team_id=alert.team_id,
        destination=destination,
        alert=alert,
        opened_at=alert.opened_at,
        event=ALERT_EVENT,
        payload=payload,
        next_at=now,
        created_at=now,
    )
    if room[destination.pk] < 0:
        delivery.state, delivery.finished_at = State.GIVEN_UP, now
        delivery.error = "Too many were waiting for this destination already."
    return delivery


def _json(value: Any) -> dict[str, Any]:
    """Django reads jsonb as text."""
    return dict(orjson.loads(value)) if isinstance(value, str | bytes) else dict(value)
