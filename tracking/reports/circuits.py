"""The circuits of a team as a page shows them: agents, components and deployments, what is cut off first; and what moved them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q

from tracking import circuits
from tracking.circuits import AGENT, COMPONENT, DEPLOYMENT, SHARED
from tracking.models import Agent, AgentDefinition, AuditEntry, Circuit, Team

KINDS = {"agent": AGENT, "component": COMPONENT, "deployment": DEPLOYMENT}


@dataclass(frozen=True, slots=True)
class CircuitLine:
    """``shown``: what people call it, for a deployment the model behind it."""

    row: Circuit
    kind: str
    shown: str

    @property
    def is_shared(self) -> bool:
        return self.row.team_id == SHARED

    @property
    def is_closed(self) -> bool:
        return self.row.state == Circuit.State.CLOSED


@dataclass(frozen=True, slots=True)
class Move:
    """An entry of the log: what became of a circuit, or of the breaker's policy."""

    at: datetime
    who: str
    action: str
    name: str
    kind: str
    shown: str
    before: dict[str, Any]
    after: dict[str, Any]


def circuit_lines(team: Team) -> list[CircuitLine]:
    """What is cut off first, LIMITS["circuits_shown"] at most."""
    rows = circuits.circuits_of(team)[: settings.LIMITS["circuits_shown"]]
    return _named(rows)


def agent_line(team: Team, agent: str) -> CircuitLine | None:
    """None: it was never cut off, and nothing failed lately."""
    row = Circuit.objects.filter(team_id=team.pk, name=AGENT + agent).first()
    return None if row is None else CircuitLine(row, "agent", agent)


def moves(team: Team, lines: Sequence[CircuitLine], name: str = "") -> list[Move]:
    """The latest first, of one circuit or all. Those of deployments that teams share stand in the installation's log."""
    shared = [line.row.name for line in lines if line.is_shared]
    found = AuditEntry.objects.filter(Q(team=team) | Q(team=None, object_id__in=shared), object_kind="circuit")
    if name:
        found = found.filter(object_id=name[:200])
    known = {line.row.name: line.shown for line in lines}
    entries = found.order_by("-id")[: settings.LIMITS["circuit_entries_shown"]]
    return [
        Move(
            entry.at, entry.actor_name, entry.action, entry.object_id, kind_of(entry.object_id),
            known.get(entry.object_id) or entry.object_id.partition(":")[2], entry.before or {}, entry.after or {},
        )
        for entry in entries
    ]  # fmt: skip


def agent_names(team: Team) -> list[str]:
    """Of agents that may be cut off: those that were seen, and those defined here."""
    seen = Agent.objects.filter(team=team).order_by("-first_seen_at").values_list("name", flat=True)
    defined = AgentDefinition.objects.filter(team=team, archived_at=None).values_list("name", flat=True)
    most = settings.LIMITS["circuits_shown"]
    return sorted({*seen[:most], *defined[:most]}, key=str.casefold)


def kind_of(name: str) -> str:
    return next((kind for kind, prefix in KINDS.items() if name.startswith(prefix)), "")


def _named(rows: Sequence[Circuit]) -> list[CircuitLine]:
    models = circuits.models_of(rows)
    found = []
    for row in rows:
        kind = kind_of(row.name)
        shown = models.get(row.name) or row.name.removeprefix(KINDS.get(kind, ""))
        found.append(CircuitLine(row, kind, shown))
    return found
