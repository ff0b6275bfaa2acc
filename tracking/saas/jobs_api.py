"""/api/jobs: made, looked at, ended. The model is called in calls_door.py."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from tracking.errors import Invalid
from tracking.gateway.call import check_team
from tracking.jobs import lifecycle
from tracking.models import Job
from tracking.saas import jobs_json
from tracking.saas.auth import TEAM, actor_of, caller_of, own_team
from tracking.saas.schemas import Completion, MetadataChange, NewJob

router = Router(auth=TEAM, tags=["Jobs"])

PAGE_MAX = 500


@router.post("/jobs/create", summary="Begin a job")
def create_job(request: HttpRequest, body: NewJob) -> dict[str, Any]:
    team = own_team(request, body.team_id)
    check_team(caller_of(request))
    job = lifecycle.create(
        team,
        body.job_type,
        user_id=body.user_id or "",
        metadata=body.metadata,
        task_id=body.external_task_id or "",
    )
    return jobs_json.made_json(job)


@router.get("/jobs/{job_id}", summary="A job")
def one_job(request: HttpRequest, job_id: str) -> dict[str, Any]:
    return jobs_json.job_json(_job(request, job_id))


@router.get("/jobs/{job_id}/costs", summary="What a job came to, call by call")
def job_costs(request: HttpRequest, job_id: str) -> dict[str, Any]:
    return jobs_json.breakdown_json(_job(request, job_id))


@router.patch("/jobs/{job_id}/metadata", summary="Merge into a job's metadata")
def change_metadata(request: HttpRequest, job_id: str, body: MetadataChange) -> dict[str, Any]:
    job = lifecycle.put_metadata(caller_of(request).team_id, job_id, body.metadata)
    return {"job_id": str(job.id), "metadata": job.metadata, "updated_at": job.updated_at.isoformat()}


@router.post("/jobs/{job_id}/complete", summary="End a job; a completed one is charged")
def complete_job(request: HttpRequest, job_id: str, body: Completion) -> dict[str, Any]:
    done = lifecycle.complete(
        caller_of(request).team_id,
        job_id,
        body.status.lower(),
        error=body.error_message or "",
        metadata=body.metadata,
        actor=actor_of(request),
    )
    return jobs_json.finished_json(done)


@router.get("/teams/{team_id}/jobs", summary="A team's jobs, the latest first")
def team_jobs(
    request: HttpRequest,
    team_id: str,
    limit: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 100,
    offset: Annotated[int, Field(ge=0, le=10**6)] = 0,
    status: str = "",
) -> dict[str, Any]:
    team = own_team(request, team_id)
    rows = Job.objects.filter(team=team).select_related("team__organization")
    if status:
        rows = rows.filter(status=known_status(status))
    page = rows.order_by("-created_at", "id")[offset : offset + limit]
    return {"team_id": team.slug, "total": rows.count(), "jobs": [jobs_json.job_json(job) for job in page]}


def known_status(text: str) -> str:
    """In any case of letters. Raises Invalid."""
    if text.lower() not in Job.Status.values:
        raise Invalid(f"status is one of {', '.join(Job.Status.values)}.", field="status")
    return text.lower()


def _job(request: HttpRequest, job_id: str) -> Job:
    job = lifecycle.job_of(caller_of(request).team_id, job_id)
    return Job.objects.select_related("team__organization").get(team=job.team_id, id=job.id)
