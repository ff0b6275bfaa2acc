"""The ledger as one would write it without a store, without others and without a crash: what the real one must equal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from tracking.ledger.calls import Call, Ceiling
from tracking.models import Budget, Team

EVER = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[UUID, str, datetime]
BOUNDLESS = Decimal("Infinity")


def up(usd: Decimal) -> Decimal:
    return usd.quantize(Decimal("1e-10"), rounding=ROUND_CEILING)


@dataclass
class Sums:
    spent_usd: Decimal = Decimal(0)
    held_usd: Decimal = Decimal(0)
    spent_tokens: int = 0
    held_tokens: int = 0


@dataclass
class Hold:
    team_id: int
    keys: list[Key]
    usd: Decimal
    tokens: int
    lease_until: datetime
    state: str = "held"
    is_dispatched: bool = False
    actual: tuple[Decimal, int] | None = None  # what was posted, once the truth is known or estimated
    is_known: bool = False


@dataclass
class Model:
    teams: dict[int, Team]
    budgets: dict[UUID, Budget]
    now: datetime
    periods: dict[Key, Sums] = field(default_factory=lambda: defaultdict(Sums))
    holds: dict[UUID, Hold] = field(default_factory=dict)

    def keys(self, call: Call, at: datetime) -> list[Key]:
        return [key for budget in self.budgets.values() for key in self._keys_of(budget, call, at)]

    def _keys_of(self, budget: Budget, call: Call, at: datetime) -> Iterator[Key]:
        team = self.teams[call.team_id]
        is_above = budget.scope_kind == "organization"
        if budget.archived_at is not None or (not is_above and budget.team_id != team.pk):
            return
        told: dict[str, list[str]] = {
            "organization": [""], "team": [""], "key": [call.key_id], "agent": [call.agent], "user": [call.user],
            "run": [call.run], "job": [call.job], "model": sorted(set(call.models if budget.scope_id else call.models[-1:])),
        }  # fmt: skip
        for named in told[budget.scope_kind]:
            is_bound = budget.scope_kind in ("organization", "team") or (named and budget.scope_id in ("", named))
            if is_bound and not (budget.window == "run" and not call.run):
                in_run = budget.window == "run" and budget.scope_kind != "run"
                subject = f"{named} in run {call.run}".removeprefix(" in run ") if in_run else named
                yield budget.pk, subject, self.starts(budget, "UTC" if is_above else team.time_zone, at)

    def starts(self, budget: Budget, zone: str, at: datetime) -> datetime:
        day = at.astimezone(ZoneInfo(zone)).date()
        match budget.window:
            case "week":
                day -= timedelta(days=day.weekday())
            case "month":
                day = day.replace(day=1)
            case "run" | "total":
                return EVER
        return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)

    def limits(self, budget: Budget) -> tuple[Decimal, Decimal]:
        is_raised = budget.raised_until is not None and budget.raised_until > self.now
        usd = BOUNDLESS if budget.limit_usd is None else budget.limit_usd + (is_raised and budget.raised_usd or 0)
        tokens = (
            BOUNDLESS
            if budget.limit_tokens is None
            else budget.limit_tokens + (is_raised and budget.raised_tokens or 0)
        )
        return usd, Decimal(tokens)

    def hard(self, keys: list[Key]) -> list[tuple[Sums, Budget]]:
        return [(self.periods[key], self.budgets[key[0]]) for key in keys if self.budgets[key[0]].mode != "soft"]

    # --- verbs: each answers (outcome, output tokens, usd held) or a part of it ---

    def reserve(self, id: UUID, call: Call, most: Ceiling, lease: timedelta) -> dict[str, Any]:
        if id in self.holds:
            return {"outcome": "exists" if self.holds[id].state == "held" else "closed"}
        keys = self.keys(call, self.now)
        hard = self.hard(keys)
        base = None if most.output_usd is None and most.wanted else most.base_usd
        if base is None and any(budget.limit_usd is not None for _, budget in hard):
            return {"outcome": "unpriced"}
        need = min(most.floor, most.wanted)
        payable = min((self._payable(sums, budget, base, most) for sums, budget in hard), default=BOUNDLESS)
        if payable < need:
            freed = [
                self._payable(Sums(sums.spent_usd, spent_tokens=sums.spent_tokens), budget, base, most)
                for sums, budget in hard
            ]
            return {"outcome": "refused", "may_wait": min(freed) >= need}
        granted = first = int(min(payable, most.wanted))
        if most.slice and hard and all(budget.mode == "elastic" for _, budget in hard):
            granted, first = most.wanted, min(first, most.slice)
        usd = Decimal(0) if base is None else up(base + (most.output_usd or 0) * first)
        hold = Hold(call.team_id, keys, usd, most.base_tokens + first * most.choices, self.now + lease)
        self.holds[id] = hold
        self._move(hold.keys, held_usd=hold.usd, held_tokens=hold.tokens)
        return {"outcome": "held", "output_tokens": granted, "held_usd": hold.usd, "held_tokens": hold.tokens}

    def _payable(self, sums: Sums, budget: Budget, base_usd: Decimal | None, most: Ceiling) -> Decimal:
        limit_usd, limit_tokens = self.limits(budget)
        in_usd = BOUNDLESS
        if base_usd is not None:
            in_usd = _affordable(limit_usd - sums.spent_usd - sums.held_usd, base_usd, most.output_usd or Decimal(0))
        in_tokens = _affordable(
            limit_tokens - sums.spent_tokens - sums.held_tokens, Decimal(most.base_tokens), Decimal(most.choices)
        )
        return min(in_usd, in_tokens)

    def dispatch(self, id: UUID) -> bool:
        is_held = id in self.holds and self.holds[id].state == "held"
        if is_held:
            self.holds[id].is_dispatched = True
        return is_held

    def extend(self, id: UUID, usd: Decimal, tokens: int, lease: timedelta) -> str:
        hold = self.holds.get(id)
        if hold is None or hold.state != "held":
            return "gone"
        for sums, budget in self.hard(hold.keys):
            limit_usd, limit_tokens = self.limits(budget)
            is_over = usd and sums.spent_usd + sums.held_usd + usd > limit_usd
            is_over = is_over or (tokens and sums.spent_tokens + sums.held_tokens + tokens > limit_tokens)
            if is_over and budget.archived_at is None:
                return "refused"
        hold.usd, hold.tokens = hold.usd + usd, hold.tokens + tokens
        hold.lease_until = max(hold.lease_until, self.now + lease)
        self._move(hold.keys, held_usd=usd, held_tokens=tokens)
        return "held"

    def settle(self, id: UUID, usd: Decimal, tokens: int, *, is_estimated: bool) -> str:
        hold = self.holds.get(id)
        if hold is None:
            return "gone"
        if hold.is_known:
            return "already"
        before_usd, before_tokens = hold.actual or (Decimal(0), 0)
        if hold.state == "held":
            self._move(hold.keys, held_usd=-hold.usd, held_tokens=-hold.tokens)
        self._move(hold.keys, spent_usd=usd - before_usd, spent_tokens=tokens - before_tokens)
        outcome = {"held": "settled", "expired": "corrected", "released": "charged"}[hold.state]
        hold.state = "settled" if hold.state == "held" else hold.state
        hold.actual, hold.is_known = (usd, tokens), True
        return outcome

    def release(self, id: UUID) -> str:
        hold = self.holds.get(id)
        if hold is None or hold.state != "held":
            return "gone" if hold is None else "already"
        hold.state = "released"
        self._move(hold.keys, held_usd=-hold.usd, held_tokens=-hold.tokens)
        return "released"

    def expire(self) -> tuple[int, UUID, str] | None:
        late = [
            (hold.lease_until, id)
            for id, hold in self.holds.items()
            if hold.state == "held" and hold.lease_until < self.now
        ]
        if not late:
            return None
        id = min(late)[1]
        hold = self.holds[id]
        self._move(hold.keys, held_usd=-hold.usd, held_tokens=-hold.tokens)
        hold.state = "expired" if hold.is_dispatched else "released"
        if hold.is_dispatched:
            self._move(hold.keys, spent_usd=hold.usd, spent_tokens=hold.tokens)
            hold.actual = (hold.usd, hold.tokens)
        return hold.team_id, id, hold.state

    def charge(self, call: Call, at: datetime, usd: Decimal, tokens: int) -> int:
        keys = self.keys(call, at)
        self._move(keys, spent_usd=usd, spent_tokens=tokens)
        return 1 if keys else 0

    def adjust(self, key: Key, usd: Decimal) -> None:
        self._move([key], spent_usd=usd)

    def _move(self, keys: list[Key], **by: Any) -> None:
        for key in keys:
            for name, amount in by.items():
                setattr(self.periods[key], name, getattr(self.periods[key], name) + amount)


def _affordable(free: Decimal, base: Decimal, each: Decimal) -> Decimal:
    if base == 0 and each == 0:
        return BOUNDLESS
    if free < base:
        return Decimal(-1)
    if each == 0 or free == BOUNDLESS:
        return BOUNDLESS
    return ((free - base) / each).to_integral_value(rounding=ROUND_FLOOR)
