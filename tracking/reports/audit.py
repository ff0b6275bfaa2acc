"""The audit log of a team, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tracking.models import AuditEntry, Team


@dataclass(frozen=True, slots=True)
class AuditLine:
    id: int
    at: datetime
    actor_kind: str
    actor_name: str
    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any]
    after: dict[str, Any]
    request_id: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    lines: list[AuditLine]
    older: int | None  # give it as ``older_than`` for the next page


def audit_page(
    team: Team, *, object_kind: str = "", actor_name: str = "", older_than: int | None = None, limit: int
) -> AuditPage:
    """Entries of one kind of object, of people or keys whose name has the words; keyset-paged by id."""
    entries = AuditEntry.objects.filter(team=team)
    if object_kind:
        entries = entries.filter(object_kind=object_kind)
    if actor_name:
        entries = entries.filter(actor_name__icontains=actor_name)
    if older_than is not None:
        entries = entries.filter(id__lt=older_than)
    rows = list(entries.order_by("-id")[: limit + 1])
    lines = [
        AuditLine(
            id=row.pk,
            at=row.at,
            actor_kind=row.actor_kind,
            actor_name=row.actor_name,
            action=row.action,
            object_kind=row.object_kind,
            object_id=row.object_id,
            before=row.before or {},
            after=row.after or {},
            request_id=row.request_id,
        )
        for row in rows[:limit]
    ]
    return AuditPage(lines, lines[-1].id if len(rows) > limit else None)


def audited_kinds(team: Team) -> list[str]:
    """What kinds of object the team's log speaks of."""
    return list(
        AuditEntry.objects.filter(team=team).order_by("object_kind").values_list("object_kind", flat=True).distinct()
    )
