"""Loops: whether a run of agents goes round in circles. A pure rule: steps in, a verdict out; docs/loops.md says it in words.

The caller keeps one ``LoopMemory`` for each root run, so that sub-agents and other processes count, and

* asks ``check(memory, step)`` before a call is made;
* keeps ``advance(memory, step)`` once it was made, in the order in which steps began.

``verdict(steps)`` is the same for all steps of a run at once. Steps are made of hashes (``wflo.loops_turns``,
``wflo.loops_steps``): the rule never sees a text. Detectors: exact and normalised repetition, cycles by the period of the
sequence's end, likeness by Jaccard's index over sets of words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from wflo import loops_asking, loops_calling, loops_handing
from wflo.loops_checks import Found, Now
from wflo.loops_memory import Lane, LoopMemory
from wflo.loops_outcomes import Outcome
from wflo.loops_policy import GATEWAY, INGEST, SDK, Action, LoopPolicy
from wflo.loops_rhythm import Mark
from wflo.loops_steps import Answer, Call, Fingerprint, Step, call_of, tool_step
from wflo.loops_turns import (
    anthropic_answer,
    anthropic_fingerprint,
    chat_answer,
    chat_fingerprint,
    llm_step,
    responses_answer,
    responses_fingerprint,
)
from wflo.loops_verdict import NO_LOOP, CycleStep, LoopType, Verdict
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
    "anthropic_answer",
    "anthropic_fingerprint",
    "call_of",
    "chat_answer",
    "chat_fingerprint",
    "check",
    "llm_step",
    "responses_answer",
    "responses_fingerprint",
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


def _advanced(memory: LoopMemory, step: Step, policy: LoopPolicy, *, is_planned: bool) -> tuple[LoopMemory, Verdict]:
    name = memory.lane_of(step)
    memory, lane, mark = _paid(memory, memory.lanes.get(name) or Lane(), step, is_planned=is_planned)
    now = Now(step, policy, mark, memory.answered_ms, is_planned)
    found: list[Found] = []
    if policy.is_on:
        lane = lane.cleared() if step.made_progress else lane
        if step.kind is Kind.TOOL:
            memory, lane, found = _tool(memory, lane, now)
        elif step.kind is Kind.LLM:
            memory, lane, found = _llm(memory, lane, now)
        memory, handed_over = loops_handing.visited(memory, now, name, lane)
        found = [*found, *handed_over]
    answered_ms = max(memory.answered_ms, now.until_ms) if step.kind is Kind.LLM else memory.answered_ms
    memory = replace(memory, answered_ms=answered_ms, lanes=memory.with_lane(name, lane))
    return memory, _verdict(found, memory, lane, now) if found else NO_LOOP


def _paid(memory: LoopMemory, lane: Lane, step: Step, *, is_planned: bool) -> tuple[LoopMemory, Lane, Mark]:
    """Memory and lane with the step counted and its cost added, and the mark of its place before that."""
    number, at_ms = memory.steps + 1, step.started_ns // 1_000_000
    mark = Mark(number, at_ms, lane.spent_usd, memory.spent_usd, lane.unpriced, memory.unpriced)
    cost = step.cost_usd or Decimal(0)
    is_unpriced = step.cost_usd is None and step.kind is Kind.LLM and not is_planned and not step.has_failed
    lane = lane._replace(spent_usd=lane.spent_usd + cost, unpriced=lane.unpriced + is_unpriced, last_step=number)
    memory = replace(memory, steps=number, spent_usd=memory.spent_usd + cost, unpriced=memory.unpriced + is_unpriced)
    return memory, lane, mark


def _tool(memory: LoopMemory, lane: Lane, now: Now) -> tuple[LoopMemory, Lane, list[Found]]:
    call = now.step.call
    if call is None or memory.tools_from == _FROM_REQUESTS:
        return memory, lane, []
    lane = loops_calling.opened(lane, now, call)
    return replace(memory, tools_from=_FROM_SPANS), lane, loops_calling.closed(lane, now)[1]


def _llm(memory: LoopMemory, lane: Lane, now: Now) -> tuple[LoopMemory, Lane, list[Found]]:
    step, asked = now.step, now.step.fingerprint
    lane, found = loops_calling.closed(lane, now)
    if asked is not None:
        if asked.rounds and not memory.tools_from:
            memory = replace(memory, tools_from=_FROM_REQUESTS)
        lane, told = loops_calling.told(lane, now, asked, is_counted=memory.tools_from == _FROM_REQUESTS)
        found = [*found, *told]
        if step.has_failed:
            lane, failed = loops_asking.failed_request(lane, now, asked)
            return memory, lane, [*found, *failed]
        if asked.samples <= 1 and not step.is_resent:
            lane, repeated = loops_asking.turn(lane, now, asked, step.answer)
            found = [*repeated, *found]
    lane = lane._replace(calls=lane.calls + 1, asked=now.mark)
    return memory, lane, [*found, *loops_asking.too_many(lane, now)]


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
