"""What the tab "Checkpoints" of a run's page shows: the states that were saved, one opened or two compared, and who asked to go back."""

from __future__ import annotations

from typing import Any

from django.http import Http404

from dashboards.messages import cut, written
from tracking.checkpoints import rollbacks, store
from tracking.checkpoints.difference import difference
from tracking.errors import Invalid, NotFound
from tracking.models import Checkpoint, Rollback, Team
from tracking.reports.runs import RunRow

ROWS = 100
WISHES = 3  # the latest that were answered
CHANGES = 100


def body(team: Team, run: RunRow, *, which: str, against: str, after: str) -> dict[str, Any]:
    """Raises Http404 for a checkpoint that is not there, Invalid for an ``after`` that is no version."""
    name = run.external_id or run.trace_id.hex
    if after and not (after.isascii() and after.isdecimal() and len(after) < 10):
        raise Invalid("after is a checkpoint's version.", field="after")
    found = store.of_run(team, name, limit=ROWS + 1, before=int(after) if after else None)
    context: dict[str, Any] = {
        "checkpoints": found[:ROWS],
        "next_after": str(found[ROWS - 1].version) if len(found) > ROWS else "",
        "wishes": [one for one in rollbacks.of_run(team, name) if one.status != Rollback.Status.REQUESTED][:WISHES],
        "state": None,
    }
    if which:
        context |= _opened(team, name, which, against)
    return context


def _opened(team: Team, run: str, which: str, against: str) -> dict[str, Any]:
    chosen = _found(team, run, which)
    state = store.state_of(chosen)
    shown = {
        "chosen": chosen,
        "state": cut(written(state)),
        "warnings": store.warnings_of(chosen.size_bytes, chosen.lossy_paths),
    }
    if not against:
        return shown
    other = _found(team, run, against)
    changes = [
        one | {"before": cut(written(one["before"])), "after": cut(written(one["after"]))}
        for one in difference(state, store.state_of(other))[:CHANGES]
    ]
    return shown | {"other": other, "changes": changes}


def _found(team: Team, run: str, which: str) -> Checkpoint:
    try:
        return store.find(team, run, which)
    except NotFound as error:
        raise Http404(error.message) from error
