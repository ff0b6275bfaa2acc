"""/api/model-groups, and what else of the catalogue these clients know: models, aliases, access groups, credentials."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from tracking import catalog
from tracking.errors import Invalid, NotFound
from tracking.models import ModelAlias, ModelGroup, ProviderCredential, Team
from tracking.price_book import book
from tracking.saas.auth import ADMIN, TEAM, hand_of, own_team
from wflo.pricing import Rates

router = Router(auth=ADMIN, tags=["Model groups"])

Name = Annotated[str, Field(min_length=1, max_length=120)]


class GroupModel(Schema):
    model_name: Annotated[str, Field(min_length=1, max_length=200)]
    priority: Annotated[int, Field(ge=0, le=30_000)] = 0
    is_active: bool = True


class NewGroup(Schema):
    group_name: Name
    display_name: Annotated[str, Field(max_length=120)] | None = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    models: Annotated[list[GroupModel], Field(min_length=1)]


class GroupModels(Schema):
    models: Annotated[list[GroupModel], Field(min_length=1)]


class NewAlias(Schema):
    model_alias: Name
    actual_model: Annotated[str, Field(min_length=1, max_length=200)]


class NewAccessGroup(Schema):
    group_name: Name
    model_aliases: list[Name] = []
    description: Annotated[str, Field(max_length=2000)] | None = None


class NewCredential(Schema):
    provider: Annotated[str, Field(min_length=1, max_length=60)]
    api_key: Annotated[str, Field(min_length=1, max_length=5000)]
    api_base: Annotated[str, Field(max_length=500)] | None = None
    organization_id: str | None = None


@router.get("/model-groups/{group_name}/resolve", auth=TEAM, summary="What a group comes to for a team")
def resolve_group(request: HttpRequest, group_name: str, team_id: str) -> dict[str, Any]:
    """A group the team has no access to is told of with ``team_has_access`` false, and is no error."""
    found = catalog.resolve(own_team(request, team_id), group_name)
    answer: dict[str, Any] = {
        "group_name": found.group_name,
        "primary_model": found.primary_model,
        "fallback_models": list(found.fallback_models),
        "team_has_access": found.team_has_access,
    }
    return answer if found.team_has_access else {**answer, "error": found.error}


@router.post("/model-groups/create", summary="Make a group for teams to be given")
def create_group(request: HttpRequest, body: NewGroup) -> dict[str, Any]:
    if ModelGroup.objects.filter(team=None, name=body.group_name).exists():
        raise Invalid(f"Model group '{body.group_name}' already exists")
    given = {
        "name": body.group_name,
        "display_name": body.display_name or "",
        "description": body.description or "",
        "deployments": _deployments(body.models),
        "teams": [],
    }
    return _group_json(catalog.make_group(None, given, hand=hand_of(request)))


@router.get("/model-groups", summary="The installation's groups")
def list_groups(request: HttpRequest) -> list[dict[str, Any]]:
    rows = ModelGroup.objects.filter(team=None).prefetch_related("deployments", "teams").order_by("name")
    return [_group_json(group) for group in rows]


@router.get("/model-groups/{group_name}", summary="A group")
def one_group(request: HttpRequest, group_name: str) -> dict[str, Any]:
    return _group_json(_shared(group_name))


@router.put("/model-groups/{group_name}/models", summary="Other models for a group")
def put_models(request: HttpRequest, group_name: str, body: GroupModels) -> dict[str, Any]:
    given = {"deployments": _deployments(body.models)}
    return _group_json(catalog.change_group(_shared(group_name), given, hand=hand_of(request)))


@router.delete("/model-groups/{group_name}", summary="Delete a group that no team has")
def delete_group(request: HttpRequest, group_name: str) -> dict[str, Any]:
    group = _shared(group_name)
    if group.teams.exists():
        raise Invalid(f"Model group '{group_name}' is assigned to teams: take it from them first.")
    catalog.delete_group(group, hand=hand_of(request))
    return {"group_name": group_name, "deleted": True}


# --- models: aliases with their prices -------------------------------------------------------------------------------


@router.get("/models", summary="Aliases, with what their models cost per million tokens")
def list_models(request: HttpRequest) -> list[dict[str, Any]]:
    return [_alias_json(alias) for alias in ModelAlias.objects.filter(team=None).order_by("name")]


@router.post("/models/create", summary="Make an alias")
def create_model(request: HttpRequest, body: NewAlias) -> dict[str, Any]:
    alias = catalog.make_alias(
        None, name=body.model_alias, target=body.actual_model, is_shared=True, hand=hand_of(request)
    )
    return _alias_json(alias)


@router.delete("/models/{model_alias}", summary="Delete an alias")
def delete_model(request: HttpRequest, model_alias: str) -> dict[str, Any]:
    catalog.delete_alias(None, model_alias, hand=hand_of(request))
    return {"model_alias": model_alias, "deleted": True}


# --- access groups: model groups of the installation's, under their other name ----------------------------------------


@router.get("/model-access-groups", summary="The installation's groups, as access groups")
def list_access_groups(request: HttpRequest) -> list[dict[str, Any]]:
    return list_groups(request)


@router.post("/model-access-groups/create", summary="Make a group of the models that aliases mean")
def create_access_group(request: HttpRequest, body: NewAccessGroup) -> dict[str, Any]:
    models = []
    for place, name in enumerate(body.model_aliases):
        alias = ModelAlias.objects.filter(team=None, name=name).first()
        models.append(GroupModel(model_name=name if alias is None else alias.target, priority=place))
    if not models:
        raise Invalid("An access group needs a model.", field="model_aliases")
    return create_group(request, NewGroup(group_name=body.group_name, description=body.description, models=models))


@router.delete("/model-access-groups/{group_name}", summary="Delete an access group that no team has")
def delete_access_group(request: HttpRequest, group_name: str) -> dict[str, Any]:
    return delete_group(request, group_name)


# --- providers' keys -------------------------------------------------------------------------------------------------


@router.get("/provider-credentials", summary="Providers' keys, by their last characters")
def list_credentials(request: HttpRequest) -> list[dict[str, Any]]:
    return [_credential_json(row) for row in catalog.credentials(hand_of(request))]


@router.post("/provider-credentials/create", summary="Seal a provider's key")
def create_credential(request: HttpRequest, body: NewCredential) -> dict[str, Any]:
    given = {"provider": body.provider, "api_key": body.api_key, "api_base": body.api_base or ""}
    if body.organization_id:
        given["organization"] = body.organization_id
    return _credential_json(catalog.add_credential(given, hand=hand_of(request)))


@router.delete("/provider-credentials/{credential_id}", summary="Forget a provider's key")
def delete_credential(request: HttpRequest, credential_id: int) -> dict[str, Any]:
    hand = hand_of(request)
    catalog.delete_credential(catalog.credential_of(credential_id, hand=hand), hand=hand)
    return {"credential_id": credential_id, "deleted": True}


def grant(team: Team, names: list[str], request: HttpRequest) -> list[str]:
    """Give the team the installation's groups of these names, and no others. Raises NotFound."""
    wanted = [_shared(name) for name in names]
    hand = hand_of(request)
    for group in ModelGroup.objects.filter(team=None, teams=team).exclude(pk__in=[g.pk for g in wanted]):
        catalog.change_group(group, {"teams": [t.slug for t in group.teams.all() if t != team]}, hand=hand)
    for group in wanted:
        slugs = sorted({team.slug, *group.teams.values_list("slug", flat=True)})
        catalog.change_group(group, {"teams": slugs}, hand=hand)
    return [group.name for group in wanted]


def names_of(team: Team) -> list[str]:
    return list(ModelGroup.objects.filter(team=None, teams=team).order_by("name").values_list("name", flat=True))


def _shared(name: str) -> ModelGroup:
    group = ModelGroup.objects.prefetch_related("deployments", "teams").filter(team=None, name=name).first()
    if group is None:
        raise NotFound(f"Model group '{name[:120]}' not found")
    return group


def _deployments(models: list[GroupModel]) -> list[dict[str, Any]]:
    return [{"model": one.model_name, "priority": one.priority, "is_active": one.is_active} for one in models]


def _group_json(group: ModelGroup) -> dict[str, Any]:
    return {
        "group_name": group.name,
        "display_name": group.display_name or group.name,
        "description": group.description,
        "status": "active" if group.is_active else "inactive",
        "models": [
            {"model_name": one.model, "priority": one.priority, "is_active": one.is_active}
            for one in group.deployments.all()
        ],
        "teams": sorted(team.slug for team in group.teams.all()),
        "created_at": group.created_at.isoformat(),
    }


def _alias_json(alias: ModelAlias) -> dict[str, Any]:
    provider, _, name = alias.target.partition("/")
    rates = book.rates(0, name or provider, provider if name else None, datetime.now(UTC))
    return {
        "model_alias": alias.name,
        "actual_model": alias.target,
        "input_price_per_million": _per_million(rates, "input"),
        "output_price_per_million": _per_million(rates, "output"),
        "created_at": alias.created_at.isoformat(),
    }


def _per_million(rates: Rates | None, bucket: str) -> float | None:
    each = None if rates is None else getattr(rates, bucket)
    return None if each is None else float(each * 10**6)


def _credential_json(row: ProviderCredential) -> dict[str, Any]:
    return {
        "credential_id": row.pk,
        "provider": row.provider,
        "api_base": row.api_base or None,
        "api_key": f"…{row.key_end}",
        "organization_id": row.organization.slug if row.organization else None,
        "is_active": row.is_active,
        "created_at": row.created_at.isoformat(),
    }
