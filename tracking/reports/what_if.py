"""What another limit would have done in the past days, from the ledger's own entries (``replay`` is the rule)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection

from tracking.errors import Invalid
from tracking.ledger.budgets import period_team
from tracking.ledger.terms import read_tokens, read_usd
from tracking.models import Budget
from tracking.reports.replay import Blocked, Moved, Replayed, Rule, Sums, Window, replay
from tracking.sql import statements

DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """``start``: since when entries were replayed. ``is_cut``: there were more of them than are looked at."""

    rule: Rule
    start: datetime
    days: int
    is_cut: bool
    found: Replayed

    @property
    def sentence(self) -> str:
        return sentence(self.found, self.rule)


def what_if(
    team_ids: Sequence[int], budget: Budget, *, limit_usd: object = None, limit_tokens: object = None,
    mode: str | None = None, days: int | None = None, now: datetime | None = None,
) -> WhatIf:  # fmt: skip
    """Another limit (the present ones where none is given) or mode over the past ``days`` days. Raises Invalid.

    ``team_ids``: all whose calls the budget is about, else others' calls stand as they were.
    """
    days = DAYS if days is None else days
    if not 1 <= days <= settings.LIMITS["what_if_days"]:
        raise Invalid(f"days is from 1 to {settings.LIMITS['what_if_days']}.", field="days")
    rule = _rule(budget, limit_usd, limit_tokens, mode)
    start = (now or datetime.now(UTC)) - timedelta(days=days)
    moves, is_cut = _moves(team_ids, budget, start)
    return WhatIf(
        rule=rule,
        start=moves[0].at if is_cut else start,
        days=days,
        is_cut=is_cut,
        found=replay(moves, rule, _before(budget, moves)),
    )


def sentence(found: Replayed, rule: Rule) -> str:
    """In a line: "Would have blocked 14 of 210 calls, all of researcher, and saved $212.00."."""
    if not found.calls:
        return "No call was made under this budget in that time."
    if not found.blocked:
        end = " A soft budget blocks nothing." if rule.mode == Budget.Mode.SOFT else ""
        return f"Would have blocked none of {found.calls:,} calls.{end}{_seen(found)}"
    saved = f"${found.saved_usd:,.2f}" if found.saved_usd else f"{found.saved_tokens:,} tokens"
    said = (
        f"Would have blocked {found.blocked_calls:,} of {found.calls:,} calls{_whose(found.blocked)} and saved {saved}."
    )
    return said + _seen(found)


def _whose(blocked: Sequence[Blocked]) -> str:
    named = [one for one in blocked if one.agent]
    if not named:
        return ""
    if len(blocked) == 1:
        return f", all of {named[0].agent},"
    shown = ", ".join(f"{one.calls:,} of {one.agent}" for one in named[:3])
    return f" ({shown})"


def _seen(found: Replayed) -> str:
    if not found.seen_calls:
        return ""
    return f" {found.seen_calls:,} more over the limit were seen only afterwards: no budget could have stopped them."


def _rule(budget: Budget, limit_usd: object, limit_tokens: object, mode: str | None) -> Rule:
    usd = read_usd(limit_usd, field="limit_usd")
    tokens = read_tokens(limit_tokens, field="limit_tokens")
    if mode not in (None, *Budget.Mode.values):
        raise Invalid(f"mode is one of {', '.join(Budget.Mode.values)}.", field="mode")
    return Rule(
        limit_usd=budget.limit_usd if usd is None else usd,
        limit_tokens=budget.limit_tokens if tokens is None else tokens,
        mode=mode or budget.mode,
    )


def _moves(team_ids: Sequence[int], budget: Budget, start: datetime) -> tuple[list[Moved], bool]:
    """The entries since ``start``, oldest first, and whether there were more than are looked at. Read newest first, in
    bites that grow, for where they begin only their times tell."""
    most = settings.LIMITS["what_if_entries"]
    moves: list[Moved] = []
    bite, before = 1_000, None
    with connection.cursor() as cursor:
        while True:
            parameters: dict[str, Any] = {"teams": list(team_ids), "budget": budget.pk, "before": before, "limit": bite}
            cursor.execute(statements("budget_reports")["moves"], parameters)
            rows = cursor.fetchall()
            moves += [_move(row) for row in rows if row[1] >= start]
            if len(moves) > most:
                return moves[most - 1 :: -1], True
            if len(rows) < bite or rows[-1][1] < start:
                return moves[::-1], False
            bite, before = min(bite * 5, 25_000), rows[-1][0]


def _move(row: Sequence[Any]) -> Moved:
    _, at, kind, usd, tokens, agent, reservation, subject, starts_at = row
    window = (subject, starts_at)
    return Moved(at=at, window=window, kind=kind, usd=usd, tokens=tokens, agent=agent, reservation=reservation)


def _before(budget: Budget, moves: Sequence[Moved]) -> dict[Window, Sums]:
    """What each window had spent before the first entry that is replayed: what it has spent less all of those."""
    moved: dict[Window, Sums] = defaultdict(lambda: (Decimal(0), 0))
    for move in moves:
        usd, tokens = moved[move.window]
        moved[move.window] = (usd + move.usd, tokens + move.tokens)
    windows = list(moved)
    with connection.cursor() as cursor:
        cursor.execute(
            statements("budget_reports")["spent"],
            {"team": period_team(budget), "budget": budget.pk, "subjects": [subject for subject, _ in windows],
             "starts": [start for _, start in windows]},
        )  # fmt: skip
        spent = {(subject, start): (usd, tokens) for subject, start, usd, tokens in cursor.fetchall()}
    return {
        w: (max(spent[w][0] - moved[w][0], Decimal(0)), max(spent[w][1] - moved[w][1], 0))
        for w in windows
        if w in spent
    }
