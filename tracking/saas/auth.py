"""Who calls: a team's virtual key, or an administrator: an operator's key as X-Admin-Key or as the bearer."""

from __future__ import annotations

from django.http import HttpRequest
from ninja.security.base import AuthBase

from tracking.audit import Actor
from tracking.catalog import Hand
from tracking.errors import NotAllowed, NotFound
from tracking.keys import Caller, Scope, caller_for, secret_of
from tracking.models import Organization, Team


class TeamKey(AuthBase):
    """A key with the scope "jobs"; an operator's may look at every team."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> Caller:
        caller = caller_for(_secret(request))
        if not caller.is_operator:
            caller.demand(Scope.JOBS)
        return caller


class AdminKey(AuthBase):
    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = 'An operator\'s key: "X-Admin-Key: <key>", or "Authorization: Bearer <key>".'

    def __call__(self, request: HttpRequest) -> Caller:
        caller = caller_for(_secret(request), scope=Scope.ADMIN)
        if not caller.is_operator:
            raise NotAllowed("Admin access required: this takes a key of an operator of this installation.")
        return caller


TEAM, ADMIN = TeamKey(), AdminKey()


def _secret(request: HttpRequest) -> str:
    headers = request.headers
    return headers.get("X-Admin-Key", "").strip() or secret_of(headers.get("Authorization"), headers.get("X-API-Key"))


def caller_of(request: HttpRequest) -> Caller:
    return request.auth  # type: ignore[attr-defined,no-any-return]


def actor_of(request: HttpRequest) -> Actor:
    return caller_of(request).actor(request_id=getattr(request, "id", ""))


def hand_of(request: HttpRequest) -> Hand:
    return Hand.of_key(caller_of(request), request_id=getattr(request, "id", ""))


def own_team(request: HttpRequest, team_id: str) -> Team:
    """The team of that short name, which the key must belong to. Raises NotAllowed; NotFound for operators."""
    caller = caller_of(request)
    if caller.is_operator:
        return any_team(team_id)
    if caller.team_slug != team_id:
        raise NotAllowed("Access denied: this key belongs to another team.")
    return Team.objects.select_related("organization").get(pk=caller.team_id)


def any_team(team_id: str) -> Team:
    """Raises NotFound, also for a team that was deleted."""
    team = Team.objects.select_related("organization").filter(slug=team_id, metadata__deleted_at__isnull=True).first()
    if team is None:
        raise NotFound(f"Team '{team_id[:60]}' not found")
    return team


def organization_of(organization_id: str) -> Organization:
    """Raises NotFound."""
    found = Organization.objects.filter(slug=organization_id).first()
    if found is None:
        raise NotFound(f"Organization '{organization_id[:60]}' not found")
    return found
