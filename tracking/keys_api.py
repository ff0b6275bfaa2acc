"""Keys over HTTP: what the settings page does, for scripts. The scope "admin" is needed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from pydantic import AwareDatetime

from tracking import keys
from tracking.errors import WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import ApiKey, Team

router = Router(auth=ApiKeyAuth(Scope.ADMIN), tags=["Keys"])


class NewKey(Schema):
    name: str = Field(min_length=1, max_length=120)
    scopes: list[Scope] = Field(min_length=1, max_length=20)
    allowed_models: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=500)
    expires_at: AwareDatetime | None = None
    rpm_max: int | None = Field(None, ge=1, lt=2**31, description="calls a minute; null: any number")
    tpm_max: int | None = Field(None, ge=1, lt=2**31, description="tokens a minute")
    concurrent_max: int | None = Field(None, ge=1, lt=2**31, description="calls at once")


class KeyShown(Schema):
    id: str
    name: str
    prefix: str
    scopes: list[Scope]
    allowed_models: list[str]
    expires_at: datetime | None
    rpm_max: int | None
    tpm_max: int | None
    concurrent_max: int | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


class KeyMade(KeyShown):
    key: str = Field(description="The key itself. It is shown here and never again.")


class Keys(Schema):
    keys: list[KeyShown]


@router.get("/keys", response=Keys, summary="The team's keys")
def list_keys(request: HttpRequest) -> dict[str, Any]:
    return {"keys": [_shown(key) for key in keys.keys_of(_team(request))]}


@router.post("/keys", response={201: KeyMade}, summary="Make a key")
def make_key(request: HttpRequest, body: NewKey) -> Status[dict[str, Any]]:
    key, text = keys.mint(
        _team(request),
        name=body.name,
        scopes=body.scopes,
        allowed_models=body.allowed_models,
        expires_at=body.expires_at,
        rpm_max=body.rpm_max,
        tpm_max=body.tpm_max,
        concurrent_max=body.concurrent_max,
        actor=_caller(request).actor(request_id=getattr(request, "id", "")),
    )
    return Status(201, {**_shown(key), "key": text})


@router.delete("/keys/{key_id}", response={204: None}, summary="Revoke a key")
def revoke_key(request: HttpRequest, key_id: str) -> Status[None]:
    key = keys.key_of(_team(request), key_id)
    keys.revoke(key, actor=_caller(request).actor(request_id=getattr(request, "id", "")))
    return Status(204, None)


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": str(key.pk),
        "name": key.name,
        "prefix": key.prefix,
        "scopes": key.scopes,
        "allowed_models": key.allowed_models,
        "expires_at": key.expires_at,
        "rpm_max": key.rpm_max,
        "tpm_max": key.tpm_max,
        "concurrent_max": key.concurrent_max,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
        "created_at": key.created_at,
    }
