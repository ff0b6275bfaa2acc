"""Where a run goes on from, and which runs went on from it: rollbacks and forks of jobs, rollbacks that other processes took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from tracking.models import Checkpoint, JobRun, Rollback, Team

SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """``run`` is the other run. ``steps``: reused, where it is known; ``reused_usd`` None: not all of it is known."""

    run: str
    checkpoint: int | None
    steps: int | None
    reused_usd: Decimal | None
    at: datetime
    by: str
    reason: str
    is_fork: bool = False


@dataclass(frozen=True, slots=True)
class Lineage:
    """``asked``: what its process has not answered yet. ``versions``: checkpoints that something went on from."""

    came_from: Branch | None
    went_on: list[Branch]
    asked: Rollback | None

    @property
    def versions(self) -> set[int]:
        return {one.checkpoint for one in self.went_on if one.checkpoint is not None}


def lineage(team: Team, run: str) -> Lineage:
    """``run``: its own name."""
    wishes = list(Rollback.objects.filter(Q(run=run) | Q(new_run=run), team=team).order_by("requested_at"))
    jobs = list(JobRun.objects.filter(Q(run=run) | Q(parent=run), team=team).order_by("created_at"))
    ids = {one.checkpoint_id for one in jobs if one.checkpoint_id is not None}
    versions: dict[UUID | None, int] = {}
    if ids:
        versions |= dict(Checkpoint.objects.filter(team=team, id__in=ids).values_list("id", "version"))
    taken = {wish.new_run: wish for wish in wishes if wish.status == Rollback.Status.TAKEN}
    own = next((one for one in jobs if one.run == run), None)
    found = [_of_job(one, own, versions, taken) for one in jobs if one.parent == run]
    found += [
        _of_wish(wish) for name, wish in taken.items() if wish.run == run and name not in {one.run for one in jobs}
    ]
    came = _of_job(own, None, versions, taken, other=own.parent) if own is not None and own.parent else None
    if came is None and run in taken:
        came = _of_wish(taken[run], other=taken[run].run)
    asked = [wish for wish in wishes if wish.run == run and wish.status == Rollback.Status.REQUESTED]
    return Lineage(came, sorted(found, key=lambda one: one.at)[-SHOWN:], asked[-1] if asked else None)


def _of_job(
    one: JobRun, parent: JobRun | None, versions: dict[UUID | None, int], taken: dict[str, Rollback], *, other: str = ""
) -> Branch:
    wish = taken.get(one.run)
    version = versions.get(one.checkpoint_id) or (wish.checkpoint_version if wish is not None else None)
    is_fork = parent is not None and parent.job_id != one.job_id
    return Branch(
        run=other or one.run, checkpoint=version, steps=one.from_position, reused_usd=one.reused_usd, at=one.created_at,
        by=wish.requested_by if wish is not None else "", reason=wish.reason if wish is not None else "", is_fork=is_fork,
    )  # fmt: skip


def _of_wish(wish: Rollback, *, other: str = "") -> Branch:
    return Branch(
        run=other or wish.new_run, checkpoint=wish.checkpoint_version, steps=None, reused_usd=None,
        at=wish.answered_at or wish.requested_at, by=wish.requested_by, reason=wish.reason,
    )  # fmt: skip
