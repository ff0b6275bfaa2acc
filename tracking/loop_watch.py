"""The clock looks for loops in what spans tell: of runs whose calls do not pass through the gateway.

A run is read whole, as far as its latest LIMITS["loop_spans"] calls, and judged by the gateway's own rule, so it makes no
difference in which order, by how many senders, or how often its spans came. Runs that did not change since are not read
again; those of the last minutes are looked at, the newest first, for LIMITS["loop_watch_ms"] a round. Nothing of this is
on the way of a span into the store.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from tracking import alerts, run_control
from tracking.audit import SYSTEM
from tracking.codes import KIND_CODES
from tracking.models import Alert, Run, Team
from tracking.reports.span import WholeSpan, whole_spans
from tracking.reports.spans import SELECT, read_row
from tracking.sql import statements
from wflo import loops
from wflo.loops import Action, LoopMemory, LoopPolicy, Step, Verdict
from wflo.spans import Kind

log = logging.getLogger(__name__)

RUNS_REMEMBERED = 50_000
_CALLS = (KIND_CODES[Kind.LLM], KIND_CODES[Kind.TOOL])
_judged: OrderedDict[tuple[int, UUID], int] = OrderedDict()  # (team, run) -> steps it had when it was judged


@dataclass(frozen=True, slots=True)
class _Changed:
    """A run to look at. ``name`` is what its programs call it."""

    team_id: int
    id: UUID
    day: Any
    trace_id: UUID
    name: str
    span_count: int
    calls: int


def watch() -> int:
    """Judge runs that changed; how many."""
    until = time.monotonic() + settings.LIMITS["loop_watch_ms"] / 1000
    number = 0
    for run in _changed():
        if time.monotonic() > until:
            break
        try:
            look_at(run)
        except DatabaseError:  # the store is away: the next round tries again
            raise
        except Exception:  # one run's trouble is not the others'
            log.exception("run %s could not be looked at for loops", run.id)
        _keep(run)
        number += 1
    return number


def look_at(run: _Changed) -> Verdict | None:
    """The latest loop of a run, told; None where there is none."""
    team = Team.objects.get(pk=run.team_id)
    policy = policy_of(team)
    if policy is None:
        return None
    steps = list(_steps(run))
    found = _latest(steps, policy)
    if found is None:
        return None
    earlier = max(run.calls - len(steps), 0)  # calls before those that were read
    _tell(team, run, replace(found, first_step=found.first_step + earlier, step=found.step + earlier))
    return found


def policy_of(team: Team) -> LoopPolicy | None:
    """Loops in spans are told, and the run is stopped only where the team says so ("spans": "kill"); None: off."""
    if team.loop_action == Team.LoopAction.OFF:
        return None
    given = {name: value for name, value in team.loop_policy.items() if name not in ("workflows", "spans")}
    strongest = Action.KILL if team.loop_policy.get("spans") == "kill" else Action.WARN
    try:
        found = loops.INGEST.changed(given)
    except ValueError as error:
        log.warning("a loop policy is not kept to: %s", error)
        found = loops.INGEST
    return replace(found, strongest=strongest) if found.is_on else None


def _changed() -> list[_Changed]:
    with connection.cursor() as cursor:
        cursor.execute(statements("loops")["changed"], {"most": settings.LIMITS["loop_runs"]})
        rows = [_Changed(*row) for row in cursor.fetchall()]
    return [run for run in rows if _judged.get((run.team_id, run.id)) != run.span_count]


def _keep(run: _Changed) -> None:
    _judged[run.team_id, run.id] = run.span_count
    _judged.move_to_end((run.team_id, run.id))
    if len(_judged) > RUNS_REMEMBERED:
        _judged.popitem(last=False)


def _steps(run: _Changed) -> Iterable[Step]:
    """Its calls that count, in the order in which they began."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{SELECT} WHERE team_id = %s AND day = %s AND trace_id = %s AND counted AND kind = ANY(%s)"
            " ORDER BY started_at DESC, span_id DESC LIMIT %s",
            [run.team_id, run.day, run.trace_id, list(_CALLS), settings.LIMITS["loop_spans"]],
        )
        rows = [read_row(row) for row in cursor.fetchall()]
    return [_step(whole) for whole in whole_spans(run.team_id, rows[::-1])]


def _step(whole: WholeSpan) -> Step:
    span, said = whole.span, whole.contents
    common: dict[str, Any] = {
        "agent": span.agent or "",
        "started_ns": int(span.started_at.timestamp() * 1_000_000) * 1000,
        "ended_ns": int(span.ended_at.timestamp() * 1_000_000) * 1000 if span.ended_at else 0,
        "cost_usd": span.cost_usd,
    }
    has_failed = span.status_code == 2
    if span.kind is Kind.TOOL:
        asked, answered = said.input_text or None, said.output_text or None
        cost = {**common, "cost_usd": span.cost_usd or 0}
        return loops.tool_step(span.tool_name or "", asked, answered, is_error=has_failed, **cost)
    # Spans count tries from 1, the rule counts those after the first.
    attempt = max((span.attempt or 1) - 1, 0)
    return loops.llm_step(
        said.input, said.output, model=span.model or "", has_failed=has_failed, attempt=attempt, **common
    )


def _latest(steps: Iterable[Step], policy: LoopPolicy) -> Verdict | None:
    memory, latest = LoopMemory(), None
    for step in steps:
        memory, found = loops.advance(memory, step, policy)
        if found.is_loop:
            latest = found
    return latest


def _tell(team: Team, run: _Changed, found: Verdict) -> None:
    """One alert a run and cycle; told again when it went on since."""
    key = f"loop:{run.name}:{found.signature}"[:400]
    known = Alert.objects.filter(team=team, dedupe_key=key).values_list("payload", flat=True).first()
    if known is not None and int(known.get("times") or 0) >= found.times:
        return
    is_kill = found.action is Action.KILL
    with transaction.atomic():
        alerts.open_once(
            team,
            Alert.Kind.LOOP,
            Alert.Severity.CRITICAL if is_kill else Alert.Severity.HIGH,
            key,
            payload=payload_of(found, origin="spans"),
            run=run.name,
            agent=found.cycle[0].agent if found.cycle else "",
        )
        Run.objects.filter(team=team, id=run.id).update(loop_detected=True)
    if is_kill:
        run_control.kill(team, [str(run.id)], reason=f"loop_detected:{found.loop_type}", actor=SYSTEM)


def payload_of(found: Verdict, *, origin: str) -> dict[str, Any]:
    """What is told of a loop, as the gateway tells it."""
    return {
        "loop_type": str(found.loop_type),
        "confidence": round(found.confidence, 4),
        "cycle": [str(step) for step in found.cycle],
        "pattern": found.pattern,
        "times": found.times,
        "steps": found.steps,
        "first_step": found.first_step,
        "burned_usd": found.burned_usd,
        "run_burned_usd": found.run_burned_usd,
        "usd_per_minute": found.usd_per_minute,
        "why": found.why,
        "action": found.action.value,
        "origin": origin,
    }
