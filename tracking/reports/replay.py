"""What another limit or mode would have done to calls that were made. Pure.

Entries are taken in the order they were made in, each window of each subject by itself. Only calls that went through the
gateway can be stopped: what was seen afterwards would have passed any limit. It is a replay of costs, not of people: a
call that would have been refused might have been made again later, and a strict budget might have cut an answer instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

ZERO = Decimal(0)
Window = tuple[str, datetime | None]  # the subject, and when the window began
Sums = tuple[Decimal, int]  # USD, tokens

STOPPABLE, SEEN = "debit", "charge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One entry of a budget. ``kind``: of LedgerEntry."""

    at: datetime
    window: Window
    kind: str
    usd: Decimal
    tokens: int
    agent: str = ""
    reservation: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A limit as it might be; None: none in that measure."""

    limit_usd: Decimal | None
    limit_tokens: int | None
    mode: str

    def blocks(self, spent: Sums, move: Moved) -> bool:
        """Strict lets nothing through that does not fit; elastic lets a call begin as long as anything is left."""
        if self.mode == "soft":
            return False
        usd, tokens = (spent[0] + move.usd, spent[1] + move.tokens) if self.mode == "strict" else spent
        over_usd = self.limit_usd is not None and move.usd > 0 and self._is_over(usd, self.limit_usd)
        over_tokens = self.limit_tokens is not None and move.tokens > 0 and self._is_over(tokens, self.limit_tokens)
        return over_usd or over_tokens

    def _is_over(self, amount: Decimal | int, limit: Decimal | int) -> bool:
        return amount > limit if self.mode == "strict" else amount >= limit


@dataclass(frozen=True, slots=True)
class Blocked:
    """Calls of one agent ("": of none) that would not have been made."""

    agent: str
    calls: int
    usd: Decimal
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """``seen_calls`` and ``seen_usd``: calls over the limit that no budget could have stopped."""

    calls: int
    blocked: tuple[Blocked, ...]  # dearest first
    first_blocked_at: datetime | None
    seen_calls: int
    seen_usd: Decimal

    @property
    def blocked_calls(self) -> int:
        return sum(one.calls for one in self.blocked)

    @property
    def saved_usd(self) -> Decimal:
        return sum((one.usd for one in self.blocked), ZERO)

    @property
    def saved_tokens(self) -> int:
        return sum(one.tokens for one in self.blocked)


def replay(moves: Iterable[Moved], rule: Rule, before: Mapping[Window, Sums]) -> Replayed:
    """``before``: what a window had spent before the first of ``moves``; nothing where it is not named."""
    spent: dict[Window, Sums] = defaultdict(lambda: (ZERO, 0), before)
    blocked: dict[str, list[Moved]] = defaultdict(list)
    refused: set[UUID] = set()
    calls, seen_calls, seen_usd = 0, 0, ZERO
    first: datetime | None = None
    for move in moves:
        usd, tokens = spent[move.window]
        is_call = move.kind in (STOPPABLE, SEEN) and (move.usd > 0 or move.tokens > 0)
        calls += is_call
        if move.reservation in refused:  # a later word on a call that would not have been made
            blocked[move.agent].append(move)
            continue
        if is_call and rule.blocks((usd, tokens), move):
            if move.kind == STOPPABLE:
                first = first or move.at
                blocked[move.agent].append(move)
                if move.reservation is not None:
                    refused.add(move.reservation)
                continue
            seen_calls, seen_usd = seen_calls + 1, seen_usd + move.usd
        spent[move.window] = (usd + move.usd, tokens + move.tokens)
    return Replayed(
        calls=calls,
        blocked=_by_agent(blocked),
        first_blocked_at=first,
        seen_calls=seen_calls,
        seen_usd=seen_usd,
    )


def _by_agent(blocked: Mapping[str, list[Moved]]) -> tuple[Blocked, ...]:
    rows = [
        Blocked(
            agent,
            sum(move.kind == STOPPABLE for move in moves),
            sum((move.usd for move in moves), ZERO),
            sum(move.tokens for move in moves),
        )
        for agent, moves in blocked.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.usd, -row.tokens, row.agent)))
