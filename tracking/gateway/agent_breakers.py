"""An agent that its team's breaker cut off makes no calls: asked before anything is held, told behind its calls.

Errors, guardrails and loops are told from the gateway's own calls; what an agent spends the clock looks at
(tracking/speed_watch.py). Where nothing is open a call asks nobody: it is seen in what the process knows anyway.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tracking import agent_breaker
from tracking import circuits as rows
from tracking.errors import AgentCutOff, LoopDetected, UpstreamFailed
from tracking.gateway import circuit_view, finish
from tracking.gateway.asked import Asked
from tracking.gateway.circuit_view import Key, Watched
from tracking.gateway.threads import in_thread
from wflo import circuits
from wflo.circuits import Circuit, Outcome, State

_BUSY = 429  # the provider's: no fault of the agent


async def ask(asked: Asked) -> None:
    """Raises AgentCutOff while the agent is cut off, Unavailable."""
    if not asked.agent:
        return
    is_allowed, asked.agent_probe = await circuit_view.ask(_key(asked), asked.caller.policy.breaker.circuit)
    if not is_allowed:
        raise _refusal(asked, circuit_view.seen(_key(asked)) or Circuit())


def succeeded(asked: Asked) -> None:
    _tell(asked, Outcome(successes=1, probe=asked.agent_probe))


def failed(asked: Asked, error: UpstreamFailed) -> None:
    """No deployment answered the call."""
    if error.upstream_status == _BUSY:
        gave_up(asked)
    else:
        broke(asked, error.message)


def broke(asked: Asked, words: str) -> None:
    _tell(asked, Outcome(failures=1, error=words, probe=asked.agent_probe))


def gave_up(asked: Asked) -> None:
    """The call says nothing of its agent; the next may be the probe."""
    if asked.agent_probe is not None:
        _tell(asked, Outcome(probe=asked.agent_probe))


def hit(asked: Asked, what: str, found: list[str]) -> None:
    """A guardrail found something in its prompt or answer, and did not let it through."""
    if asked.agent and asked.caller.policy.breaker.is_on:
        _watch(asked, Outcome(hits=1), {"guard": what, "patterns": found})


def looped(asked: Asked, loop: LoopDetected) -> None:
    """It goes round in circles, for sure: ``loop`` says so, whether the call was refused for it or not."""
    breaker, facts = asked.caller.policy.breaker, dict(loop.details)
    if asked.agent and breaker.is_on and breaker.on_loop:
        finish.behind(_tripped(asked, facts))


async def _tripped(asked: Asked, facts: Mapping[str, Any]) -> None:
    why = agent_breaker.loop_words(facts)
    team_id, policy = asked.caller.team_id, asked.caller.policy.breaker
    work = partial(agent_breaker.trip, team_id, asked.agent, policy, why, {"loop": facts, "run_id": asked.root})
    circuit_view.see(_key(asked), await in_thread(work))


def _tell(asked: Asked, outcome: Outcome) -> None:
    """A probe's in any case: somebody may have cut the agent off by hand."""
    if asked.agent and (asked.caller.policy.breaker.is_on or outcome.probe is not None):
        asked.agent_probe = None
        _watch(asked, outcome, {"run_id": asked.root} if asked.is_named else {})


def _watch(asked: Asked, outcome: Outcome, facts: Mapping[str, Any]) -> None:
    team_id, agent, policy = asked.caller.team_id, asked.agent, asked.caller.policy.breaker

    def moved(outcome: Outcome) -> Circuit:
        return agent_breaker.told(team_id, agent, policy, outcome, facts)

    circuit_view.tell(Watched(_key(asked), policy.circuit, moved), outcome)


def _key(asked: Asked) -> Key:
    return asked.caller.team_id, rows.AGENT + asked.agent


def _refusal(asked: Asked, circuit: Circuit) -> AgentCutOff:
    """Why, until when, and what to do."""
    now = time.time()
    if circuit.state is State.HALF_OPEN:
        until = "One call tries whether all is well; the others wait for it."
        todo = "Try again when that call has ended."
    elif circuit.is_held:
        until = "It stays so until somebody lets it be tried."
        todo = "Ask your team: it is done on the page Circuits, or by approving the question on the page Approvals."
    else:
        at = datetime.fromtimestamp(circuit.retry_at or now, UTC)
        until = f"At {at:%Y-%m-%d %H:%M:%S} UTC one call may try it."
        todo = "Find out what went wrong; when all is well, somebody may reset it on the page Circuits."
    error = AgentCutOff(
        f'The agent "{asked.agent}" is cut off, so the call was not made. {circuit.why} {until} {todo}',
        circuit=rows.AGENT + asked.agent,
        agent=asked.agent,
        state=str(circuit.state),
        why=circuit.why,
        retry_at=None if circuit.retry_at is None else datetime.fromtimestamp(circuit.retry_at, UTC).isoformat(),
        needs_person=circuit.is_held,
    )
    error.retry_after_s = max(circuits.wait_seconds(circuit, now), 1.0)
    return error
