"""Agents kept: each save is a version, none is ever changed, and an old one is brought back as the newest."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, Subquery

from tracking import audit
from tracking.agents.definition import Definition
from tracking.agents.resolve import resolved
from tracking.audit import Actor
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import AgentDefinition, AgentVersion, Team
from tracking.store_time import store_now

NOTE_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """An agent as it stands, or as it was in an older version."""

    row: AgentDefinition
    saved: AgentVersion

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def version(self) -> int:
        return self.saved.version

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = self.saved.body
        return found

    @property
    def definition(self) -> Definition:
        return Definition.model_validate(self.saved.body)


def save(
    team: Team, definition: Definition, *, actor: Actor, note: str = "", expected_version: int | None = None
) -> tuple[Kept, bool]:
    """The agent, and whether there is a new version: one that says nothing new is none.

    ``expected_version``: the one that was read, 0 for an agent that is new; None: whatever there is. Raises Conflict when it is
    another by now, and Invalid naming the field.
    """
    note = _note(note)
    resolved(team, definition)
    with transaction.atomic():
        row = _locked(team, definition.name)
        _demand(row, definition.name, expected_version)
        if row is None:
            row = _made(team, definition.name)
        before = find(team, definition.name) if row.version else None
        if before is not None and before.body == definition.body:
            return before, False
        return _written(row, definition, before, actor, note), True


def find(team: Team, name: str, version: int | None = None) -> Kept:
    """As it stands, or as it was. Raises NotFound."""
    row = AgentDefinition.objects.filter(team=team, name=name[:200]).first()
    if row is None:
        raise NotFound(f"{team.name} has defined no agent named {name[:200]}.")
    saved = AgentVersion.objects.filter(
        team=team, definition_id=row.id, version=row.version if version is None else version
    ).first()
    if saved is None:
        raise NotFound(f"{row.name} has no version {version}; its latest is {row.version}.")
    return Kept(row, saved)


def of_team(team: Team, *, is_archived: bool = False, limit: int | None = None, after: str = "") -> list[Kept]:
    """By name; ``after`` one."""
    rows = AgentDefinition.objects.filter(team=team, archived_at__isnull=not is_archived, name__gt=after).order_by(
        "name"
    )
    found = list(rows[:limit] if limit is not None else rows)
    latest = AgentDefinition.objects.filter(team=team, id=OuterRef("definition_id")).values("version")
    saved = AgentVersion.objects.filter(
        team=team, definition_id__in=[row.id for row in found], version=Subquery(latest)
    )
    by_id = {one.definition_id: one for one in saved}
    return [Kept(row, by_id[row.id]) for row in found if row.id in by_id]


def names(team: Team) -> dict[str, int]:
    """Those that are not archived, with their versions."""
    rows = AgentDefinition.objects.filter(team=team, archived_at=None).order_by("name")
    return dict(rows.values_list("name", "version"))


def versions(team: Team, name: str, *, limit: int = 100, before: int | None = None) -> list[AgentVersion]:
    """The newest first. Raises NotFound."""
    row = find(team, name).row
    rows = AgentVersion.objects.filter(team=team, definition_id=row.id).order_by("-version")
    return list((rows if before is None else rows.filter(version__lt=before))[:limit])


def archive(team: Team, name: str, *, actor: Actor) -> Kept:
    """No new job gets it; jobs that have it go on. Raises NotFound, Conflict while another agent names it."""
    with transaction.atomic():
        row = _locked(team, name)
        kept = find(team, name)
        if row is None or row.archived_at is not None:
            return kept
        users = [other.name for other in of_team(team) if name in _named_by(other.body)]
        if users:
            raise Conflict(
                f"{', '.join(users[:5])} {'has' if len(users) == 1 else 'have'} {name} as a member: change that first."
            )
        row.archived_at = row.changed_at = store_now()
        row.save(update_fields=["archived_at", "changed_at"])
        audit.record(actor, team, "agent.archive", "agent", name, before={"version": row.version})
    return find(team, name)


def restore(team: Team, name: str, version: int | None = None, *, actor: Actor, note: str = "") -> tuple[Kept, bool]:
    """An older version as the newest one; without one, an archived agent as it was. Raises NotFound, Invalid."""
    old = find(team, name, version)
    definition = Definition.read(team, old.body)  # its tools may be gone
    with transaction.atomic():
        row = _locked(team, name)
        if row is not None and row.archived_at is not None:
            row.archived_at, row.changed_at = None, store_now()
            row.save(update_fields=["archived_at", "changed_at"])
            audit.record(actor, team, "agent.restore", "agent", name, after={"version": old.version})
        return save(team, definition, actor=actor, note=note or (f"Version {version} again" if version else ""))


def _demand(row: AgentDefinition | None, name: str, expected: int | None) -> None:
    if row is not None and row.archived_at is not None:
        raise Conflict(f"{name} is archived: restore it, or take another name.", field="name")
    present = 0 if row is None else row.version
    if expected is None or expected == present:
        return
    if expected == 0:
        raise Conflict(f"There is an agent named {name} already, in version {present}.", field="name")
    message = f"{name} was changed meanwhile: its version is {present}, not {expected}. Look at it, then save again."
    raise Conflict(message, field="expected_version")


def _locked(team: Team, name: str) -> AgentDefinition | None:
    return AgentDefinition.objects.select_for_update().filter(team=team, name=name[:200]).first()


def _made(team: Team, name: str) -> AgentDefinition:
    most = settings.LIMITS["agents_per_team"]
    if AgentDefinition.objects.filter(team=team).count() >= most:
        raise Invalid(f"A team defines at most {most} agents.", field="name")
    now = store_now()
    try:
        with transaction.atomic():
            return AgentDefinition.objects.create(
                team=team, id=uuid.uuid4(), name=name, version=0, created_at=now, changed_at=now
            )
    except IntegrityError:
        raise Conflict(f"There is an agent named {name} already.", field="name") from None


def _written(row: AgentDefinition, definition: Definition, before: Kept | None, actor: Actor, note: str) -> Kept:
    row.version, row.changed_at = row.version + 1, store_now()
    saved = AgentVersion.objects.create(
        team=row.team, definition_id=row.id, version=row.version, body=definition.body, note=note, created_at=row.changed_at,
        created_by=actor.name[:200],
    )  # fmt: skip
    row.save(update_fields=["version", "changed_at"])
    was = {} if before is None else before.body
    changed = sorted(field for field, value in definition.body.items() if was.get(field) != value)
    action = "agent.create" if before is None else "agent.change"
    older = None if before is None else {"version": before.version}
    told = {"version": row.version, "changed": changed, "note": note}
    audit.record(actor, row.team, action, "agent", row.name, before=older, after=told)
    return Kept(row, saved)


def _named_by(body: dict[str, Any]) -> set[str]:
    return {member["agent"] for member in body["members"] if member.get("agent")}


def _note(note: str) -> str:
    cleaned = " ".join(note.replace("\0", "").split())
    if len(cleaned) > NOTE_CHARACTERS_MAX:
        raise Invalid(f"A note has at most {NOTE_CHARACTERS_MAX} characters.", field="note")
    return cleaned
