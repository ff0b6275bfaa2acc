"""Making, changing and archiving budgets; raises for a while; adjustments. Each with its line in the audit log.

A limit may be lowered below what is spent and held: calls under way finish, new ones are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from tracking import audit
from tracking.audit import Actor
from tracking.errors import Invalid, NotAllowed, NotFound
from tracking.ledger.budget_said import budget_said, opening_said, raise_said, terms_said
from tracking.ledger.opening import Opening, opening
from tracking.ledger.terms import (
    REASON_LENGTH_MAX,
    TERMS,
    Scope,
    Terms,
    read_line,
    read_scope,
    read_tokens,
    read_until,
    read_usd,
)
from tracking.models import Budget, BudgetPeriod, Organization, Team
from tracking.sql import statements

ORGANIZATION = 0  # the team_id of an organization's periods
BEFORE_THE_BUDGET = "used in this window before the budget was made"
AFTER_THE_CLOCK = "used in this window before the team's time zone was changed"


@dataclass(frozen=True, slots=True)
class Hand:
    """Who acts. ``rules_organization``: an owner of the team's organization, or an operator."""

    actor: Actor
    rules_organization: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    budget: Budget
    opening: Opening
    calls_under_way: int  # that are held for on it now


@dataclass(frozen=True, slots=True)
class Adjusted:
    """The entry, and what its window has spent now."""

    entry_id: int
    at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    spent_usd: Decimal
    spent_tokens: int


# --- which there are -------------------------------------------------------------------------------------------------


def budgets_of(team: Team) -> QuerySet[Budget]:
    """The team's own budgets and those of its organization (the demo has no part in those), archived ones too."""
    above = Q(pk=None) if team.is_demo else Q(team=None, organization=team.organization_id)
    return Budget.objects.filter(Q(team=team) | above)


def budget_of(team: Team, id: object) -> Budget:
    """Raises NotFound, for another team's budget too."""
    try:
        wanted = UUID(str(id))
    except ValueError:
        raise NotFound("This team has no such budget.") from None
    found = budgets_of(team).filter(pk=wanted).first()
    if found is None:
        raise NotFound("This team has no such budget.")
    return found


def period_team(budget: Budget) -> int:
    return budget.team_id if budget.team_id is not None else ORGANIZATION


def zone_of(budget: Budget, team: Team) -> str:
    """The time zone its days, weeks and months are of."""
    return "UTC" if budget.team_id is None else team.time_zone


def tonight(zone: str, now: datetime) -> datetime:
    """The next midnight of a time zone."""
    local = now.astimezone(ZoneInfo(zone))
    return datetime.combine(local.date() + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)


# --- verbs -----------------------------------------------------------------------------------------------------------


def create(team: Team, hand: Hand, *, scope_kind: object, scope_id: object, window: object, **terms: Any) -> Made:
    """A new budget, with what was used in its present window before it, and with the calls that are under way.

    ``terms``: as ``Terms`` names them. Raises Invalid naming the field, NotAllowed.
    """
    scope, read = read_scope(team, scope_kind, scope_id, window), Terms.read(terms)
    is_above = scope.kind == Budget.Scope.ORGANIZATION
    if is_above:
        _demand(hand)
    with transaction.atomic():
        _make_room(team, is_above=is_above)
        team_ids = _teams_under(team, is_above=is_above)
        lock_alone(team_ids)
        budget = Budget.objects.create(
            organization_id=team.organization_id,
            team=None if is_above else team,
            scope_kind=scope.kind,
            scope_id=scope.id,
            window=scope.window,
            created_by_id=hand.actor.user_id,
            **{name: getattr(read, name) for name in TERMS},
        )
        budget.created_at = _one("clock")[0]  # after the locks: calls that began before are taken along here
        budget.save(update_fields=["created_at"])
        _run("hold_calls", teams=team_ids)
        calls = int(_one("adopt", teams=team_ids, budget=budget.pk)[0])
        opened = _open(budget, team, team_ids, scope, hand)
        _tell(budget, team)
        audit.record(
            hand.actor, team, "budget.create", "budget", budget.pk,
            after={**budget_said(budget), "opened": opening_said(opened), "calls_under_way": calls},
        )  # fmt: skip
    return Made(budget, opened, calls)


def change(budget: Budget, team: Team, hand: Hand, changes: Mapping[str, Any]) -> Budget:
    """``changes``: terms and their new values; what is not named stays. Raises Invalid, NotAllowed, NotFound."""
    with transaction.atomic():
        fresh = _locked(budget, hand)
        before = Terms.of(fresh)
        after = Terms.read({**{name: getattr(before, name) for name in TERMS}, **changes})
        changed = [name for name in TERMS if getattr(before, name) != getattr(after, name)]
        if not changed:
            return fresh
        for name in changed:
            setattr(fresh, name, getattr(after, name))
        fresh.save(update_fields=changed)
        if {"limit_usd", "limit_tokens", "alert_at"} & set(changed):
            _run("retell", team=period_team(fresh), budget=fresh.pk, teams=_teams_of(fresh))
            _tell(fresh, team)
        audit.record(
            hand.actor, team, "budget.change", "budget", fresh.pk,
            before=terms_said(before, changed), after={**terms_said(after, changed), **_standing_if_lowered(fresh, before)},
        )  # fmt: skip
    return fresh


def raise_until(
    budget: Budget, team: Team, hand: Hand, *, until: datetime, usd: object = None, tokens: object = None
) -> Budget:
    """Let more be spent until a moment; a raise before it ends. Raises Invalid, NotAllowed, NotFound."""
    more_usd, more_tokens = read_usd(usd, field="usd"), read_tokens(tokens, field="tokens")
    if not more_usd and not more_tokens:
        raise Invalid("Say how much more: usd or tokens.", field="usd")
    with transaction.atomic():
        fresh = _locked(budget, hand)
        if more_usd and fresh.limit_usd is None:
            raise Invalid("This budget has no limit in USD.", field="usd")
        if more_tokens and fresh.limit_tokens is None:
            raise Invalid("This budget has no limit in tokens.", field="tokens")
        now: datetime = _one("clock")[0]
        return _set_raise(fresh, team, hand, more_usd or None, more_tokens or None, read_until(until, now))


def end_raise(budget: Budget, team: Team, hand: Hand) -> Budget:
    """The limit is the limit again. Raises NotAllowed, NotFound."""
    with transaction.atomic():
        return _set_raise(_locked(budget, hand), team, hand, None, None, None)


def archive(budget: Budget, team: Team, hand: Hand) -> bool:
    """It binds no call from here on; its entries stay. False when it was archived before. Raises NotAllowed."""
    with transaction.atomic():
        if budget.team_id is None:
            _demand(hand)
        now: datetime = _one("clock")[0]
        if not Budget.objects.filter(pk=budget.pk, archived_at=None).update(archived_at=now):
            return False
        audit.record(hand.actor, team, "budget.archive", "budget", budget.pk, before=budget_said(budget))
    budget.archived_at = now
    return True


def adjust(
    budget: Budget, team: Team, hand: Hand, *, reason: object, usd: object = None, tokens: object = None,
    subject: object = "", at: datetime | None = None,
) -> Adjusted:  # fmt: skip
    """Put right what one window is said to have spent (below 0 gives back). ``at``: a moment in the window, now if None.

    Raises Invalid, NotAllowed, NotFound.
    """
    by_usd = read_usd(usd, field="usd", is_signed=True) or Decimal(0)
    by_tokens = read_tokens(tokens, field="tokens", is_signed=True) or 0
    if not by_usd and not by_tokens:
        raise Invalid("Say by how much: usd or tokens.", field="usd")
    why = read_line(reason, field="reason", most=REASON_LENGTH_MAX)
    with transaction.atomic():
        fresh = _locked(budget, hand)
        now: datetime = _one("clock")[0]
        row = _one(
            "adjust", team=period_team(fresh), entry_team=team.pk, budget=fresh.pk, subject=_subject(fresh, subject),
            window=fresh.window, zone=zone_of(fresh, team), at=_past(at, now), usd=by_usd, tokens=by_tokens,
            actor=hand.actor.name, reason=why,
        )  # fmt: skip
        done = Adjusted(*row)
        for field, by, spent in (("usd", by_usd, done.spent_usd), ("tokens", by_tokens, done.spent_tokens)):
            if by < 0 and spent < 0:
                raise Invalid("That is more than was spent in this window.", field=field)
        _tell(fresh, team)
        audit.record(
            hand.actor, team, "budget.adjust", "budget", fresh.pk,
            after={"entry": done.entry_id, "by": {"usd": by_usd, "tokens": by_tokens}, "reason": why,
                   "subject": str(subject or ""), "window_start": done.starts_at},
        )  # fmt: skip
    return done


def reopen(team: Team, hand: Hand) -> int:
    """After the team's clock changed: days, weeks and months that are new by it begin with what was used in them.

    How many budgets. To be called after ``lock_alone``, in the transaction that changed the clock.
    """
    moving = (Budget.Window.DAY, Budget.Window.WEEK, Budget.Window.MONTH)
    found = Budget.objects.filter(team=team, archived_at=None, window__in=moving).order_by("pk")
    for budget in found:
        scope = Scope(budget.scope_kind, budget.scope_id, budget.window)
        if _open(budget, team, [team.pk], scope, hand, AFTER_THE_CLOCK).used:
            _tell(budget, team)
    return len(found)


# --- parts of them ---------------------------------------------------------------------------------------------------


def _demand(hand: Hand) -> None:
    if not hand.rules_organization:
        raise NotAllowed("Only an owner of the organization or an operator sets budgets over all its teams.")


def _locked(budget: Budget, hand: Hand) -> Budget:
    """The budget, changed by nobody else until the transaction ends. Raises NotFound when it is archived."""
    if budget.team_id is None:
        _demand(hand)
    fresh = Budget.objects.select_for_update(no_key=True).filter(pk=budget.pk, archived_at=None).first()
    if fresh is None:
        raise NotFound("This budget is archived.")
    return fresh


def _make_room(team: Team, *, is_above: bool) -> None:
    """Two at once must not pass the limit. Raises Invalid."""
    if is_above:
        Organization.objects.select_for_update(no_key=True).get(pk=team.organization_id)
        there, most = Budget.objects.filter(team=None, organization=team.organization_id), "budgets_per_organization"
    else:
        Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        there, most = Budget.objects.filter(team=team), "budgets_per_team"
    if there.filter(archived_at=None).count() >= settings.LIMITS[most]:
        raise Invalid(f"There are at most {settings.LIMITS[most]} budgets. Archive one first.")


def _teams_under(team: Team, *, is_above: bool) -> list[int]:
    if not is_above:
        return [team.pk]
    return teams_in(team.organization_id)


def _teams_of(budget: Budget) -> list[int]:
    if budget.team_id is not None:
        return [budget.team_id]
    return teams_in(budget.organization_id)


def teams_in(organization_id: int) -> list[int]:
    """Those whose calls its budgets are about: not the demo's."""
    teams = Team.objects.filter(organization=organization_id, is_demo=False)
    return list(teams.order_by("pk").values_list("pk", flat=True))


def lock_alone(team_ids: list[int]) -> None:
    """No call of these teams is written or held for by others until the transaction ends. To be taken after a row of
    the team and before the audit log's lock. Whoever waits longer than LIMITS["budget_lock_ms"] gives up, for calls of the teams wait behind it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [str(settings.LIMITS["budget_lock_ms"])])
        for team_id in team_ids:
            cursor.execute(statements("ledger")["join_alone"], {"team": team_id})


def _open(
    budget: Budget, team: Team, team_ids: list[int], scope: Scope, hand: Hand, reason: str = BEFORE_THE_BUDGET
) -> Opening:
    """What is known of before is entered for each subject, but for those that have the window already: reopened."""
    zone = zone_of(budget, team)
    starts_at, ends_at, now = _one("window", "ledger", window=scope.window, zone=zone)
    found = opening(team_ids, scope, starts_at, ends_at)
    if reason != BEFORE_THE_BUDGET:
        begun = BudgetPeriod.objects.filter(team_id=period_team(budget), budget=budget, starts_at=starts_at)
        found = found.without(set(begun.values_list("subject", flat=True)))
    if found.used:
        unpriced = found.unpriced_calls
        _run(
            "open", team=period_team(budget), entry_team=team.pk, budget=budget.pk, window=scope.window, zone=zone, at=now,
            subjects=[one.subject for one in found.used], usd=[one.usd for one in found.used],
            tokens=[one.tokens for one in found.used], actor=hand.actor.name,
            reason=reason,
            detail=orjson.dumps({"unpriced_calls": unpriced} if unpriced else {}).decode(),
        )  # fmt: skip
    return found


def _tell(budget: Budget, team: Team) -> None:
    _run("tell", team=period_team(budget), budget=budget.pk, alert_team=team.pk)


def _set_raise(
    budget: Budget, team: Team, hand: Hand, usd: Decimal | None, tokens: int | None, until: datetime | None
) -> Budget:
    before = raise_said(budget)
    budget.raised_usd, budget.raised_tokens, budget.raised_until = usd, tokens, until
    budget.save(update_fields=["raised_usd", "raised_tokens", "raised_until"])
    action = "budget.raise" if until else "budget.end_raise"
    audit.record(hand.actor, team, action, "budget", budget.pk, before=before, after=raise_said(budget))
    return budget


def _subject(budget: Budget, subject: object) -> str:
    """Whose window is adjusted: the one there is, or the one named of many. Raises Invalid."""
    if not has_subjects(budget):
        if subject not in ("", None, budget.scope_id):
            raise Invalid("This budget has one window for all: leave the subject out.", field="subject")
        return budget.scope_id
    return read_line(subject, field="subject", most=400)


def has_subjects(budget: Budget) -> bool:
    """Whether it is kept for each of many, each agent or each run, and not for one."""
    is_whole = budget.scope_kind in (Budget.Scope.ORGANIZATION, Budget.Scope.TEAM)
    if budget.window == Budget.Window.RUN and budget.scope_kind != Budget.Scope.RUN:
        return True
    return not is_whole and not budget.scope_id


def _past(at: datetime | None, now: datetime) -> datetime:
    if at is None:
        return now
    if at > now:
        raise Invalid("An adjustment is of a window that has begun.", field="at")
    return at


def _standing_if_lowered(budget: Budget, before: Terms) -> dict[str, Any]:
    """What stood against a limit that was lowered, and whether it is below that now."""
    lowered = (before.limit_usd, before.limit_tokens) != (budget.limit_usd, budget.limit_tokens)
    if not lowered:
        return {}
    spent_usd, held_usd, spent_tokens, held_tokens, most_usd, most_tokens = _one(
        "now", team=period_team(budget), budget=budget.pk
    )
    is_below = (budget.limit_usd is not None and most_usd > budget.limit_usd) or (
        budget.limit_tokens is not None and most_tokens > budget.limit_tokens
    )
    return {
        "spent": {"usd": spent_usd, "tokens": int(spent_tokens)},
        "held": {"usd": held_usd, "tokens": int(held_tokens)},
        "is_below_spent_and_held": is_below,
    }


def _run(name: str, file: str = "budgets", **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements(file)[name], parameters)


def _one(name: str, file: str = "budgets", **parameters: Any) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statements(file)[name], parameters)
        row: tuple[Any, ...] = cursor.fetchone()
    return row
