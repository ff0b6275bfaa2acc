"""Whether a run that calls goes round in circles: the rule of ``wflo.loops``, its memory a row all processes share.

A process remembers what it last knew of a run, so an ordinary call asks PostgreSQL nothing more for it: the trip that
holds the money brings the memory along where it has moved on meanwhile, and then the call is judged again. A step enters
the memory when it was answered, before the answer is handed over, so that whoever calls next, anywhere, finds it there: a
whole answer's together with its settlement, a stream's by itself.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from tracking.errors import LoopDetected, Unavailable
from tracking.gateway import pool
from tracking.gateway.asked import Asked
from tracking.gateway.dialects.dialect import Seen
from tracking.keys import Policy
from tracking.ledger.verbs import Statement
from tracking.models import Team
from tracking.sql import statements
from wflo import loops
from wflo.loops import Action, LoopMemory, LoopPolicy, Step, Verdict
from wflo.spans import Kind

RUNS_REMEMBERED = 5_000
TRIES = 8  # at a memory that others move on too

log = logging.getLogger(__name__)

_DIALECTS = {"openai.chat": "chat", "anthropic.messages": "anthropic", "openai.responses": "responses"}


@dataclass(slots=True)
class Judged:
    """A call as the rule sees it, and the memory it was judged by."""

    policy: LoopPolicy
    step: Step
    version: int
    memory: LoopMemory
    verdict: Verdict


@dataclass(slots=True)
class Turn:
    """An answered step, and the run's memory with it, to be stored where the row's is still of ``version``."""

    step: Step
    policy: LoopPolicy
    version: int
    memory: LoopMemory

    def state(self) -> bytes:
        return orjson.dumps(self.memory.to_dict())


class Stored(NamedTuple):
    """What the store says of a turn; ``version`` and ``state`` are the row's, the state where it is not the turn's."""

    is_kept: bool
    version: int
    state: str | None


_known: OrderedDict[tuple[int, str], tuple[int, LoopMemory]] = OrderedDict()


def judge(asked: Asked) -> Judged | None:
    """By what this process knows of the run; None where nothing is looked for: no named run, no turns, or a policy off."""
    dialect = _DIALECTS.get(asked.dialect.name)
    if not asked.is_named or dialect is None:
        return None
    policy = policy_of(asked.caller.policy, asked.purpose)
    if policy is None:
        return None
    if asked.repetitions_max is not None:  # the caller's own, never laxer than its team's
        policy = replace(policy, exact_repeats_max=min(policy.exact_repeats_max, asked.repetitions_max))
    if asked.similarity_min is not None:
        policy = replace(policy, similarity_min=min(policy.similarity_min, asked.similarity_min))
    step = Step(
        kind=Kind.LLM,
        agent=asked.agent,
        name=asked.model,
        fingerprint=loops.fingerprint(asked.body, dialect),
        started_ns=time.time_ns(),
        attempt=asked.retry_count,
    )
    version, memory = _known.get((asked.caller.team_id, asked.root), (0, LoopMemory()))
    return Judged(policy, step, version, memory, loops.check(memory, step, policy))


def judge_again(asked: Asked, judged: Judged, version: int, state: str | None) -> Judged:
    """By what the store said: its memory has moved on."""
    memory = _read(asked, state)
    _keep(asked, version, memory)
    return replace(judged, version=version, memory=memory, verdict=loops.check(memory, judged.step, judged.policy))


def must_refuse(judged: Judged | None) -> bool:
    return judged is not None and judged.verdict.action in (Action.BLOCK, Action.KILL)


def is_sure(judged: Judged | None) -> bool:
    """Of a loop; what is only likely is told, and nothing is done about it."""
    return judged is not None and judged.verdict.confidence >= judged.policy.block_confidence


async def fresh(asked: Asked, judged: Judged) -> Judged:
    """Nobody is refused by what this process happens to remember: the row is read."""
    parameters = {"team": asked.caller.team_id, "run": asked.root}
    rows: list[Any] = await pool.do(Statement(statements("gateway")["memory"], parameters, list))
    version, state = rows[0] if rows else (0, None)
    return judge_again(asked, judged, version, state)


def refuse(asked: Asked, judged: Judged) -> LoopDetected:
    """The error to raise; the run is killed where the policy says so, and an alert is told, behind it."""
    verdict = judged.verdict
    return LoopDetected(
        f"The run repeats itself: {verdict.why} It has gone on for {verdict.steps} steps and was stopped here.",
        run_id=asked.run,
        loop_type=str(verdict.loop_type),
        confidence=round(verdict.confidence, 4),
        steps=verdict.steps,
        times=verdict.times,
        first_step=verdict.first_step,
        pattern=verdict.pattern,
        cycle=[str(step) for step in verdict.cycle],
        burned_usd=None if verdict.burned_usd is None else float(verdict.burned_usd),
    )


def warning(judged: Judged | None) -> dict[str, Any] | None:
    """For a loop that is only likely: what the answer says of it."""
    if judged is None or not judged.verdict.is_loop:
        return None
    verdict = judged.verdict
    return {
        "type": "potential_loop",
        "message": verdict.why,
        "confidence": round(verdict.confidence, 4),
        "loop_type": str(verdict.loop_type),
        "pattern": verdict.pattern,
    }


def told(asked: Asked, judged: Judged) -> Statement[int]:
    """Opens the alert of a loop, or counts it again; and kills its run where the verdict says so."""
    verdict = judged.verdict
    payload = {
        "loop_type": str(verdict.loop_type),
        "confidence": round(verdict.confidence, 4),
        "cycle": [str(step) for step in verdict.cycle],
        "pattern": verdict.pattern,
        "times": verdict.times,
        "steps": verdict.steps,
        "first_step": verdict.first_step,
        "burned_usd": _text(verdict.burned_usd),
        "run_burned_usd": _text(verdict.run_burned_usd),
        "usd_per_minute": _text(verdict.usd_per_minute),
        "why": verdict.why,
        "action": verdict.action.value,
        "origin": "gateway",
    }
    parameters = {
        "team": asked.caller.team_id,
        "run": asked.root,
        "agent": asked.agent,
        "severity": "critical" if must_refuse(judged) else "high",
        "dedupe_key": f"loop:{asked.root}:{verdict.signature}"[:400],
        "payload": orjson.dumps(payload).decode(),
        "kill_reason": f"loop_detected:{verdict.loop_type}" if verdict.action is Action.KILL else "",
    }
    return Statement(statements("gateway")["loop_told"], parameters, len)


def turn(asked: Asked, judged: Judged | None, seen: Seen | None, cost_usd: Any) -> Turn | None:
    """The answered step, for the run's memory. ``seen`` None: the call failed, and repeats nothing."""
    if judged is None:
        return None
    step = replace(
        judged.step,
        answer=None if seen is None else _answer(asked, seen),
        ended_ns=time.time_ns(),
        cost_usd=cost_usd,
        has_failed=seen is None,
    )
    version, memory = _known.get((asked.caller.team_id, asked.root), (judged.version, judged.memory))
    return Turn(step, judged.policy, version, loops.advance(memory, step, judged.policy)[0])


async def remember(asked: Asked, turn: Turn | None) -> None:
    """Store the turn.

    With the store away it is forgotten: an answer that is paid for reaches its caller all the same.
    """
    if turn is None:
        return
    for _ in range(TRIES):
        parameters = {
            "team": asked.caller.team_id, "run": asked.root, "version": turn.version, "state": turn.state().decode(),
        }  # fmt: skip
        try:
            rows: list[Any] = await pool.do(Statement(statements("gateway")["remember"], parameters, list))
        except Unavailable:
            _forgotten(asked)
            return
        if _is_stored(asked, turn, Stored(*rows[0])):
            return
    log.warning("a step of run %r found no place in its memory: too many call at once", asked.root)


async def settled(asked: Asked, turn: Turn | None, stored: Stored | None) -> None:
    """The turn was sent with its settlement, which is not heard of where ``stored`` is None. Others may have been quicker:
    then it is stored by itself."""
    if turn is None:
        return
    if stored is None:
        _forgotten(asked)
    elif not _is_stored(asked, turn, stored):
        await remember(asked, turn)


def _is_stored(asked: Asked, turn: Turn, stored: Stored) -> bool:
    """If not, the turn is one of the memory as others left it."""
    memory = turn.memory if stored.is_kept and stored.state is None else _read(asked, stored.state)
    if stored.is_kept:
        _keep(asked, stored.version, memory)
    else:
        turn.version, turn.memory = stored.version, loops.advance(memory, turn.step, turn.policy)[0]
    return stored.is_kept


def _forgotten(asked: Asked) -> None:
    log.warning("a step of run %r is not remembered: the store is away", asked.root)


def policy_of(policy: Policy, workflow: str = "") -> LoopPolicy | None:
    """The team's, with what it sets for a workflow by name; None when it is off."""
    if policy.loop_action == Team.LoopAction.OFF:
        return None
    given = dict(policy.loop_policy)
    own = given.pop("workflows", {})
    given.pop("spans", None)
    found = replace(loops.GATEWAY, strongest=Action(policy.loop_action))
    for changes in (given, own.get(workflow, {}) if isinstance(own, dict) else {}):
        try:
            found = found.changed(changes)
        except ValueError as error:
            log.warning("a loop policy is not kept to: %s", error)
    return found if found.is_on else None


def _answer(asked: Asked, seen: Seen) -> loops.Answer | None:
    if not seen.message:
        return None
    dialect = _DIALECTS[asked.dialect.name]
    if dialect == "chat":
        return loops.answer({"choices": [{"message": message} for message in seen.message]}, dialect)
    return loops.answer(seen.message[0] if dialect == "anthropic" else {"output": seen.message}, dialect)


def _read(asked: Asked, state: str | None) -> LoopMemory:
    """As the store has it. One that this Wflo cannot read, of a newer one perhaps, stops nobody: the run's begins anew."""
    try:
        return LoopMemory.from_dict(orjson.loads(state or "{}"))
    except ValueError as error:
        log.warning("the memory of run %r begins anew: %s", asked.root, error)
        return LoopMemory()


def _keep(asked: Asked, version: int, memory: LoopMemory) -> None:
    key = (asked.caller.team_id, asked.root)
    _known[key] = (version, memory)
    _known.move_to_end(key)
    if len(_known) > RUNS_REMEMBERED:
        _known.popitem(last=False)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
