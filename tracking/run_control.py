"""Stopping runs and ending them: every process reads their rows before it makes another call for them.

A run may be called by several names: the one its callers give it, and its trace id, by which a call without a name says
where it belongs. All of them are stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from tracking import alerts, audit
from tracking.audit import Actor
from tracking.errors import Invalid, NotFound
from tracking.models import Alert, Destination, Run, RunControl, Team
from tracking.sql import statements

REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Control:
    """How a run stands. ``steps``, ``cost_usd`` and ``tokens`` are those of its calls through the gateway."""

    run: str
    status: str
    kill_reason: str = ""
    steps: int = 0
    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    started_at: datetime | None = None
    last_at: datetime | None = None
    budget_remaining_usd: Decimal | None = None  # None: no budget is for each run by itself
    rollback: dict[str, Any] | None = None  # that its process is asked for, and has not answered
    approvals: Mapping[str, Any] = field(
        default_factory=dict
    )  # that it waits for, or were decided lately, by their ids


@dataclass(frozen=True, slots=True)
class Named:
    """A run of a team: its own name, and all it may be called by."""

    name: str
    names: tuple[str, ...]
    row: Run | None


def kill(team: Team, references: Sequence[str], *, reason: str, actor: Actor) -> list[Control]:
    """Refuse every later call of these runs, whoever makes it; streams under way end. All of them, or none.

    A run that was stopped before keeps its first reason. Raises NotFound for a run that is not the team's, Invalid.
    """
    reason = _reason(reason)
    found = _named(team, references)
    with transaction.atomic():
        for run in sorted(found, key=lambda one: one.names):
            if _changed("kill", team, run, reason=reason, by=actor.name):
                _mark(run, Run.Status.KILLED, error=reason)
                _tell(team, run, reason, actor)
    return _controls(team, found)


def complete(team: Team, references: Sequence[str], *, actor: Actor) -> list[Control]:
    """Say that these runs are done. One that calls again goes on; one that was stopped stays so. Raises as ``kill`` does."""
    found = _named(team, references)
    with transaction.atomic():
        for run in sorted(found, key=lambda one: one.names):
            is_running = run.row is not None and run.row.status == Run.Status.RUNNING
            if _changed("complete", team, run) or is_running:
                _mark(run, Run.Status.COMPLETED)
                audit.record(actor, team, "run.complete", "run", run.name)
    return _controls(team, found)


def control(team: Team, reference: str) -> Control:
    """Raises NotFound, for another team's run too."""
    return _controls(team, _named(team, [reference]))[0]


def name_of(team: Team, reference: str, *, is_known: bool = True) -> str:
    """By what its callers name the run. Raises NotFound for one nobody has told of, unless it need not be known yet."""
    try:
        return _named(team, [reference])[0].name
    except NotFound:
        if is_known:
            raise
        return reference


def latest(
    team_id: int, *, status: str = "", limit: int = 50, before: datetime | None = None, after: str = ""
) -> list[Control]:
    """Runs that called through the gateway, the latest call first; those that follow (``before``, ``after``)."""
    now = datetime.now(UTC)
    parameters = {
        "team": team_id, "status": status, "limit": limit, "idle": _idle(now),
        "before": before or now + timedelta(days=1), "after": after,
    }  # fmt: skip
    return [of_row(row, now) for row in _rows("latest", parameters)]


def _reason(text: str) -> str:
    reason = " ".join(text.replace("\0", "").split())
    if len(reason) > REASON_CHARACTERS_MAX:
        raise Invalid(f"A reason has at most {REASON_CHARACTERS_MAX} characters.", field="reason")
    return reason or "stopped by hand"


def _named(team: Team, references: Sequence[str]) -> list[Named]:
    if not 0 < len(references) <= settings.LIMITS["page_rows_max"]:
        raise Invalid(f"Name 1 to {settings.LIMITS['page_rows_max']} runs.", field="runs")
    wanted = [reference for reference in dict.fromkeys(references) if "\0" not in reference]
    ids = [id for id in map(_uuid, wanted) if id is not None]
    rows = Run.objects.filter(Q(external_id__in=wanted) | Q(id__in=ids) | Q(trace_id__in=ids), team=team)
    known: dict[str, Run] = {}
    for row in rows:
        known |= {str(row.id): row, str(row.trace_id): row}
    known |= {row.external_id: row for row in rows if row.external_id}  # a name says more than an id
    held = set(RunControl.objects.filter(team=team, run__in=wanted).values_list("run", flat=True))
    found: dict[str, Named] = {}
    for reference in references:
        id = _uuid(reference)
        row_of = known.get(reference) or known.get(str(id))
        if row_of is None and reference not in held:
            raise NotFound(f'This team has no run "{reference[:128]}".')
        one = Named(reference, (reference,), None) if row_of is None else _of_row(row_of)
        found.setdefault(one.name, one)
    return list(found.values())


def _of_row(row: Run) -> Named:
    trace = row.trace_id.hex
    names = dict.fromkeys(name for name in (row.external_id, trace) if name)
    return Named(next(iter(names)), tuple(names), row)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _changed(statement: str, team: Team, run: Named, **more: str) -> bool:
    return bool(_rows(statement, {"team": team.pk, "names": sorted(run.names), **more}))


def _mark(run: Named, status: Run.Status, *, error: str | None = None) -> None:
    if run.row is None:
        return
    run.row.status = status
    run.row.error = error or run.row.error
    run.row.ended_at = run.row.ended_at or datetime.now(UTC)
    run.row.save(update_fields=["status", "error", "ended_at"])


def _tell(team: Team, run: Named, reason: str, actor: Actor) -> None:
    audit.record(actor, team, "run.kill", "run", run.name, after={"reason": reason})
    agent = "" if run.row is None else run.row.entry_agent or ""
    payload = {"reason": reason, "by": actor.name}
    alerts.open_once(
        team, Alert.Kind.KILLED, Alert.Severity.LOW, f"killed:{run.name}", payload=payload, run=run.name, agent=agent
    )
    alerts.notify(team, Destination.Event.RUN_KILLED, {"run_id": run.name, **payload})


def _controls(team: Team, found: Sequence[Named]) -> list[Control]:
    now = datetime.now(UTC)
    names = [name for run in found for name in run.names]
    asked = controls_of([team.pk] * len(names), names)
    rows = {row[1]: row[1:] for row in _rows("controls", asked)}
    return [_one([rows[name] for name in run.names if name in rows], run, now) for run in found]


def _one(rows: Sequence[tuple[Any, ...]], run: Named, now: datetime) -> Control:
    """The row it calls under says how far it is; any of them that it was stopped."""
    if not rows:
        assert run.row is not None
        return Control(run.name, run.row.status, started_at=run.row.started_at, last_at=run.row.last_seen_at)
    made = [of_row(row, now) for row in rows]
    most = max(made, key=lambda one: one.steps)
    killed = next((one for one in made if one.status == Run.Status.KILLED), most)
    return Control(
        run.name, killed.status, killed.kill_reason, most.steps, most.cost_usd, most.tokens, most.started_at, most.last_at,
        most.budget_remaining_usd, next((one.rollback for one in made if one.rollback), None),
        {id: told for one in made for id, told in one.approvals.items()},
    )  # fmt: skip


def controls_of(teams: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """What the statement "controls" is asked with."""
    limits = settings.LIMITS
    return {
        "teams": list(teams),
        "names": list(names),
        "approvals": limits["approvals_told"],
        "approval_minutes": limits["approval_told_minutes"],
    }


def of_row(row: tuple[Any, ...], now: datetime) -> Control:
    """As ``run_control.sql`` selects it, from the run's name on."""
    run, steps, cost_usd, tokens, started_at, last_at, ended_at, killed_at, reason, remaining, *told = row
    rollback, approvals = [json.loads(one) if isinstance(one, str) else one for one in told]  # by its connection
    is_over = ended_at is not None or last_at < _idle(now)
    status = Run.Status.KILLED if killed_at else Run.Status.COMPLETED if is_over else Run.Status.RUNNING
    remaining = None if remaining is None else max(remaining, Decimal(0))
    return Control(
        run, status.value, reason, steps, cost_usd, tokens, started_at, last_at, remaining, rollback, approvals or {}
    )


def _idle(now: datetime) -> datetime:
    """A run whose last call was before that is over, though nobody said so; its next call goes on with it."""
    return now - timedelta(minutes=settings.LIMITS["run_idle_minutes"])


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statements("run_control")[statement], parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
