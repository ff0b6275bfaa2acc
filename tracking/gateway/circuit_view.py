"""The circuits as this process sees them: looked at behind its calls, told behind its answers.

A process looks at all circuits that are not whole once in LIMITS["circuit_view_ms"] while it is called, behind the call, so
what is whole costs no trip; failures are told behind the answer, successes only to a circuit that has failures. What
changes a circuit's state is done in a thread, in one transaction with its alert and its entry in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings

from tracking import circuits as rows
from tracking.errors import Unavailable
from tracking.gateway import finish, pool
from tracking.gateway.threads import in_thread
from wflo import circuits
from wflo.circuits import Circuit, CircuitPolicy, Outcome

TRIES = 20  # at a circuit that others write too
STALE_VIEWS = 20  # a view so many times too old is looked at again before the call

Key = tuple[int, str]  # team, name


@dataclass(frozen=True, slots=True)
class Watched:
    """A circuit of a call. ``moved`` takes in, in a thread, an outcome that changes its state."""

    key: Key
    policy: CircuitPolicy
    moved: Callable[[Outcome], Circuit]


_view: Mapping[Key, Circuit] = {}
_looked_at = float("-inf")
_looking: asyncio.Task[None] | None = None
_gathered: dict[Key, tuple[float, Outcome]] = {}  # not told yet, since when
_telling: set[Key] = set()


def seen(key: Key) -> Circuit | None:
    """None: it is whole."""
    return _view.get(key)


def see(key: Key, circuit: Circuit) -> None:
    global _view
    _view = {**_view, key: circuit}


async def look() -> None:
    global _looking
    age_s, most_s = time.monotonic() - _looked_at, settings.LIMITS["circuit_view_ms"] / 1000
    if age_s < most_s:
        return
    if _looking is None or _looking.done():
        _looking = finish.behind(_look_again())
    if age_s > most_s * STALE_VIEWS:
        await asyncio.shield(_looking)


async def _look_again() -> None:
    global _view, _looked_at
    try:
        kept = await pool.do(rows.not_whole())
    except Unavailable:
        return  # the call itself will say so
    _view = {(each.team_id, each.name): each.circuit for each in kept}
    _looked_at = time.monotonic()


async def ask(key: Key, policy: CircuitPolicy) -> tuple[bool, UUID | None]:
    """Leave to call, and the probe's id where the call tries whether it is well. Raises Unavailable."""
    await look()
    circuit = _view.get(key)
    if circuit is None or circuits.may_call(circuit):
        return True, None
    if not circuits.may_probe(circuit, time.time()):
        return False, None
    found: tuple[Circuit, bool, UUID | None, Any] = await in_thread(lambda: rows.ask(*key, policy))
    circuit, is_allowed, probe, _ = found
    see(key, circuit)
    return is_allowed, probe


# --- what it tells ------------------------------------------------------------------------------------------------------


def tell(watched: Watched, outcome: Outcome) -> None:
    """Behind the answer: a probe's at once, others' together."""
    if outcome.probe is not None:
        finish.behind(_tell(watched, outcome))
        return
    key, now = watched.key, time.monotonic()
    since, before = _gathered.get(key, (now, Outcome()))
    if now - since > settings.LIMITS["circuit_window_seconds"]:
        since, before = now, Outcome()
    _gathered[key] = (
        since,
        Outcome(
            successes=before.successes + outcome.successes,
            failures=before.failures + outcome.failures,
            hits=before.hits + outcome.hits,
            error=outcome.error or before.error,
        ),
    )
    if (outcome.failures or outcome.hits or key in _view) and key not in _telling:
        _telling.add(key)
        finish.behind(_tell_gathered(watched))


async def _tell_gathered(watched: Watched) -> None:
    """One at a time of a circuit; what comes meanwhile is told together."""
    try:
        while (found := _gathered.pop(watched.key, None)) is not None:
            await _tell(watched, found[1])
    finally:
        _telling.discard(watched.key)


async def _tell(watched: Watched, outcome: Outcome) -> None:
    for _ in range(TRIES):
        kept = await pool.do(rows.load(*watched.key))
        after = circuits.told(kept.circuit, watched.policy, kept.now, outcome)
        if after.state is not kept.circuit.state:
            see(watched.key, await in_thread(lambda: watched.moved(outcome)))
            return
        if await pool.do(rows.save(kept, after)):
            see(watched.key, after)
            return
    finish.log.warning("the outcome of a call found no place in its circuit: too many tell at once")
