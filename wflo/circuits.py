"""A breaker's rule: when a component that fails is given a rest, and how it comes back. Pure; times are Unix seconds.

    CLOSED -- failures_max in a row, or more than error_rate_max of calls_min and more in the window, or tokens_max, or
              hits_max --> OPEN
    OPEN -- rest_seconds later, one call is let through as a probe --> HALF_OPEN
    OPEN, held -- a person lets it be tried, whatever the time --> HALF_OPEN
    HALF_OPEN -- the probe succeeds, successes_min times in all --> CLOSED
    HALF_OPEN -- the probe fails --> OPEN

Who keeps the circuit reads it, asks here and writes what comes back only if nobody else wrote meanwhile, so that of all
who want to be the probe one is. A call that was refused or was the caller's own fault says nothing of the component.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

HELD_SECONDS = 60.0  # from one look at a circuit that a person holds to the next


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitPolicy:
    """When a circuit opens. None: not for that reason. Raises ValueError for thresholds that mean nothing."""

    failures_max: int | None = 5  # in a row
    error_rate_max: float | None = None
    calls_min: int = 5  # in the window, before a rate says anything
    window_seconds: float = 60.0
    tokens_max: int | None = None  # in the window
    hits_max: int | None = None  # of a guardrail, in the window
    rest_seconds: float = 30.0
    probe_seconds: float = 60.0  # a probe that says nothing for so long is forgotten
    successes_min: int = 1

    def __post_init__(self) -> None:
        for name in ("failures_max", "calls_min", "tokens_max", "hits_max", "successes_min"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.error_rate_max is not None and not 0 <= self.error_rate_max <= 1:
            raise ValueError("error_rate_max must be between 0 and 1")
        if min(self.window_seconds, self.rest_seconds, self.probe_seconds) <= 0:
            raise ValueError("seconds must be more than 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """A breaker at a moment. ``calls``, ``errors``, ``tokens`` and ``hits`` count since ``window_at``."""

    state: State = State.CLOSED
    failures: int = 0  # in a row
    successes: int = 0  # of probes, since it is half open
    calls: int = 0
    errors: int = 0
    tokens: int = 0
    hits: int = 0
    window_at: float = 0.0
    opened_at: float | None = None
    retry_at: float | None = None
    probe: UUID | None = None
    probe_until: float | None = None
    last_error: str = ""
    why: str = ""  # it is not closed
    is_held: bool = False  # no time opens the way to it again: a person does
    approval: UUID | None = None  # the question that person was asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of calls since the last time: ``successes`` came before ``failures``.

    ``probe``: of that one alone. Neither of both: the probe said nothing, and the next may try.
    """

    successes: int = 0
    failures: int = 0
    tokens: int = 0
    hits: int = 0
    error: str = ""
    probe: UUID | None = None


def may_call(circuit: Circuit) -> bool:
    """Without being a probe."""
    return circuit.state is State.CLOSED


def may_probe(circuit: Circuit, now: float) -> bool:
    if circuit.state is State.OPEN:
        return not circuit.is_held and (circuit.retry_at is None or now >= circuit.retry_at)
    is_free = circuit.probe is None or circuit.probe_until is None or now >= circuit.probe_until
    return circuit.state is State.HALF_OPEN and is_free


def wait_seconds(circuit: Circuit, now: float) -> float:
    """Until it may be worth asking again."""
    if circuit.is_held:
        return HELD_SECONDS
    until = circuit.retry_at if circuit.state is State.OPEN else circuit.probe_until
    return max((until or now) - now, 0.0)


def probed(circuit: Circuit, policy: CircuitPolicy, now: float, probe: UUID) -> Circuit | None:
    """With ``probe`` let through; None where it may not be."""
    if not may_probe(circuit, now):
        return None
    is_new = circuit.state is State.OPEN
    return replace(
        circuit,
        state=State.HALF_OPEN,
        successes=0 if is_new else circuit.successes,
        probe=probe,
        probe_until=now + policy.probe_seconds,
    )


def opened(circuit: Circuit, now: float, why: str, *, rest_seconds: float | None) -> Circuit:
    """For what the rule itself does not see. ``rest_seconds`` None: until a person lets it be tried."""
    return replace(
        circuit,
        state=State.OPEN,
        opened_at=now,
        retry_at=None if rest_seconds is None else now + rest_seconds,
        successes=0,
        probe=None,
        probe_until=None,
        why=why,
        is_held=rest_seconds is None,
        approval=None,
    )


def let_through(circuit: Circuit) -> Circuit | None:
    """By a person: the next call is a probe. None where it is closed."""
    if circuit.state is State.CLOSED:
        return None
    return replace(
        circuit, state=State.HALF_OPEN, successes=0, probe=None, probe_until=None, is_held=False, approval=None
    )


def told(circuit: Circuit, policy: CircuitPolicy, now: float, outcome: Outcome) -> Circuit:
    """After ``outcome``. What is told of calls that began before it opened changes nothing but the counts."""
    counted = _counted(circuit, policy, now, outcome)
    if counted.state is State.HALF_OPEN:
        return _after_probe(counted, policy, now, outcome)
    if counted.state is State.OPEN or outcome.probe is not None:
        return counted
    row = outcome.failures + (0 if outcome.successes else counted.failures)
    counted = replace(counted, failures=row)
    why = _reached(counted, policy)
    return _opened(counted, policy, now, why) if why else counted


def _counted(circuit: Circuit, policy: CircuitPolicy, now: float, outcome: Outcome) -> Circuit:
    is_over = now >= circuit.window_at + policy.window_seconds
    before = Circuit() if is_over else circuit
    return replace(
        circuit,
        calls=before.calls + outcome.successes + outcome.failures,
        errors=before.errors + outcome.failures,
        tokens=before.tokens + outcome.tokens,
        hits=before.hits + outcome.hits,
        window_at=now if is_over else circuit.window_at,
        last_error=outcome.error or circuit.last_error,
    )


def _after_probe(circuit: Circuit, policy: CircuitPolicy, now: float, outcome: Outcome) -> Circuit:
    if outcome.probe is None or outcome.probe != circuit.probe:
        return circuit
    if outcome.failures:
        failed = replace(circuit, failures=circuit.failures + outcome.failures)
        return _opened(failed, policy, now, "The call that tried it failed.")
    free = replace(circuit, probe=None, probe_until=None, successes=circuit.successes + outcome.successes)
    if not outcome.successes or free.successes < policy.successes_min:
        return free
    # What failed before the rest is no reason to open again; tokens are spent all the same.
    return Circuit(tokens=free.tokens, window_at=free.window_at, last_error=free.last_error)


def _reached(circuit: Circuit, policy: CircuitPolicy) -> str:
    """The threshold that it has come to, in words; '' for none."""
    if policy.failures_max is not None and circuit.failures >= policy.failures_max:
        return f"{circuit.failures} call{'s in a row' if circuit.failures > 1 else ''} failed."
    is_known = policy.error_rate_max is not None and circuit.calls >= policy.calls_min
    if is_known and circuit.errors > (policy.error_rate_max or 0.0) * circuit.calls:
        return f"{circuit.errors} of its last {circuit.calls} calls failed."
    if policy.hits_max is not None and circuit.hits >= policy.hits_max:
        return f"A guardrail stepped in {circuit.hits} time{'s' if circuit.hits > 1 else ''}."
    return f"Its {circuit.tokens:,} tokens are spent." if _has_spent(circuit, policy) else ""


def _has_spent(circuit: Circuit, policy: CircuitPolicy) -> bool:
    return policy.tokens_max is not None and circuit.tokens >= policy.tokens_max


def _opened(circuit: Circuit, policy: CircuitPolicy, now: float, why: str) -> Circuit:
    """One whose tokens are spent rests until its window is over."""
    rest_seconds = policy.rest_seconds
    if _has_spent(circuit, policy):
        rest_seconds = max(rest_seconds, circuit.window_at + policy.window_seconds - now)
    return opened(circuit, now, why, rest_seconds=rest_seconds)
