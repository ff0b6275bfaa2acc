"""Approvals, dead letters, votes and shared values over HTTP: agents ask with the scope "ingest", people and jobs decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from ninja import Field, Path, Query, Router, Schema

from tracking.audit import Actor
from tracking.errors import Invalid, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Approval, DeadLetter, Poll, Team
from tracking.reading_json import write
from tracking.steering import approvals, dead_letters, polls, shared_values

router = Router(tags=["Steering"])
ASK = ApiKeyAuth(Scope.INGEST, Scope.JOBS)
LOOK = ApiKeyAuth(Scope.READ, Scope.INGEST)
DECIDE = ApiKeyAuth(Scope.JOBS, Scope.ADMIN)

RunName = Annotated[str, Path(description="the run's external id", max_length=128)]
Limit = Annotated[int, Query(ge=1, le=500)]


class ApprovalIn(Schema):
    id: UUID | None = Field(None, description="made by the sender: asked twice it is one question")
    action: str = Field(max_length=200)
    agent: str = Field("", max_length=200)
    risk: Approval.Risk = Approval.Risk.MEDIUM
    question: str = Field("", max_length=2_000)
    payload: Any = None
    timeout_s: float = 3_600
    on_timeout: Approval.OnTimeout = Approval.OnTimeout.REJECT


class Comment(Schema):
    comment: str = Field("", max_length=approvals.COMMENT_CHARACTERS_MAX)


class ApprovalShown(Schema):
    id: UUID
    run: str
    action: str
    agent: str
    risk: Approval.Risk
    question: str
    payload: Any
    status: Approval.Status
    on_timeout: Approval.OnTimeout
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str
    comment: str


class Approvals(Schema):
    approvals: list[ApprovalShown]
    next_cursor: str | None


class LetterIn(Schema):
    id: UUID | None = None
    source: DeadLetter.Source = DeadLetter.Source.SDK
    name: str = Field(max_length=200, description="of what failed")
    run: str = Field("", max_length=128)
    agent: str = Field("", max_length=200)
    error: str = ""
    attempts: int = Field(1, ge=0, le=10**6)
    payload: Any = None


class LetterShown(Schema):
    id: UUID
    source: DeadLetter.Source
    name: str
    run: str
    agent: str
    error: str
    attempts: int
    payload: Any
    status: DeadLetter.Status
    created_at: datetime
    changed_at: datetime
    handled_by: str


class Letters(Schema):
    dead_letters: list[LetterShown]
    next_cursor: str | None = None


class LetterIds(Schema):
    ids: list[UUID] = Field(max_length=500)


class Tried(Schema):
    status: Literal["retried", "failed"]
    error: str = ""


class PollIn(Schema):
    id: UUID | None = None
    run: str | None = Field(None, max_length=128)
    question: str = Field("", max_length=2_000)
    options: list[str] = Field(default_factory=list, max_length=100)
    voters: list[str]
    weights: dict[str, float] = Field(default_factory=dict)
    strategy: Literal["majority", "plurality", "weighted", "unanimous"] = "majority"
    quorum: float = Field(0.6, ge=0, le=1)
    timeout_s: float = 60


class Vote(Schema):
    voter: str
    choice: str | None


class PollShown(Schema):
    id: UUID
    question: str
    options: list[str]
    voters: list[str]
    strategy: str
    votes: dict[str, str | None]
    decision: str | None
    reached: bool
    participation: float
    agreement: float
    quorum_met: bool
    ties: list[str]
    closed: bool
    closes_at: datetime


class ValueIn(Schema):
    value: Any
    version: int | None = Field(None, ge=0, description="the version that was read; 0: it must not be there")


class ValueShown(Schema):
    key: str
    value: Any
    version: int
    changed_at: datetime


class Values(Schema):
    values: list[ValueShown]


# --- approvals ------------------------------------------------------------------------------------------------------------


@router.post(
    "/runs/{run}/approvals", auth=ASK, response={201: ApprovalShown, 200: ApprovalShown}, summary="Ask for a yes"
)
def request_approval(request: HttpRequest, run: RunName, body: ApprovalIn) -> HttpResponse:
    row, is_new = approvals.request(_team(request), run, body.dict())
    return _answer(_fields(row, ApprovalShown), 201 if is_new else 200)


@router.get("/approvals", auth=LOOK, response=Approvals, summary="What was asked, the latest first")
def list_approvals(
    request: HttpRequest,
    status: Approval.Status | None = None,
    run: str = "",
    limit: Limit = 50,
    cursor: str | None = None,
) -> HttpResponse:
    found = approvals.of_team(_team(request), status=status or "", run=run, limit=limit + 1, before=_moment(cursor))
    rows = [_fields(row, ApprovalShown) for row in found[:limit]]
    more = found[limit - 1].requested_at.isoformat() if len(found) > limit else None
    return _answer({"approvals": rows, "next_cursor": more})


@router.get("/approvals/{id}", auth=LOOK, response=ApprovalShown, summary="How a question stands")
def get_approval(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_fields(approvals.find(_team(request), id), ApprovalShown))


@router.post("/approvals/{id}/approve", auth=DECIDE, response=ApprovalShown, summary="Yes")
def approve(request: HttpRequest, id: UUID, body: Comment | None = None) -> HttpResponse:
    return _decided(request, id, Approval.Status.APPROVED, body)


@router.post("/approvals/{id}/reject", auth=DECIDE, response=ApprovalShown, summary="No")
def reject(request: HttpRequest, id: UUID, body: Comment | None = None) -> HttpResponse:
    return _decided(request, id, Approval.Status.REJECTED, body)


@router.post("/approvals/{id}/cancel", auth=ASK, response=ApprovalShown, summary="Nobody waits for it any more")
def cancel_approval(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_fields(approvals.cancel(_team(request), id, actor=_actor(request)), ApprovalShown))


def _decided(request: HttpRequest, id: UUID, status: str, body: Comment | None) -> HttpResponse:
    comment = "" if body is None else body.comment
    row = approvals.decide(_team(request), id, status, actor=_actor(request), comment=comment)
    return _answer(_fields(row, ApprovalShown))


# --- dead letters ---------------------------------------------------------------------------------------------------------


@router.post("/dead-letters", auth=ASK, response={201: LetterShown, 200: LetterShown}, summary="Keep what was given up")
def bury(request: HttpRequest, body: LetterIn) -> HttpResponse:
    row, is_new = dead_letters.bury(_team(request), body.dict())
    return _answer(_fields(row, LetterShown), 201 if is_new else 200)


@router.get("/dead-letters", auth=LOOK, response=Letters, summary="What was given up, the latest first")
def list_letters(
    request: HttpRequest,
    status: DeadLetter.Status | None = None,
    name: str = "",
    limit: Limit = 50,
    cursor: str | None = None,
) -> HttpResponse:
    found = dead_letters.of_team(
        _team(request), status=status or "", name=name, limit=limit + 1, before=_moment(cursor)
    )
    rows = [_fields(row, LetterShown) for row in found[:limit]]
    more = found[limit - 1].created_at.isoformat() if len(found) > limit else None
    return _answer({"dead_letters": rows, "next_cursor": more})


@router.get(
    "/dead-letters/wanted", auth=ASK, response=Letters, summary="Take those of a name that are to be tried again"
)
def wanted_letters(request: HttpRequest, name: str, limit: Limit = 20) -> HttpResponse:
    taken = dead_letters.take(_team(request), name, limit=limit)
    return _answer({"dead_letters": [_fields(row, LetterShown) for row in taken], "next_cursor": None})


@router.post("/dead-letters/retry", auth=DECIDE, response=Letters, summary="Have several tried again")
def retry_letters(request: HttpRequest, body: LetterIds) -> HttpResponse:
    rows = dead_letters.retry(_team(request), body.ids, actor=_actor(request))
    return _answer({"dead_letters": [_fields(row, LetterShown) for row in rows], "next_cursor": None})


@router.post("/dead-letters/discard", auth=DECIDE, response=Letters, summary="Throw several away")
def discard_letters(request: HttpRequest, body: LetterIds) -> HttpResponse:
    rows = dead_letters.discard(_team(request), body.ids, actor=_actor(request))
    return _answer({"dead_letters": [_fields(row, LetterShown) for row in rows], "next_cursor": None})


@router.get("/dead-letters/{id}", auth=LOOK, response=LetterShown, summary="One, with what it was called with")
def get_letter(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_fields(dead_letters.find(_team(request), id), LetterShown))


@router.post("/dead-letters/{id}/retry", auth=DECIDE, response=LetterShown, summary="Have it tried again")
def retry_letter(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_fields(dead_letters.retry(_team(request), [id], actor=_actor(request))[0], LetterShown))


@router.post("/dead-letters/{id}/discard", auth=DECIDE, response=LetterShown, summary="Throw it away")
def discard_letter(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_fields(dead_letters.discard(_team(request), [id], actor=_actor(request))[0], LetterShown))


@router.post("/dead-letters/{id}/done", auth=ASK, response=LetterShown, summary="Say what became of a try")
def letter_done(request: HttpRequest, id: UUID, body: Tried) -> HttpResponse:
    error = None if body.status == "retried" else body.error
    return _answer(_fields(dead_letters.done(_team(request), id, error=error), LetterShown))


# --- votes ----------------------------------------------------------------------------------------------------------------


@router.post("/consensus", auth=ASK, response={201: PollShown, 200: PollShown}, summary="Put a question to agents")
def open_poll(request: HttpRequest, body: PollIn) -> HttpResponse:
    poll, is_new = polls.open_poll(_team(request), body.dict())
    return _answer(_poll(poll), 201 if is_new else 200)


@router.get("/consensus/{id}", auth=LOOK, response=PollShown, summary="How the votes stand")
def get_poll(request: HttpRequest, id: UUID) -> HttpResponse:
    return _answer(_poll(polls.find(_team(request), id)))


@router.post("/consensus/{id}/votes", auth=ASK, response=PollShown, summary="Vote, once")
def vote(request: HttpRequest, id: UUID, body: Vote) -> HttpResponse:
    return _answer(_poll(polls.vote(_team(request), id, body.voter, body.choice)))


def _poll(poll: Poll) -> dict[str, Any]:
    result = polls.counted(poll)
    most = max(result.counts.values(), default=0)
    ties = sorted(choice for choice, got in result.counts.items() if got == most and got > 0)
    shown = {
        name: getattr(poll, name) for name in ("id", "question", "options", "voters", "strategy", "votes", "closes_at")
    }
    return shown | {
        "decision": result.winner if result.is_reached else None,
        "reached": result.is_reached,
        "participation": result.turnout,
        "agreement": result.share,
        "quorum_met": result.turnout >= poll.quorum,
        "ties": ties if len(ties) > 1 else [],
        "closed": polls.is_closed(poll),
    }


# --- shared values --------------------------------------------------------------------------------------------------------


@router.get("/runs/{run}/state", auth=LOOK, response=Values, summary="What the agents of a run share")
def list_values(request: HttpRequest, run: RunName) -> HttpResponse:
    return _answer({"values": [_fields(row, ValueShown) for row in shared_values.of_run(_team(request), run)]})


@router.get("/runs/{run}/state/{key}", auth=LOOK, response=ValueShown, summary="One value, and its version")
def get_value(request: HttpRequest, run: RunName, key: str) -> HttpResponse:
    return _answer(_fields(shared_values.read(_team(request), run, key), ValueShown))


@router.put("/runs/{run}/state/{key}", auth=ASK, response=ValueShown, summary="Write it")
def put_value(request: HttpRequest, run: RunName, key: str, body: ValueIn) -> HttpResponse:
    return _answer(_fields(shared_values.write(_team(request), run, key, body.value, version=body.version), ValueShown))


@router.delete("/runs/{run}/state/{key}", auth=ASK, response={204: None}, summary="Take it away")
def delete_value(request: HttpRequest, run: RunName, key: str) -> HttpResponse:
    shared_values.delete(_team(request), run, key)
    return HttpResponse(status=204)


def _fields(row: Any, schema: type[Schema]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in schema.model_fields}


def _moment(cursor: str | None) -> datetime | None:
    if cursor is None:
        return None
    try:
        found = datetime.fromisoformat(cursor.replace(" ", "+"))
    except ValueError:
        raise Invalid("A cursor is what the page before gave as next_cursor.", field="cursor") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


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
