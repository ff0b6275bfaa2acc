"""LoopPolicy: every threshold of the loop detector, in one frozen value; and what the doors start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

TURNS_KEPT = 10  # model calls of one agent that are compared
SIMILAR_TURNS_KEPT = 3  # of which so many keep their words
CYCLE_LENGTH_LIMIT = 8  # no policy looks for longer ones
TALKS_KEPT = 4  # of one agent, side by side
LANES_MAX = 32  # agents of one run that are remembered; the one silent for longest is forgotten


class Action(StrEnum):
    """What a verdict asks of its caller, weakest first."""

    NONE = "none"
    WARN = "warn"
    BLOCK = "block"  # refuse the call
    KILL = "kill"  # refuse the call and end the run


_STRENGTH = {action: strength for strength, action in enumerate(Action)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopPolicy:
    """When a repetition is a loop. Counts are passes: 3 means that the third like pass is a loop.

    Raises ValueError for thresholds that nothing or everything would reach.
    """

    is_on: bool = True
    strongest: Action = Action.WARN
    block_confidence: float = 0.95  # verdicts below it only warn

    exact_repeats_max: int = 2  # like requests that pass before the next one is a loop
    samples_max: int = 8  # like requests that pass as long as every answer to them was new; without effect at 1 repeat
    parallel_max: int = 40  # like requests at the same time: samples, up to here
    passes_min: int = 3  # the same turn and answer; the same tool, arguments and answer
    nonce_passes_min: int = 5  # the same turn, ids left out, with the same answer
    cycle_length_max: int = 3
    cycle_passes_min: int = 2  # of like requests, A-B-A-B
    tool_cycle_passes_min: int = 3  # of tool calls or hand-overs with the same answers
    similarity_min: float = 0.9
    similar_hits_min: int = 2
    similar_words_min: int = 12  # shorter answers are alike by chance
    same_answers_min: int = 6  # the same long answer in one talk, whatever was asked

    polls_max: int = 20  # like answers that say "not yet", or of a tool that waits by its name
    poll_pause_ms: int = 15_000  # who waits so long between two looks
    slow_polls_max: int = 120  # may look so often
    pause_ms: int = 5_000  # when tools, or a pause after them, take so long
    paused_passes_max: int = 10  # so many like calls and answers pass
    scheduled_ms: int = 60_000  # looking again after so long repeats nothing
    unhurried_ms: int = 300_000  # nor does anything else after so long
    backoff_passes_max: int = 6  # like failures whose pauses grow
    failing_calls_min: int = 6  # one tool, one error, whatever the arguments
    stuck_calls_min: int = 6  # one call that fails in the same way, whatever else is tried in between
    empty_calls_min: int = 4  # searches in known words that find nothing
    failed_requests_max: int = 10  # like requests that the model's provider failed
    calls_alone_min: int = 10  # passes of tools of an agent that asks no model: code that repeats itself
    iterations_max: int | None = None  # model calls of one agent

    exempt_tools: frozenset[str] = frozenset()  # expected to repeat; never part of a loop

    def __post_init__(self) -> None:
        counts = ("exact_repeats_max", "samples_max", "parallel_max", "polls_max", "backoff_passes_max")
        if any(getattr(self, name) < 1 for name in counts):
            raise ValueError(f"one of {', '.join(counts)} is below 1")
        passes = (
            *("passes_min", "nonce_passes_min", "cycle_passes_min", "tool_cycle_passes_min", "same_answers_min"),
            *("failing_calls_min", "stuck_calls_min", "calls_alone_min"),
        )
        if any(getattr(self, name) < 2 for name in passes):
            raise ValueError(f"one of {', '.join(passes)} is below 2: what happens once is no loop")
        if max(self.exact_repeats_max, self.samples_max) >= TURNS_KEPT:
            raise ValueError(f"only {TURNS_KEPT} requests are kept: exact_repeats_max and samples_max must be fewer")
        if not 1 <= self.cycle_length_max <= CYCLE_LENGTH_LIMIT:
            raise ValueError(f"cycle_length_max is not between 1 and {CYCLE_LENGTH_LIMIT}")
        if not 0 < self.similarity_min <= 1:
            raise ValueError("similarity_min is not between 0 and 1")

    def changed(self, given: Mapping[str, Any]) -> LoopPolicy:
        """This policy with the fields that a JSON object sets, by their names here.

        Raises ValueError for a name that is none, or a value that cannot be.
        """
        known = {one.name: one for one in fields(self)}
        values: dict[str, Any] = {}
        for name, value in given.items():
            if name not in known:
                raise ValueError(f"no field of a loop policy: {name}")
            values[name] = self._read(name, value)
        return replace(self, **values)

    def _read(self, name: str, value: Any) -> Any:
        if name == "strongest":
            return Action(value)
        if name == "exempt_tools":
            if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(one, str) for one in value):
                raise ValueError("exempt_tools is no list of names")
            return frozenset(value)
        is_truth = name == "is_on"
        is_share = name in ("block_confidence", "similarity_min")
        wanted = bool if is_truth else (int, float) if is_share else int
        is_unset = value is None and name == "iterations_max"
        if not is_unset and (not isinstance(value, wanted) or (isinstance(value, bool) and not is_truth)):
            raise ValueError(f"{name} cannot be {value!r}")
        return value

    def action(self, confidence: float) -> Action:
        """The strongest thing this policy does about a loop it is so sure of."""
        wanted = self.strongest if confidence >= self.block_confidence else Action.WARN
        return min(wanted, self.strongest, key=_STRENGTH.__getitem__)


GATEWAY = LoopPolicy(strongest=Action.KILL, exact_repeats_max=1)
SDK = LoopPolicy(strongest=Action.BLOCK, calls_alone_min=3)
INGEST = LoopPolicy(strongest=Action.WARN)
