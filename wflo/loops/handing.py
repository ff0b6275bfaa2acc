"""The check of hand-overs: agents that pass the same things to each other and get nowhere.

What one agent did until another had its turn is a visit; visits in a cycle, with the same content, are a loop.
"""

from __future__ import annotations

from wflo.loops.checks import Found, Now, after, passes, swing
from wflo.loops.memory import Lane, LoopMemory, Visit
from wflo.loops.outcomes import Outcome
from wflo.loops.rhythm import Beat, Cycle
from wflo.loops.text import digest
from wflo.spans import Kind


def visited(memory: LoopMemory, now: Now, name: str, lane: Lane) -> list[Found]:
    """One step more of the agent whose lane is ``name``: it goes on with its visit, or ends another's."""
    found: list[Found] = []
    if memory.visit.lane != name:
        found = _ended(memory, now) if memory.visit.content else []
        memory.visit = Visit(name, now.step.agent or name, "", now.mark)
    visit = memory.visit
    content, is_patient = _content(now, lane)
    if content:
        content = digest(visit.content, content)
        memory.visit = Visit(name, visit.agent, content, visit.mark, visit.is_patient or is_patient)
    return found


def _ended(memory: LoopMemory, now: Now) -> list[Found]:
    visit, policy = memory.visit, now.policy
    key = digest(visit.lane, visit.content)
    beat = Beat(key, key, visit.agent, "", visit.mark, visit.mark.at_ms, visit.is_patient)
    memory.visits = after(memory.visits, beat, policy)

    def is_enough(cycle: Cycle) -> bool:
        is_one = len({one.agent for one in cycle.beats}) == 1  # whose visits others' failures cut
        return not is_one and cycle.passes >= passes(cycle, policy.tool_cycle_passes_min, policy)

    cycle = memory.visits.cycle(is_enough)
    return [swing(cycle, "hand-overs", Kind.AGENT)._replace(is_across=True)] if cycle else []


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
