"""The checks of calls of tools, over one agent's lane. What one answer of the model asked for is one round."""

from __future__ import annotations

from collections.abc import Callable

from wflo.loops.checks import UNSURE, Found, Now, after, came, confidence, passes, swing
from wflo.loops.memory import NO_STREAK, Lane, Pauses, Pending, Streak, Talk
from wflo.loops.outcomes import Outcome
from wflo.loops.policy import TALKS_KEPT, LoopPolicy
from wflo.loops.rhythm import Beat, Cycle, Mark
from wflo.loops.steps import Call, Fingerprint, Round
from wflo.loops.text import WORDS_KEPT, digest
from wflo.loops.verdicts import LoopType
from wflo.spans import Kind

_PAUSE_MIN_MS = 1_000  # what is shorter is no pause but how long a model thinks
_PAUSE_LONG_MS = 15_000  # a pause that need not grow any more
_PAUSE_GROWTH = 1.3
_STUCK_KEPT = 4  # different calls that fail
_ROUND_CALLS_MAX = 32  # of one round that are compared
_SEARCH_WORDS_KEPT = 2 * WORDS_KEPT


def told(lane: Lane, now: Now, asked: Fingerprint, *, is_counted: bool) -> list[Found]:
    """The rounds of its turn that a request tells and that were not told before. ``is_counted``: requests are where calls
    of tools are known from."""
    talk = next((talk for talk in lane.talks if talk.topic == asked.topic), Talk(asked.topic))
    rounds = digest(str(asked.round_count), *(call.key for calls in asked.rounds for call in calls))
    # Fewer or as many as before and yet others: the talk was cut, and one round is new.
    new = 0 if talk.rounds == rounds or not asked.rounds else max(asked.round_count - talk.told, 1)
    others = tuple(other for other in lane.talks if other.topic != asked.topic)[1 - TALKS_KEPT :]
    lane.talks = (*others, Talk(asked.topic, asked.round_count, rounds, asked.may_wait))
    found: list[Found] = []
    mark = lane.asked if lane.calls else now.mark
    for calls in asked.rounds[-new:] if new and is_counted else ():
        found = _round(lane, now, calls, mark, now.at_ms)
    return found


def opened(lane: Lane, now: Now, call: Call) -> None:
    """A recorded call joins the open round: until the agent's next call of a model, or, where it makes none, until a call
    that began when all of the round had ended."""
    if not lane.calls and lane.pending.calls and now.at_ms >= lane.pending.until_ms:
        closed(lane, now)
    pending = lane.pending
    mark = lane.asked if lane.calls else now.mark
    if pending.calls:
        calls = (*pending.calls, call)[:_ROUND_CALLS_MAX]
        lane.pending = pending._replace(calls=calls, until_ms=max(pending.until_ms, now.until_ms))
    else:
        lane.pending = Pending((call,), now.at_ms, now.until_ms, mark)


def closed(lane: Lane, now: Now) -> list[Found]:
    """The open round is over and counts. A tool of an agent that asks no model is called by code: what it repeats costs
    nothing and may be meant."""
    pending, lane.pending = lane.pending, Pending()
    if not pending.calls:
        return []
    least = 0 if lane.calls else now.policy.calls_alone_min
    return _round(lane, now, pending.calls, pending.mark, pending.at_ms, least)


def _round(lane: Lane, now: Now, calls: Round, mark: Mark, at_ms: int, least: int = 0) -> list[Found]:
    """One round more: the calls of one answer, with what the tools said. ``least``: passes that any cycle must have."""
    kept = tuple(call for call in calls if call.name not in now.policy.exempt_tools)
    if not kept:
        return []
    key = digest(lane.topic, *sorted({call.key for call in kept}))
    names = " + ".join(dict.fromkeys(call.name for call in kept))
    has_failed = all(call.outcome is Outcome.FAILED for call in kept)
    is_patient = any(call.outcome is Outcome.WAITING for call in kept) or (lane.may_wait and not has_failed)
    is_paused = now.is_paused and not has_failed
    beat = Beat(key, key, now.step.agent, names, mark, at_ms, is_patient, is_paused)
    lane.rounds = after(lane.rounds, beat, now.policy)
    lane.pauses = _pauses(lane.pauses, beat) if has_failed else Pauses()
    cycle = lane.rounds.cycle(_rounds_enough(lane, now.policy, least))
    found = [_repeated_calls(cycle, has_failed=has_failed)] if cycle else []
    for look in (_failing, _stuck, _empty):
        found += look(lane, now, kept, beat)
    return found


def _pauses(pauses: Pauses, beat: Beat) -> Pauses:
    if pauses.key != beat.key:
        return Pauses(beat.key, beat.at_ms)
    pause = beat.at_ms - pauses.at_ms
    grows = pause >= _PAUSE_MIN_MS and (pause >= pauses.pause_ms * _PAUSE_GROWTH or pause >= _PAUSE_LONG_MS)
    return Pauses(beat.key, beat.at_ms, pause, pauses.are_growing and grows)


def _backs_off(lane: Lane) -> bool:
    return lane.pauses.pause_ms > 0 and lane.pauses.are_growing


def _rounds_enough(lane: Lane, policy: LoopPolicy, least: int) -> Callable[[Cycle], bool]:
    backs_off = _backs_off(lane)

    def is_enough(cycle: Cycle) -> bool:
        if len(cycle.beats) > 1:
            wanted = policy.tool_cycle_passes_min
        else:
            wanted = policy.backoff_passes_max + 1 if backs_off else policy.passes_min
        return cycle.passes >= passes(cycle, max(wanted, least), policy)

    return is_enough


def _repeated_calls(cycle: Cycle, *, has_failed: bool) -> Found:
    if len(cycle.beats) > 1:
        return swing(cycle, "calls", Kind.TOOL)
    name = cycle.beats[0].name
    how = "failed in the same way" if has_failed else "got the same answer"
    why = f"{name} was called with the same arguments and {how} {came(cycle.passes)}."
    return Found(
        LoopType.TOOL_REPETITION, confidence(cycle, 0.97), cycle.beats, Kind.TOOL, cycle.passes, cycle.since, why
    )


def _failing(lane: Lane, now: Now, calls: Round, beat: Beat) -> list[Found]:
    """One tool that fails with one error whatever it is called with."""
    errors = {(call.name, call.error) for call in calls}
    if len(errors) != 1 or not calls[0].error:
        lane.failing = NO_STREAK
        return []
    key = digest(lane.topic, *errors.pop())
    lane.failing = streak = lane.failing.next() if lane.failing.key == key else Streak(key, 1, beat.mark)
    if streak.times < now.policy.failing_calls_min or _backs_off(lane):
        return []
    why = f"{beat.name} failed {came(streak.times)} in a row with the same error, whatever its arguments."
    return [Found(LoopType.FAILING_CALLS, UNSURE, (beat,), Kind.TOOL, streak.times, streak.since, why)]


def _stuck(lane: Lane, now: Now, calls: Round, beat: Beat) -> list[Found]:
    """One call that fails in the same way again and again, whatever else was tried in between."""
    found: list[Found] = []
    for call in calls:
        if call.outcome is not Outcome.FAILED and not lane.stuck:
            continue
        asked = digest(lane.topic, call.name, call.arguments)
        before = next((streak for streak in lane.stuck if streak.key.startswith(asked)), NO_STREAK)
        kept = tuple(streak for streak in lane.stuck if streak is not before)
        if call.outcome is Outcome.FAILED:
            key = asked + call.error
            streak = before.next() if before.key == key else Streak(key, 1, beat.mark)
            kept = (*kept, streak)[-_STUCK_KEPT:]
            if streak.times >= now.policy.stuck_calls_min and not _backs_off(lane):
                why = f"{call.name} was called with the same arguments and failed in the same way {came(streak.times)}."
                beats = (beat._replace(name=call.name),)
                found = [Found(LoopType.FAILING_CALLS, UNSURE, beats, Kind.TOOL, streak.times, streak.since, why)]
        lane.stuck = kept
    return found


def _empty(lane: Lane, now: Now, calls: Round, beat: Beat) -> list[Found]:
    """One tool that finds nothing, called with words that it was called with before, in another order or choice."""
    call = calls[0]
    if len(calls) != 1 or call.outcome is not Outcome.EMPTY or not call.words or beat.is_paused or beat.is_patient:
        lane.empty = NO_STREAK
        return []
    key = digest(lane.topic, call.name)
    streak = lane.empty if lane.empty.key == key else Streak(key, 0, beat.mark)
    is_known = set(streak.words).issuperset(call.words)
    words = tuple(sorted({*streak.words, *call.words}))[:_SEARCH_WORDS_KEPT]
    lane.empty = streak = Streak(key, max(streak.times + is_known, 1), streak.since, words)
    if not is_known or streak.times <= now.policy.empty_calls_min:
        return []
    why = f"{beat.name} found nothing {came(streak.times)}, asked in the same words."
    return [Found(LoopType.EMPTY_CALLS, UNSURE, (beat,), Kind.TOOL, streak.times, streak.since, why)]
