"""Loops: whether a run of agents goes round in circles. A pure rule: steps in, a verdict out; docs/loops.md says it in words.

The caller keeps one ``LoopMemory`` for each root run, so that sub-agents and other processes count, and

* asks ``check(memory, step)`` before a call is made;
* keeps ``advance(memory, step)`` once it was made, in the order in which steps began.

``verdict(steps)`` is the same for all steps of a run at once. A step is made of hashes: of a request and its answer by
``fingerprint`` and ``answer``, of recorded calls by ``llm_step`` and ``tool_step``; the rule never sees a text. Detectors: exact and normalised repetition, cycles by the period of the
sequence's end, likeness by Jaccard's index over sets of words.
"""

from __future__ import annotations

from collections.abc import Iterable

from wflo.loops import asking, calling, handing
from wflo.loops.checks import Found, Now
from wflo.loops.memory import Lane, LoopMemory
from wflo.loops.outcomes import Outcome
from wflo.loops.policy import GATEWAY, INGEST, SDK, Action, LoopPolicy
from wflo.loops.rhythm import Mark
from wflo.loops.steps import Answer, Call, Fingerprint, Step, call_of, tool_step
from wflo.loops.turns import answer, fingerprint, llm_step
from wflo.loops.verdicts import NO_LOOP, CycleStep, LoopType, Verdict
from wflo.spans import Kind

__all__ = [
    "GATEWAY",
    "INGEST",
    "NO_LOOP",
    "SDK",
    "Action",
    "Answer",
    "Call",
    "CycleStep",
    "Fingerprint",
    "LoopMemory",
    "LoopPolicy",
    "LoopType",
    "Outcome",
    "Step",
    "Verdict",
    "advance",
    "answer",
    "call_of",
    "check",
    "fingerprint",
    "llm_step",
    "tool_step",
    "verdict",
]

_FROM_REQUESTS, _FROM_SPANS = "requests", "spans"


def check(memory: LoopMemory, step: Step, policy: LoopPolicy = GATEWAY) -> Verdict:
    """Whether a request that is about to be sent would go on with a loop. Nothing is remembered.

    ``step`` has its fingerprint and start, no answer and no cost.
    """
    return _advanced(memory, step, policy, is_planned=True)[1]


def advance(memory: LoopMemory, step: Step, policy: LoopPolicy = INGEST) -> tuple[LoopMemory, Verdict]:
    """The memory with one step more, and whether that step is part of a loop. The memory given is left as it was."""
    return _advanced(memory, step, policy, is_planned=False)


def verdict(steps: Iterable[Step], policy: LoopPolicy = INGEST) -> Verdict:
    """The verdict at the last of a run's steps, in the order of their starts; ``NO_LOOP`` if there is none."""
    memory, last = LoopMemory(), NO_LOOP
    for step in steps:
        memory, last = advance(memory, step, policy)
    return last


def _advanced(before: LoopMemory, step: Step, policy: LoopPolicy, *, is_planned: bool) -> tuple[LoopMemory, Verdict]:
    memory, name, lane = before.with_step_of(step)
    mark = _paid(memory, lane, step, is_planned=is_planned)
    now = Now(step, policy, mark, memory.answered_ms, is_planned)
    found: list[Found] = []
    if policy.is_on:
        if step.made_progress:
            lane.clear()
        if step.kind is Kind.TOOL:
            found = _tool(memory, lane, now)
        elif step.kind is Kind.LLM:
            found = _llm(memory, lane, now)
        found += handing.visited(memory, now, name, lane)
    return memory, _verdict(found, memory, lane, now) if found else NO_LOOP


def _paid(memory: LoopMemory, lane: Lane, step: Step, *, is_planned: bool) -> Mark:
    """The step is counted and its cost added; the mark is of its place before that."""
    memory.steps += 1
    at_ms = step.started_ns // 1_000_000
    mark = Mark(memory.steps, at_ms, lane.spent_usd, memory.spent_usd, lane.unpriced, memory.unpriced)
    if step.cost_usd is not None:
        lane.spent_usd += step.cost_usd
        memory.spent_usd += step.cost_usd
    elif step.kind is Kind.LLM and not is_planned and not step.has_failed:
        lane.unpriced += 1
        memory.unpriced += 1
    return mark


def _tool(memory: LoopMemory, lane: Lane, now: Now) -> list[Found]:
    call = now.step.call
    if call is None or memory.tools_from == _FROM_REQUESTS:
        return []
    memory.tools_from = _FROM_SPANS
    calling.opened(lane, now, call)
    return calling.closed(lane.copied(), now)  # as if it were the last of its round


def _llm(memory: LoopMemory, lane: Lane, now: Now) -> list[Found]:
    step, asked = now.step, now.step.fingerprint
    found = calling.closed(lane, now)
    memory.answered_ms = max(memory.answered_ms, now.until_ms)
    if asked is not None:
        if asked.rounds and not memory.tools_from:
            memory.tools_from = _FROM_REQUESTS
        found += calling.told(lane, now, asked, is_counted=memory.tools_from == _FROM_REQUESTS)
        if step.has_failed:
            return found + asking.failed_request(lane, now, asked)
        if asked.samples <= 1 and not step.is_resent:
            found = asking.turn(lane, now, asked, step.answer) + found
    lane.calls += 1
    lane.asked = now.mark
    return found + asking.too_many(lane, now)


def _verdict(found: list[Found], memory: LoopMemory, lane: Lane, now: Now) -> Verdict:
    """Of what was found, the surest; of equals the first in the order of the checks."""
    best = max(found, key=lambda one: one.confidence)
    since = best.since
    run_usd, run_unpriced = memory.spent_usd - since.run_usd, memory.unpriced - since.run_unpriced
    usd, unpriced = lane.spent_usd - since.agent_usd, lane.unpriced - since.agent_unpriced
    if best.is_across:
        usd, unpriced = run_usd, run_unpriced
    return Verdict(
        loop_type=best.loop_type,
        action=now.policy.action(best.confidence),
        confidence=best.confidence,
        similarity=best.similarity,
        cycle=tuple(CycleStep(best.kind, beat.agent, beat.name) for beat in best.beats),
        times=best.times,
        first_step=since.step,
        step=now.mark.step,
        began_ms=since.at_ms,
        seen_ms=now.until_ms,
        burned_usd=None if unpriced and not usd else usd,
        run_burned_usd=None if run_unpriced and not run_usd else run_usd,
        unpriced_steps=unpriced,
        why=best.why,
    )
