"""The catalogue's bodies and answers, as the OpenAPI file tells them. Bodies are read by tracking.catalog itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Field, Schema


class DeploymentGiven(Schema):
    id: str | None = Field(None, description="of a deployment that is there: it is changed by the fields given")
    model: str | None = Field(None, description='with its provider: "openai/gpt-4o-mini"')
    api_base: str | None = Field(None, description="operators only; without it the provider's own address")
    api_key: str | None = Field(None, description="operators only; without it the credential of the provider")
    priority: int | None = Field(None, description="lower is tried first; 0 unless given")
    weight: int | None = Field(None, description="how calls are shared out among equal priorities; 1 unless given")
    rpm: int | None = None
    tpm: int | None = None
    timeout_seconds: int | None = None
    is_active: bool | None = None


class CacheGiven(Schema):
    ttl: int = Field(0, description="seconds for which the same call is answered from memory; 0 for never")


class GroupChange(Schema):
    name: str | None = None
    deployments: list[DeploymentGiven] | None = Field(None, description="all of them, in place of those there are")
    cache: CacheGiven | None = None
    display_name: str | None = None
    description: str | None = None
    fallback_on_auth: bool | None = Field(
        None, description="a key the provider refuses is a reason to try the next one"
    )
    is_active: bool | None = None
    teams: list[str] | None = Field(None, description="operators only: the installation's group, for these teams")


class NewGroup(GroupChange):
    name: str
    deployments: list[DeploymentGiven]


class DeploymentShown(Schema):
    id: str
    model: str
    api_base: str | None = Field(description="null: the provider's own, or not yours to know")
    api_key_end: str | None = Field(description="the last characters of a key of its own")
    priority: int
    weight: int
    rpm: int | None
    tpm: int | None
    timeout_seconds: int | None
    is_active: bool


class CacheShown(Schema):
    ttl: int


class GroupShown(Schema):
    id: str
    name: str
    display_name: str
    description: str
    is_shared: bool = Field(description="the installation's, granted to this team")
    teams: list[str] | None = Field(description="to whom a shared group is granted; for operators")
    cache: CacheShown
    fallback_on_auth: bool
    is_active: bool
    created_at: datetime
    deployments: list[DeploymentShown]


class Groups(Schema):
    model_groups: list[GroupShown]
    next_cursor: str | None


class ResolvedShown(Schema):
    group_name: str
    primary_model: str | None
    fallback_models: list[str]
    team_has_access: bool
    error: str | None = Field(None, description="why there is no access")


class NewAlias(Schema):
    name: str
    target: str = Field(description="a model group, or a model with its provider")
    is_shared: bool = Field(False, description="operators only: for every team")


class AliasShown(Schema):
    name: str
    target: str
    is_shared: bool
    created_at: datetime


class Aliases(Schema):
    model_aliases: list[AliasShown]
    next_cursor: str | None


class CredentialChange(Schema):
    api_key: str | None = None
    api_base: str | None = Field(None, description="where the provider is, unless it is at its own address")
    is_active: bool | None = None


class NewCredential(CredentialChange):
    provider: str = Field(description='as before the "/" of a model: "openai"')
    api_key: str
    organization: str | None = Field(None, description="whose it is, by its short name; null: for all")


class CredentialShown(Schema):
    id: int
    provider: str
    organization: str | None
    api_base: str | None
    api_key_end: str | None
    is_active: bool
    created_at: datetime


class Credentials(Schema):
    provider_credentials: list[CredentialShown]
    next_cursor: str | None


def body_of(schema: type[Schema]) -> dict[str, Any]:
    """For ``openapi_extra``: the body as the file tells it, where the verbs read it themselves."""
    content = {"application/json": {"schema": schema.json_schema()}}
    return {"requestBody": {"required": True, "content": content}}
