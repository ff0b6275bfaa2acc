"""/api/teams: made with a virtual key and credits, suspended, given groups."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Prefetch
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from tracking import credits, keys, teams
from tracking.audit import Actor
from tracking.errors import Invalid
from tracking.jobs import costs
from tracking.keys import Scope
from tracking.models import ApiKey, CreditAccount, ModelGroup, Organization, Team
from tracking.saas import groups_api
from tracking.saas.auth import ADMIN, TEAM, actor_of, any_team, organization_of, own_team
from tracking.saas.moments import period_of
from tracking.saas.schemas import Id

router = Router(auth=ADMIN, tags=["Teams"])

KEY_SCOPES = (Scope.INGEST, Scope.GATEWAY, Scope.JOBS, Scope.READ)
DEFAULT = "_default"
LISTED_MAX: int = settings.LIMITS["saas_listed"]


class Billing(Schema):
    credits_allocated: Annotated[int, Field(ge=0, le=credits.CREDITS_MAX)] | None = None
    credits_unlimited: bool | None = None
    budget_mode: CreditAccount.Mode | None = None
    credits_per_dollar: Annotated[float, Field(gt=0)] | None = None
    tokens_per_credit: Annotated[int, Field(gt=0)] | None = None
    markup_percent: Annotated[float, Field(ge=0)] | None = None


class NewTeam(Billing):
    organization_id: Id
    team_id: Id
    team_alias: Annotated[str, Field(max_length=120)] | None = None
    model_groups: list[str] | None = None
    access_groups: list[str] | None = None
    metadata: dict[str, Any] | None = None


class TeamChange(Billing):
    team_alias: Annotated[str, Field(min_length=1, max_length=120)] | None = None
    model_groups: list[str] | None = None
    access_groups: list[str] | None = None
    status: Team.Status | None = None
    metadata: dict[str, Any] | None = None


class Groups(Schema):
    access_groups: list[str] | None = None
    model_groups: list[str] | None = None


class Why(Schema):
    reason: Annotated[str, Field(max_length=500)] | None = None


@router.post("/teams/create", summary="Make a team, its virtual key and its credits")
def create_team(request: HttpRequest, body: NewTeam) -> dict[str, Any]:
    organization = organization_of(body.organization_id)
    if Team.objects.filter(slug=body.team_id).exists():
        raise Invalid(f"Team '{body.team_id}' already exists")
    with transaction.atomic():
        team, text = make_team(
            organization, body.team_id, body.team_alias or body.team_id, body.metadata, body, actor=actor_of(request)
        )
        groups_api.grant(team, body.model_groups or body.access_groups or [], request)
    return {**team_json(team), "virtual_key": text, "message": "Keep the virtual key: it is shown this once."}


def make_team(
    organization: Organization, slug: str, name: str, metadata: dict[str, Any] | None, billing: Billing, *, actor: Actor
) -> tuple[Team, str]:
    """A team that is billed in credits, and the text of its first key. Raises Invalid."""
    team = teams.create_team(organization, name, actor=actor, slug=slug, metadata=metadata)
    credits.open_account(team, allocated=billing.credits_allocated or 0, actor=actor, **_settings(billing))
    _, text = keys.mint(team, name="Virtual key", scopes=KEY_SCOPES, actor=actor)
    return team, text


@router.get("/teams", summary="All teams, by their ids; those behind after, where there are more than limit")
def list_teams(
    request: HttpRequest, organization_id: str = "", after: str = "", limit: Annotated[int, Field(ge=1)] = LISTED_MAX
) -> list[dict[str, Any]]:
    organization = organization_of(organization_id) if organization_id else None
    return [listed_json(team) for team in listed(organization, after, limit)]


def listed(organization: Organization | None, after: str, limit: int) -> list[Team]:
    """With what ``listed_json`` tells of each; at most LIMITS["saas_listed"]."""
    shared = ModelGroup.objects.filter(team=None).order_by("name")
    rows = Team.objects.filter(metadata__deleted_at__isnull=True, slug__gt=after).select_related(
        "organization", "credits"
    )
    rows = rows.prefetch_related(Prefetch("model_groups", shared, to_attr="shared_groups"))
    if organization is not None:
        rows = rows.filter(organization=organization)
    return list(rows.order_by("slug")[: min(limit, LISTED_MAX)])


@router.get("/teams/{team_id}", summary="A team")
def one_team(request: HttpRequest, team_id: str) -> dict[str, Any]:
    return team_json(any_team(team_id))


@router.put("/teams/{team_id}", summary="Change a team")
def change_team(request: HttpRequest, team_id: str, body: TeamChange) -> dict[str, Any]:
    team, actor = any_team(team_id), actor_of(request)
    with transaction.atomic():
        name, metadata = body.team_alias or team.name, team.metadata if body.metadata is None else body.metadata
        teams.describe(team, name=name, metadata=metadata, actor=actor)
        if body.status is not None:
            teams.set_status(team, body.status, actor=actor)
        _bill(team, body, actor)
        groups = body.model_groups if body.model_groups is not None else body.access_groups
        if groups is not None:
            groups_api.grant(team, groups, request)
    return team_json(any_team(team_id))


def _bill(team: Team, body: TeamChange, actor: Actor) -> None:
    account, given = credits.account_of(team), _settings(body)
    if account is None:
        if given or body.credits_allocated is not None:
            credits.open_account(team, allocated=body.credits_allocated or 0, actor=actor, **given)
        return
    credits.change(team, actor=actor, **given)
    if body.credits_allocated is not None and body.credits_allocated != account.allocated:
        more = body.credits_allocated - account.allocated
        credits.add(team, more, kind=credits.Kind.ADJUSTMENT, reason="Allocation set", actor=actor)


@router.delete("/teams/{team_id}", summary="Close a team: its keys end, what it spent stays on record")
def delete_team(request: HttpRequest, team_id: str) -> dict[str, Any]:
    if team_id.endswith(DEFAULT):
        raise Invalid("An organization's default team cannot be deleted.")
    team, actor = any_team(team_id), actor_of(request)
    with transaction.atomic():
        for key in ApiKey.objects.filter(team=team, revoked_at=None):
            keys.revoke(key, actor=actor)
        groups_api.grant(team, [], request)
        teams.set_status(team, Team.Status.SUSPENDED, actor=actor)
        metadata = {**team.metadata, "deleted_at": datetime.now(UTC).isoformat()}
        teams.describe(team, name=team.name, metadata=metadata, actor=actor)
    return {"team_id": team_id, "deleted": True}


@router.put("/teams/{team_id}/suspend", summary="No calls are made for the team until it is resumed")
def suspend_team(request: HttpRequest, team_id: str, body: Why | None = None) -> dict[str, Any]:
    return _stand(request, team_id, Team.Status.SUSPENDED)


@router.put("/teams/{team_id}/pause", summary="As suspended, for a while: callers are told to come back")
def pause_team(request: HttpRequest, team_id: str, body: Why | None = None) -> dict[str, Any]:
    return _stand(request, team_id, Team.Status.PAUSED)


@router.put("/teams/{team_id}/resume", summary="Calls are made for the team again")
def resume_team(request: HttpRequest, team_id: str, body: Why | None = None) -> dict[str, Any]:
    return _stand(request, team_id, Team.Status.ACTIVE)


def _stand(request: HttpRequest, team_id: str, status: Team.Status) -> dict[str, Any]:
    team = any_team(team_id)
    teams.set_status(team, status, actor=actor_of(request))
    return {"team_id": team.slug, "status": team.status}


@router.put("/teams/{team_id}/access-groups", summary="The model groups the team may name")
def put_groups(request: HttpRequest, team_id: str, body: Groups) -> dict[str, Any]:
    team = any_team(team_id)
    given = body.access_groups if body.access_groups is not None else body.model_groups
    with transaction.atomic():
        names = groups_api.grant(team, given or [], request)
    return {"team_id": team.slug, "access_groups": names, "model_groups": names}


@router.get("/teams/{team_id}/usage", auth=TEAM, summary="What a team's jobs came to in a month or on a day")
def team_usage(request: HttpRequest, team_id: str, period: str = "") -> dict[str, Any]:
    team = own_team(request, team_id)
    named, start, end = period_of(period)
    return {"team_id": team.slug, "period": named, **usage_json([team], start, end)}


def usage_json(of: list[Team], start: datetime, end: datetime) -> dict[str, Any]:
    lines = costs.lines(of, "job_type", start, end)
    return {
        "summary": summary_json(lines),
        "job_types": {line.key: {"count": line.jobs, "cost_usd": float(line.client_usd)} for line in lines},
    }


def summary_json(lines: list[costs.Line]) -> dict[str, Any]:
    jobs, usd = sum(line.jobs for line in lines), sum(line.client_usd for line in lines)
    return {
        "total_jobs": jobs,
        "successful_jobs": sum(line.completed for line in lines),
        "failed_jobs": sum(line.failed for line in lines),
        "total_cost_usd": float(usd),
        "total_tokens": sum(line.tokens for line in lines),
        "avg_cost_per_job": float(usd / jobs) if jobs else 0.0,
    }


def team_json(team: Team) -> dict[str, Any]:
    return _team_json(team, credits.account_of(team), groups_api.names_of(team))


def listed_json(team: Team) -> dict[str, Any]:
    """One of ``listed``: it came with all there is to tell."""
    shared: list[ModelGroup] = team.shared_groups  # type: ignore[attr-defined]
    return _team_json(team, getattr(team, "credits", None), [group.name for group in shared])


def _team_json(team: Team, account: CreditAccount | None, groups: list[str]) -> dict[str, Any]:
    return {
        "team_id": team.slug,
        "team_alias": team.name,
        "organization_id": team.organization.slug,
        "status": team.status,
        "access_groups": groups,
        "model_groups": groups,
        "metadata": team.metadata,
        "credits_allocated": None if account is None else account.allocated,
        "credits_used": None if account is None else account.used,
        "credits_remaining": None if account is None or account.is_unlimited else account.left,
        "credits_unlimited": account is None or account.is_unlimited,
        "budget_mode": None if account is None else account.mode,
        "created_at": team.created_at.isoformat(),
    }


def _settings(body: Billing) -> dict[str, object]:
    given = {
        "is_unlimited": body.credits_unlimited,
        "mode": body.budget_mode,
        "credits_per_dollar": body.credits_per_dollar,
        "tokens_per_credit": body.tokens_per_credit,
        "markup_percent": body.markup_percent,
    }
    return {name: value for name, value in given.items() if value is not None}
