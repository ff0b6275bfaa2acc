"""A deployment that fails is given a rest: its circuit is asked before a call and told afterwards.

A process looks at all circuits that are not whole once in LIMITS["circuit_view_ms"] while it is called, behind the call,
so a whole deployment costs no trip; failures are told behind the answer, successes only to a circuit that has failures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from django.conf import settings

from tracking import circuits as rows
from tracking.errors import CircuitOpen, Unavailable, UpstreamFailed
from tracking.gateway import finish, pool
from tracking.gateway.asked import Asked
from tracking.gateway.routing import Route
from wflo import circuits
from wflo.circuits import Circuit, CircuitPolicy, Outcome, State

TRIES = 20  # at a circuit that others write too
STALE_VIEWS = 20  # a view so many times too old is looked at again before the call

Key = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Passed:
    """Leave to call a deployment. ``probe``: as the one that tries whether it is back."""

    key: Key
    shown: str
    team_id: int
    probe: UUID | None = None


_view: Mapping[Key, Circuit] = {}
_looked_at = float("-inf")
_looking: asyncio.Task[None] | None = None
_gathered: dict[Key, tuple[float, Outcome]] = {}  # not told yet, since when
_telling: set[Key] = set()


def policy() -> CircuitPolicy:
    limits = settings.LIMITS
    return CircuitPolicy(
        failures_max=limits["circuit_failures"],
        error_rate_max=limits["circuit_error_percent"] / 100,
        calls_min=limits["circuit_calls"],
        window_seconds=limits["circuit_window_seconds"],
        rest_seconds=limits["circuit_rest_seconds"],
        probe_seconds=limits["circuit_probe_seconds"],
    )


async def ask(asked: Asked, route: Route) -> Passed | None:
    """Leave to call; None while the deployment rests. Raises Unavailable."""
    team_id = asked.caller.team_id
    passed = Passed((rows.SHARED if route.is_shared else team_id, rows.DEPLOYMENT + route.id), route.model, team_id)
    await _look()
    circuit = _view.get(passed.key)
    if circuit is None or circuits.may_call(circuit):
        return passed
    if not circuits.may_probe(circuit, time.time()):
        return None
    return await _probe(passed)


def refuse(asked: Asked, routes: Sequence[Route]) -> CircuitOpen:
    """The error to raise when every deployment rests."""
    keys = [(rows.SHARED if r.is_shared else asked.caller.team_id, rows.DEPLOYMENT + r.id) for r in routes]
    found = [_view[key] for key in keys if key in _view]
    error = CircuitOpen(
        f'Every deployment of "{asked.model}" failed lately and is given a rest. The last one said:'
        f" {found[0].last_error if found else 'nothing'}",
        circuits=[name for _, name in keys],
    )
    error.retry_after_s = max(min((circuits.wait_seconds(each, time.time()) for each in found), default=1.0), 1.0)
    return error


def succeeded(passed: Passed) -> None:
    _gather(passed, Outcome(successes=1, probe=passed.probe))


def failed(passed: Passed, error: BaseException) -> None:
    """What is the caller's fault, or ours, says nothing of the deployment; neither does its being busy."""
    status = error.upstream_status if isinstance(error, UpstreamFailed) else 0
    if status is None or status >= 500:
        broke(passed, str(error))
    elif passed.probe is not None:
        _gather(passed, Outcome(probe=passed.probe))


def broke(passed: Passed, error: str) -> None:
    _gather(passed, Outcome(failures=1, error=error, probe=passed.probe))


# --- what this process sees ---------------------------------------------------------------------------------------------


async def _look() -> None:
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


def _see(key: Key, circuit: Circuit) -> None:
    global _view
    _view = {**_view, key: circuit}


async def _probe(passed: Passed) -> Passed | None:
    """The probe, if nobody else is it."""
    kept = await pool.do(rows.load(*passed.key))
    if circuits.may_call(kept.circuit):
        _see(passed.key, kept.circuit)
        return passed
    probe = uuid4()
    after = circuits.probed(kept.circuit, policy(), kept.now, probe)
    if after is None or not await pool.do(rows.save(kept, after)):
        _see(passed.key, kept.circuit)
        return None
    _see(passed.key, after)
    return replace(passed, probe=probe)


# --- what it tells ------------------------------------------------------------------------------------------------------


def _gather(passed: Passed, outcome: Outcome) -> None:
    if outcome.probe is not None:
        finish.behind(_tell(passed, outcome))
        return
    key, now = passed.key, time.monotonic()
    since, before = _gathered.get(key, (now, Outcome()))
    if now - since > settings.LIMITS["circuit_window_seconds"]:
        since, before = now, Outcome()
    _gathered[key] = (
        since,
        Outcome(
            successes=before.successes + outcome.successes,
            failures=before.failures + outcome.failures,
            error=outcome.error or before.error,
        ),
    )
    if (outcome.failures or key in _view) and key not in _telling:
        _telling.add(key)
        finish.behind(_tell_gathered(passed))


async def _tell_gathered(passed: Passed) -> None:
    """One at a time of a circuit; what comes meanwhile is told together."""
    try:
        while (found := _gathered.pop(passed.key, None)) is not None:
            await _tell(passed, found[1])
    finally:
        _telling.discard(passed.key)


async def _tell(passed: Passed, outcome: Outcome) -> None:
    for _ in range(TRIES):
        kept = await pool.do(rows.load(*passed.key))
        after = circuits.told(kept.circuit, policy(), kept.now, outcome)
        if await pool.do(rows.save(kept, after)):
            _see(passed.key, after)
            await _alert(passed, kept.circuit, after, kept.now)
            return
    finish.log.warning("the outcome of a call found no place in its circuit: too many tell at once")


async def _alert(passed: Passed, before: Circuit, after: Circuit, now: float) -> None:
    if after.state is before.state:
        return
    if after.state is State.OPEN:
        told = rows.told_open(passed.team_id, passed.key[1], after, shown=passed.shown, now=now)
        await pool.do(told)
    elif after.state is State.CLOSED:
        await pool.do(rows.told_closed(*passed.key))
