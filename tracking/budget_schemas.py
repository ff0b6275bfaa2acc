"""What the budgets' doors take and answer, as it stands in the OpenAPI file.

Amounts given are checked by ``tracking.ledger.terms``, so that page, API and admin refuse the same in the same words.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field

from tracking.reading_schemas import Cursor, Money

ScopeKind = Literal["organization", "team", "key", "agent", "model", "user", "run", "job"]
Window = Literal["run", "day", "week", "month", "total"]
Mode = Literal["strict", "elastic", "soft"]
Usd = Annotated[
    Decimal | str | None, Field(description="USD, at most 10 decimals; as text where digits must not be lost")
]
Text = Annotated[str, Field(max_length=1_000)]
ALERT_AT = "percents of the limit, each told once a window"


class ScopeGiven(Schema):
    model_config = ConfigDict(extra="forbid")

    kind: ScopeKind
    id: str | int | None = Field(
        None,
        description="a key's id, prefix or name; a run's id, external id or trace id; a name. Without it: each of its "
        "kind by itself. Leave it out for organization and team",
    )


class Given(Schema):
    """Unknown fields are refused: a limit misspelt is no limit."""

    model_config = ConfigDict(extra="forbid")


class NewBudget(Given):
    name: Text
    scope: ScopeGiven
    window: Window
    limit_usd: Usd = None
    limit_tokens: int | None = Field(None, description="one of the limits must be given, or both")
    mode: Mode = "strict"
    alert_at: list[int] | None = Field(None, max_length=100, description=f"{ALERT_AT}; 50, 75, 90 and 100 by default")


class BudgetChange(Given):
    """What is left out stays. A limit of null is taken away; one must remain."""

    name: Text | None = None
    limit_usd: Usd = None
    limit_tokens: int | None = None
    mode: Mode | None = None
    alert_at: list[int] | None = Field(None, max_length=100, description=ALERT_AT)


class RaiseGiven(Given):
    usd: Usd = None
    tokens: int | None = None
    until: AwareDatetime | None = Field(None, description="tonight by the team's clock, unless given")


class NewAdjustment(Given):
    usd: Usd = None
    tokens: int | None = Field(None, description="below 0 gives back")
    reason: Text
    subject: str | None = Field(None, max_length=400, description="whose, for a budget kept for each of many")
    at: AwareDatetime | None = Field(None, description="a moment in the window meant; the present one by default")


class BudgetQuery(Schema):
    archived: bool = Field(False, description="those given up instead of those in force")
    limit: int | None = Field(None, ge=1, description="budgets of a page: 50, at most 500")
    cursor: str | None = Field(None, max_length=1_000)


class PageQuery(Schema):
    limit: int | None = Field(None, ge=1, description="rows of a page: 50, at most 500")
    cursor: str | None = Field(None, max_length=2_000)


class WhatIfQuery(Schema):
    limit_usd: str | None = Field(None, max_length=40, description="the present limit unless given")
    limit_tokens: str | None = Field(None, max_length=40)
    mode: Mode | None = None
    days: int = Field(30, ge=1, le=92)


class ScopeShown(Schema):
    kind: ScopeKind
    id: str | None = Field(description="null: each of its kind, or the whole team or organization")
    name: str | None = Field(description="what people call it: a key's name")


class Sums(Schema):
    spent_usd: Money
    held_usd: Money = Field(description="for calls under way")
    available_usd: Money = Field(description="what new calls may hold; null without a limit in USD")
    spent_tokens: int
    held_tokens: int
    available_tokens: int | None
    spent_percent: float = Field(description="of the limit that is nearest")
    is_exhausted: bool


class BudgetShown(Sums):
    """Sums are of the present window; of a budget kept for each of many, of the ``subject`` nearest to the limit."""

    id: UUID
    name: str
    scope: ScopeShown
    window: Window
    mode: Mode
    limit_usd: Money = Field(description="without the raise; null: none in USD")
    limit_tokens: int | None
    alert_at: list[int]
    raised_usd: Money = Field(description="so much more until raised_until; null: no raise is in force")
    raised_tokens: int | None
    raised_until: datetime | None
    created_at: datetime
    archived_at: datetime | None
    subject: str | None = Field(description="whose sums these are; null where there is but one, or nobody yet")
    subjects: int | None = Field(description="how many used something in this window, counted to 10,001; null: one")
    window_start: datetime | None = Field(description="null: since ever")
    window_end: datetime | None = Field(description="null: it never ends")
    forecast_usd: Money = Field(
        description="spent by the end of the window (of the month, without one); null: not known"
    )
    exhausted_at: datetime | None = Field(
        description="when the limit was reached, or will be at this pace; null: not in this window, or not known"
    )


class Forecast(Schema):
    """Seasonal-naive with drift; p10 and p90 are from its errors at past moments."""

    why_not: str | None = Field(description="why there is no forecast; null where there is one")
    until: datetime | None
    p10_usd: Money
    p50_usd: Money
    p90_usd: Money
    p10_tokens: float | None
    p50_tokens: float | None
    p90_tokens: float | None
    exhausted_at: datetime | None
    exhausted_early_at: datetime | None = Field(description="nine times in ten it is later")
    back_test_error: float | None = Field(
        description="median share by which past forecasts of it were wrong: 0.1 is 10%"
    )
    back_tests: int
    back_test_hours: int = Field(description="how far ahead was tried")
    history_hours: int
    season: Literal["week", "day"] | None = Field(description="what is taken for usual")
    drift: float | None = Field(description="share by which a week (day) is more than the one before")


class BudgetWhole(BudgetShown):
    forecast: Forecast


class BudgetMade(BudgetWhole):
    opened_usd: Money = Field(description="what was used in the window before the budget was made")
    opened_tokens: int
    opened_why_not: str | None = Field(description="why that is not known; null where it is")
    calls_under_way: int = Field(description="that are held for on it now")


class Budgets(Schema):
    budgets: list[BudgetShown]
    next_cursor: Cursor


class Subject(Sums):
    subject: str


class Subjects(Schema):
    subjects: list[Subject] = Field(description="the nearest to the limit first")
    next_cursor: Cursor


class EntryShown(Schema):
    id: int
    at: datetime
    kind: Literal["debit", "charge", "correction", "opening", "adjustment", "reprice"]
    usd: Money = Field(description="below 0 gives back")
    tokens: int
    subject: str | None
    window_start: datetime | None
    key_id: str | None
    run: str | None
    agent: str | None
    model: str | None
    user: str | None
    reservation_id: UUID | None
    is_estimated: bool
    actor: str | None = Field(description="who did it, where a person or a key did")
    reason: str | None


class Entries(Schema):
    entries: list[EntryShown] = Field(description="newest first; of an organization's budget those of this team, unless "
                                      "the key is an owner's or operator's")  # fmt: skip
    next_cursor: Cursor


class HoldShown(Schema):
    id: UUID
    created_at: datetime
    dispatched_at: datetime | None = Field(description="null: not sent to the provider yet")
    lease_until: datetime = Field(description="when it is closed if nobody says what the call cost")
    lease_seconds: float
    held_usd: Money
    held_tokens: int
    subject: str | None
    key_id: str | None
    run: str | None
    agent: str | None
    model: str | None
    user: str | None


class Holds(Schema):
    holds: list[HoldShown] = Field(description="calls under way, oldest first")
    next_cursor: Cursor


class AdjustmentMade(Schema):
    entry_id: int
    at: datetime
    window_start: datetime | None
    window_end: datetime | None
    spent_usd: Money = Field(description="of that window, after it")
    spent_tokens: int


class BlockedShown(Schema):
    agent: str | None
    calls: int
    usd: Money
    tokens: int


class WhatIfAnswer(Schema):
    """The past entries in their order under another limit. A replay of costs, not of what people would have done."""

    limit_usd: Money
    limit_tokens: int | None
    mode: Mode
    days: int
    from_: datetime = Field(alias="from")
    is_cut: bool = Field(description="there were more entries than are looked at: from says since when they were")
    calls: int
    blocked_calls: int
    saved_usd: Money
    saved_tokens: int
    blocked: list[BlockedShown] = Field(description="by agent, dearest first")
    first_blocked_at: datetime | None
    unstoppable_calls: int = Field(description="over the limit, but seen only afterwards: no budget could stop them")
    unstoppable_usd: Money
    sentence: str
