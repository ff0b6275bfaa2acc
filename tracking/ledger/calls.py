"""Whose call it is, what to hold for it, and what the ledger answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self
from uuid import UUID

NAME_LENGTH_MAX = 200  # of what a budget is about: longer ones keep their beginning and a digest of all
OF_THE_CALL = UUID(int=1)  # stands for the budget that a call names itself (ledger_scopes)
_STAND_IN = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Whose call: everything a budget can be about. ``models``: the name asked for, then what it resolved to."""

    team_id: int
    key_id: str = ""
    run: str = ""  # the root run: its external id, or its trace id in hex
    agent: str = ""
    user: str = ""
    job: str = ""
    models: tuple[str, ...] = ()
    run_budget_usd: Decimal | None = (
        None  # what the call itself says its run may spend; calls that say none are not in it
    )

    def columns(self) -> dict[str, Any]:
        """As ``ledger_scopes`` in PostgreSQL reads it."""
        said = {} if self.run_budget_usd is None else {"run_budget_usd": str(self.run_budget_usd)}
        return {
            "key": self.key_id,
            "run": _name(self.run),
            "agent": _name(self.agent),
            "user": _name(self.user),
            "job": _name(self.job),
            "models": [_name(model) for model in self.models],
            **said,
        }


def _name(text: str) -> str:
    """A text of a caller's, of characters and a length that PostgreSQL stores and indexes."""
    if not text.isprintable():
        text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").replace("\0", _STAND_IN)
    if len(text) <= NAME_LENGTH_MAX:
        return text
    return f"{text[: NAME_LENGTH_MAX - 40]} #{sha256(text.encode()).hexdigest()[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The most a call can cost: ``base`` whatever the answer, and so much for each output token more.

    ``base_usd`` is None for a model without a price. ``wanted`` output tokens were asked for; fewer than ``floor`` are
    not worth a call. ``choices`` answers are asked for at once. ``slice``: tokens to hold at first, where every hard
    budget is elastic and the answer streams; 0 holds all.
    """

    base_usd: Decimal | None
    output_usd: Decimal | None  # of one token of each choice together
    base_tokens: int
    choices: int = 1
    wanted: int = 0
    floor: int = 0
    slice: int = 0


class Outcome(StrEnum):
    HELD = "held"
    EXISTS = "exists"  # this id holds money already
    CLOSED = "closed"  # this id is finished with
    REFUSED = "refused"
    UNPRICED = "unpriced"  # a hard money budget, and nobody knows what the model costs
    SETTLED = "settled"
    CORRECTED = "corrected"  # the hold had expired and was posted as an estimate
    CHARGED = "charged"  # the hold had been released
    RELEASED = "released"
    ALREADY = "already"  # done before; nothing changed
    GONE = "gone"  # no such hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The budget that decided, as it stood: the one that refused, or the one with the least left. Amounts are USD."""

    id: UUID
    name: str
    subject: str
    mode: str
    limit_usd: Decimal | None
    limit_tokens: int | None
    spent_usd: Decimal | None
    held_usd: Decimal | None
    spent_tokens: int | None
    held_tokens: int | None
    starts_at: datetime | None  # None: since ever
    ends_at: datetime | None  # None: never ends

    @property
    def free_usd(self) -> Decimal | None:
        if self.limit_usd is None or self.spent_usd is None or self.held_usd is None:
            return None
        return max(self.limit_usd - self.spent_usd - self.held_usd, Decimal(0))

    @property
    def free_tokens(self) -> int | None:
        if self.limit_tokens is None or self.spent_tokens is None or self.held_tokens is None:
            return None
        return max(self.limit_tokens - self.spent_tokens - self.held_tokens, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the ledger did. ``output_tokens`` is what may be asked of the provider; ``budget`` decided it (None: none did)."""

    outcome: Outcome
    output_tokens: int = 0
    held_usd: Decimal = Decimal(0)
    held_tokens: int = 0
    budget: Standing | None = None
    may_wait: bool = False  # refused only because of what others hold at the moment
    free_at: datetime | None = None  # when the first of those holds ends at the latest

    @property
    def is_held(self) -> bool:
        return self.outcome is Outcome.HELD

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> Self:
        """From the columns of ``ledger_answer``, times as they are, without those that mean ever."""
        (outcome, output_tokens, held_usd, held_tokens, budget_id, name, subject, mode, limit_usd, limit_tokens,
         spent_usd, budget_held_usd, spent_tokens, budget_held_tokens, starts_at, ends_at, may_wait, free_at) = row  # fmt: skip
        budget = None
        if budget_id is not None:
            budget = Standing(
                id=budget_id, name=name, subject=subject or "", mode=mode, limit_usd=limit_usd,
                limit_tokens=limit_tokens, spent_usd=spent_usd, held_usd=budget_held_usd, spent_tokens=spent_tokens,
                held_tokens=budget_held_tokens, starts_at=starts_at, ends_at=ends_at,
            )  # fmt: skip
        return cls(
            outcome=Outcome(outcome),
            output_tokens=output_tokens or 0,
            held_usd=held_usd or Decimal(0),
            held_tokens=held_tokens or 0,
            budget=budget,
            may_wait=bool(may_wait),
            free_at=free_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A cost seen afterwards, or a change of one (below 0 gives back). ``at``: when the call began, UTC.

    ``reservation``: the hold of a call that was held for. Then only budgets made since it was taken are charged.
    """

    call: Call
    at: datetime
    usd: Decimal
    tokens: int
    kind: str = "charge"
    reason: str = ""
    is_estimated: bool = False
    reservation: UUID | None = None

    def columns(self) -> dict[str, Any]:
        return {
            "call": self.call.columns(),
            "at": self.at.isoformat(),
            "usd": str(self.usd),
            "tokens": self.tokens,
            "kind": self.kind,
            "reason": self.reason,
            "is_estimated": self.is_estimated,
            "reservation": None if self.reservation is None else str(self.reservation),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What a call cost in the end. ``usd`` None: unknown, and nothing is charged in money. ``detail``: the rates."""

    usd: Decimal | None
    tokens: int
    is_estimated: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
