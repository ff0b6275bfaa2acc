"""Budgets over HTTP. Looking needs the scope "read", acting "admin"; over the organization only an owner's key acts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from ninja import Path, Query, Router, Status

from tracking.budget_json import (
    adjusted_json,
    entry_json,
    hold_json,
    line_json,
    made_json,
    subject_json,
    what_if_json,
    whole_json,
)
from tracking.budget_schemas import (
    AdjustmentMade,
    BudgetChange,
    BudgetMade,
    BudgetQuery,
    Budgets,
    BudgetWhole,
    Entries,
    Holds,
    NewAdjustment,
    NewBudget,
    PageQuery,
    RaiseGiven,
    Subjects,
    WhatIfAnswer,
    WhatIfQuery,
)
from tracking.errors import NotAllowed, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand, budget_of
from tracking.models import ApiKey, AuditEntry, Budget, Team
from tracking.reading_json import write
from tracking.reports.budget_entries import entries, holds, teams_seen
from tracking.reports.budget_standing import standings, subjects
from tracking.reports.budgets import budget_line, budget_list
from tracking.reports.what_if import what_if

router = Router(tags=["Budgets"])
READ, ADMIN = ApiKeyAuth(Scope.READ), ApiKeyAuth(Scope.ADMIN)
Id = Annotated[str, Path(description="the budget's id", max_length=100)]


@router.get("/budgets", auth=READ, response=Budgets, summary="Budgets and how they stand, oldest first")
def list_budgets(request: HttpRequest, query: Query[BudgetQuery]) -> HttpResponse:
    page = budget_list(_team(request), archived=query.archived, limit=query.limit, cursor=query.cursor)
    return _answer({"budgets": [line_json(line) for line in page.lines], "next_cursor": page.next_cursor})


@router.post("/budgets", auth=ADMIN, response={201: BudgetMade}, summary="Make a budget")
def make_budget(request: HttpRequest, body: NewBudget) -> HttpResponse:
    team = _team(request)
    terms = body.model_dump(exclude={"scope", "window"})
    made = verbs.create(
        team, _hand(request, team), scope_kind=body.scope.kind, scope_id=body.scope.id, window=body.window, **terms
    )
    return _answer(made_json(budget_line(team, made.budget.pk), made), 201)


@router.get("/budgets/{budget_id}", auth=READ, response=BudgetWhole, summary="One budget and its forecast")
def get_budget(request: HttpRequest, budget_id: Id) -> HttpResponse:
    return _answer(whole_json(budget_line(_team(request), budget_id)))


@router.patch("/budgets/{budget_id}", auth=ADMIN, response=BudgetWhole, summary="Change a budget")
def change_budget(request: HttpRequest, budget_id: Id, body: BudgetChange) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    verbs.change(budget, team, _hand(request, team), body.model_dump(exclude_unset=True))
    return _answer(whole_json(budget_line(team, budget.pk)))


@router.delete("/budgets/{budget_id}", auth=ADMIN, response={204: None}, summary="Archive a budget")
def archive_budget(request: HttpRequest, budget_id: Id) -> Status[None]:
    team, budget = _budget(request, budget_id)
    verbs.archive(budget, team, _hand(request, team))
    return Status(204, None)


@router.post("/budgets/{budget_id}/raise", auth=ADMIN, response=BudgetWhole, summary="Let more be spent for a while")
def raise_budget(request: HttpRequest, budget_id: Id, body: RaiseGiven) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    until = body.until or verbs.tonight(team.time_zone, datetime.now(UTC))
    verbs.raise_until(budget, team, _hand(request, team), until=until, usd=body.usd, tokens=body.tokens)
    return _answer(whole_json(budget_line(team, budget.pk)))


@router.delete("/budgets/{budget_id}/raise", auth=ADMIN, response={204: None}, summary="End a raise")
def end_raise(request: HttpRequest, budget_id: Id) -> Status[None]:
    team, budget = _budget(request, budget_id)
    verbs.end_raise(budget, team, _hand(request, team))
    return Status(204, None)


@router.get("/budgets/{budget_id}/subjects", auth=READ, response=Subjects, summary="Each of many, in this window")
def list_subjects(request: HttpRequest, budget_id: Id, query: Query[PageQuery]) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    page = subjects(standings(team, [budget])[0], budget, limit=query.limit, cursor=query.cursor)
    return _answer({"subjects": [subject_json(one) for one in page.subjects], "next_cursor": page.next_cursor})


@router.get("/budgets/{budget_id}/ledger", auth=READ, response=Entries, summary="What was moved, newest first")
def list_entries(request: HttpRequest, budget_id: Id, query: Query[PageQuery]) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    page = entries(_seen(request, team, budget), budget, limit=query.limit, cursor=query.cursor)
    return _answer({"entries": [entry_json(entry) for entry in page.entries], "next_cursor": page.next_cursor})


@router.get("/budgets/{budget_id}/holds", auth=READ, response=Holds, summary="Calls under way it holds money for")
def list_holds(request: HttpRequest, budget_id: Id, query: Query[PageQuery]) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    page = holds(_seen(request, team, budget), budget, limit=query.limit, cursor=query.cursor)
    return _answer({"holds": [hold_json(hold) for hold in page.holds], "next_cursor": page.next_cursor})


@router.post(
    "/budgets/{budget_id}/adjustments", auth=ADMIN, response={201: AdjustmentMade}, summary="Put right what was spent"
)
def adjust_budget(request: HttpRequest, budget_id: Id, body: NewAdjustment) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    done = verbs.adjust(budget, team, _hand(request, team), **body.model_dump())
    return _answer(adjusted_json(done), 201)


@router.get(
    "/budgets/{budget_id}/what-if",
    auth=READ,
    response=WhatIfAnswer,
    by_alias=True,
    summary="What another limit would have done",
)
def ask_what_if(request: HttpRequest, budget_id: Id, query: Query[WhatIfQuery]) -> HttpResponse:
    team, budget = _budget(request, budget_id)
    if budget.team_id is None and not rules_organization(_caller(request)):
        raise NotAllowed("Only an owner of the organization or an operator replays the calls of all its teams.")
    told = what_if(_seen(request, team, budget), budget, **query.model_dump())
    return _answer(what_if_json(told))


def rules_organization(caller: Caller) -> bool:
    """Whether a key may act on its organization: who made it owns that or is an operator; or the installation made it."""
    if caller.key_id is None:
        return caller.is_operator
    key = ApiKey.objects.select_related("created_by", "team__organization").filter(pk=caller.key_id).first()
    if key is None:
        return False
    if key.created_by is None:  # nobody's, or of somebody whose account is gone: the log says which
        made = AuditEntry.objects.filter(
            team=key.team, object_kind="key", object_id=str(key.pk), action__in=("key.make", "key.import")
        )
        return made.filter(actor_kind="system").exists()
    maker = key.created_by
    return maker.is_active and (maker.is_superuser or key.team.organization.owners.filter(pk=maker.pk).exists())


def _seen(request: HttpRequest, team: Team, budget: Budget) -> list[int]:
    is_all = budget.team_id is None and rules_organization(_caller(request))
    return teams_seen(team, budget, sees_organization=is_all)


def _hand(request: HttpRequest, team: Team) -> Hand:
    caller = _caller(request)
    return Hand(caller.actor(request_id=getattr(request, "id", "")), rules_organization(caller))


def _budget(request: HttpRequest, id: str) -> tuple[Team, Budget]:
    team = _team(request)
    return team, budget_of(team, id)


def _team(request: HttpRequest) -> Team:
    return Team.objects.select_related("organization").get(pk=_caller(request).team_id)


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _answer(value: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(write(value), status=status, content_type="application/json")
