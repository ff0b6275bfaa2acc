"""Going on from a checkpoint in a run of its own: what was asked for by a person, on a page or over the API."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote

from wflo.client import client
from wflo.errors import CheckpointError, RollbackRequestedError, ServerError
from wflo.runs import Run
from wflo.states import decode

log = logging.getLogger("wflo")


def next_run(old: Run, wanted: RollbackRequestedError, new: Run) -> tuple[Run, Any]:
    """The run that goes on in ``old``'s place, and the state it begins with; the server is told.

    Raises CheckpointError when the state is neither in this process nor on the server; the server is told that too, and
    the old run is not asked again.
    """
    old.taken_rollbacks.add(wanted.rollback_id)
    try:
        state = _state(old, wanted)
    except CheckpointError as error:
        _answer(old, wanted, {"status": "refused", "reason": str(error)[:500]})
        raise
    changed = wanted.overrides.get("state")
    if isinstance(changed, dict) and isinstance(state, dict):
        state = {**state, **changed}
    elif changed is not None:
        state = changed
    if wanted.budget_usd is not None:
        new.budget_usd = wanted.budget_usd
    new.overrides = {name: value for name, value in wanted.overrides.items() if name != "state"}
    _answer(old, wanted, {"status": "taken", "new_run": new.id})
    return new, state


def _state(old: Run, wanted: RollbackRequestedError) -> Any:
    id, version = wanted.checkpoint.get("id"), wanted.checkpoint.get("version")
    for one in old.shelf.all():
        if one.id == id:
            old.shelf.roll_back(one)
            return one.restored()
    server = client()
    if server is not None:
        try:
            found = server.get(f"/api/v1/runs/{quote(old.id, safe='')}/checkpoints/{id or version}")
            return decode(found.get("state"))
        except ServerError as error:
            raise CheckpointError(f"Checkpoint {version} of the run {old.id} cannot be read: {error}") from error
    raise CheckpointError(f"Checkpoint {version} of the run {old.id} is not there.")


def _answer(old: Run, wanted: RollbackRequestedError, body: dict[str, Any]) -> None:
    server = client()
    if server is None:
        return
    try:
        server.post(f"/api/v1/runs/{quote(old.id, safe='')}/rollbacks/{quote(wanted.rollback_id, safe='')}", body)
    except ServerError as error:
        log.warning("the rollback of the run %s could not be answered: %s", old.id, error)
