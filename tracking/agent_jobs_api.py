"""Agent jobs over HTTP: asked for, looked at, stopped, taken up again; and schedules, by which they come again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Query, Router, Schema

from tracking.audit import Actor
from tracking.checkpoints import rollbacks
from tracking.errors import Conflict, Invalid, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import AgentJob, JobSchedule, Team
from tracking.queue import costs, forks, previews, schedules, states, steps, submit
from tracking.queue.forks import Wish
from tracking.queue.steps import Kept
from tracking.queue.submit import Wanted
from tracking.reading_json import money, write
from tracking.reports import jobs as report
from tracking.reports.wish_preview import WishPreview, wish_preview

router = Router(tags=["Agent jobs"])
LOOK = ApiKeyAuth(Scope.READ, Scope.JOBS)
ASK = ApiKeyAuth(Scope.JOBS, Scope.ADMIN)

JobId = Annotated[str, Path(description="the job's id", max_length=64)]
RunName = Annotated[str, Path(description="the run's id, external id or trace id", max_length=128)]
Usd = Annotated[Decimal, Field(gt=0, max_digits=20, decimal_places=10)]


class JobIn(Schema):
    agent: str = Field("", max_length=200, description="an agent of the team; or give a definition")
    version: int | None = Field(None, ge=1, description="of the agent; its latest where none is given")
    definition: dict[str, Any] | None = Field(
        None, description="an agent as POST /api/v1/agents takes it, for this job alone"
    )
    input: str = Field(description="what is to be done")
    budget_usd: Usd | None = Field(None, description="for all its runs together")
    max_steps: int | None = Field(None, ge=1, description="answers of models and results of tools")
    priority: int = Field(0, description="-100 to 100, the higher goes first")
    run_at: datetime | None = Field(None, description="not before")
    metadata: dict[str, Any] = Field(default_factory=dict)
    idempotency_key: str = Field("", max_length=255, description="the same again is the same job")


class JobChange(Schema):
    budget_usd: Usd | None = None
    priority: int | None = None


class Reason(Schema):
    reason: str = Field("", max_length=500)


class JobShown(Schema):
    id: UUID
    agent: str
    agent_version: int | None
    status: AgentJob.Status
    reason: str | None
    input: str
    output: Any
    error: str | None
    run_ids: list[str] = Field(description="its runs, oldest first; each is a run of /api/v1/runs")
    forked_from: str | None
    steps: int
    max_steps: int
    cost_usd: float | None = Field(description="of all its runs; null when nothing of it is known")
    cost_status: str = Field(description="known, partial or unknown")
    budget_usd: float | None
    priority: int
    attempts: int
    metadata: dict[str, Any]
    idempotency_key: str | None
    created_by: str
    created_at: datetime
    run_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class Jobs(Schema):
    agent_jobs: list[JobShown]
    next_cursor: str | None


class StepShown(Schema):
    key: str
    position: int | None = Field(description="null while it is under way")
    kind: str
    agent: str
    name: str
    arguments: Any
    output: Any
    is_error: bool
    effect: str | None
    has_undo: bool
    undone_at: datetime | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    tries: int = Field(description="more than one: it was begun again, and may have been paid for twice")
    checkpoint_id: UUID | None
    is_reused: bool = Field(description="done and paid for by a run before this one")
    run: str
    begun_at: datetime
    ended_at: datetime | None


class Steps(Schema):
    steps: list[StepShown]


class ForkIn(Schema):
    checkpoint: str | int = Field(description="id, version, or latest")
    reason: str = Field("", max_length=500)
    overrides: dict[str, Any] = Field(
        default_factory=dict, description='model, instructions, state ({"messages": [...]}, the checkpoint\'s, edited)'
    )
    budget_usd: Usd | None = Field(None, description="of the new job; without it as much as the old job was given")
    undo: list[str] = Field(
        default_factory=list, max_length=200, description="refused: a fork leaves the other run as it is"
    )
    id: UUID | None = Field(None, description="of the new job, made by the sender: asked twice it is done once")


class ToolCalls(Schema):
    name: str
    calls: int


class PreviewShown(Schema):
    run: str
    driver: Literal["worker", "caller"] = Field(description="worker: a job's run; caller: another process drives it")
    checkpoint: int
    position: int | None = Field(description="steps of a job's run that are kept")
    reused_steps: int
    reused_usd: float | None = Field(description="paid already; null when not all of it is known")
    later_steps: int
    later_usd: float | None = Field(description="spent after it, and stays spent")
    held_usd: float | None = Field(description="for calls of a job's run that are under way")
    p50_usd: float | None = Field(
        description="what going on may cost, from past jobs of the agent; else what this run took"
    )
    p90_usd: float | None
    p50_steps: int | None
    past_jobs: int = Field(description="the estimate is from")
    writes: list[StepShown] = Field(
        description="steps of a job's run after it that changed the world, or may have; has_undo: they can be taken back"
    )
    tools: list[ToolCalls] = Field(
        description="of a run that another process drives: called after it; what they changed is not known here"
    )
    budget_left_usd: float | None = Field(description="of the job's own; null where it has none")


class ScheduleIn(Schema):
    name: str = Field(max_length=120)
    agent: str = Field(max_length=200)
    input: str
    cron: str = Field(
        max_length=120, description="minute, hour, day of month, month, day of week; in the team's time zone"
    )
    budget_usd: Usd | None = None
    priority: int = 0


class ScheduleChange(Schema):
    is_active: bool


class ScheduleShown(Schema):
    id: UUID
    name: str
    agent: str
    input: str
    cron: str
    budget_usd: float | None
    priority: int
    is_active: bool
    next_at: datetime | None
    last_at: datetime | None
    created_by: str
    created_at: datetime


class Schedules(Schema):
    schedules: list[ScheduleShown]


@router.post("/agent-jobs", auth=ASK, response={202: JobShown, 200: JobShown}, summary="Have an agent do something")
def submit_job(request: HttpRequest, body: JobIn) -> HttpResponse:
    """202 for a new job, 200 for one that this idempotency key asked for before."""
    team, caller = _team(request), _caller(request)
    given = body.dict(exclude={"max_steps"})
    job, is_new = submit.submit(
        team, Wanted(steps_max=body.max_steps, **given), actor=_actor(request), key_id=caller.key_id or ""
    )
    return _answer(_shown(team, [job])[0], 202 if is_new else 200)


@router.get("/agent-jobs", auth=LOOK, response=Jobs, summary="Jobs, the latest first")
def list_jobs(
    request: HttpRequest,
    status: AgentJob.Status | None = None,
    agent: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> HttpResponse:
    team = _team(request)
    found, more = report.jobs(
        team, statuses=[status] if status else (), agent=agent, limit=limit, before=_uuid(cursor) if cursor else None
    )
    return _answer({"agent_jobs": _shown(team, found), "next_cursor": more or None})


@router.get("/agent-jobs/{job_id}", auth=LOOK, response=JobShown, summary="A job")
def get_job(request: HttpRequest, job_id: JobId) -> HttpResponse:
    team = _team(request)
    return _answer(_shown(team, [states.job_of(team, job_id)])[0])


@router.get("/agent-jobs/{job_id}/steps", auth=LOOK, response=Steps, summary="What its latest run has done, in order")
def get_steps(request: HttpRequest, job_id: JobId) -> HttpResponse:
    team = _team(request)
    job = states.job_of(team, job_id)
    return _answer({"steps": [_step(job, step) for step in steps.of_run(team.pk, job.run)]})


@router.patch("/agent-jobs/{job_id}", auth=ASK, response=JobShown, summary="More money, another place in the queue")
def change_job(request: HttpRequest, job_id: JobId, body: JobChange) -> HttpResponse:
    team = _team(request)
    job = states.change(team, job_id, actor=_actor(request), budget_usd=body.budget_usd, priority=body.priority)
    return _answer(_shown(team, [job])[0])


@router.post("/agent-jobs/{job_id}/cancel", auth=ASK, response=JobShown, summary="Stop it, within ten seconds")
def cancel_job(request: HttpRequest, job_id: JobId, body: Reason) -> HttpResponse:
    team = _team(request)
    return _answer(_shown(team, [states.cancel(team, job_id, reason=body.reason, actor=_actor(request))])[0])


@router.post("/agent-jobs/{job_id}/retry", auth=ASK, response=JobShown, summary="Take it up again after its last step")
def retry_job(request: HttpRequest, job_id: JobId) -> HttpResponse:
    team = _team(request)
    return _answer(_shown(team, [states.retry(team, job_id, actor=_actor(request))])[0])


@router.get(
    "/runs/{run}/rollback-preview", auth=LOOK, response=PreviewShown, summary="What going on from a checkpoint means"
)
def preview_rollback(
    request: HttpRequest, run: RunName, checkpoint: Annotated[str, Query(max_length=64)] = "latest"
) -> HttpResponse:
    team = _team(request)
    name = rollbacks.named(team, run)
    if states.job_of_run(team, name) is None:
        return _answer(_wish_preview(wish_preview(team, name, checkpoint)))
    found = previews.preview(team, name, checkpoint)
    sums = ("reused_usd", "later_usd", "held_usd", "p50_usd", "p90_usd", "budget_left_usd")
    shown: dict[str, Any] = {name: money(getattr(found, name)) for name in sums}
    return _answer(
        shown
        | {
            "run": found.run, "driver": "worker", "checkpoint": found.checkpoint.version, "position": found.position,
            "reused_steps": len(found.reused), "later_steps": len(found.later), "p50_steps": found.p50_steps,
            "past_jobs": found.history, "writes": [_step(found.job, step) for step in found.writes], "tools": [],
        }
    )  # fmt: skip


@router.post("/runs/{run}/fork", auth=ASK, response={202: JobShown}, summary="A new job that goes on from a checkpoint")
def fork_run(request: HttpRequest, run: RunName, body: ForkIn) -> HttpResponse:
    """Of a job's run, which is left alone. A run that another process drives cannot be forked here: ask it to roll back."""
    team, caller = _team(request), _caller(request)
    name = rollbacks.named(team, run)
    if states.job_of_run(team, name) is None:
        raise Conflict(
            "Another process drives this run: POST …/rollback asks it to go on from a checkpoint.", field="run"
        )
    wish = Wish(checkpoint=str(body.checkpoint), **body.dict(exclude={"checkpoint"}))
    job = forks.fork(team, name, wish, actor=_actor(request), key_id=caller.key_id or "")
    return _answer(_shown(team, [job])[0], 202)


@router.post("/job-schedules", auth=ASK, response={201: ScheduleShown}, summary="Have a job come again")
def make_schedule(request: HttpRequest, body: ScheduleIn) -> HttpResponse:
    return _answer(_schedule(schedules.make(_team(request), actor=_actor(request), **body.dict())), 201)


@router.get("/job-schedules", auth=LOOK, response=Schedules, summary="The team's schedules")
def list_schedules(request: HttpRequest) -> HttpResponse:
    return _answer({"schedules": [_schedule(row) for row in schedules.of_team(_team(request))]})


@router.patch("/job-schedules/{schedule_id}", auth=ASK, response=ScheduleShown, summary="Switch it on or off")
def switch_schedule(request: HttpRequest, schedule_id: JobId, body: ScheduleChange) -> HttpResponse:
    row = schedules.switch(_team(request), schedule_id, is_active=body.is_active, actor=_actor(request))
    return _answer(_schedule(row))


@router.delete("/job-schedules/{schedule_id}", auth=ASK, response={204: None}, summary="No more jobs of it")
def delete_schedule(request: HttpRequest, schedule_id: JobId) -> HttpResponse:
    schedules.remove(_team(request), schedule_id, actor=_actor(request))
    return HttpResponse(status=204)


def _shown(team: Team, jobs: Sequence[AgentJob]) -> list[dict[str, Any]]:
    known = costs.of_jobs(team, jobs)
    fields = (
        "id", "agent", "agent_version", "status", "input", "output", "priority", "attempts", "metadata", "created_by", "created_at",
        "run_at", "started_at", "ended_at",
    )  # fmt: skip
    found = []
    for job in jobs:
        cost = known[job.id]
        found.append(
            {name: getattr(job, name) for name in fields}
            | {
                "reason": job.reason or None, "error": job.reason if job.status == AgentJob.Status.FAILED else None,
                "run_ids": cost.runs, "forked_from": job.forked_from or None, "steps": job.position, "max_steps": job.steps_max,
                "cost_usd": money(cost.usd), "cost_status": cost.status, "budget_usd": money(job.budget_usd),
                "idempotency_key": job.idempotency_key or None,
            }
        )  # fmt: skip
    return found


def _wish_preview(found: WishPreview) -> dict[str, Any]:
    unknown = dict.fromkeys(("position", "held_usd", "p50_usd", "p90_usd", "p50_steps", "budget_left_usd"))
    return unknown | {
        "run": found.run, "driver": "caller", "checkpoint": found.checkpoint.version, "reused_steps": found.reused.steps,
        "reused_usd": money(found.reused_usd), "later_steps": found.later.steps, "later_usd": money(found.later_usd),
        "past_jobs": 0, "writes": [], "tools": [{"name": name, "calls": calls} for name, calls in found.tools],
    }  # fmt: skip


def _step(job: AgentJob, step: Kept) -> dict[str, Any]:
    fields = (
        "position", "kind", "agent", "name", "arguments", "output", "is_error", "has_undo", "undone_at", "input_tokens", "output_tokens",
        "tries", "checkpoint_id", "run", "begun_at", "ended_at",
    )  # fmt: skip
    shown = {name: getattr(step, name) for name in fields}
    is_reused = step.run != job.run
    return shown | {
        "key": step.key.hex(), "effect": step.effect or None, "cost_usd": money(step.cost_usd), "is_reused": is_reused,
    }  # fmt: skip


def _schedule(row: JobSchedule) -> dict[str, Any]:
    fields = (
        "id",
        "name",
        "agent",
        "input",
        "cron",
        "priority",
        "is_active",
        "next_at",
        "last_at",
        "created_by",
        "created_at",
    )
    return {name: getattr(row, name) for name in fields} | {"budget_usd": money(row.budget_usd)}


def _uuid(cursor: str) -> UUID:
    try:
        return UUID(cursor)
    except ValueError:
        raise Invalid("A cursor is what the page before gave as next_cursor.", field="cursor") from None


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _actor(request: HttpRequest) -> Actor:
    return _caller(request).actor(request_id=getattr(request, "id", ""))


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _answer(value: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json", status=status)
