"""/api/jobs/teams, /api/jobs/organizations, /api/stats: what administrators watch."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from tracking.jobs import costs, lifecycle
from tracking.jobs.costs import Summary
from tracking.models import CreditAccount, Job, ModelGroup, Organization, Team, User
from tracking.saas import jobs_json
from tracking.saas.auth import ADMIN, any_team, organization_of
from tracking.saas.jobs_api import known_status
from tracking.saas.moments import span_of
from tracking.saas.organizations_api import teams_of

router = Router(auth=ADMIN, tags=["Monitoring"])

PAGE_MAX = 100


@router.get("/jobs/teams/{team_id}", summary="A team's jobs with what each came to, page by page")
def team_jobs(
    request: HttpRequest,
    team_id: str,
    page: Annotated[int, Field(ge=1, le=10_000)] = 1,
    page_size: Annotated[int, Field(ge=1, le=PAGE_MAX)] = 20,
    status: str = "",
    job_type: str = "",
    start_date: str = "",
    end_date: str = "",
    job_id_filter: str = "",
) -> dict[str, Any]:
    team = any_team(team_id)
    rows = Job.objects.filter(team=team).select_related("team__organization")
    if status:
        rows = rows.filter(status=known_status(status))
    if job_type:
        rows = rows.filter(job_type=job_type)
    if start_date or end_date:
        start, end = span_of(start_date or "2000-01-01", end_date)
        rows = rows.filter(created_at__gte=start, created_at__lt=end)
    if job_id_filter:
        rows = rows.annotate(id_text=Cast("id", TextField())).filter(id_text__contains=job_id_filter.lower()[:36])
    total = rows.count()
    shown = list(rows.order_by("-created_at", "id")[(page - 1) * page_size : page * page_size])
    found = costs.summaries(team.pk, [job.id for job in shown])
    return {
        "team_id": team.slug,
        "jobs": [_job_json(job, found.get(job.id, Summary())) for job in shown],
        "total": total,
        "page": page,
        "page_size": page_size,
        "total_pages": -(-total // page_size),
    }


@router.get("/jobs/teams/{team_id}/{job_id}", summary="A team's job with its calls")
def team_job(request: HttpRequest, team_id: str, job_id: str) -> dict[str, Any]:
    team = any_team(team_id)
    job = Job.objects.select_related("team__organization").get(team=team, id=lifecycle.job_of(team, job_id).id)
    return {**_job_json(job, costs.summary_of(job)), "calls": jobs_json.breakdown_json(job)["costs"]["breakdown"]}


@router.get("/jobs/organizations/{organization_id}/stats", summary="What an organization's jobs came to")
def organization_stats(
    request: HttpRequest, organization_id: str, start_date: str = "", end_date: str = ""
) -> dict[str, Any]:
    of = teams_of(organization_of(organization_id))
    start, end = span_of(start_date, end_date)
    lines = costs.lines(of, "team", start, end)
    jobs, completed = sum(line.jobs for line in lines), sum(line.completed for line in lines)
    return {
        "organization_id": organization_id,
        **_span_json(start, end),
        "total_teams": len(of),
        "total_jobs": jobs,
        "completed_jobs": completed,
        "failed_jobs": sum(line.failed for line in lines),
        "success_rate": round(100 * completed / jobs, 2) if jobs else None,
        "total_calls": sum(line.calls for line in lines),
        "total_tokens": sum(line.tokens for line in lines),
        "total_cost_usd": float(sum(line.client_usd for line in lines)),
        "provider_cost_usd": float(sum(line.provider_usd for line in lines)),
    }


@router.get("/jobs/organizations/{organization_id}/analytics", summary="By day, team, type, model and provider")
def organization_analytics(
    request: HttpRequest, organization_id: str, start_date: str = "", end_date: str = ""
) -> dict[str, Any]:
    of = teams_of(organization_of(organization_id))
    start, end = span_of(start_date, end_date)
    found = costs.models(of, start, end)
    providers: dict[str, dict[str, float]] = {}
    for model, calls, tokens, usd in found:
        one = providers.setdefault(model.partition("/")[0], {"calls": 0, "tokens": 0, "cost_usd": 0.0})
        one["calls"] += calls
        one["tokens"] += tokens
        one["cost_usd"] += float(usd)
    return {
        "organization_id": organization_id,
        **_span_json(start, end),
        "daily_spend": _lines_json(of, "day", start, end, "date"),
        "spend_per_team": _lines_json(of, "team", start, end, "team_id"),
        "job_types": _lines_json(of, "job_type", start, end, "job_type"),
        "top_models": [
            {"model": model, "calls": calls, "tokens": tokens, "cost_usd": float(usd)}
            for model, calls, tokens, usd in found[:10]
        ],
        "provider_usage": [{"provider": name, **one} for name, one in providers.items()],
    }


@router.get("/stats/dashboard", summary="How much of everything there is")
def dashboard(request: HttpRequest) -> dict[str, Any]:
    teams = Team.objects.filter(metadata__deleted_at__isnull=True)
    accounts = CreditAccount.objects.filter(team__in=teams)
    return {
        "organizations": Organization.objects.count(),
        "teams": teams.count(),
        "active_teams": teams.filter(status=Team.Status.ACTIVE).count(),
        "model_groups": ModelGroup.objects.filter(team=None).count(),
        "users": User.objects.filter(is_active=True).count(),
        "jobs": Job.objects.filter(team__in=teams).count(),
        "credits_allocated": sum(account.allocated for account in accounts),
        "credits_remaining": sum(account.left for account in accounts),
    }


def _job_json(job: Job, summary: Summary) -> dict[str, Any]:
    return {**jobs_json.job_json(job), **jobs_json.summary_json(summary), "retry_count": summary.retries}


def _lines_json(of: list[Team], by: str, start: datetime, end: datetime, name: str) -> list[dict[str, Any]]:
    return [
        {
            name: line.key,
            "jobs": line.jobs,
            "calls": line.calls,
            "tokens": line.tokens,
            "cost_usd": float(line.client_usd),
        }
        for line in costs.lines(of, by, start, end)
    ]


def _span_json(start: datetime, end: datetime) -> dict[str, str]:
    return {"start_date": f"{start:%Y-%m-%d}", "end_date": end.isoformat()}
