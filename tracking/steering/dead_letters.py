"""Dead letters: kept until somebody has them tried again, or throws them away. Who can try them asks for those of its names."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from tracking import audit
from tracking.audit import Actor
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import DeadLetter, Team
from tracking.steering.payloads import kept, words
from tracking.store_time import store_now

LEASE_SECONDS = 60
Status = DeadLetter.Status


def bury(team: Team, told: Mapping[str, Any]) -> tuple[DeadLetter, bool]:
    """Keep one; and whether it is new: the same id again is the same letter. ``told``: id, source, name, run, agent, error,
    attempts, payload. Raises TooLarge."""
    now = store_now()
    payload = kept(team, told.get("payload"), field="payload", most=settings.LIMITS["dead_letter_bytes"])
    return DeadLetter.objects.get_or_create(
        team=team,
        id=told.get("id") or uuid.uuid4(),
        defaults={
            "source": told["source"],
            "name": told["name"][:200],
            "run": told["run"][:128],
            "agent": told["agent"][:200],
            "error": words(team, told["error"], 2_000),
            "attempts": told["attempts"],
            "payload": payload,
            "created_at": now,
            "changed_at": now,
        },
    )


def find(team: Team, id: uuid.UUID) -> DeadLetter:
    found = DeadLetter.objects.filter(team=team, id=id).first()
    if found is None:
        raise NotFound(f"This team has no dead letter {id}.")
    return found


def of_team(
    team: Team, *, status: str = "", name: str = "", limit: int = 50, before: datetime | None = None
) -> list[DeadLetter]:
    """The latest first."""
    rows = DeadLetter.objects.filter(team=team).order_by("-created_at")
    if status:
        rows = rows.filter(status=status)
    if name:
        rows = rows.filter(name=name)
    return list((rows if before is None else rows.filter(created_at__lt=before))[:limit])


def retry(team: Team, ids: Sequence[uuid.UUID], *, actor: Actor) -> list[DeadLetter]:
    """Have them tried again by whoever takes letters of their names. All of them, or none. Raises NotFound, Conflict for one that
    is done with."""
    return _marked(team, ids, Status.RETRY_WANTED, "dead_letter.retry", actor)


def discard(team: Team, ids: Sequence[uuid.UUID], *, actor: Actor) -> list[DeadLetter]:
    """Throw them away. Raises as ``retry`` does."""
    return _marked(team, ids, Status.DISCARDED, "dead_letter.discard", actor)


def _marked(team: Team, ids: Sequence[uuid.UUID], status: str, action: str, actor: Actor) -> list[DeadLetter]:
    if not 0 < len(ids) <= settings.LIMITS["page_rows_max"]:
        raise Invalid(f"Name 1 to {settings.LIMITS['page_rows_max']} dead letters.", field="ids")
    with transaction.atomic():
        rows = list(DeadLetter.objects.select_for_update().filter(team=team, id__in=ids).order_by("id"))
        missing = set(ids) - {row.id for row in rows}
        if missing:
            raise NotFound(f"This team has no dead letter {min(missing)}.")
        for row in rows:
            if row.status in (Status.RETRIED, Status.DISCARDED):
                raise Conflict(f"The dead letter {row.id} was {row.status} already.", field="ids")
            row.status, row.handled_by, row.changed_at, row.taken_until = status, actor.name, store_now(), None
            row.save(update_fields=["status", "handled_by", "changed_at", "taken_until"])
            audit.record(actor, team, action, "dead letter", str(row.id), after={"name": row.name})
    return rows


def take(team: Team, name: str, *, limit: int) -> list[DeadLetter]:
    """Letters of a name whose retry is wanted, for whoever asks to try: nobody else has them for LEASE_SECONDS."""
    with transaction.atomic():
        now = store_now()
        is_free = Q(taken_until=None) | Q(taken_until__lte=now)
        rows = DeadLetter.objects.select_for_update(skip_locked=True).filter(
            is_free, team=team, name=name, status=Status.RETRY_WANTED
        )
        taken = list(rows.order_by("created_at")[:limit])
        for row in taken:
            row.taken_until = now + timedelta(seconds=LEASE_SECONDS)
            row.save(update_fields=["taken_until"])
    return taken


def done(team: Team, id: uuid.UUID, *, error: str | None) -> DeadLetter:
    """What became of a try: with an ``error`` it failed again, and is open as before. Raises NotFound, Conflict."""
    with transaction.atomic():
        row = DeadLetter.objects.select_for_update().filter(team=team, id=id).first()
        if row is None:
            raise NotFound(f"This team has no dead letter {id}.")
        if row.status != Status.RETRY_WANTED:
            raise Conflict(f"Nobody wants that dead letter tried: it is {row.status}.", field="status")
        row.attempts += 1
        row.changed_at, row.taken_until = store_now(), None
        row.status = Status.RETRIED if error is None else Status.OPEN
        row.error = row.error if error is None else words(team, error, 2_000)
        row.save(update_fields=["attempts", "changed_at", "taken_until", "status", "error"])
    return row
