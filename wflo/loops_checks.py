"""What the checks of the loop detector share: the step they look at, what they find, when a cycle came often enough."""

from __future__ import annotations

from typing import NamedTuple

from wflo.loops_policy import LoopPolicy
from wflo.loops_rhythm import Beat, Cycle, Mark, Rhythm
from wflo.loops_steps import Step
from wflo.loops_verdict import LoopType
from wflo.spans import Kind


class Found(NamedTuple):
    loop_type: LoopType
    confidence: float
    beats: tuple[Beat, ...]
    kind: Kind
    times: int
    since: Mark
    why: str
    similarity: float = 1.0
    is_across: bool = False  # several agents are in it


class Now(NamedTuple):
    """The step that is looked at. ``is_planned``: it is a request that has not been sent."""

    step: Step
    policy: LoopPolicy
    mark: Mark
    is_planned: bool = False

    @property
    def at_ms(self) -> int:
        return self.mark.at_ms

    @property
    def until_ms(self) -> int:
        return max(self.step.ended_ns // 1_000_000, self.at_ms)

    def beat(self, key: str, asked: str, *, is_patient: bool = False) -> Beat:
        return Beat(key, asked, self.step.agent, self.step.name, self.mark, self.at_ms, is_patient)


def after(rhythm: Rhythm, beat: Beat, policy: LoopPolicy, length_max: int | None = None) -> Rhythm:
    return rhythm.after(beat, length_max=length_max or policy.cycle_length_max, scheduled_ms=policy.scheduled_ms)


def came(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"


def passes(cycle: Cycle, least: int, policy: LoopPolicy) -> int:
    """How often a cycle must come to be a loop. Who waits for something may look again, the oftener the slower."""
    if not cycle.is_patient:
        return least
    taken_ms = cycle.beats[-1].at_ms - cycle.since.at_ms
    is_slow = taken_ms >= policy.poll_pause_ms * (cycle.passes - 1)
    return 1 + (policy.slow_polls_max if is_slow and taken_ms else policy.polls_max)


def swing(cycle: Cycle, what: str, kind: Kind = Kind.LLM) -> Found:
    names = " -> ".join(dict.fromkeys(f"{beat.agent}: {beat.name}".strip(": ") for beat in cycle.beats))
    why = f"A cycle of {len(cycle.beats)} {what} ({names}) came {came(cycle.passes)}, with the same answers."
    confidence = 0.9 if cycle.is_patient else 0.95
    return Found(LoopType.OSCILLATION, confidence, cycle.beats, kind, cycle.passes, cycle.since, why)
