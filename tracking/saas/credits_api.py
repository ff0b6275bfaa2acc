"""/api/credits: a team looks at its balance; administrators add, set modes and rates, and have it refilled."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import Field

from tracking import credits
from tracking.errors import Invalid, NotFound
from tracking.models import CreditAccount, CreditEntry, Team
from tracking.saas.auth import ADMIN, TEAM, actor_of, any_team, own_team

router = Router(auth=ADMIN, tags=["Credits"])

Credits = Annotated[int, Field(gt=0, le=credits.CREDITS_MAX)]
Reason = Annotated[str, Field(max_length=credits.REASON_CHARS_MAX)]


class Added(Schema):
    credits: Credits
    reason: Reason | None = None


class Replenished(Schema):
    credits: Credits
    payment_type: str
    payment_amount_usd: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)] | None = None
    reason: Reason | None = None


class Refill(Schema):
    enabled: bool
    refill_amount: Credits | None = None
    refill_period: str | None = None


class ModeChange(Schema):
    budget_mode: str


class Rates(Schema):
    credits_per_dollar: Annotated[float, Field(gt=0)] | None = None
    tokens_per_credit: Annotated[int, Field(gt=0)] | None = None
    markup_percent: Annotated[float, Field(ge=0)] | None = None


@router.get("/credits/teams/{team_id}/balance", auth=TEAM, summary="How a team's credits stand")
def balance(request: HttpRequest, team_id: str) -> dict[str, Any]:
    return _balance_json(own_team(request, team_id))


@router.post("/credits/teams/{team_id}/check", auth=TEAM, summary="Whether so many credits are left")
def check(request: HttpRequest, team_id: str, credits_needed: Annotated[int, Field(ge=0)] = 1) -> dict[str, Any]:
    team = own_team(request, team_id)
    account = credits.account_of(team)
    found = {
        "team_id": team.slug,
        "has_credits": credits.has_credits(account, credits_needed),
        "credits_remaining": None if account is None or account.is_unlimited else account.left,
        "credits_needed": credits_needed,
    }
    return found if found["has_credits"] else {**found, "error": "Insufficient credits"}


@router.get("/credits/teams/{team_id}/transactions", auth=TEAM, summary="What came and went, the latest first")
def transactions(request: HttpRequest, team_id: str, limit: Annotated[int, Field(ge=1, le=500)] = 50) -> dict[str, Any]:
    team = own_team(request, team_id)
    entries = credits.entries_of(team, limit=limit)
    total = CreditEntry.objects.filter(team=team).count()
    return {"team_id": team.slug, "total": total, "transactions": [_entry_json(entry) for entry in entries]}


@router.get("/credits/teams/{team_id}/conversion-rates", auth=TEAM, summary="What a credit is worth")
def rates(request: HttpRequest, team_id: str) -> dict[str, Any]:
    return _rates_json(own_team(request, team_id))


@router.post("/credits/teams/{team_id}/add", summary="Allocate credits")
def add(request: HttpRequest, team_id: str, body: Added) -> dict[str, Any]:
    team = any_team(team_id)
    entry = credits.add(team, body.credits, reason=body.reason or "", actor=actor_of(request))
    return {**_balance_json(team), "credits_added": body.credits, "transaction": _entry_json(entry)}


@router.post("/credits/teams/{team_id}/replenish", summary="Credits that were paid for")
def replenish(request: HttpRequest, team_id: str, body: Replenished) -> dict[str, Any]:
    team, kind = any_team(team_id), credits.PAYMENTS.get(body.payment_type)
    if kind is None:
        raise Invalid("payment_type is subscription or one_time.", field="payment_type")
    entry = credits.add(
        team,
        body.credits,
        kind=kind,
        reason=body.reason or "",
        paid_usd=body.payment_amount_usd,
        actor=actor_of(request),
    )
    return {**_balance_json(team), "credits_added": body.credits, "transaction": _entry_json(entry)}


@router.post("/credits/teams/{team_id}/configure-auto-refill", summary="So many credits a day, week or month")
def set_refill(request: HttpRequest, team_id: str, body: Refill) -> dict[str, Any]:
    team = any_team(team_id)
    credits.set_refill(
        team, enabled=body.enabled, amount=body.refill_amount, period=body.refill_period, actor=actor_of(request)
    )
    return _balance_json(team)


@router.patch("/credits/teams/{team_id}/budget-mode", summary="What a completed job is charged by")
def set_mode(request: HttpRequest, team_id: str, body: ModeChange) -> dict[str, Any]:
    if body.budget_mode not in CreditAccount.Mode.values:
        raise Invalid(f"budget_mode is one of {', '.join(CreditAccount.Mode.values)}.", field="budget_mode")
    team = any_team(team_id)
    credits.change(team, mode=body.budget_mode, actor=actor_of(request))
    return _rates_json(team)


@router.patch("/credits/teams/{team_id}/conversion-rates", summary="What a credit is worth from now on")
def set_rates(request: HttpRequest, team_id: str, body: Rates) -> dict[str, Any]:
    team = any_team(team_id)
    credits.change(team, actor=actor_of(request), **body.dict())
    return _rates_json(team)


def _account(team: Team) -> CreditAccount:
    account = credits.account_of(team)
    if account is None:
        raise NotFound(f"Team '{team.slug}' is not billed in credits")
    return account


def _balance_json(team: Team) -> dict[str, Any]:
    account = _account(team)
    return {
        "team_id": team.slug,
        "organization_id": team.organization.slug,
        "credits_allocated": account.allocated,
        "credits_used": account.used,
        "credits_remaining": None if account.is_unlimited else account.left,
        "credit_limit": None if account.is_unlimited else account.allocated,
        "credits_unlimited": account.is_unlimited,
        "auto_refill": account.has_refill,
        "refill_amount": account.refill_amount,
        "refill_period": account.refill_period or None,
        "last_refill_at": account.refilled_at and account.refilled_at.isoformat(),
        "next_refill_at": account.refill_at and account.refill_at.isoformat(),
        "status": team.status,
        **_worth(account),
        "updated_at": account.updated_at.isoformat(),
    }


def _rates_json(team: Team) -> dict[str, Any]:
    return {"team_id": team.slug, **_worth(_account(team))}


def _worth(account: CreditAccount) -> dict[str, Any]:
    return {
        "budget_mode": account.mode,
        "credits_per_dollar": float(account.credits_per_dollar),
        "tokens_per_credit": account.tokens_per_credit,
        "markup_percent": float(account.markup_percent),
    }


def _entry_json(entry: CreditEntry) -> dict[str, Any]:
    return {
        "transaction_id": str(entry.pk),
        "transaction_type": entry.kind,
        "credits_amount": entry.amount,
        "credits_before": entry.before,
        "credits_after": entry.after,
        "shortfall": entry.shortfall,
        "payment_amount_usd": None if entry.paid_usd is None else float(entry.paid_usd),
        "reason": entry.reason,
        "job_id": None if entry.job_id is None else str(entry.job_id),
        "created_at": entry.created_at.isoformat(),
    }
