"""/api/organizations: made, listed, and what all their teams came to."""

from __future__ import annotations

from typing import Annotated, Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from tracking import teams
from tracking.errors import Invalid
from tracking.jobs import costs
from tracking.models import Organization, Team
from tracking.saas import teams_api
from tracking.saas.auth import ADMIN, actor_of, organization_of
from tracking.saas.moments import period_of
from tracking.saas.schemas import Id

router = Router(auth=ADMIN, tags=["Organizations"])


class NewOrganization(teams_api.Billing):
    organization_id: Id
    name: Annotated[str, Field(min_length=1, max_length=120)]
    metadata: dict[str, Any] | None = None
    create_default_team: bool = False
    default_team_credits: Annotated[int, Field(ge=0)] | None = None


@router.post("/organizations/create", summary="Make an organization, and its default team where asked")
def create_organization(request: HttpRequest, body: NewOrganization) -> dict[str, Any]:
    slug = f"{body.organization_id}{teams_api.DEFAULT}"
    if Organization.objects.filter(slug=body.organization_id).exists():
        raise Invalid(f"Organization '{body.organization_id}' already exists")
    if body.create_default_team and Team.objects.filter(slug=slug).exists():
        raise Invalid(f"Team '{slug}' already exists")
    with transaction.atomic():
        actor = actor_of(request)
        made = teams.create_organization(body.name, slug=body.organization_id, metadata=body.metadata, actor=actor)
        answer = _organization_json(made)
        if body.create_default_team:
            billing = body.copy(update={"credits_allocated": body.default_team_credits or body.credits_allocated})
            team, text = teams_api.make_team(made, slug, f"{body.name} default", None, billing, actor=actor)
            answer["default_team"] = {**teams_api.team_json(team), "virtual_key": text}
    return answer


@router.get(
    "/organizations", summary="All organizations, by their ids; those behind after, where there are more than limit"
)
def list_organizations(
    request: HttpRequest, after: str = "", limit: Annotated[int, Field(ge=1)] = teams_api.LISTED_MAX
) -> list[dict[str, Any]]:
    rows = Organization.objects.filter(slug__gt=after).order_by("slug")
    return [_organization_json(one) for one in rows[: min(limit, teams_api.LISTED_MAX)]]


@router.get("/organizations/{organization_id}", summary="An organization")
def one_organization(request: HttpRequest, organization_id: str) -> dict[str, Any]:
    return _organization_json(organization_of(organization_id))


@router.get(
    "/organizations/{organization_id}/teams", summary="Its teams; those behind after, where there are more than limit"
)
def its_teams(
    request: HttpRequest,
    organization_id: str,
    after: str = "",
    limit: Annotated[int, Field(ge=1)] = teams_api.LISTED_MAX,
) -> dict[str, Any]:
    found = teams_api.listed(organization_of(organization_id), after, limit)
    return {
        "organization_id": organization_id,
        "count": len(found),
        "teams": [teams_api.listed_json(team) for team in found],
    }


@router.get("/organizations/{organization_id}/usage", summary="What its teams' jobs came to in a month or on a day")
def its_usage(request: HttpRequest, organization_id: str, period: str = "") -> dict[str, Any]:
    organization = organization_of(organization_id)
    found = teams_of(organization)
    named, start, end = period_of(period)
    lines = {line.key: line for line in costs.lines(found, "team", start, end)}
    return {
        "organization_id": organization_id,
        "period": named,
        **teams_api.usage_json(found, start, end),
        "teams": {
            team.slug: teams_api.summary_json([lines[team.slug]] if team.slug in lines else []) for team in found
        },
    }


def teams_of(organization: Organization) -> list[Team]:
    return list(Team.objects.filter(organization=organization, metadata__deleted_at__isnull=True).order_by("slug"))


def _organization_json(organization: Organization) -> dict[str, Any]:
    return {
        "organization_id": organization.slug,
        "name": organization.name,
        "status": "active",
        "metadata": organization.metadata,
        "created_at": organization.created_at.isoformat(),
    }
