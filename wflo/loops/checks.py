"""What the checks of the loop detector share: the step they look at, what they find, when a cycle came often enough."""

from __future__ import annotations

from typing import NamedTuple

from wflo.loops.policy import LoopPolicy
from wflo.loops.rhythm import Beat, Cycle, Mark, Rhythm
from wflo.loops.steps import Step
from wflo.loops.verdicts import LoopType
from wflo.spans import Kind

UNSURE = 0.9  # below what blocks


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
    answered_ms: int = 0  # when the run's last call of a model before it ended
    is_planned: bool = False

    @property
    def is_paused(self) -> bool:
        """Whether no model was at work for a while before it: tools took long, or somebody slept."""
        until_ms = self.at_ms if self.step.kind is Kind.LLM else self.until_ms
        return 0 < self.answered_ms <= until_ms - self.policy.pause_ms

    @property
    def at_ms(self) -> int:
        return self.mark.at_ms

    @property
    def until_ms(self) -> int:
        return max(self.step.ended_ns // 1_000_000, self.at_ms)

    def beat(self, key: str, asked: str) -> Beat:
        """The step's request as it is compared."""
        turn = self.step.fingerprint
        is_patient = turn is not None and turn.is_patient
        is_paused = self.is_paused and turn is not None and not turn.tells_failure
        return Beat(key, asked, self.step.agent, self.step.name, self.mark, self.at_ms, is_patient, is_paused)


def after(rhythm: Rhythm, beat: Beat, policy: LoopPolicy, length_max: int | None = None) -> Rhythm:
    pause_ms = policy.scheduled_ms if beat.is_patient else policy.unhurried_ms
    return rhythm.after(beat, length_max=length_max or policy.cycle_length_max, pause_ms=pause_ms)


def came(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"


def passes(cycle: Cycle, least: int, policy: LoopPolicy) -> int:
    """How often a cycle must come to be a loop. Who waits for something may look again, the oftener the slower."""
    if not cycle.is_patient:
        return max(least, policy.paused_passes_max + 1) if cycle.is_paused else least
    taken_ms = cycle.beats[-1].at_ms - cycle.since.at_ms
    is_slow = taken_ms >= policy.poll_pause_ms * (cycle.passes - 1)
    return 1 + (policy.slow_polls_max if is_slow and taken_ms else policy.polls_max)


def confidence(cycle: Cycle, sure: float) -> float:
    """Whoever waits may be right to: such a loop is only warned of."""
    return UNSURE if cycle.is_patient or cycle.is_paused else sure


def swing(cycle: Cycle, what: str, kind: Kind = Kind.LLM) -> Found:
    names = " -> ".join(dict.fromkeys(f"{beat.agent}: {beat.name}".strip(": ") for beat in cycle.beats))
    why = f"A cycle of {len(cycle.beats)} {what} ({names}) came {came(cycle.passes)}, with the same answers."
    return Found(LoopType.OSCILLATION, confidence(cycle, 0.95), cycle.beats, kind, cycle.passes, cycle.since, why)
