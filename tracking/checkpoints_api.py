"""Checkpoints and rollbacks over HTTP: an agent's process saves, reads and answers with the scope "ingest"."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Query, Router, Schema

from tracking import run_control
from tracking.audit import Actor
from tracking.checkpoints import rollbacks, store
from tracking.checkpoints.difference import difference
from tracking.checkpoints.new import NewCheckpoint
from tracking.errors import Invalid, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Checkpoint, Rollback, Team
from tracking.queue import forks, states
from tracking.queue.forks import Wish
from tracking.reading_json import money, write

router = Router(tags=["Checkpoints"])
SAVE = ApiKeyAuth(Scope.INGEST)
LOOK = ApiKeyAuth(Scope.READ, Scope.INGEST)
STEER = ApiKeyAuth(Scope.JOBS, Scope.ADMIN)

Reference = Annotated[
    str, Path(description="the run's id, external id or trace id; a name nobody has told of yet is its external id")
]
Which = Annotated[str, Path(description="id, version, or latest: the newest that was not superseded")]


class CheckpointIn(Schema):
    state: Any = Field(description="any JSON")
    name: str = Field("", max_length=200)
    agent: str = Field("", max_length=200)
    step: str = Field("", max_length=200)
    span_id: str = Field("", max_length=16)
    id: UUID | None = Field(None, description="made by the sender: sent twice it is saved once")
    source: Literal["sdk", "langgraph", "queue"] = "sdk"
    lossy_paths: list[str] = Field(default_factory=list, description="parts of the state that are not what they were")


class CheckpointShown(Schema):
    id: UUID
    version: int = Field(description="rises by one in its run")
    name: str
    agent: str
    step: str
    span_id: str
    source: str
    created_at: datetime
    superseded_at: datetime | None = Field(description="the run went back behind it")
    size_bytes: int
    lossy_paths: list[str]
    warnings: list[str]


class CheckpointWhole(CheckpointShown):
    state: Any


class Checkpoints(Schema):
    checkpoints: list[CheckpointShown]
    next_cursor: str | None


class Change(Schema):
    path: str
    change: Literal["added", "removed", "changed", "appended"]
    before: Any
    after: Any


class Difference(Schema):
    changes: list[Change]


class RollbackIn(Schema):
    checkpoint: str | int = Field(description="id, version, or latest")
    reason: str = Field("", max_length=rollbacks.REASON_CHARACTERS_MAX)
    overrides: dict[str, Any] = Field(default_factory=dict, description="model, instructions, state")
    budget_usd: Decimal | None = Field(None, ge=0, max_digits=20, decimal_places=10)
    undo: list[str] = Field(
        default_factory=list,
        max_length=200,
        description="of a job's run: steps to take back first, by their keys or positions, as the preview lists them",
    )
    id: UUID | None = Field(None, description="made by the sender, for a job's run: asked twice it is done once")


class RollbackAnswered(Schema):
    status: Literal["taken", "refused"]
    new_run: str = Field("", max_length=128, description="the run that goes on, by its external id")
    reason: str = Field("", max_length=rollbacks.REASON_CHARACTERS_MAX)


class RollbackShown(Schema):
    id: UUID
    run: str
    checkpoint: dict[str, Any]
    status: Rollback.Status
    reason: str
    overrides: dict[str, Any]
    budget_usd: Decimal | None
    requested_by: str
    requested_at: datetime
    answered_at: datetime | None
    answer: str
    new_run: str | None


class Rollbacks(Schema):
    rollbacks: list[RollbackShown]


@router.post(
    "/runs/{run}/checkpoints", auth=SAVE, response={201: CheckpointShown, 200: CheckpointShown}, summary="Save a state"
)
def save_checkpoint(request: HttpRequest, run: Reference, body: CheckpointIn) -> HttpResponse:
    team = _team(request)
    given = body.dict(exclude={"id"})
    new = NewCheckpoint(team_id=team.pk, run=_own_name(team, run), redaction=team.redaction, **given)
    if body.id is not None:
        new.id = body.id
    saved = store.save(new)
    row = store.find(team, saved.run, str(saved.id))
    return _answer(_shown(row), 201 if saved.is_new else 200)


@router.get("/runs/{run}/checkpoints", auth=LOOK, response=Checkpoints, summary="A run's checkpoints, the newest first")
def list_checkpoints(
    request: HttpRequest, run: Reference, limit: Annotated[int, Query(ge=1, le=500)] = 50, cursor: str | None = None
) -> HttpResponse:
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
        raise Invalid("A cursor is what the page before gave as next_cursor.", field="cursor")
    team = _team(request)
    found = store.of_run(team, _own_name(team, run), limit=limit + 1, before=None if cursor is None else int(cursor))
    more = len(found) > limit
    rows = [_shown(row) for row in found[:limit]]
    return _answer({"checkpoints": rows, "next_cursor": str(found[limit - 1].version) if more else None})


@router.get("/runs/{run}/checkpoints/diff", auth=LOOK, response=Difference, summary="What two states differ in")
def diff_checkpoints(request: HttpRequest, run: Reference, a: str, b: str) -> HttpResponse:
    team = _team(request)
    name = _own_name(team, run)
    one, other = (store.state_of(store.find(team, name, which)) for which in (a, b))
    return _answer({"changes": difference(one, other)})


@router.get(
    "/runs/{run}/checkpoints/{which}", auth=LOOK, response=CheckpointWhole, summary="A checkpoint with its state"
)
def get_checkpoint(request: HttpRequest, run: Reference, which: Which) -> HttpResponse:
    team = _team(request)
    row = store.find(team, _own_name(team, run), which)
    return _answer(_shown(row) | {"state": store.state_of(row)})


@router.delete(
    "/runs/{run}/checkpoints/{which}", auth=SAVE, response={204: None}, summary="Forget a state that LangGraph saved"
)
def delete_checkpoint(request: HttpRequest, run: Reference, which: Which) -> HttpResponse:
    team = _team(request)
    store.remove(team, _own_name(team, run), which)
    return HttpResponse(status=204)


@router.post(
    "/runs/{run}/rollback", auth=STEER, response={202: RollbackShown}, summary="Ask a run to go on from a checkpoint"
)
def request_rollback(request: HttpRequest, run: Reference, body: RollbackIn) -> HttpResponse:
    """A job's run is stopped, and goes on in a new run at once (``taken``); another's process is asked (``requested``)."""
    team = _team(request)
    name = rollbacks.named(team, run)
    if states.job_of_run(team, name) is not None:
        given = body.dict(exclude={"checkpoint"})
        made = forks.rollback(team, name, Wish(checkpoint=str(body.checkpoint), **given), actor=_actor(request))
        return _answer(rollback_json(made), 202)
    wish = rollbacks.request(
        team,
        name,
        str(body.checkpoint),
        reason=body.reason,
        actor=_actor(request),
        overrides=body.overrides,
        budget_usd=body.budget_usd,
    )
    return _answer(rollback_json(wish), 202)


@router.get("/runs/{run}/rollbacks", auth=LOOK, response=Rollbacks, summary="What was asked for, and what became of it")
def list_rollbacks(request: HttpRequest, run: Reference) -> HttpResponse:
    team = _team(request)
    return _answer({"rollbacks": [rollback_json(wish) for wish in rollbacks.of_run(team, _own_name(team, run))]})


@router.post("/runs/{run}/rollbacks/{id}", auth=SAVE, response=RollbackShown, summary="Say what the run's process did")
def answer_rollback(request: HttpRequest, run: Reference, id: UUID, body: RollbackAnswered) -> HttpResponse:
    team = _team(request)
    wish = rollbacks.answer(
        team,
        _own_name(team, run),
        id,
        status=body.status,
        actor=_actor(request),
        new_run=body.new_run,
        reason=body.reason,
    )
    return _answer(rollback_json(wish))


@router.delete("/runs/{run}/rollbacks/{id}", auth=STEER, response=RollbackShown, summary="Ask for it no more")
def withdraw_rollback(request: HttpRequest, run: Reference, id: UUID) -> HttpResponse:
    """While its process has not answered. One that heard of it already may go back all the same, and says so."""
    team = _team(request)
    return _answer(rollback_json(rollbacks.withdraw(team, _own_name(team, run), id, actor=_actor(request))))


def rollback_json(wish: Rollback) -> dict[str, Any]:
    checkpoint = {"id": str(wish.checkpoint_id), "version": wish.checkpoint_version, "name": wish.checkpoint_name}
    fields = ("id", "run", "status", "reason", "overrides", "requested_by", "requested_at", "answered_at", "answer")
    shown = {name: getattr(wish, name) for name in fields}
    return shown | {"checkpoint": checkpoint, "budget_usd": money(wish.budget_usd), "new_run": wish.new_run or None}


def _shown(row: Checkpoint) -> dict[str, Any]:
    fields = (
        "id",
        "version",
        "name",
        "agent",
        "step",
        "span_id",
        "source",
        "created_at",
        "superseded_at",
        "size_bytes",
        "lossy_paths",
    )
    shown = {name: getattr(row, name) for name in fields}
    return shown | {"warnings": store.warnings_of(row.size_bytes, row.lossy_paths)}


def _own_name(team: Team, reference: str) -> str:
    """By which the run's process calls it: it may save before anything of the run has come."""
    if len(reference) > 128 or "\0" in reference:
        raise Invalid("A run's name has at most 128 characters.", field="run")
    return run_control.name_of(team, reference, is_known=False)


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _actor(request: HttpRequest) -> Actor:
    return _caller(request).actor(request_id=getattr(request, "id", ""))


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _answer(value: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(write(value), content_type="application/json", status=status)
