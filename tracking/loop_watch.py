"""The clock looks for loops in what spans tell: of runs whose calls do not pass through the gateway.

A run, with the traces that links join with it, is read whole, as far as its latest LIMITS["loop_spans"] calls, and judged by
the gateway's own rule, so it makes no difference in which order, by how many senders, or how often its spans came. Runs
that did not change since are not read again; those of the last minutes are looked at, the newest first, for
LIMITS["loop_watch_ms"] a round. Nothing of this is on the way of a span into the store.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction

from tracking import agent_breaker, alerts, run_control
from tracking.audit import SYSTEM
from tracking.codes import KIND_CODES
from tracking.models import Alert, Run, Team
from tracking.reports.run import find_run, linked_runs
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
    """A run to look at. ``name`` is what its programs call it, ``workflows`` what a team's rules may know it by."""

    team_id: int
    id: UUID
    day: date
    trace_id: UUID
    name: str
    span_count: int
    calls: int
    workflows: tuple[str, ...] = ()
    is_linked: bool = False  # one of several traces that are one piece of work


def watch() -> int:
    """Judge runs that changed; how many pieces of work they were."""
    until = time.monotonic() + settings.LIMITS["loop_watch_ms"] / 1000
    number = 0
    for run in _changed():
        if time.monotonic() > until:
            break
        work = [run]
        try:
            work = _work_of(run)
            if not _is_known(work):
                number += 1
                look_at(work)
        except DatabaseError:  # the store is away: the next round tries again
            raise
        except Exception:  # one run's trouble is not the others'
            log.exception("run %s could not be looked at for loops", run.id)
        _keep(work)
    return number


def look_at(work: Sequence[_Changed]) -> Verdict | None:
    """The latest loop of the runs that are one piece of work, the first of them its root, told; None where there is none."""
    root = work[0]
    team = Team.objects.get(pk=root.team_id)
    policy = policy_of(team, root.workflows)
    if policy is None:
        return None
    steps = list(_steps(work))
    found = _latest(steps, policy)
    if found is None:
        return None
    earlier = max(sum(run.calls for run in work) - len(steps), 0)  # calls before those that were read
    seen = replace(found, first_step=found.first_step + earlier, step=found.step + earlier)
    if _tell(team, work, seen) and found.confidence >= policy.block_confidence:
        _cut_off(team, root, seen)
    return found


def _cut_off(team: Team, root: _Changed, found: Verdict) -> None:
    """The agent of a loop that is one for sure, where its team's breaker wants that."""
    breaker, agent = agent_breaker.policy_of(team), _agent_of(found)
    if agent and breaker.is_on and breaker.on_loop:
        facts = payload_of(found, origin="spans")
        why = agent_breaker.loop_words(facts)
        agent_breaker.trip(team.pk, agent, breaker, why, {"loop": facts, "run_id": root.name})


def policy_of(team: Team, workflows: Iterable[str] = ()) -> LoopPolicy | None:
    """Loops in spans are told, and the run is stopped only where the team says so ("spans": "kill"), or says so of a workflow
    by its run's name or the agent that starts it; None: off."""
    if team.loop_action == Team.LoopAction.OFF:
        return None
    given = dict(team.loop_policy)
    strongest = Action.KILL if given.pop("spans", None) == "kill" else Action.WARN
    of_workflows: dict[str, Any] = given.pop("workflows", {})
    own: dict[str, Any] = next((of_workflows[name] for name in workflows if name in of_workflows), {})
    try:
        found = replace(loops.INGEST.changed(given), strongest=strongest).changed(own)
    except ValueError as error:
        log.warning("a loop policy is not kept to: %s", error)
        found = replace(loops.INGEST, strongest=strongest)
    if found.strongest is Action.BLOCK:  # of calls that were made there is none to refuse
        found = replace(found, strongest=Action.WARN)
    return found if found.is_on else None


def _changed() -> list[_Changed]:
    with connection.cursor() as cursor:
        cursor.execute(statements("loops")["changed"], {"most": settings.LIMITS["loop_runs"]})
        rows = [_Changed(*row[:7], **{"workflows": row[7:9], "is_linked": row[9]}) for row in cursor.fetchall()]
    return [run for run in rows if run.is_linked or not _is_known([run])]


def _work_of(run: _Changed) -> list[_Changed]:
    """The run, or the traces that links join with it to one piece of work, the first to begin first."""
    if not run.is_linked:
        return [run]
    row = find_run(run.team_id, str(run.id)).run
    return [
        _Changed(
            run.team_id, one.id, one.day, one.trace_id, one.external_id or one.trace_id.hex, one.span_count,
            one.llm_calls + one.tool_calls, (one.name, one.entry_agent or ""), is_linked=True,
        )
        for one in sorted([row, *linked_runs(run.team_id, row)], key=lambda one: (one.started_at, one.id))
    ]  # fmt: skip


def _is_known(work: Sequence[_Changed]) -> bool:
    """Nothing came for any of them since they were judged."""
    return all(_judged.get((run.team_id, run.id)) == run.span_count for run in work)


def _keep(work: Sequence[_Changed]) -> None:
    for run in work:
        _judged[run.team_id, run.id] = run.span_count
        _judged.move_to_end((run.team_id, run.id))
    while len(_judged) > RUNS_REMEMBERED:
        _judged.popitem(last=False)


def _steps(work: Sequence[_Changed]) -> Iterable[Step]:
    """Their calls that count, in the order in which they began."""
    team_id = work[0].team_id
    days, traces = sorted({run.day for run in work}), [run.trace_id for run in work]
    with connection.cursor() as cursor:
        cursor.execute(
            f"{SELECT} WHERE team_id = %s AND day = ANY(%s) AND trace_id = ANY(%s) AND counted AND kind = ANY(%s)"
            " ORDER BY started_at DESC, span_id DESC LIMIT %s",
            [team_id, days, traces, list(_CALLS), settings.LIMITS["loop_spans"]],
        )
        rows = [read_row(row) for row in cursor.fetchall()]
    return [_step(whole) for whole in whole_spans(team_id, rows[::-1])]


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


def _tell(team: Team, work: Sequence[_Changed], found: Verdict) -> bool:
    """One alert a piece of work and cycle, under its root's name; told again when it went on since. False: nothing new."""
    root, ids = work[0], [run.id for run in work]
    key = f"loop:{root.name}:{found.signature}"[:400]
    known = Alert.objects.filter(team=team, dedupe_key=key).values_list("payload", flat=True).first()
    if known is not None and int(known.get("times") or 0) >= found.times:
        return False
    is_kill = found.action is Action.KILL
    with transaction.atomic():
        alerts.open_once(
            team,
            Alert.Kind.LOOP,
            Alert.Severity.CRITICAL if is_kill else Alert.Severity.HIGH,
            key,
            payload=payload_of(found, origin="spans"),
            run=root.name,
            agent=_agent_of(found),
        )
        Run.objects.filter(team=team, id__in=ids).update(loop_detected=True)
    if is_kill:
        run_control.kill(team, [str(id) for id in ids], reason=f"loop_detected:{found.loop_type}", actor=SYSTEM)
    return True


def _agent_of(found: Verdict) -> str:
    return found.cycle[0].agent if found.cycle else ""


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
