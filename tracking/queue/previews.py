"""What going on from a checkpoint of a job's run means, before anybody does it: what is reused, what was done after it, what it may cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import connection
from django.db.models import Sum

from tracking.checkpoints import store
from tracking.errors import NotFound
from tracking.models import AgentJob, Checkpoint, JobRun, Reservation, Team
from tracking.queue import states, steps
from tracking.queue.steps import Kept
from tracking.sql import statements

HISTORY = 50  # jobs of the agent that an estimate looks at
WRITE = "write"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """``later``: steps after the checkpoint; they are made again, or not at all. ``under_way``: one that is being done, or whose end
    nobody knows. Money None: not all of it is known."""

    job: AgentJob
    run: str
    checkpoint: Checkpoint
    position: int
    reused: tuple[Kept, ...]
    later: tuple[Kept, ...]
    under_way: tuple[Kept, ...]
    reused_usd: Decimal | None
    later_usd: Decimal | None
    held_usd: Decimal  # for calls under way
    p50_usd: Decimal | None
    p90_usd: Decimal | None
    p50_steps: int | None
    history: int  # jobs the estimate is from; 0: it is what this run took
    spent_usd: Decimal  # by all runs of the job
    overrides: Mapping[str, Any]  # that the run goes by already

    @property
    def writes(self) -> tuple[Kept, ...]:
        """Steps after the checkpoint that changed the world, and those of which nobody knows whether they did."""
        return tuple(step for step in (*self.later, *self.under_way) if step.effect == WRITE)

    @property
    def is_under_way(self) -> bool:
        return self.job.status == AgentJob.Status.RUNNING and self.job.run == self.run

    @property
    def budget_left_usd(self) -> Decimal | None:
        """None: the job has no budget of its own."""
        return None if self.job.budget_usd is None else max(self.job.budget_usd - self.spent_usd, Decimal(0))


def preview(team: Team, run: str, checkpoint: str) -> Preview:
    """Raises NotFound: the run is no job's, or has no such checkpoint."""
    job = job_of(team, run)
    to = store.find(team, run, checkpoint)
    position = position_of(to)
    every = steps.of_run(team.pk, run)
    reused = tuple(step for step in every if step.position is not None and step.position <= position)
    later = tuple(step for step in every if step.position is not None and step.position > position)
    count, p50, p90, p50_steps = _history(team, job, position)
    later_usd = cost_of(later)
    return Preview(
        job=job, run=run, checkpoint=to, position=position, reused=reused, later=later, reused_usd=cost_of(reused),
        under_way=tuple(step for step in every if step.position is None), later_usd=later_usd, held_usd=_held(team, run),
        p50_usd=p50 if count else later_usd or None, p90_usd=p90 if count else None,
        p50_steps=p50_steps if count else len(later) or None, history=count, spent_usd=spent(job),
        overrides=JobRun.objects.get(team=team, run=run).overrides,
    )  # fmt: skip


def job_of(team: Team, run: str) -> AgentJob:
    job = states.job_of_run(team, run)
    if job is None:
        raise NotFound(f'The run "{run[:128]}" is no job\'s.')
    return job


def position_of(checkpoint: Checkpoint) -> int:
    """Up to which step a run is there."""
    state = store.state_of(checkpoint)
    position = state.get("position") if isinstance(state, dict) else None
    if not isinstance(position, int):
        raise NotFound("That checkpoint is of no job's run.")
    return position


def cost_of(done: Sequence[Kept]) -> Decimal | None:
    """None where a model's answer has no known price."""
    if any(step.kind == "model" and step.cost_usd is None for step in done):
        return None
    return sum((step.cost_usd or Decimal(0) for step in done), Decimal(0))


def spent(job: AgentJob) -> Decimal:
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["spent"], {"team": job.team_id, "job": job.id})
        return sum((usd for _, usd in cursor.fetchall()), Decimal(0))


def _held(team: Team, run: str) -> Decimal:
    rows = Reservation.objects.filter(team=team, run=run, state=Reservation.State.HELD)
    return rows.aggregate(usd=Sum("held_usd"))["usd"] or Decimal(0)


def _history(team: Team, job: AgentJob, position: int) -> tuple[int, Decimal | None, Decimal | None, int | None]:
    """(jobs looked at, p50 and p90 of their cost, p50 of their steps) of completed jobs of the agent from the step after ``position``
    on."""
    with connection.cursor() as cursor:
        cursor.execute(
            statements("queue")["rest_costs"],
            {"team": team.pk, "agent": job.agent, "job": job.id, "position": position, "limit": HISTORY},
        )
        count, p50, p90, more = cursor.fetchone()
    return int(count), _rounded(p50), _rounded(p90), None if more is None else round(more)


def _rounded(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value)).quantize(Decimal("1e-10"))
