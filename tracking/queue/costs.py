"""What jobs came to: of all their runs, what was paid once for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from django.db import connection

from tracking.models import AgentJob, JobRun, RunControl, Team
from tracking.sql import statements


@dataclass(slots=True)
class Cost:
    """``usd`` None: nothing of it is known. ``status``: known, partial, unknown."""

    runs: list[str] = field(default_factory=list)
    usd: Decimal | None = Decimal(0)
    unpriced: int = 0

    @property
    def status(self) -> str:
        return "known" if not self.unpriced else "unknown" if self.usd is None else "partial"


def of_jobs(team: Team, jobs: Sequence[AgentJob]) -> dict[UUID, Cost]:
    """By the job's id; runs oldest first."""
    found = {job.id: Cost() for job in jobs}
    owner: dict[str, UUID] = {}
    for row in JobRun.objects.filter(team=team, job_id__in=found).order_by("job_id", "number"):
        found[row.job_id].runs.append(row.run)
        owner[row.run] = row.job_id
    for run, usd in RunControl.objects.filter(team=team, run__in=owner).values_list("run", "cost_usd"):
        cost = found[owner[run]]
        cost.usd = (cost.usd or Decimal(0)) + usd
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["unpriced"], {"team": team.pk, "runs": list(owner)})
        for run, count in cursor.fetchall():
            found[owner[run]].unpriced += count
    for cost in found.values():
        if cost.unpriced and not cost.usd:
            cost.usd = None
    return found
