"""Credits: what a team has paid for, and what its completed jobs take of it. A team without an account is not billed.

Every change locks the account, so balances never lose one; each leaves an entry with the balance before and after. A
job is charged once (a unique constraint on its deduction). A completed job is charged whatever is left: what it cost
more than that is its entry's shortfall, and somebody is told.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from tracking import alerts, audit
from tracking.audit import SYSTEM, Actor
from tracking.errors import Invalid, NotFound, OutOfCredits
from tracking.models import Alert, CreditAccount, CreditEntry, Team

CREDITS_MAX = 10**12
REASON_CHARS_MAX = 500
LOW_PERCENT = 10

Mode, Kind, Period = CreditAccount.Mode, CreditEntry.Kind, CreditAccount.Period
PAYMENTS = {"subscription": Kind.SUBSCRIPTION, "one_time": Kind.ONE_TIME}


@dataclass(frozen=True, slots=True)
class Charged:
    """What a completed job took. ``left`` is None where nobody counts."""

    is_charged: bool
    amount: int = 0
    shortfall: int = 0
    left: int | None = None


def account_of(team: Team | int) -> CreditAccount | None:
    """None: the team is not billed in credits."""
    return CreditAccount.objects.filter(team=team).first()


def entries_of(team: Team | int, *, limit: int, before: int | None = None) -> list[CreditEntry]:
    """The latest first; those older than the entry ``before``."""
    rows = CreditEntry.objects.filter(team=team)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    return list(rows.order_by("-pk")[:limit])


def has_credits(account: CreditAccount | None, needed: int = 1) -> bool:
    return account is None or account.is_unlimited or account.left >= needed


def demand(team: Team | int, needed: int = 1) -> None:
    """Raises OutOfCredits where work that needs so many may not begin."""
    account = account_of(team)
    if account is not None and not has_credits(account, needed):
        raise OutOfCredits(
            f"Insufficient credits: {account.left} left, {needed} needed. Credits must be added before more work begins."
        )


def price_of(account: CreditAccount, *, client_usd: Decimal, tokens: int) -> int:
    """Credits a completed job costs: rounded up, and never less than one."""
    if account.mode == Mode.USD:
        found = client_usd * account.credits_per_dollar
    elif account.mode == Mode.TOKENS:
        found = Decimal(tokens) / account.tokens_per_credit
    else:
        found = Decimal(1)
    return max(1, int(found.to_integral_value(ROUND_CEILING)))


def charge(team: Team | int, job_id: UUID, job_type: str, *, client_usd: Decimal, tokens: int) -> Charged:
    """For a job that was completed, within the transaction that completes it. Never refuses."""
    account = CreditAccount.objects.select_for_update().filter(team=team).first()
    if account is None:
        return Charged(is_charged=False)
    if account.is_unlimited:
        return Charged(is_charged=False, left=None)
    price = price_of(account, client_usd=client_usd, tokens=tokens)
    taken = min(price, max(account.left, 0))
    before = account.left
    account.used += taken
    _save(account, ["used"])
    shortfall = price - taken
    reason = f"Job completed: {job_type}"
    _enter(account, Kind.DEDUCTION, taken, before, reason, SYSTEM, job_id=job_id, shortfall=shortfall)
    _warn(account, before, shortfall)
    return Charged(is_charged=True, amount=taken, shortfall=shortfall, left=account.left)


def charge_late(team: Team | int, job_id: UUID, job_type: str, *, client_usd: Decimal, tokens: int) -> int:
    """For a call that ended after its job was charged: what the whole job costs now, less what was charged for it. How many."""
    account = CreditAccount.objects.select_for_update().filter(team=team).first()
    if account is None or account.is_unlimited:
        return 0
    entries = CreditEntry.objects.filter(team=team, job_id=job_id, kind__in=(Kind.DEDUCTION, Kind.ADJUSTMENT))
    charged = sum(entry.amount if entry.kind == Kind.DEDUCTION else -entry.amount for entry in entries)
    charged += sum(entry.shortfall for entry in entries)
    more = price_of(account, client_usd=client_usd, tokens=tokens) - charged
    if more <= 0:
        return 0
    before, taken = account.left, min(more, max(account.left, 0))
    account.used += taken
    _save(account, ["used"])
    reason = f"A call ended after its job: {job_type}"
    _enter(account, Kind.ADJUSTMENT, -taken, before, reason, SYSTEM, job_id=job_id, shortfall=more - taken)
    _warn(account, before, more - taken)
    return taken


# --- what administrators do ------------------------------------------------------------------------------------------


def open_account(team: Team, *, allocated: object = 0, actor: Actor, **settings: object) -> CreditAccount:
    """From now on the team is billed in credits. Raises Invalid naming the field, also where it has an account."""
    amount = number_of(allocated, "credits_allocated", least=0)
    with transaction.atomic():
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        if account_of(team) is not None:
            raise Invalid("The team has a credit account already.", field="team_id")
        now = datetime.now(UTC)
        account = CreditAccount(team=team, allocated=amount, created_at=now, updated_at=now)
        _set(account, settings)
        account.save(force_insert=True)
        if amount:
            _enter(account, Kind.ALLOCATION, amount, 0, "Initial allocation", actor)
        audit.record(actor, team, "credits.open", "credits", team.slug, after=facts(account))
    return account


def change(team: Team, *, actor: Actor, **settings: object) -> CreditAccount:
    """Mode, rates, markup, unlimited. Raises Invalid naming the field, NotFound where there is no account."""
    with transaction.atomic():
        account = _locked(team)
        before = facts(account)
        _set(account, settings)
        _save(account, None)
        after = facts(account)
        if after != before:
            audit.record(actor, team, "credits.change", "credits", team.slug, before=before, after=after)
    return account


def add(
    team: Team,
    amount: object,
    *,
    actor: Actor,
    kind: str = Kind.ALLOCATION,
    reason: str = "",
    paid_usd: Decimal | None = None,
    job_id: UUID | None = None,
) -> CreditEntry:
    """Credits for the team. A refund gives back what a job took; an adjustment may be negative. Raises Invalid, NotFound."""
    least = -CREDITS_MAX if kind == Kind.ADJUSTMENT else 1
    number = number_of(amount, "credits", least=least)
    reason = _reason(reason)
    with transaction.atomic():
        account = _locked(team)
        before = account.left
        if kind == Kind.REFUND:
            account.used -= number
        else:
            account.allocated += number
        if account.left < 0 or account.allocated > CREDITS_MAX or account.used < 0:
            raise Invalid(f"That would leave {account.left:,} credits of {account.allocated:,}.", field="credits")
        _save(account, ["allocated", "used"])
        entry = _enter(
            account, kind, number, before, reason or Kind(kind).label, actor, paid_usd=paid_usd, job_id=job_id
        )
        after = {"kind": kind, "amount": number, "left": account.left, "reason": reason}
        audit.record(actor, team, "credits.add", "credits", team.slug, before={"left": before}, after=after)
        _calm(account)
    return entry


def set_refill(
    team: Team, *, enabled: bool, amount: object = None, period: object = None, actor: Actor
) -> CreditAccount:
    """So many credits a day, week or month, the first a period from now. Raises Invalid naming the field, NotFound."""
    with transaction.atomic():
        account = _locked(team)
        before = facts(account)
        account.has_refill = enabled
        if amount is not None:
            account.refill_amount = number_of(amount, "refill_amount", least=1)
        if period is not None:
            if period not in Period.values:
                raise Invalid(f"refill_period is one of {', '.join(Period.values)}.", field="refill_period")
            account.refill_period = str(period)
        if enabled and not (account.refill_amount and account.refill_period):
            missing = "refill_period" if account.refill_amount else "refill_amount"
            raise Invalid(f"A refill needs {missing}.", field=missing)
        account.refill_at = _next(datetime.now(UTC), account.refill_period) if enabled else None
        _save(account, None)
        audit.record(actor, team, "credits.refill", "credits", team.slug, before=before, after=facts(account))
    return account


def set_terms(
    team: Team, *, has_refill: bool, refill_amount: object, refill_period: object, actor: Actor, **settings: object
) -> None:
    """``change`` and ``set_refill``, both or neither. Raises as they do."""
    with transaction.atomic():
        change(team, actor=actor, **settings)
        set_refill(team, enabled=has_refill, amount=refill_amount, period=refill_period or None, actor=actor)


def refill_due(now: datetime | None = None) -> int:
    """Give the refills that are due, once each whoever else looks; how many. What a stopped clock missed is given once."""
    now = now or datetime.now(UTC)
    given = 0
    while True:
        with transaction.atomic():
            due = CreditAccount.objects.filter(has_refill=True, refill_at__lte=now).order_by("refill_at")
            account = due.select_for_update(skip_locked=True).first()
            if account is None:
                return given
            before = account.left
            account.allocated = min(account.allocated + (account.refill_amount or 0), CREDITS_MAX)
            account.refilled_at, account.refill_at = now, _after(account, now)
            _save(account, None)
            _enter(account, Kind.ALLOCATION, account.left - before, before, f"{account.refill_period} refill", SYSTEM)
            _calm(account)
        given += 1


def facts(account: CreditAccount) -> dict[str, Any]:
    """For the log."""
    return {
        "allocated": account.allocated,
        "is_unlimited": account.is_unlimited,
        "mode": account.mode,
        "credits_per_dollar": str(account.credits_per_dollar),
        "rate_of_use": account.tokens_per_credit,  # "token" in a name is kept out of the log
        "markup_percent": str(account.markup_percent),
        "refill": f"{account.refill_amount} {account.refill_period}" if account.has_refill else None,
    }


def number_of(value: object, field: str, *, least: int) -> int:
    """A whole number of credits. Raises Invalid naming the field."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= CREDITS_MAX:
        raise Invalid(f"{field} is a whole number from {least:,} to {CREDITS_MAX:,}.", field=field)
    return value


def _locked(team: Team) -> CreditAccount:
    account = CreditAccount.objects.select_for_update().filter(team=team).first()
    if account is None:
        raise NotFound("The team is not billed in credits: it has no credit account.")
    return account


def _set(account: CreditAccount, given: Mapping[str, object]) -> None:
    """``given``: fields of the account; None leaves one as it is."""
    for name, value in given.items():
        if value is None:
            continue
        if name in ("credits_per_dollar", "markup_percent"):
            value = _decimal(value, name)
        setattr(account, name, value)
    try:
        account.clean_fields(exclude=["team", "refill_amount", "refill_period", "refill_at", "refilled_at"])
    except ValidationError as error:
        name, words = next(iter(error.message_dict.items()))
        raise Invalid(f"{name}: {words[0]}", field=name) from None


def _decimal(value: object, field: str) -> Decimal:
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite():
        raise Invalid(f"{field} is a number.", field=field)
    return found.quantize(Decimal("0.0001") if field == "credits_per_dollar" else Decimal("0.01"))


def _reason(text: str) -> str:
    reason = " ".join(text.replace("\0", "").split())
    if len(reason) > REASON_CHARS_MAX:
        raise Invalid(f"A reason has at most {REASON_CHARS_MAX} characters.", field="reason")
    return reason


def _save(account: CreditAccount, fields: list[str] | None) -> None:
    account.updated_at = datetime.now(UTC)
    account.save(update_fields=None if fields is None else [*fields, "updated_at"])


def _enter(
    account: CreditAccount, kind: str, amount: int, before: int, reason: str, actor: Actor, **more: Any
) -> CreditEntry:
    return CreditEntry.objects.create(
        team_id=account.team_id, kind=kind, amount=amount, before=before, after=account.left, reason=reason,
        actor=actor.name[:200], created_at=datetime.now(UTC), **more,
    )  # fmt: skip


def _warn(account: CreditAccount, before: int, shortfall: int) -> None:
    payload = {"left": account.left, "of": account.allocated, "shortfall": shortfall}
    if account.left <= 0:
        alerts.open_once(account.team_id, Alert.Kind.CREDIT, Alert.Severity.CRITICAL, "credit:none", payload=payload)
    elif account.left * 100 <= account.allocated * LOW_PERCENT < before * 100:
        alerts.open_once(account.team_id, Alert.Kind.CREDIT, Alert.Severity.HIGH, "credit:low", payload=payload)


def _calm(account: CreditAccount) -> None:
    for key in ("credit:none", "credit:low") if account.left > 0 else ():
        alerts.resolve_key(account.team, key)


def _next(after: datetime, period: str) -> datetime:
    if period == Period.DAILY:
        return after + timedelta(days=1)
    if period == Period.WEEKLY:
        return after + timedelta(weeks=1)
    year, month = after.year + after.month // 12, after.month % 12 + 1
    return after.replace(year=year, month=month, day=min(after.day, calendar.monthrange(year, month)[1]))


def _after(account: CreditAccount, now: datetime) -> datetime:
    """The first moment of the account's own rhythm that lies ahead."""
    at = account.refill_at or now
    while at <= now:
        at = _next(at, account.refill_period)
    return at
