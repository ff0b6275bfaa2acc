"""Circuit breakers: a component that fails is given a rest, and is tried by one call when the rest is over.

    @circuit_breaker(name="research-planner", token_budget=10_000, error_threshold=0.5)
    async def plan(topic): ...

The rule is ``wflo.circuits``. Breakers of one name share their state: in this process, and with a server in all processes of
the team. With the server away a process goes by what it knows itself; a call never waits long for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

from wflo import circuits, recording
from wflo.circuits import Circuit, CircuitPolicy, Outcome, State
from wflo.client import client
from wflo.context import Scope
from wflo.errors import CircuitOpenError, ServerError, WfloError
from wflo.wrapping import Aside, Call, Invocation, wrap

T = TypeVar("T")

log = logging.getLogger("wflo")
NAME_CHARACTERS_MAX = 180  # as the server's
BREAKERS_MAX = 10_000  # in a process; the oldest are forgotten
ASK_SECONDS = 0.5  # that a call waits for the server, at the most
USUAL = CircuitPolicy()
AWAY_SECONDS = 10.0  # it is not asked again for so long when it did not answer


class Breaker:
    """One component's, by name. ``call`` decorates; ``ask`` and ``tell`` are for whoever calls by hand."""

    def __init__(
        self, name: str, policy: CircuitPolicy, expected: tuple[type[BaseException], ...] = (Exception,)
    ) -> None:
        self.name, self.policy, self.expected = name, policy, expected
        self._lock = threading.Lock()
        self._circuit = Circuit()
        self._away_until = 0.0

    def ask(self) -> UUID | None:
        """Leave to call; the id of the probe, where this call is one. Raises CircuitOpenError."""
        found = self._asked_server()
        if found is not None:
            if not found.get("allowed"):
                raise self._refusal(int(found.get("failure_count") or 0), found.get("retry_after_s"))
            return UUID(found["probe"]) if found.get("probe") else None
        now = time.time()
        with self._lock:
            if circuits.may_call(self._circuit):
                return None
            probe = uuid4()
            after = circuits.probed(self._circuit, self.policy, now, probe)
            if after is None:
                raise self._refusal(self._circuit.failures, circuits.wait_seconds(self._circuit, now))
            self._circuit = after
            return probe

    def tell(
        self, *, is_success: bool, error: str = "", tokens: int = 0, probe: UUID | None = None, is_silent: bool = False
    ) -> State:
        """What became of a call; ``is_silent``: nothing that speaks for or against the component."""
        counted = not is_silent
        outcome = Outcome(
            successes=int(counted and is_success),
            failures=int(counted and not is_success),
            tokens=tokens,
            error=error[:500],
            probe=probe,
        )
        with self._lock:
            before = self._circuit.state
            self._circuit = circuits.told(self._circuit, self.policy, time.time(), outcome)
            after = self._circuit.state
        if not is_silent or probe is not None or tokens:
            after = self._told_server(outcome) or after
        if after is State.OPEN and before is not State.OPEN:
            log.warning('The circuit "%s" has opened: %s', self.name, error or "its tokens are spent")
        return after

    def reset(self) -> None:
        """It is well: call it again."""
        with self._lock:
            self._circuit = Circuit()
        self._server("POST", "reset", {})

    @property
    def state(self) -> State:
        return self._circuit.state

    def state_dict(self) -> dict[str, Any]:
        """``name, state, failure_count, success_count, failure_threshold, success_threshold, opened_at, recovery_timeout``."""
        circuit = self._circuit
        return {
            "name": self.name,
            "state": circuit.state.value,
            "failure_count": circuit.failures,
            "success_count": circuit.successes,
            "failure_threshold": self.policy.failures_max,
            "success_threshold": self.policy.successes_min,
            "opened_at": circuit.opened_at,
            "recovery_timeout": self.policy.rest_seconds,
        }

    def habit(self, invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(self.name) as scope:
            try:
                probe = yield from _aside(self.ask)
            except CircuitOpenError:
                scope.run.circuit_trips += 1
                raise
            before = scope.run.used.whole.total_tokens
            try:
                answer = yield Call(scope)
            except BaseException as error:
                speaks = isinstance(error, self.expected) and not isinstance(error, WfloError | GeneratorExit)
                words, tokens = recording.words_of(error) if speaks else "", scope.run.used.whole.total_tokens - before
                tell = partial(
                    self.tell, is_success=False, error=words, tokens=tokens, probe=probe, is_silent=not speaks
                )
                self._over(scope, (yield from _aside(tell)))
                raise
            tokens = scope.run.used.whole.total_tokens - before
            self._over(scope, (yield from _aside(partial(self.tell, is_success=True, tokens=tokens, probe=probe))))
            return answer

    def _over(self, scope: Scope, state: State) -> None:
        if state is State.OPEN:
            recording.occurred(
                "circuit", scope=scope, name=self.name, state=state.value, failures=self._circuit.failures
            )

    def _refusal(self, failures: int, retry_after: float | None) -> CircuitOpenError:
        return CircuitOpenError(circuit_name=self.name, failure_count=failures, retry_after=retry_after)

    # --- shared by the processes of a team --------------------------------------------------------------------------------

    def _asked_server(self) -> dict[str, Any] | None:
        return self._server("POST", "ask", {"policy": self._policy_json()})

    def _told_server(self, outcome: Outcome) -> State | None:
        body = {
            "successes": outcome.successes, "failures": outcome.failures, "tokens": outcome.tokens, "error": outcome.error,
            "probe": None if outcome.probe is None else str(outcome.probe), "policy": self._policy_json(),
        }  # fmt: skip
        found = self._server("POST", "told", body)
        return None if found is None or found.get("state") not in list(State) else State(found["state"])

    def _policy_json(self) -> dict[str, Any]:
        """What is not usual: a server need not know what nobody asks of it."""
        given = {name: getattr(self.policy, name) for name in CircuitPolicy.__dataclass_fields__}
        return {name: value for name, value in given.items() if value != getattr(USUAL, name)}

    def _server(self, method: str, verb: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the server says; None without one, and for a while after it was away."""
        server = client(timeout_seconds=ASK_SECONDS)
        if server is None or time.monotonic() < self._away_until:
            return None
        try:
            return server.request(method, f"/api/v1/circuits/{quote(self.name, safe='')}/{verb}", body)
        except ServerError as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning('the circuit "%s" goes by what this process knows: %s', self.name, error)
            return None


def _aside(work: Callable[[], T]) -> Generator[Any, Any, T]:
    """At once where no server is asked: a thread for that would cost more than it."""
    if client() is None:
        return work()
    found: T = yield Aside(work)
    return found


_breakers: dict[str, Breaker] = {}
_lock = threading.Lock()


def breaker(name: str) -> Breaker | None:
    """The breaker of that name, once it was made."""
    return _breakers.get(name)


def circuit_breaker(
    name: str,
    *,
    token_budget: int | None = None,
    error_threshold: float | None = None,
    failure_threshold: int | None = 5,
    recovery_timeout: float = 60,
    success_threshold: int = 2,
    window_seconds: float = 60,
    expected_exception: type[BaseException] | tuple[type[BaseException], ...] = Exception,
) -> Any:
    """Opens when ``failure_threshold`` calls in a row fail, more than ``error_threshold`` of the window's calls do, or the
    window's tokens reach ``token_budget``; after ``recovery_timeout`` seconds one call at a time may try, and
    ``success_threshold`` successes close it. Exceptions other than ``expected_exception`` count for nothing.

    While it is open CircuitOpenError is raised, with ``retry_after``. ``.breaker`` of what is decorated has ``state_dict()`` and
    ``reset()``. Raises ValueError for thresholds that mean nothing.
    """
    policy = CircuitPolicy(
        failures_max=failure_threshold,
        error_rate_max=error_threshold,
        tokens_max=token_budget,
        rest_seconds=recovery_timeout,
        successes_min=success_threshold,
        window_seconds=window_seconds,
    )
    expected = expected_exception if isinstance(expected_exception, tuple) else (expected_exception,)
    own = _made(name, policy, expected)

    def decorate(target: Any) -> Any:
        wrapped = wrap(target, own.habit)
        try:
            wrapped.breaker = own
        except AttributeError:
            pass  # an object with slots
        return wrapped

    return decorate


def circuit_breaker_per_agent(name: str, token_budget: int | None = None, **options: Any) -> Any:
    """The same for each agent by itself: the agent who calls is part of the breaker's name, which is cut where it is too long."""
    circuit_breaker(name, token_budget=token_budget, **options)  # arguments that mean nothing are said here
    common = _breakers[name]

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        with recording.scope_here(name) as scope:
            own = f"{name}:{scope.agent}"[:NAME_CHARACTERS_MAX] if scope.agent else name
            found = _made(own, common.policy, common.expected)
            return (yield from found.habit(invocation))

    return lambda target: wrap(target, habit)


def _made(name: str, policy: CircuitPolicy, expected: tuple[type[BaseException], ...]) -> Breaker:
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise ValueError(f"name: 1 to {NAME_CHARACTERS_MAX} characters")
    with _lock:
        found = _breakers.get(name)
        if found is None:
            while len(_breakers) >= BREAKERS_MAX:
                _breakers.pop(next(iter(_breakers)))
            found = _breakers[name] = Breaker(name, policy, expected)
        else:
            found.policy, found.expected = policy, expected
        return found
