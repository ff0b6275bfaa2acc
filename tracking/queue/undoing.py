"""Taking back what steps did to the world, the last first, before a run goes on without them. Each is logged; what failed can be tried
again, and what was undone is not undone twice. Where a worker died meanwhile a person looks first."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tracking import audit
from tracking.audit import SYSTEM
from tracking.gateway.threads import in_thread
from tracking.models import AgentJob, JobRun, JobStep
from tracking.queue import steps
from tracking.queue.steps import Kept
from tracking.queue.stops import Diverged
from tracking.redaction import redactor
from tracking.tools import ToolContext, offered

_BEGUN = "under way"


async def undo(job: AgentJob, job_run: JobRun) -> None:
    """Before the run's first step. Raises Diverged, so that a person looks, when one cannot be undone."""
    wanted = set(job_run.overrides.get("undo") or ())
    if not wanted:
        return
    every = await in_thread(lambda: steps.of_run(job.team_id, job_run.parent))
    done = [step for step in every if step.key.hex() in wanted and step.undone_at is None and step.position is not None]
    for step in sorted(done, key=lambda one: one.position or 0, reverse=True):
        if step.undo_error == _BEGUN:
            await _fails(job, step, "its worker died before its end was seen, so it may be undone or not")
        await _one(job, step)


async def _one(job: AgentJob, step: Kept) -> None:
    context = ToolContext(team=job.team, job_id=str(job.id), run=step.run, agent=step.agent)
    error, said = "", ""
    await in_thread(lambda: _mark(job, step, undo_error=_BEGUN))
    try:
        found = (await in_thread(lambda: offered(context, [step.name])))[0]
        if found.undo is None:
            error = "the tool has no undo any more"
        else:
            said = await found.undo(dict(step.arguments or {}), str(step.output.get("content") or ""))
    except Exception as failure:  # whatever a tool of somebody's raises
        error = f"{type(failure).__name__}: {failure}"
    finally:
        await context.close()
    if error:
        await _fails(job, step, error)
    await in_thread(lambda: _mark(job, step, said, undone_at=datetime.now(UTC), undo_error=""))


async def _fails(job: AgentJob, step: Kept, error: str) -> None:
    """Raises Diverged, so that a person looks."""
    error = redactor(job.team.redaction).words(error.replace("\0", ""))[:500]
    await in_thread(lambda: _mark(job, step, undo_error=error))
    raise Diverged(
        f"{step.name} (step {step.position}) could not be undone: {error}. Retry the job to try again from there; those undone"
        " before stay undone."
    )


def _mark(job: AgentJob, step: Kept, said: str = "", **changes: Any) -> None:
    """Its row says how it stands, and the log what came of it."""
    JobStep.objects.filter(team=job.team_id, run=step.run, key=step.key).update(**changes)
    if changes["undo_error"] != _BEGUN:
        said = redactor(job.team.redaction).words(said.replace("\0", ""))[:1_000]
        after = {"tool": step.name, "step": step.position, "said": said, "error": changes["undo_error"]}
        audit.record(SYSTEM, job.team, "agent_job.undo", "agent_job", str(job.id), after=after)
