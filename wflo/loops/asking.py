"""The checks of calls of a model, each over one agent's lane: what a request and its answer repeat.

Every function takes a step into the lane, which is changed, and says what it found.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from wflo.loops.checks import UNSURE, Found, Now, after, came, confidence, passes, swing
from wflo.loops.memory import NO_STREAK, Lane, Seen, Streak
from wflo.loops.policy import SIMILAR_TURNS_KEPT, TURNS_KEPT, LoopPolicy
from wflo.loops.rhythm import Beat, Cycle, Mark
from wflo.loops.steps import Answer, Fingerprint
from wflo.loops.text import Sketch, digest, similarity
from wflo.loops.verdicts import LoopType
from wflo.spans import Kind

_RELATED = 0.5  # turns so alike ask for more of the same


def turn(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """One request more, through all checks."""
    beside = _beside(lane, now, asked)
    if beside is not None:
        return _joined(lane, now, beside)
    found = [*_too_many_siblings(now, now.step.siblings), *_repeated(lane, now, asked, answered)]
    for look in (pairs, similar, swings, same_answers):
        found += look(lane, now, asked, answered)
    _remember(lane, now, asked, answered)
    return found


def _beside(lane: Lane, now: Now, asked: Fingerprint) -> Seen | None:
    """The like request that this one is a sample beside, or a retry of by the client itself: it is no turn of its own."""
    same = [seen for seen in lane.turns if seen.request == asked.request]
    in_flight = [seen for seen in same if 0 < now.at_ms < seen.until_ms]
    beside = in_flight or (same if now.step.attempt or now.step.siblings > 1 else [])
    return beside[-1] if beside else None


def _joined(lane: Lane, now: Now, beside: Seen) -> list[Found]:
    together = beside._replace(siblings=beside.siblings + 1, until_ms=max(beside.until_ms, now.until_ms))
    lane.turns = tuple(together if seen is beside else seen for seen in lane.turns)
    return _too_many_siblings(now, max(together.siblings, now.step.siblings))


def _repeated(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """Like requests among the last of this agent: exactly, or but for punctuation and space."""
    like = [seen for seen in lane.turns if seen.plain == asked.plain and not _is_long_ago(seen, now)]
    same = [seen for seen in like if seen.request == asked.request]
    answer = answered.key if answered else ""
    for kept, loop_type, sure, words in (
        (same, LoopType.EXACT_PROMPT, 1.0, "The same request"),
        (like, LoopType.NORMALISED_MATCH, 0.98, "The same request but for punctuation"),
    ):
        if kept and _is_repeated(kept, answer, now.policy):
            times = kept[-1].times + 1
            why = f"{words} came {came(times)}."
            return [Found(loop_type, sure, (now.beat(answer, ""),), Kind.LLM, times, kept[-1].first, why)]
    return []


def _remember(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> None:
    """This request is among the last. Only the newest keep their words."""
    like = next((seen for seen in reversed(lane.turns) if seen.plain == asked.plain), None)
    seen = Seen(
        asked.request,
        asked.plain,
        answered.key if answered else "",
        asked.words,
        answered.words if answered else (),
        asked.depth,
        now.until_ms,
        1,
        like.first if like else now.mark,
        like.times + 1 if like else 1,
    )
    turns = [*lane.turns, seen][-TURNS_KEPT:]
    if len(turns) > SIMILAR_TURNS_KEPT:
        place = -SIMILAR_TURNS_KEPT - 1
        turns[place] = turns[place]._replace(words=(), answer_words=())
    lane.turns = tuple(turns)


def _too_many_siblings(now: Now, siblings: int) -> list[Found]:
    if siblings <= now.policy.parallel_max:
        return []
    why = f"The same request was sent {siblings} times at once."
    return [Found(LoopType.EXACT_PROMPT, 1.0, (now.beat("", ""),), Kind.LLM, siblings, now.mark, why)]


def _is_long_ago(seen: Seen, now: Now) -> bool:
    """Whether what was sent then is no hurry to send again; where the first repeat is a loop, it always is one."""
    policy = now.policy
    return policy.exact_repeats_max > 1 and 0 < seen.until_ms <= now.at_ms - policy.unhurried_ms


def _is_repeated(like: list[Seen], answer: str, policy: LoopPolicy) -> bool:
    """Under a policy that lets some pass, a request that brings a new answer each time is sampled, not repeated."""
    if policy.exact_repeats_max == 1 or len(like) >= policy.samples_max:
        return True
    answers = [seen.answer for seen in like if seen.answer] + ([answer] if answer else [])
    return len(like) - max(len(set(answers)) - 1, 0) >= policy.exact_repeats_max


def swings(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """Whole requests in a cycle, A-B-A-B. With one repeat allowed the second A is a loop already."""
    policy = now.policy
    if policy.exact_repeats_max == 1:
        return []
    key = "" if now.is_planned else digest(asked.request, answered.key if answered else "")
    lane.requests = after(lane.requests, now.beat(key, asked.request), policy)

    def is_enough(cycle: Cycle) -> bool:
        return len(cycle.beats) > 1 and cycle.passes >= passes(cycle, policy.cycle_passes_min, policy)

    cycle = lane.requests.cycle(is_enough)
    return [swing(cycle, "requests")] if cycle else []


def pairs(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """The same turn with the same answer, at whatever length of the talk; and the same but for ids."""
    policy = now.policy
    lane.pairs = after(lane.pairs, _pair_beat(now, asked.turn, answered), policy)
    lane.shapes = after(lane.shapes, _pair_beat(now, asked.shape, answered), policy, 1)
    granted = policy.exact_repeats_max + 1
    cycle = lane.pairs.cycle(_pairs_enough(max(policy.passes_min, granted), policy))
    cycle = cycle or lane.shapes.cycle(_pairs_enough(max(policy.nonce_passes_min, granted), policy))
    return [_pair(cycle)] if cycle else []


def _pair_beat(now: Now, turn: str, answered: Answer | None) -> Beat:
    """Without an answer a turn equals none, unless it is only planned: then it may get any."""
    if answered is None:
        return now.beat("", turn if now.is_planned else "")
    return now.beat(digest(turn, answered.key), turn)


def _pairs_enough(least: int, policy: LoopPolicy) -> Callable[[Cycle], bool]:
    def is_enough(cycle: Cycle) -> bool:
        wanted = least if len(cycle.beats) == 1 else policy.tool_cycle_passes_min
        return cycle.passes >= passes(cycle, wanted, policy)

    return is_enough


def _pair(cycle: Cycle) -> Found:
    if len(cycle.beats) > 1:
        return swing(cycle, "turns")
    why = f"The same turn got the same answer {came(cycle.passes)}."
    return Found(
        LoopType.NORMALISED_MATCH, confidence(cycle, 0.98), cycle.beats, Kind.LLM, cycle.passes, cycle.since, why
    )


def _has(words: Sketch, word: int) -> bool:
    place = bisect_left(words, word)
    return place < len(words) and words[place] == word


def similar(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """A turn in the words of the last ones that gets an answer in the words of theirs. A word that none of them had is
    a new item, not a repetition."""
    policy, streak = now.policy, lane.similar
    older = lane.turns[-SIMILAR_TURNS_KEPT:]
    likeness = 0.0
    if asked.words and all(any(_has(seen.words, word) for seen in older) for word in asked.words):
        for seen in older:
            likeness = max(likeness, _likeness(seen, asked, answered, policy, is_planned=now.is_planned))
    if likeness < policy.similarity_min:
        lane.similar = NO_STREAK
        return []
    hits = streak.times + 1
    since = streak.since if streak.times else older[-1].first
    lane.similar = Streak("", hits, since)
    if hits < policy.similar_hits_min:
        return []
    why = f"Turns in the same words ({likeness:.0%} alike) got answers in the same words {came(hits + 1)}."
    beats = (now.beat("", ""),)
    return [Found(LoopType.SIMILAR_PROMPT, likeness, beats, Kind.LLM, hits + 1, since, why, likeness)]


def _likeness(
    seen: Seen, asked: Fingerprint, answered: Answer | None, policy: LoopPolicy, *, is_planned: bool
) -> float:
    """How alike two turns and their answers are: the lesser of both. An answer that is not there yet is no obstacle."""
    likeness = similarity(seen.words, asked.words)
    if is_planned or likeness < policy.similarity_min:
        return likeness
    if answered is None or answered.calls or answered.word_count < policy.similar_words_min:
        return 0.0
    return min(likeness, similarity(seen.answer_words, answered.words))


def same_answers(lane: Lane, now: Now, asked: Fingerprint, answered: Answer | None) -> list[Found]:
    """The same long answer again and again in a talk that goes on about other things. Only warns."""
    policy, streak = now.policy, lane.same_answers
    before = lane.turns[-1] if lane.turns else None
    if answered is None or answered.calls or answered.word_count < policy.similar_words_min:
        lane.same_answers = NO_STREAK
        return []
    if (
        before is None
        or streak.key != answered.key
        or asked.depth <= before.depth
        or similarity(before.words, asked.words) >= _RELATED
    ):
        lane.same_answers = Streak(answered.key, 1, now.mark)
        return []
    lane.same_answers = streak = streak.next()
    if streak.times < policy.same_answers_min:
        return []
    why = f"The same answer came {came(streak.times)}, whatever was said."
    beats = (now.beat("", ""),)
    return [Found(LoopType.EXACT_RESPONSE, UNSURE, beats, Kind.LLM, streak.times, streak.since, why)]


def failed_request(lane: Lane, now: Now, asked: Fingerprint) -> list[Found]:
    """A request that its provider failed is no turn: it may be sent again, so often."""
    streak = lane.failed
    if streak.key == asked.request:
        streak = streak.next()
    else:
        streak = Streak(asked.request, 1, now.mark)
    lane.failed = streak
    if streak.times <= now.policy.failed_requests_max:
        return []
    why = f"The same request failed {came(streak.times)}."
    beats = (now.beat("", ""),)
    return [Found(LoopType.FAILING_CALLS, UNSURE, beats, Kind.LLM, streak.times, streak.since, why)]


def too_many(lane: Lane, now: Now) -> list[Found]:
    """More calls of a model than the policy grants one agent."""
    granted = now.policy.iterations_max
    if granted is None or lane.calls <= granted:
        return []
    why = f"{lane.calls} calls of a model, of {granted} granted."
    return [Found(LoopType.MAX_ITERATIONS, 1.0, (now.beat("", ""),), Kind.LLM, lane.calls, Mark(step=1), why)]
