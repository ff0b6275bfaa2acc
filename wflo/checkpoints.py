"""Checkpoints: what a run's state was after a step, to look at and to go back to.

    @checkpoint
    async def research(state): ...        # what it returns is saved under its name

They are kept in this process for as long as the run is, and told to the server where there is one, which keeps them for
good. History is never rewritten: to roll back to version k marks the later ones as superseded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from typing import Any, TypeVar, overload

from wflo import recording
from wflo.context import Scope
from wflo.errors import CheckpointError
from wflo.plain import fields_of
from wflo.runs import Run
from wflo.shelf import Checkpoint
from wflo.wrapping import Call, Invocation, wrap

log = logging.getLogger("wflo")
T = TypeVar("T", bound=Callable[..., Any])


def save(run: Run, name: str, state: Any, *, agent: str = "", scope: Scope | None = None) -> Checkpoint:
    """Keep a state of the run and tell the server. Raises CheckpointError."""
    made = run.shelf.add(name, state, agent=agent)
    recording.occurred(
        "checkpoint",
        scope=scope or Scope(run, "", agent),
        name=name,
        event_id=made.id,
        checkpoint_id=made.id,
        whole={"state": made.state},
        lossy_paths=made.lossy_paths or None,
    )
    return made


def roll_back(run: Run, to: Checkpoint, *, reason: str = "") -> Any:
    """Mark what came later as superseded and give the state back, as it was."""
    run.shelf.roll_back(to)
    recording.occurred(
        "checkpoint", scope=Scope(run), name=f"rolled back to {to.name}", rolled_back_to=to.version, reason=reason
    )
    return to.restored()


@overload
def checkpoint(target: T) -> T: ...
@overload
def checkpoint(target: str | None = None, *, name: str = "", agent: str = "") -> Callable[[T], T]: ...
def checkpoint(target: Any = None, *, name: str = "", agent: str = "") -> Any:
    """Save what a function returns, under its name or ``name``: a dict as it is, an object by its fields, anything else
    under ``result``. Of a generator it is the list of its pieces. What cannot be saved is logged; the answer goes on."""
    label = target if isinstance(target, str) else name

    def habit(invocation: Invocation) -> Generator[Any, Any, Any]:
        own = label or invocation.name.rpartition(".")[2]
        with recording.scope_here(own) as scope:
            pieces: list[Any] = []
            result = yield Call(scope, pieces.append)
            try:
                save(scope.run, own, state_of(pieces or result), agent=agent or scope.agent, scope=scope)
            except CheckpointError as error:
                log.warning("%s", error)
            return result

    if target is None or isinstance(target, str):
        return lambda inner: wrap(inner, habit)
    return wrap(target, habit)


def state_of(result: Any) -> Any:
    """What is saved of a result."""
    if isinstance(result, dict):
        return result
    fields = fields_of(result)
    return fields if fields is not None else {"result": result}
