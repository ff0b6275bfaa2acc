"""An alert's standing: open, acknowledged, resolved. The same again only counts; after it was resolved it opens anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction

from tracking import audit
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotFound
from tracking.models import Alert, Team
from tracking.sql import statements

Kind = Alert.Kind
Severity = Alert.Severity


@dataclass(frozen=True, slots=True)
class Opened:
    """``is_new``: it will be told. False when it was open already."""

    id: UUID
    is_new: bool


def open_once(
    team: Team | int,
    kind: str,
    severity: str,
    dedupe_key: str,
    *,
    payload: Mapping[str, Any] | None = None,
    run: str = "",
    agent: str = "",
    now: datetime | None = None,
    counts: bool = True,
) -> Opened:
    """Within the caller's transaction. ``payload`` holds what tracking.alerts.words says of the kind, as JSON takes it.

    ``dedupe_key`` says what is the same, such as "loop:<run>"; begin it with the kind. ``counts`` False: not the same
    once more, but still the same.
    """
    values: dict[str, Any] = {
        "team": team.pk if isinstance(team, Team) else team,
        "kind": Kind(kind).value,
        "severity": Severity(severity).value,
        "key": stored_key(dedupe_key),
        "run": _plain(run)[:128],
        "agent": _plain(agent)[:200],
        "payload": payload_json(payload or {}),
        "now": now or datetime.now(UTC),
        "more": int(counts),
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("alerts")["open_once"], values)
        return Opened(*cursor.fetchone())


def acknowledge(team: Team, ids: Iterable[UUID], *, actor: Actor) -> int:
    """Somebody has seen these and takes care. How many were open and not acknowledged; others are left as they are."""
    changes = {"acknowledged_at": datetime.now(UTC), "acknowledged_by_id": actor.user_id}
    return _change(team, ids, "alert.acknowledge", actor, {"acknowledged_at": None, "resolved_at": None}, changes)


def resolve(team: Team, ids: Iterable[UUID], *, actor: Actor) -> int:
    """These are over. How many were open; the same again opens a new one."""
    return _change(team, ids, "alert.resolve", actor, {"resolved_at": None}, {"resolved_at": datetime.now(UTC)})


def resolve_key(team: Team, dedupe_key: str) -> bool:
    """What the clock opened is over. False when it was not open."""
    open_ones = Alert.objects.filter(team=team, dedupe_key=stored_key(dedupe_key), resolved_at=None)
    return bool(open_ones.update(resolved_at=datetime.now(UTC)))


def alert_of(team: Team, alert_id: object) -> Alert:
    """Raises NotFound, for another team's alert too."""
    try:
        wanted = UUID(str(alert_id))
    except ValueError:
        raise NotFound("This team has no such alert.") from None
    alert = Alert.objects.select_related("acknowledged_by").filter(team=team, pk=wanted).first()
    if alert is None:
        raise NotFound("This team has no such alert.")
    return alert


def payload_json(payload: Mapping[str, Any]) -> str:
    """Money and times as text, no NUL. Raises Invalid beyond LIMITS["alert_payload_bytes"]."""
    text = orjson.dumps(_plain(payload), option=orjson.OPT_UTC_Z)
    if len(text) > settings.LIMITS["alert_payload_bytes"]:
        raise Invalid(f"A payload has at most {settings.LIMITS['alert_payload_bytes']} bytes.", field="payload")
    return text.decode()


def _plain(value: Any) -> Any:
    """What JSON and PostgreSQL both take."""
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | float | datetime):
        return value
    if isinstance(value, int) and abs(value) < 2**53:
        return value
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _change(
    team: Team, ids: Iterable[UUID], action: str, actor: Actor, still: dict[str, Any], changes: dict[str, Any]
) -> int:
    wanted = list(dict.fromkeys(ids))
    if len(wanted) > settings.LIMITS["alerts_at_once"]:
        raise Invalid(f"Choose at most {settings.LIMITS['alerts_at_once']} alerts at once.", field="alerts")
    with transaction.atomic():
        found = Alert.objects.select_for_update(no_key=True).filter(team=team, pk__in=wanted, **still).order_by("pk")
        alerts = list(found)
        Alert.objects.filter(pk__in=[alert.pk for alert in alerts]).update(**changes)
        if actor is not SYSTEM:
            for alert in alerts:
                facts = {"kind": alert.kind, "of": alert.dedupe_key}
                audit.record(actor, team, action, "alert", alert.pk, after=facts)
    return len(alerts)


def stored_key(text: str) -> str:
    """As it is kept. At most 400 characters: what is longer is told apart by a hash of its end."""
    text = str(_plain(text))
    return text if len(text) <= 400 else f"{text[:335]}:{hashlib.sha256(text.encode()).hexdigest()}"
