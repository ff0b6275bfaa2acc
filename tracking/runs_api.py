"""Stopping and ending runs over HTTP: stopping needs the scope "admin", saying that one's own run is done "ingest"."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Router, Schema

from tracking import run_control
from tracking.audit import Actor
from tracking.errors import WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Approval, Team
from tracking.reading_json import money, write
from tracking.run_control import Control

router = Router(tags=["Runs"])
READ, INGEST, ADMIN = ApiKeyAuth(Scope.READ), ApiKeyAuth(Scope.INGEST), ApiKeyAuth(Scope.ADMIN)

Reference = Annotated[str, Path(description="the run's id, external id or trace id")]


class Reason(Schema):
    reason: str = Field("", max_length=run_control.REASON_CHARACTERS_MAX, description="what its callers are told")


class RunsKilled(Reason):
    runs: list[str] = Field(description="ids, external ids or trace ids: all of them, or none", max_length=500)


class ApprovalTold(Schema):
    status: Approval.Status
    decided_by: str
    comment: str


class ControlShown(Schema):
    run: str
    status: Literal["running", "completed", "failed", "cancelled", "killed"]
    kill_reason: str | None
    rollback: dict[str, Any] | None = Field(description="the checkpoint that its process is asked to go on from")
    approvals: dict[str, ApprovalTold] = Field(description="pending, or decided in the last hour; by their ids")
    budget_remaining_usd: Decimal | None = Field(description="of what each run may spend; null when nothing is set")


class ControlsShown(Schema):
    runs: list[ControlShown]


@router.get("/runs/{run}/control", auth=READ, response=ControlShown, summary="Whether a run may go on")
def get_control(request: HttpRequest, run: Reference) -> HttpResponse:
    return _answer(_shown(run_control.control(_team(request), run)))


@router.post("/kills", auth=ADMIN, response=ControlsShown, summary="Stop several runs")
def kill_runs(request: HttpRequest, body: RunsKilled) -> HttpResponse:
    killed = run_control.kill(_team(request), body.runs, reason=body.reason, actor=_actor(request))
    return _answer({"runs": [_shown(one) for one in killed]})


@router.post("/runs/{run}/kill", auth=ADMIN, response=ControlShown, summary="Stop a run: its later calls are refused")
def kill_run(request: HttpRequest, run: Reference, body: Reason | None = None) -> HttpResponse:
    reason = "" if body is None else body.reason
    return _answer(_shown(run_control.kill(_team(request), [run], reason=reason, actor=_actor(request))[0]))


@router.post("/runs/{run}/complete", auth=INGEST, response=ControlShown, summary="Say that a run is done")
def complete_run(request: HttpRequest, run: Reference) -> HttpResponse:
    return _answer(_shown(run_control.complete(_team(request), [run], actor=_actor(request))[0]))


def _shown(control: Control) -> dict[str, Any]:
    return {
        "run": control.run,
        "status": control.status,
        "kill_reason": control.kill_reason or None,
        "rollback": control.rollback,
        "approvals": control.approvals,
        "budget_remaining_usd": money(control.budget_remaining_usd),
    }


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _actor(request: HttpRequest) -> Actor:
    return _caller(request).actor(request_id=getattr(request, "id", ""))


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _answer(value: dict[str, Any]) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json")
