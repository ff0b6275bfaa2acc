"""Rolling back a run that another process drives: it is asked to, with the next answer it hears, and says what it did.

The wish is a row. Its process takes it (then a new run goes on, what came after the checkpoint is superseded, and no more
calls are made for the old one) or refuses it. History is never rewritten.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from tracking import alerts, audit, run_control
from tracking.audit import Actor
from tracking.checkpoints import store
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import Checkpoint, Destination, Rollback, Run, RunControl, Team
from tracking.sql import statements

OVERRIDES = ("model", "instructions", "state")
REASON_CHARACTERS_MAX = 500


def request(
    team: Team,
    run: str,
    checkpoint: str,
    *,
    reason: str,
    actor: Actor,
    overrides: Mapping[str, Any] | None = None,
    budget_usd: Decimal | None = None,
) -> Rollback:
    """Ask for it, by the run's own name; who asks twice for one checkpoint gets the first wish.

    Raises NotFound for a checkpoint that is not there, Invalid, and Conflict while another checkpoint is waited for.
    """
    to = store.find(team, run, checkpoint)
    _demand_good(overrides or {})
    waiting = Rollback.objects.filter(team=team, run=run, status=Rollback.Status.REQUESTED)
    try:
        with transaction.atomic():
            found = waiting.first()
            if found is None:
                found = _asked(team, run, to, _reason(reason), actor, dict(overrides or {}), budget_usd)
    except IntegrityError:
        found = waiting.get()
    if found.checkpoint_id != to.id:
        raise Conflict(
            f"The run is asked already to go back to checkpoint {found.checkpoint_version}; wait for its answer.",
            field="checkpoint",
        )
    return found


def _demand_good(overrides: Mapping[str, Any]) -> None:
    unknown = [name for name in overrides if name not in OVERRIDES]
    if unknown:
        raise Invalid(f"{unknown[0]} cannot be changed; {', '.join(OVERRIDES)} can.", field="overrides")
    for name in ("model", "instructions"):
        if not isinstance(overrides.get(name, ""), str):
            raise Invalid(f"{name} is text.", field=f"overrides.{name}")
    if "\\u0000" in json.dumps(overrides):
        raise Invalid("overrides hold a NUL character.", field="overrides")


def _asked(
    team: Team,
    run: str,
    to: Checkpoint,
    reason: str,
    actor: Actor,
    overrides: dict[str, Any],
    budget_usd: Decimal | None,
) -> Rollback:
    made = Rollback.objects.create(
        team=team,
        id=uuid.uuid4(),
        run=run,
        checkpoint_id=to.id,
        checkpoint_version=to.version,
        checkpoint_name=to.name,
        reason=reason,
        overrides=overrides,
        budget_usd=budget_usd,
        requested_by=actor.name,
        requested_at=datetime.now(UTC),
    )
    now = datetime.now(UTC)
    RunControl.objects.bulk_create([RunControl(team=team, run=run, started_at=now, last_at=now)], ignore_conflicts=True)
    told = {"run_id": run, "checkpoint": to.version, "reason": reason, "by": actor.name}
    audit.record(actor, team, "run.rollback", "run", run, after={"checkpoint": to.version, "reason": reason})
    alerts.notify(
        team, Destination.Event.ROLLBACK_REQUESTED, told | {"rollback_id": str(made.id), "rollback": _block(made)}
    )
    return made


def _block(wish: Rollback) -> dict[str, Any] | None:
    """As its process reads it in the control block; None where it is too large for a webhook, and waits for that."""
    block = {
        "id": str(wish.id),
        "checkpoint": {"id": str(wish.checkpoint_id), "version": wish.checkpoint_version, "name": wish.checkpoint_name},
        "reason": wish.reason,
        "overrides": wish.overrides,
        "budget_usd": None if wish.budget_usd is None else f"{wish.budget_usd.normalize():f}",
        "requested_by": wish.requested_by,
        "requested_at": wish.requested_at.isoformat(),
    }
    return block if len(json.dumps(block)) <= settings.LIMITS["alert_payload_bytes"] // 2 else None


def answer(
    team: Team, run: str, id: uuid.UUID, *, status: str, actor: Actor, new_run: str = "", reason: str = ""
) -> Rollback:
    """What its process did: ``taken``, in ``new_run``, or ``refused``. Told twice it is the same; another answer afterwards is a
    Conflict. One that was withdrawn too late is answered all the same. Raises NotFound, Invalid."""
    if status not in (Rollback.Status.TAKEN, Rollback.Status.REFUSED):
        raise Invalid("A rollback is taken or refused.", field="status")
    if status == Rollback.Status.TAKEN and not 0 < len(new_run) <= 128:
        raise Invalid("The run that goes on has a name of 1 to 128 characters.", field="new_run")
    with transaction.atomic():
        wish = _locked(team, run, id)
        if wish.status not in (Rollback.Status.REQUESTED, Rollback.Status.WITHDRAWN):
            if (wish.status, wish.new_run) == (status, new_run if status == Rollback.Status.TAKEN else ""):
                return wish
            raise Conflict(f"The rollback was {wish.status} already.", field="status")
        wish.status, wish.answered_at = status, datetime.now(UTC)
        wish.new_run = new_run if status == Rollback.Status.TAKEN else ""
        wish.answer = _reason(reason) if status == Rollback.Status.REFUSED else ""
        wish.save(update_fields=["status", "answered_at", "new_run", "answer"])
        if status == Rollback.Status.TAKEN:
            _taken(team, wish)
        audit.record(
            actor, team, f"run.rollback.{status}", "run", run, after={"new_run": new_run, "reason": wish.answer}
        )
    return wish


def withdraw(team: Team, run: str, id: uuid.UUID, *, actor: Actor) -> Rollback:
    """Its process is not asked any more; one that heard of it already may go back all the same. Raises NotFound, Conflict."""
    with transaction.atomic():
        wish = _locked(team, run, id)
        if wish.status == Rollback.Status.WITHDRAWN:
            return wish
        if wish.status != Rollback.Status.REQUESTED:
            raise Conflict(f"The rollback was {wish.status} already.", field="status")
        wish.status, wish.answered_at = Rollback.Status.WITHDRAWN, datetime.now(UTC)
        wish.save(update_fields=["status", "answered_at"])
        after = {"checkpoint": wish.checkpoint_version}
        audit.record(actor, team, "run.rollback.withdrawn", "run", run, after=after)
    return wish


def _locked(team: Team, run: str, id: uuid.UUID) -> Rollback:
    wish = Rollback.objects.select_for_update().filter(team=team, run=run, id=id).first()
    if wish is None:
        raise NotFound(f'The run "{run[:128]}" was not asked for that rollback.')
    return wish


def _taken(team: Team, wish: Rollback) -> None:
    """What came later is superseded, and the old run makes no more calls; one that ended stays as it ended."""
    later = Checkpoint.objects.filter(team=team, run=wish.run, version__gt=wish.checkpoint_version, superseded_at=None)
    later.update(superseded_at=wish.answered_at)
    words = (
        f'rolled back to checkpoint {wish.checkpoint_version} ("{wish.checkpoint_name}"); it goes on as {wish.new_run}'
    )
    with connection.cursor() as cursor:
        cursor.execute(
            statements("run_control")["kill"],
            {"team": team.pk, "names": [wish.run], "reason": words, "by": wish.requested_by},
        )
    is_open = Q(ended_at=None) | Q(error__startswith="RollbackRequestedError")  # its own end may be told first
    Run.objects.filter(is_open, team=team, external_id=wish.run).update(
        status=Run.Status.CANCELLED, error=words[:500], ended_at=wish.answered_at
    )


def of_run(team: Team, run: str) -> list[Rollback]:
    """The latest first."""
    return list(Rollback.objects.filter(team=team, run=run).order_by("-requested_at")[:100])


def named(team: Team, reference: str) -> str:
    """The name a run is asked by. Raises NotFound for a run nobody knows, and has no checkpoint of."""
    if Checkpoint.objects.filter(team=team, run=reference).exists():
        return reference
    return run_control.name_of(team, reference)


def _reason(text: str) -> str:
    reason = " ".join(text.replace("\0", "").split())
    if len(reason) > REASON_CHARACTERS_MAX:
        raise Invalid(f"A reason has at most {REASON_CHARACTERS_MAX} characters.", field="reason")
    return reason
