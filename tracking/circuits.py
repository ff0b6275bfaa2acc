"""Breakers that all processes share: rows, moved on by the rule of ``wflo.circuits`` and written by whoever comes first.

A circuit has a team and a name; team 0 is nobody's: of a deployment that several teams call. Statements are done by
``ledger.perform``: at once, or awaited. Whatever changes its state is in the audit log: of its team, of the installation
where it is nobody's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q

from tracking import audit
from tracking.alerts.standing import payload_json
from tracking.audit import SYSTEM, Actor
from tracking.errors import NotFound
from tracking.ledger.perform import perform
from tracking.ledger.verbs import Statement
from tracking.models import Circuit as CircuitRow
from tracking.models import Deployment, Team
from tracking.sql import statements
from wflo import circuits as rule
from wflo.circuits import Circuit, CircuitPolicy, Outcome, State

SHARED = 0
DEPLOYMENT = "deployment:"
COMPONENT = "component:"  # of an agent's own, which no deployment's can be named
AGENT = "agent:"
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
    words = {name: getattr(after, name)[:ERROR_CHARACTERS].replace("\0", "") for name in ("last_error", "why")}
    values |= {"state": str(after.state), **words}
    values |= {"team": kept.team_id, "name": kept.name, "version": kept.version}
    return Statement(statements("circuits")["save"], values, bool)


def told_open(
    team_id: int,
    name: str,
    after: Circuit,
    *,
    shown: str,
    now: float,
    agent: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Statement[int]:
    """Opens the alert of a circuit, for a team that called it. ``facts``: what of an agent's was seen."""
    payload = {
        "circuit": shown,
        "errors": after.errors,
        "calls": after.calls,
        "until": None if after.retry_at is None else datetime.fromtimestamp(after.retry_at, UTC).isoformat(),
        "why": after.why,
        "is_held": after.is_held,
        "error": after.last_error[:ERROR_CHARACTERS],
        **(facts or {}),
    }
    parameters = {
        "team": team_id, "kind": "circuit", "severity": "high", "key": alert_key(name), "run": "", "agent": agent[:200],
        "payload": payload_json(payload), "now": datetime.fromtimestamp(now, UTC), "more": 1,
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


def ask(team_id: int, name: str, policy: CircuitPolicy) -> tuple[Circuit, bool, UUID | None, float]:
    """Whether it may be called: the circuit, leave, the probe's id where the call is one, and what time it is."""
    kept = perform(load(team_id, name))
    if rule.may_call(kept.circuit):
        return kept.circuit, True, None, kept.now
    probe = uuid4()
    with transaction.atomic():
        moved = step(team_id, name, lambda kept: rule.probed(kept.circuit, policy, kept.now, probe))
        record(moved)
    is_probe = moved.after.probe == probe
    return moved.after, is_probe or rule.may_call(moved.after), probe if is_probe else None, moved.kept.now


def told(
    team_id: int, name: str, policy: CircuitPolicy, outcome: Outcome, *, shown: str, caller_id: int | None = None
) -> Circuit:
    """Take in what became of calls; the circuit as it is then. ``caller_id``: the team that is told where it is nobody's."""
    with transaction.atomic():
        moved = step(team_id, name, lambda kept: rule.told(kept.circuit, policy, kept.now, outcome))
        if moved.is_opened:
            perform(told_open(caller_id or team_id, name, moved.after, shown=shown, now=moved.kept.now))
        record(moved)
    return moved.after


@dataclass(frozen=True, slots=True)
class Moved:
    """A circuit as it was, and as it is."""

    kept: Kept
    after: Circuit

    @property
    def is_change(self) -> bool:
        return self.after.state is not self.kept.circuit.state

    @property
    def is_opened(self) -> bool:
        return self.is_change and self.after.state is State.OPEN


def step(team_id: int, name: str, take: Callable[[Kept], Circuit | None]) -> Moved:
    """Within the caller's transaction. ``take`` says what becomes of it, None: nothing; again, when somebody else wrote
    meanwhile."""
    while True:
        kept = perform(load(team_id, name))
        after = take(kept)
        if after is None or after == kept.circuit:
            return Moved(kept, kept.circuit)
        if perform(save(kept, after)):
            return Moved(kept, after)


def record(moved: Moved, *, actor: Actor = SYSTEM, action: str = "circuit.move", team: Team | None = None) -> None:
    """Puts a change of state on record, and ends the alerts of a circuit that is closed. ``team`` whose log it is in where the
    circuit is nobody's."""
    if not moved.is_change:
        return
    kept, after = moved.kept, moved.after
    if after.state is State.CLOSED:
        perform(told_closed(kept.team_id, kept.name))
    whose = team if team is not None or kept.team_id == SHARED else Team.objects.get(pk=kept.team_id)
    facts: dict[str, Any] = {"state": str(after.state)}
    if after.state is State.OPEN:
        facts |= {"why": after.why, "until": _moment(after.retry_at), "error": after.last_error}
    before = {"state": str(kept.circuit.state)}
    audit.record(actor, whose, action, "circuit", kept.name, before=before, after=facts)


def answered(team: Team, approval: UUID, *, is_yes: bool, actor: Actor) -> None:
    """The question whether a circuit may be tried is decided: yes lets one call through, anything else leaves it held."""
    row = CircuitRow.objects.filter(team_id=team.pk, approval=approval).first()
    if row is None:
        return

    def take(kept: Kept) -> Circuit | None:
        if kept.circuit.approval != approval:
            return None
        return rule.let_through(kept.circuit) if is_yes else replace(kept.circuit, approval=None)

    with transaction.atomic():
        record(step(team.pk, row.name, take), actor=actor, action="circuit.allow", team=team)


def reset(row: CircuitRow, *, actor: Actor, team: Team) -> CircuitRow:
    """Closed, as if nothing had failed; somebody knows that it is well."""
    return by_hand(row.team_id, row.name, lambda kept: Circuit(), "circuit.reset", actor=actor, team=team)


def by_hand(
    team_id: int, name: str, take: Callable[[Kept], Circuit | None], action: str, *, actor: Actor, team: Team
) -> CircuitRow:
    """What a person does with it; in the log of ``team``."""
    with transaction.atomic():
        record(step(team_id, name, take), actor=actor, action=action, team=team)
    return CircuitRow.objects.get(team_id=team_id, name=name)


def _granted(team: Team) -> list[str]:
    ids = Deployment.objects.filter(group__team=None, group__teams=team).values_list("pk", flat=True)
    return [f"{DEPLOYMENT}{id}" for id in ids]


def _kept(row: tuple[Any, ...], team_id: int = SHARED, name: str = "") -> Kept:
    if row[1] is None:
        return Kept(team_id, name, Circuit(), 0, row[-1].timestamp())
    (team_id, name, state, failures, successes, calls, errors, tokens, window_at, opened_at, retry_at, probe, until, error,
     hits, why, is_held, approval, version, now) = row  # fmt: skip
    circuit = Circuit(
        state=State(state), failures=failures, successes=successes, calls=calls, errors=errors, tokens=tokens,
        window_at=_seconds(window_at) or 0.0, opened_at=_seconds(opened_at), retry_at=_seconds(retry_at), probe=probe,
        probe_until=_seconds(until), last_error=error, hits=hits, why=why, is_held=is_held, approval=approval,
    )  # fmt: skip
    return Kept(team_id, name, circuit, version, now.timestamp())


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
