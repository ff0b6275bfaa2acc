"""Who changed what. Each entry seals the one before it, so that a changed or missing entry is found.

``record`` appends within the caller's transaction: the change and its entry are kept or lost together. Entries of one
team follow one another (an advisory lock held to the end of the transaction), each with the SHA-256 of its contents
and of the entry before. A trigger of the database refuses to change or delete entries.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Self
from uuid import UUID

from django.db import connection, transaction

from tracking.errors import WfloServerError
from tracking.models import AuditEntry, Team, User

_LOCK_SPACE = 0x41554449  # "AUDI": keeps our advisory locks apart from others
_FIRST_HASH = bytes(32)
_SECRET_WORDS = ("password", "secret", "digest", "token")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: a person, a key, or the system itself; and in which request."""

    kind: str
    id: str
    name: str
    user_id: int | None = None
    request_id: str = ""

    @classmethod
    def of(cls, user: User, *, request_id: str = "") -> Self:
        return cls("person", str(user.pk), user.name or user.email, user.pk, request_id)


SYSTEM = Actor("system", "", "Wflo")


class SecretInAudit(WfloServerError):
    """A secret was about to be written to the audit log."""


def record(
    actor: Actor,
    team: Team | None,
    action: str,
    object_kind: str,
    object_id: object = "",
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Append one entry to the team's log (to the installation's, when there is no team).

    Raises SecretInAudit when ``before`` or ``after`` has a field named like a secret.
    """
    with transaction.atomic():
        _lock(team)
        entry = AuditEntry(
            team=team,
            at=datetime.now(UTC),
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name[:200],
            action=action,
            object_kind=object_kind,
            object_id=str(object_id)[:200],
            before=_plain(before),
            after=_plain(after),
            request_id=actor.request_id[:64],
            previous_hash=_last_hash(team),
        )
        entry.hash = _hash(entry)
        entry.save(force_insert=True)
    return entry


def verify(team: Team | None) -> int | None:
    """The id of the first entry that is not as it was written, or whose forerunner is missing; None when whole."""
    previous = _FIRST_HASH
    for entry in AuditEntry.objects.filter(team=team).order_by("id").iterator(chunk_size=1000):
        if bytes(entry.previous_hash) != previous or bytes(entry.hash) != _hash(entry):
            return entry.pk
        previous = bytes(entry.hash)
    return None


def _lock(team: Team | None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, team.pk if team else 0])


def _last_hash(team: Team | None) -> bytes:
    last = AuditEntry.objects.filter(team=team).order_by("-id").values_list("hash", flat=True).first()
    return bytes(last) if last is not None else _FIRST_HASH


def _hash(entry: AuditEntry) -> bytes:
    contents = {
        "team": entry.team_id,
        "at": entry.at.astimezone(UTC).isoformat(),
        "actor": [entry.actor_kind, entry.actor_id, entry.actor_name],
        "action": entry.action,
        "object": [entry.object_kind, entry.object_id],
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
    }
    canonical = json.dumps(contents, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(bytes(entry.previous_hash) + canonical.encode("utf-8", "surrogatepass")).digest()


def _plain(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    for name in values:
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise SecretInAudit(f'The field "{name}" may hold a secret; the audit log takes none.')
    return {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    """JSON that comes back from PostgreSQL as it went in: no floats, no NUL."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date | Decimal | UUID | float):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _value(item) for key, item in value.items()}
    return [_value(item) for item in value]
