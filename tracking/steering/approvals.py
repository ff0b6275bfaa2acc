"""Approvals: an agent's step waits until a person has said yes. The store's clock says when it is too late."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from tracking import alerts, audit, circuits
from tracking.audit import SYSTEM, Actor
from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import Approval, Destination, RunControl, Team
from tracking.steering.payloads import kept, words
from tracking.store_time import store_now

COMMENT_CHARACTERS_MAX = 1_000
DECISIONS = (Approval.Status.APPROVED, Approval.Status.REJECTED)


def request(team: Team, run: str, asked: Mapping[str, Any]) -> tuple[Approval, bool]:
    """Ask; and whether it is new: the same id again is the same question. ``asked``: id, action, agent, risk, question, payload,
    timeout_s, on_timeout. Raises Invalid, TooLarge."""
    id: uuid.UUID = asked.get("id") or uuid.uuid4()
    seconds, most = asked["timeout_s"], settings.LIMITS["approval_seconds"]
    if not 0 < seconds <= most:
        raise Invalid(f"An approval waits more than 0 and at most {most:,} seconds.", field="timeout_s")
    found = Approval.objects.filter(team=team, id=id).first()
    if found is not None:
        return found, False
    now = store_now()
    payload = kept(team, asked.get("payload"), field="payload", most=settings.LIMITS["approval_payload_bytes"])
    made, is_new = Approval.objects.get_or_create(
        team=team,
        id=id,
        defaults={
            "run": run,
            "action": words(team, asked["action"], 200),
            "agent": asked["agent"][:200],
            "risk": asked["risk"],
            "question": words(team, asked["question"], 2_000),
            "payload": payload,
            "on_timeout": asked["on_timeout"],
            "requested_at": now,
            "expires_at": now + timedelta(seconds=seconds),
        },
    )
    if is_new:
        if run:  # its sender is to hear of it, whether or not it calls through the gateway
            control = RunControl(team=team, run=run, started_at=now, last_at=now)
            RunControl.objects.bulk_create([control], ignore_conflicts=True)
        told = {
            "approval_id": str(id),
            "run_id": run,
            "action": made.action,
            "risk": made.risk,
            "question": made.question,
        }
        alerts.notify(team, Destination.Event.APPROVAL_REQUESTED, told)
    return made, is_new


def decide(team: Team, id: uuid.UUID, status: str, *, actor: Actor, comment: str = "") -> Approval:
    """Approve or reject, once and for ever. Raises NotFound, Invalid, and Conflict when it was decided, or is too late."""
    if len(comment) > COMMENT_CHARACTERS_MAX:
        raise Invalid(f"A comment has at most {COMMENT_CHARACTERS_MAX:,} characters.", field="comment")
    with transaction.atomic():
        row = _locked(team, id)
        if row.status != Approval.Status.PENDING:
            raise Conflict(
                f"It was {row.status} already{f' by {row.decided_by}' if row.decided_by else ''}.", field="status"
            )
        _close(row, status, actor, " ".join(comment.replace("\0", "").split()))
    return row


def cancel(team: Team, id: uuid.UUID, *, actor: Actor) -> Approval:
    """Nobody waits for it any more. Raises NotFound, Conflict."""
    return decide(team, id, Approval.Status.CANCELLED, actor=actor)


def find(team: Team, id: uuid.UUID) -> Approval:
    """As it stands now: one whose time is over is closed first. Raises NotFound."""
    row = Approval.objects.filter(team=team, id=id).first()
    if row is None:
        raise NotFound(f"This team has no approval {id}.")
    if row.status == Approval.Status.PENDING and row.expires_at <= store_now():
        with transaction.atomic():
            return _locked(team, id)
    return row


def of_team(
    team: Team, *, status: str = "", run: str = "", limit: int = 50, before: datetime | None = None
) -> list[Approval]:
    """The latest first."""
    expire(team)
    rows = Approval.objects.filter(team=team).order_by("-requested_at")
    if status:
        rows = rows.filter(status=status)
    if run:
        rows = rows.filter(run=run)
    return list((rows if before is None else rows.filter(requested_at__lt=before))[:limit])


def pending_count(team: Team) -> int:
    return Approval.objects.filter(team=team, status=Approval.Status.PENDING, expires_at__gt=Now()).count()


def expire(team: Team | None = None) -> int:
    """Close those whose time is over; how many."""
    rows = Approval.objects.filter(status=Approval.Status.PENDING, expires_at__lte=Now())
    found = list((rows if team is None else rows.filter(team=team)).values_list("team_id", "id")[:500])
    for team_id, id in found:
        with transaction.atomic():
            _locked(Team.objects.get(pk=team_id), id)
    return len(found)


def _locked(team: Team, id: uuid.UUID) -> Approval:
    """For this transaction; closed, if its time is over."""
    row = Approval.objects.select_for_update().filter(team=team, id=id).first()
    if row is None:
        raise NotFound(f"This team has no approval {id}.")
    if row.status == Approval.Status.PENDING and row.expires_at <= store_now():
        is_yes = row.on_timeout == Approval.OnTimeout.APPROVE
        _close(row, Approval.Status.APPROVED if is_yes else Approval.Status.EXPIRED, SYSTEM, "nobody decided in time")
    return row


def _close(row: Approval, status: str, actor: Actor, comment: str) -> None:
    row.status, row.decided_at, row.decided_by, row.comment = status, store_now(), actor.name, comment
    row.save(update_fields=["status", "decided_at", "decided_by", "comment"])
    # Before the log is written: whoever moves a circuit takes the two in this order too.
    circuits.answered(row.team, row.id, is_yes=status == Approval.Status.APPROVED, actor=actor)
    after = {"status": status, "action": row.action, "run": row.run, "comment": comment}
    audit.record(actor, row.team, "approval.decide", "approval", str(row.id), after=after)
    told = {"approval_id": str(row.id), "run_id": row.run, "decided_by": actor.name}
    alerts.notify(
        row.team,
        Destination.Event.APPROVAL_DECIDED,
        told | {name: after[name] for name in ("status", "action", "comment")},
    )
