"""Verdict: whether a run goes round in circles, in which one, since when, and what it has cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from wflo.loops.policy import Action
from wflo.loops.text import digest
from wflo.spans import Kind

_MINUTE_MS = 60_000


class LoopType(StrEnum):
    """The names that clients read. In the order of the checks."""

    EXACT_PROMPT = "exact_prompt"
    NORMALISED_MATCH = "normalized_match"  # AgentWall's spelling
    TOOL_REPETITION = "tool_repetition"
    SIMILAR_PROMPT = "similar_prompt"
    OSCILLATION = "oscillation"
    EXACT_RESPONSE = "exact_response"
    FAILING_CALLS = "failing_calls"
    EMPTY_CALLS = "empty_calls"
    MAX_ITERATIONS = "max_iterations"


@dataclass(frozen=True, slots=True)
class CycleStep:
    """One step of the cycle, by names."""

    kind: Kind
    agent: str
    name: str

    def __str__(self) -> str:
        return f"{self.agent}: {self.name}" if self.agent and self.name else self.agent or self.name or self.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``loop_type`` None: no loop, and nothing else is told.

    ``first_step`` and ``step`` are ordinals in the root run, from 1: where the first pass of the cycle began, and where it
    was seen. Money is what was spent from that first step on: by the agent of the loop, and by the whole run, agents it
    calls included. It is None where no cost is known; ``unpriced_steps`` says how many are missing from it.
    """

    loop_type: LoopType | None = None
    action: Action = Action.NONE
    confidence: float = 0.0
    similarity: float = 0.0
    cycle: tuple[CycleStep, ...] = ()
    times: int = 0
    first_step: int = 0
    step: int = 0
    began_ms: int = 0  # Unix milliseconds, 0 when unknown
    seen_ms: int = 0
    burned_usd: Decimal | None = None
    run_burned_usd: Decimal | None = None
    unpriced_steps: int = 0
    why: str = ""

    @property
    def is_loop(self) -> bool:
        return self.loop_type is not None

    @property
    def steps(self) -> int:
        """How many steps of the run the loop has taken so far."""
        return self.step - self.first_step + 1 if self.is_loop else 0

    @property
    def pattern(self) -> str:
        """The cycle as a person reads it: "writer: search_web -> writer: fetch_page"."""
        return " -> ".join(str(step) for step in self.cycle)

    @property
    def signature(self) -> str:
        """The same for the same loop however long it goes on and wherever its cycle is cut: what an alert is kept by."""
        names = [str(step) for step in self.cycle]
        turns = [names[place:] + names[:place] for place in range(len(names))]
        return digest(self.loop_type or "", *min(turns, default=[]))

    @property
    def usd_per_minute(self) -> Decimal | None:
        """What the loop costs while it goes on; None while time or money is unknown."""
        elapsed_ms = self.seen_ms - self.began_ms
        if self.burned_usd is None or not self.began_ms or elapsed_ms <= 0:
            return None
        return self.burned_usd * _MINUTE_MS / elapsed_ms


NO_LOOP = Verdict()
