"""Circuits over HTTP: which components are given a rest, and closing one by hand."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema

from tracking import circuits
from tracking.errors import NotAllowed, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Circuit, Team

reading = Router(auth=ApiKeyAuth(Scope.READ), tags=["Circuits"])
router = Router(auth=ApiKeyAuth(Scope.ADMIN), tags=["Circuits"])


class CircuitShown(Schema):
    name: str = Field(description="deployment:<id> of a deployment, else the component's own")
    model: str | None = Field(description="of a deployment: what it calls")
    is_shared: bool = Field(description="other teams call it too; an operator's key is needed to reset it")
    state: Circuit.State
    failures: int = Field(description="in a row")
    last_error: str
    opened_at: datetime | None
    retry_at: datetime | None = Field(description="when one call is let through to try it")
    changed_at: datetime


class Circuits(Schema):
    circuits: list[CircuitShown]


@reading.get("/circuits", response=Circuits, summary="Circuits that ever failed, what is cut off first")
def list_circuits(request: HttpRequest) -> dict[str, Any]:
    found = circuits.circuits_of(_team(request))
    models = circuits.models_of(found)
    return {"circuits": [_json(row, models) for row in found]}


@router.post("/circuits/{path:name}/reset", response=CircuitShown, summary="It is well: call it again")
def reset_circuit(request: HttpRequest, name: str) -> dict[str, Any]:
    team, caller = _team(request), _caller(request)
    row = circuits.circuit_of(team, name)
    if row.team_id == circuits.SHARED and not caller.is_operator:
        raise NotAllowed(f'Other teams call "{name}" too: an operator resets it.')
    actor = caller.actor(request_id=getattr(request, "id", ""))
    after = circuits.reset(row, actor=actor, team=team)
    return _json(after, circuits.models_of([after]))


def _json(row: Circuit, models: dict[str, str]) -> dict[str, Any]:
    fields = ("name", "state", "failures", "last_error", "opened_at", "retry_at", "changed_at")
    shown = {name: getattr(row, name) for name in fields}
    return shown | {"model": models.get(row.name), "is_shared": row.team_id == circuits.SHARED}


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)
