"""Runs that went round in circles: the cycle, how often, what it burned, and what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db.models import Q

from tracking.models import Alert, Run, RunControl, Team
from tracking.reports.alerts import AlertRow, alert_page, alert_row
from tracking.reports.runs import RunRow

OF_A_RUN_MAX = 10


@dataclass(frozen=True, slots=True)
class Loop:
    """``burned_usd`` None: unknown. ``first_step`` counts the run's steps from 1. ``run`` is the name that its page knows."""

    alert: AlertRow
    run: str
    title: str
    cycle: tuple[str, ...]
    times: int
    steps: int
    first_step: int | None
    burned_usd: Decimal | None
    usd_per_minute: Decimal | None
    why: str
    action: str
    origin: str
    killed_at: datetime | None = None
    is_running: bool = False

    @property
    def did(self) -> str:
        """What was done about it, in words."""
        if self.killed_at is not None:
            return "the run was stopped"
        return {"kill": "the call was refused and the run stopped", "block": "the call was refused"}.get(
            self.action, "nothing was stopped"
        )


@dataclass(frozen=True, slots=True)
class LoopPage:
    loops: tuple[Loop, ...]
    next_cursor: str | None


def loop_page(team: Team, *, states: Sequence[str] = (), cursor: str | None = None) -> LoopPage:
    """Newest first. None of ``states`` means any. Raises Invalid naming the field."""
    found = alert_page(team, kinds=[Alert.Kind.LOOP], states=states, cursor=cursor)
    return LoopPage(tuple(_loops(team, found.rows)), found.next_cursor)


def loops_of(team: Team, run: RunRow) -> list[Loop]:
    """A run's own, whatever name they were told under; the latest first."""
    names = [name for name in (run.external_id, run.trace_id.hex, str(run.trace_id), str(run.id)) if name]
    rows = Alert.objects.filter(team=team, kind=Alert.Kind.LOOP, run__in=names).select_related("acknowledged_by")
    return _loops(team, [alert_row(alert) for alert in rows.order_by("-last_at")[:OF_A_RUN_MAX]])


def open_burn(team: Team) -> tuple[int, Decimal | None]:
    """(loops that nobody closed, what they burned as far as it is known)."""
    facts = Alert.objects.filter(team=team, kind=Alert.Kind.LOOP, resolved_at=None).values_list("payload", flat=True)
    burned = [usd for payload in facts[:500] if (usd := _usd(payload.get("burned_usd"))) is not None]
    return len(facts[:500]), sum(burned[1:], burned[0]) if burned else None


def _loops(team: Team, rows: Sequence[AlertRow]) -> list[Loop]:
    names = {row.run for row in rows}
    controls = dict(RunControl.objects.filter(team=team, run__in=names).values_list("run", "killed_at"))
    runs: dict[str, Run] = {}
    ids = [id for id in map(_uuid, names) if id is not None]
    for run in Run.objects.filter(Q(external_id__in=names) | Q(trace_id__in=ids) | Q(id__in=ids), team=team):
        for name in (run.external_id, run.trace_id.hex, str(run.trace_id), str(run.id)):
            if name in names:
                runs.setdefault(name, run)
    return [_loop(row, runs.get(row.run), controls.get(row.run)) for row in rows]


def _loop(row: AlertRow, run: Run | None, killed_at: datetime | None) -> Loop:
    facts = row.facts
    cycle = facts.get("cycle")
    return Loop(
        alert=row,
        run=row.run if run is None else str(run.id),
        title=row.run if run is None else run.title or run.external_id or row.run,
        cycle=tuple(str(step) for step in cycle) if isinstance(cycle, list) else (),
        times=_number(facts.get("times")) or row.times,
        steps=_number(facts.get("steps")) or 0,
        first_step=_number(facts.get("first_step")),
        burned_usd=_usd(facts.get("burned_usd")),
        usd_per_minute=_usd(facts.get("usd_per_minute")),
        why=str(facts.get("why") or ""),
        action=str(facts.get("action") or ""),
        origin=str(facts.get("origin") or ""),
        killed_at=killed_at,
        is_running=run is not None and run.status == Run.Status.RUNNING,
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _usd(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None
