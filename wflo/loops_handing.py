"""The check of hand-overs: agents that pass the same things to each other and get nowhere.

What one agent did until another had its turn is a visit; visits in a cycle, with the same content, are a loop.
"""

from __future__ import annotations

from dataclasses import replace

from wflo.loops_checks import Found, Now, after, passes, swing
from wflo.loops_memory import Lane, LoopMemory, Visit
from wflo.loops_outcomes import Outcome
from wflo.loops_rhythm import Beat, Cycle
from wflo.loops_text import digest
from wflo.spans import Kind


def visited(memory: LoopMemory, now: Now, name: str, lane: Lane) -> tuple[LoopMemory, list[Found]]:
    """One step more of the agent whose lane is ``name``: it goes on with its visit, or ends another's."""
    found: list[Found] = []
    visit = memory.visit
    if visit.lane != name:
        if visit.content:
            memory, found = _ended(memory, now)
        visit = Visit(name, now.step.agent or name, "", now.mark)
    content, is_patient = _content(now, lane)
    if content:
        visit = visit._replace(content=digest(visit.content, content), is_patient=visit.is_patient or is_patient)
    return replace(memory, visit=visit), found


def _ended(memory: LoopMemory, now: Now) -> tuple[LoopMemory, list[Found]]:
    visit = memory.visit
    key = digest(visit.lane, visit.content)
    beat = Beat(key, key, visit.agent, "", visit.mark, visit.mark.at_ms, visit.is_patient)
    rhythm = after(memory.visits, beat, now.policy)
    policy = now.policy

    def is_enough(cycle: Cycle) -> bool:
        agents = {one.agent for one in cycle.beats}
        return len(agents) > 1 and cycle.passes >= passes(cycle, policy.tool_cycle_passes_min, policy)

    cycle = rhythm.cycle(is_enough)
    found = [swing(cycle, "hand-overs", Kind.AGENT)._replace(is_across=True)] if cycle else []
    return replace(memory, visits=rhythm), found


def _content(now: Now, lane: Lane) -> tuple[str, bool]:
    """What a step adds to its visit: calls of tools with their answers, or a turn with its answer in words. A step that
    cannot be compared makes the visit like no other; one that failed adds nothing."""
    step = now.step
    if step.has_failed and step.kind is Kind.LLM:
        return "", False
    if step.call is not None:
        return digest(lane.topic, step.call.key), step.call.outcome is Outcome.WAITING
    if step.kind is Kind.LLM and step.fingerprint is not None and step.answer is not None:
        asked = step.fingerprint.topic if step.answer.calls else step.fingerprint.turn
        return digest(asked, step.answer.key), step.fingerprint.is_patient
    return ("", False) if now.is_planned else (str(now.mark.step), False)
