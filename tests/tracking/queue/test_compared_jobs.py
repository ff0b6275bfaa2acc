"""A job that was rolled back, forked, and is compared: what a run reuses is what the job says it reuses, to the digit."""

from __future__ import annotations

from decimal import Decimal

from tests.tracking.queue.conftest import Yard
from tracking.audit import SYSTEM
from tracking.models import AgentJob, Checkpoint, JobRun, JobStep, Run
from tracking.queue import forks
from tracking.queue.forks import Wish
from tracking.reports.compare import compare
from tracking.reports.run import find_run
from tracking.reports.run_steps import steps_of
from tracking.reports.runs import RunRow
from wflo_site.processes import wait_until


def run_of(yard: Yard, run: str, calls: int) -> RunRow:
    """Once it is told whole: the gateway tells of its calls by itself."""

    def is_there() -> bool:
        row = Run.objects.filter(team=yard.gateway.team, external_id=run).first()
        return row is not None and row.llm_calls >= calls

    assert wait_until(is_there, seconds=20)
    return find_run(yard.gateway.team.pk, run).run


def test_what_is_shared_is_what_the_job_reused(yard: Yard) -> None:
    team = yard.gateway.team
    job = yard.submit(yard.walker(3, "write_down"))
    yard.workers.start()
    yard.done(job)
    first = run_of(yard, job.run, 4)
    to = Checkpoint.objects.get(team=team, run=job.run, id=JobStep.objects.get(run=job.run, position=4).checkpoint_id)

    forks.rollback(team, job.run, Wish(checkpoint=str(to.version)), actor=SYSTEM)
    again: AgentJob = yard.done(yard.job(str(job.id)))
    second = run_of(yard, again.run, 2)
    fork = forks.fork(team, job.run, Wish(checkpoint=str(to.version)), actor=SYSTEM)
    third = run_of(yard, yard.done(fork).run, 2)

    for run in (second, third):
        side = steps_of(team.pk, run)
        told = JobRun.objects.get(team=team, run=run.external_id)
        assert [(one.run.id, one.steps, one.checkpoint) for one in side.came_from] == [(first.id, 4, to.version)]
        assert side.reused.cost_usd == told.reused_usd
        assert (side.reused.steps, len(side.steps)) == (4, 7)
        found = compare(team.pk, first, run)
        assert [row.how for row in found.rows[:4]] == ["shared"] * 4
        assert "shared" not in [row.how for row in found.rows[4:]]
        assert found.together.cost_usd == (first.cost_usd or 0) + (run.cost_usd or 0)
    both = compare(team.pk, second, third)
    assert (both.prefix, both.shared.cost_usd) == (4, JobRun.objects.get(team=team, run=fork.run).reused_usd)
    assert both.together.cost_usd == both.shared.cost_usd + (second.cost_usd or 0) + (third.cost_usd or 0)
    assert (both.shared.cost_usd or Decimal(0)) > 0
