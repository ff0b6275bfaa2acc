"""A deployment that fails is given a rest: its circuit is asked before a call and told afterwards (circuit_view.py)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings

from tracking import circuits as rows
from tracking.errors import CircuitOpen, UpstreamFailed
from tracking.gateway import circuit_view
from tracking.gateway.asked import Asked
from tracking.gateway.circuit_view import Key, Watched
from tracking.gateway.routing import Route
from wflo import circuits
from wflo.circuits import Circuit, CircuitPolicy, Outcome


@dataclass(frozen=True, slots=True)
class Passed:
    """Leave to call a deployment. ``probe``: as the one that tries whether it is back."""

    key: Key
    shown: str
    team_id: int
    probe: UUID | None = None


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
    key = (rows.SHARED if route.is_shared else team_id, rows.DEPLOYMENT + route.id)
    is_allowed, probe = await circuit_view.ask(key, policy())
    return Passed(key, route.model, team_id, probe) if is_allowed else None


def refuse(asked: Asked, routes: Sequence[Route]) -> CircuitOpen:
    """The error to raise when every deployment rests."""
    keys = [(rows.SHARED if r.is_shared else asked.caller.team_id, rows.DEPLOYMENT + r.id) for r in routes]
    found = [circuit for key in keys if (circuit := circuit_view.seen(key)) is not None]
    error = CircuitOpen(
        f'Every deployment of "{asked.model}" failed lately and is given a rest. The last one said:'
        f" {found[0].last_error if found else 'nothing'}",
        circuits=[name for _, name in keys],
    )
    error.retry_after_s = max(min((circuits.wait_seconds(each, time.time()) for each in found), default=1.0), 1.0)
    return error


def succeeded(passed: Passed) -> None:
    _tell(passed, Outcome(successes=1, probe=passed.probe))


def failed(passed: Passed, error: BaseException) -> None:
    """What is the caller's fault, or ours, says nothing of the deployment; neither does its being busy."""
    status = error.upstream_status if isinstance(error, UpstreamFailed) else 0
    if status is None or status >= 500:
        broke(passed, str(error))
    elif passed.probe is not None:
        _tell(passed, Outcome(probe=passed.probe))


def broke(passed: Passed, error: str) -> None:
    _tell(passed, Outcome(failures=1, error=error, probe=passed.probe))


def _tell(passed: Passed, outcome: Outcome) -> None:
    rule = policy()

    def moved(outcome: Outcome) -> Circuit:
        return rows.told(*passed.key, rule, outcome, shown=passed.shown, caller_id=passed.team_id)

    circuit_view.tell(Watched(passed.key, rule, moved), outcome)
