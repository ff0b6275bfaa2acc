"""Breakers that all processes share: rows, moved on by the rule of ``wflo.circuits`` and written by whoever comes first.

A circuit has a team and a name; team 0 is nobody's: of a deployment that several teams call. Statements are done by
``ledger.perform``: at once, or awaited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from tracking import audit
from tracking.audit import Actor
from tracking.errors import NotFound
from tracking.ledger.perform import perform
from tracking.ledger.verbs import Statement
from tracking.models import Circuit as CircuitRow
from tracking.models import Deployment, Team
from tracking.sql import statements
from wflo.circuits import Circuit, State

SHARED = 0
DEPLOYMENT = "deployment:"
ERROR_CHARACTERS = 500

_MOMENTS = ("window_at", "opened_at", "retry_at", "probe_until")


@dataclass(frozen=True, slots=True)
class Kept:
    """A circuit as it stood at ``now``, the store's clock. ``version`` 0: it has no row yet."""

    team_id: int
    name: str
    circuit: Circuit
    version: int
    now: float


def not_whole() -> Statement[list[Kept]]:
    """All that are open, half open or have failed lately."""
    return Statement(statements("circuits")["not_whole"], {}, lambda rows: [_kept(row) for row in rows])


def load(team_id: int, name: str) -> Statement[Kept]:
    parameters = {"team": team_id, "name": name}
    return Statement(statements("circuits")["load"], parameters, lambda rows: _kept(rows[0], team_id, name))


def save(kept: Kept, after: Circuit) -> Statement[bool]:
    """False: somebody else wrote since ``kept`` was loaded, so load it again."""
    values: dict[str, Any] = asdict(after)
    values |= {name: _moment(values[name]) for name in _MOMENTS}
    values |= {"state": str(after.state), "last_error": after.last_error[:ERROR_CHARACTERS].replace("\0", "")}
    values |= {"team": kept.team_id, "name": kept.name, "version": kept.version}
    return Statement(statements("circuits")["save"], values, bool)


def told_open(team_id: int, name: str, after: Circuit, *, shown: str, now: float) -> Statement[int]:
    """Opens the alert of a circuit, for a team that called it."""
    payload = {
        "circuit": shown,
        "errors": after.errors,
        "calls": after.calls,
        "until": None if after.retry_at is None else datetime.fromtimestamp(after.retry_at, UTC).isoformat(),
        "error": after.last_error[:ERROR_CHARACTERS],
    }
    parameters = {
        "team": team_id, "kind": "circuit", "severity": "high", "key": alert_key(name), "run": "", "agent": "",
        "payload": json.dumps(payload), "now": datetime.fromtimestamp(now, UTC), "more": 1,
    }  # fmt: skip
    return Statement(statements("alerts")["open_once"], parameters, len)


def told_closed(team_id: int, name: str) -> Statement[int]:
    """Its alerts are over, of every team where it is nobody's."""
    return Statement(statements("circuits")["over"], {"team": team_id, "key": alert_key(name)}, len)


def alert_key(name: str) -> str:
    return f"circuit:{name}"[:400]


def circuits_of(team: Team) -> list[CircuitRow]:
    """The team's own, and those of deployments it may call with others; what is not closed first."""
    rows = CircuitRow.objects.filter(Q(team_id=team.pk) | Q(team_id=SHARED, name__in=_granted(team)))
    return sorted(rows, key=lambda row: (row.state == CircuitRow.State.CLOSED, row.name))


def circuit_of(team: Team, name: str) -> CircuitRow:
    """Raises NotFound."""
    own = CircuitRow.objects.filter(team_id=team.pk, name=name).first()
    shared = CircuitRow.objects.filter(team_id=SHARED, name=name).first() if name in _granted(team) else None
    found = own or shared
    if found is None:
        raise NotFound(f'This team has no circuit "{name}".')
    return found


def models_of(rows: Iterable[CircuitRow]) -> dict[str, str]:
    """The model behind each circuit of a deployment, by the circuit's name."""
    ids = [row.name.removeprefix(DEPLOYMENT) for row in rows if row.name.startswith(DEPLOYMENT)]
    uuids = [id for id in ids if "/" not in id]
    found = {str(id): model for id, model in Deployment.objects.filter(pk__in=uuids).values_list("pk", "model")}
    return {DEPLOYMENT + id: found.get(id, id) for id in ids}


def reset(row: CircuitRow, *, actor: Actor, team: Team) -> CircuitRow:
    """Closed, as if nothing had failed; somebody knows that the component is well."""
    with transaction.atomic():
        kept = perform(load(row.team_id, row.name))
        while not perform(save(kept, Circuit())):
            kept = perform(load(row.team_id, row.name))
        perform(told_closed(row.team_id, row.name))
        before, after = {"state": str(kept.circuit.state)}, {"state": str(State.CLOSED)}
        audit.record(actor, team, "circuit.reset", "circuit", row.name, before=before, after=after)
    return CircuitRow.objects.get(team_id=row.team_id, name=row.name)


def _granted(team: Team) -> list[str]:
    ids = Deployment.objects.filter(group__team=None, group__teams=team).values_list("pk", flat=True)
    return [f"{DEPLOYMENT}{id}" for id in ids]


def _kept(row: tuple[Any, ...], team_id: int = SHARED, name: str = "") -> Kept:
    if row[1] is None:
        return Kept(team_id, name, Circuit(), 0, row[-1].timestamp())
    (team_id, name, state, failures, successes, calls, errors, tokens, window_at, opened_at, retry_at, probe, until, error,
     version, now) = row  # fmt: skip
    circuit = Circuit(
        state=State(state), failures=failures, successes=successes, calls=calls, errors=errors, tokens=tokens,
        window_at=_seconds(window_at) or 0.0, opened_at=_seconds(opened_at), retry_at=_seconds(retry_at), probe=probe,
        probe_until=_seconds(until), last_error=error,
    )  # fmt: skip
    return Kept(team_id, name, circuit, version, now.timestamp())


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
