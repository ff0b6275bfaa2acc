"""Model groups, aliases and providers' credentials over HTTP.

Looking needs the scope "read", acting "admin"; credentials, addresses and keys of deployments, and what teams share are
for operators' keys alone.
"""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Body, Path, Router, Status

from tracking import catalog
from tracking.catalog import Hand
from tracking.catalog_schemas import (
    Aliases,
    AliasShown,
    CredentialChange,
    Credentials,
    CredentialShown,
    GroupChange,
    Groups,
    GroupShown,
    NewAlias,
    NewCredential,
    NewGroup,
    ResolvedShown,
    body_of,
)
from tracking.errors import NotAllowed, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Deployment, ModelAlias, ModelGroup, ProviderCredential, Team

router = Router(tags=["Models"])


class OperatorAuth(ApiKeyAuth):
    """A key with the scope that is an operator's too."""

    def __call__(self, request: HttpRequest) -> Caller:
        caller = super().__call__(request)
        if not caller.is_operator:
            raise NotAllowed("Only a key of an operator of this installation may do that.")
        return caller


READ, ADMIN, OPERATOR = ApiKeyAuth(Scope.READ), ApiKeyAuth(Scope.ADMIN), OperatorAuth(Scope.ADMIN)
Name = Annotated[str, Path(description="the group's or alias's name", max_length=200)]
Given = Body[dict[str, Any]]


# --- groups ----------------------------------------------------------------------------------------------------------


@router.get("/model-groups", auth=READ, response=Groups, summary="What the team may name as a model")
def list_groups(request: HttpRequest) -> dict[str, Any]:
    hand = _hand(request)
    rows = catalog.groups_of(_team(request))
    return {"model_groups": [_group_json(group, hand) for group in rows], "next_cursor": None}


@router.post(
    "/model-groups",
    auth=ADMIN,
    response={201: GroupShown},
    summary="Make a model group",
    openapi_extra=body_of(NewGroup),
)
def make_group(request: HttpRequest, body: Given) -> Status[dict[str, Any]]:
    hand = _hand(request)
    return Status(201, _group_json(catalog.make_group(_team(request), body, hand=hand), hand))


@router.get(
    "/model-groups/{path:name}/resolve", auth=READ, response=ResolvedShown, summary="What a name comes to for the team"
)
def resolve(request: HttpRequest, name: Name) -> dict[str, Any]:
    found = catalog.resolve(_team(request), name)
    return {
        "group_name": found.group_name,
        "primary_model": found.primary_model,
        "fallback_models": list(found.fallback_models),
        "team_has_access": found.team_has_access,
        "error": found.error or None,
    }


@router.get("/model-groups/{path:name}", auth=READ, response=GroupShown, summary="A model group")
def one_group(request: HttpRequest, name: Name) -> dict[str, Any]:
    hand = _hand(request)
    return _group_json(catalog.group_of(_team(request), name, hand=hand), hand)


@router.patch(
    "/model-groups/{path:name}",
    auth=ADMIN,
    response=GroupShown,
    summary="Change a model group",
    openapi_extra=body_of(GroupChange),
)
def change_group(request: HttpRequest, name: Name, body: Given) -> dict[str, Any]:
    hand = _hand(request)
    group = catalog.group_of(_team(request), name, hand=hand)
    return _group_json(catalog.change_group(group, body, hand=hand), hand)


@router.delete("/model-groups/{path:name}", auth=ADMIN, response={204: None}, summary="Delete a model group")
def delete_group(request: HttpRequest, name: Name) -> Status[None]:
    hand = _hand(request)
    catalog.delete_group(catalog.group_of(_team(request), name, hand=hand), hand=hand)
    return Status(204, None)


# --- aliases ---------------------------------------------------------------------------------------------------------


@router.get("/model-aliases", auth=READ, response=Aliases, summary="Other names of models and groups")
def list_aliases(request: HttpRequest) -> dict[str, Any]:
    rows = catalog.aliases_of(_team(request))
    return {"model_aliases": [_alias_json(alias) for alias in rows], "next_cursor": None}


@router.put("/model-aliases", auth=ADMIN, response=AliasShown, summary="Set what a name stands for")
def set_alias(request: HttpRequest, body: NewAlias) -> dict[str, Any]:
    team, hand = _team(request), _hand(request)
    alias = catalog.make_alias(team, name=body.name, target=body.target, is_shared=body.is_shared, hand=hand)
    return _alias_json(alias)


@router.delete("/model-aliases/{path:name}", auth=ADMIN, response={204: None}, summary="Delete an alias")
def delete_alias(request: HttpRequest, name: Name) -> Status[None]:
    catalog.delete_alias(_team(request), name, hand=_hand(request))
    return Status(204, None)


# --- credentials -----------------------------------------------------------------------------------------------------


@router.get(
    "/provider-credentials", auth=OPERATOR, response=Credentials, summary="Providers' keys, by their last characters"
)
def list_credentials(request: HttpRequest) -> dict[str, Any]:
    rows = catalog.credentials(_hand(request))
    return {"provider_credentials": [_credential_json(row) for row in rows], "next_cursor": None}


@router.post(
    "/provider-credentials",
    auth=OPERATOR,
    response={201: CredentialShown},
    summary="Add a provider's key",
    openapi_extra=body_of(NewCredential),
)
def add_credential(request: HttpRequest, body: Given) -> Status[dict[str, Any]]:
    return Status(201, _credential_json(catalog.add_credential(body, hand=_hand(request))))


@router.patch(
    "/provider-credentials/{credential_id}",
    auth=OPERATOR,
    response=CredentialShown,
    summary="Change a provider's key or address",
    openapi_extra=body_of(CredentialChange),
)
def change_credential(request: HttpRequest, credential_id: str, body: Given) -> dict[str, Any]:
    hand = _hand(request)
    row = catalog.credential_of(credential_id, hand=hand)
    return _credential_json(catalog.change_credential(row, body, hand=hand))


@router.delete(
    "/provider-credentials/{credential_id}", auth=OPERATOR, response={204: None}, summary="Delete a provider's key"
)
def delete_credential(request: HttpRequest, credential_id: str) -> Status[None]:
    hand = _hand(request)
    catalog.delete_credential(catalog.credential_of(credential_id, hand=hand), hand=hand)
    return Status(204, None)


# --- as JSON ---------------------------------------------------------------------------------------------------------


def _group_json(group: ModelGroup, hand: Hand) -> dict[str, Any]:
    is_shared = group.team_id is None
    is_open = hand.is_operator or not is_shared
    return {
        "id": str(group.pk),
        "name": group.name,
        "display_name": group.display_name,
        "description": group.description,
        "is_shared": is_shared,
        "teams": sorted(team.slug for team in group.teams.all()) if is_shared and hand.is_operator else None,
        "cache": {"ttl": group.cache_seconds},
        "fallback_on_auth": group.fallback_on_auth,
        "is_active": group.is_active,
        "created_at": group.created_at,
        "deployments": [_deployment_json(row, is_open=is_open) for row in group.deployments.all()],
    }


def _deployment_json(row: Deployment, *, is_open: bool) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "model": row.model,
        "api_base": (row.api_base or None) if is_open else None,
        "api_key_end": (row.key_end or None) if is_open else None,
        "priority": row.priority,
        "weight": row.weight,
        "rpm": row.rpm,
        "tpm": row.tpm,
        "timeout_seconds": row.timeout_seconds,
        "is_active": row.is_active,
    }


def _alias_json(alias: ModelAlias) -> dict[str, Any]:
    return {
        "name": alias.name,
        "target": alias.target,
        "is_shared": alias.team_id is None,
        "created_at": alias.created_at,
    }


def _credential_json(row: ProviderCredential) -> dict[str, Any]:
    return {
        "id": row.pk,
        "provider": row.provider,
        "organization": row.organization.slug if row.organization is not None else None,
        "api_base": row.api_base or None,
        "api_key_end": row.key_end or None,
        "is_active": row.is_active,
        "created_at": row.created_at,
    }


def _hand(request: HttpRequest) -> Hand:
    return Hand.of_key(_caller(request), request_id=getattr(request, "id", ""))


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller
