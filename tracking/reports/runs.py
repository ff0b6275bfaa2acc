"""Runs as people and programs read them: a page of the list, and what the filters would leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.db import connection

from tracking.errors import Invalid
from tracking.reports.run_filters import DURATION_SQL, TOKENS_SQL, RunFilters, where

_SALT = "tracking.reports.runs"
_FAR = "'9999-01-01 00:00:00+00'::timestamptz"

COLUMNS: tuple[str, ...] = (
    "id",
    "external_id",
    "trace_id",
    "day",
    "name",
    "title",
    "output",
    "origin",
    "status",
    "error",
    "started_at",
    "ended_at",
    "last_seen_at",
    "is_idle_closed",
    "session_id",
    "user_id",
    "environment",
    "release",
    "service",
    "tags",
    "entry_agent",
    "agents",
    "model_names",
    "span_count",
    "llm_calls",
    "tool_calls",
    "errors",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "embedding_tokens",
    "cost_usd",
    "unpriced_calls",
    "estimated_calls",
    "is_hidden",
    "loop_detected",
    "budget_exceeded",
    "parent_run_id",
    "job_id",
    "linked_trace_ids",
)
SELECT = "SELECT " + ", ".join(f"r.{column}" for column in COLUMNS)


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run of the list; fields as the columns of ``tracking_run``. Cost in USD, None when unknown."""

    id: UUID
    external_id: str | None
    trace_id: UUID
    day: date
    name: str
    title: str
    output: str
    origin: str
    status: str
    error: str | None
    started_at: datetime
    ended_at: datetime | None
    last_seen_at: datetime
    is_idle_closed: bool
    session_id: str | None
    user_id: str | None
    environment: str | None
    release: str | None
    service: str | None
    tags: list[str]
    entry_agent: str | None
    agents: list[str]
    model_names: list[str]
    span_count: int
    llm_calls: int
    tool_calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    embedding_tokens: int
    cost_usd: Decimal | None
    unpriced_calls: int
    estimated_calls: int
    is_hidden: bool
    loop_detected: bool
    budget_exceeded: bool
    parent_run_id: UUID | None
    job_id: UUID | None
    linked_trace_ids: list[UUID]

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def duration_ms(self) -> float | None:
        """None while it runs."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds() * 1000

    @property
    def seen_ms(self) -> float:
        """How long it ran, or has been heard of so far."""
        return ((self.ended_at or self.last_seen_at) - self.started_at).total_seconds() * 1000

    @property
    def is_running(self) -> bool:
        return self.status == "running"

    @property
    def short_id(self) -> str:
        """Eight digits that tell runs apart; ``id:`` in the search line finds them."""
        return self.trace_id.hex[:8]

    @property
    def cost_status(self) -> str:
        return cost_status(self.cost_usd, self.unpriced_calls, self.estimated_calls)


def cost_status(cost_usd: Decimal | None, unpriced_calls: int, estimated_calls: int) -> str:
    """known, estimated, partial (some calls have no price) or unknown (none has)."""
    if unpriced_calls:
        return "unknown" if cost_usd is None else "partial"
    return "estimated" if estimated_calls else "known"


@dataclass(frozen=True, slots=True)
class Order:
    """One way to sort the list. ``expression`` is never null, unless ``is_nullable``: then nulls come last."""

    name: str
    expression: str
    is_nullable: bool = False


ORDERS: dict[str, Order] = {
    order.name: order
    for order in (
        Order("started_at", "r.started_at"),
        Order("ended_at", f"coalesce(r.ended_at, {_FAR})"),
        Order("cost_usd", "r.cost_usd", is_nullable=True),
        Order("total_tokens", TOKENS_SQL),
        Order("duration_ms", DURATION_SQL),
        Order("span_count", "r.span_count"),
        Order("errors", "r.errors"),
    )
}
_ORDER_ALIASES = {
    "started": "started_at",
    "ended": "ended_at",
    "cost": "cost_usd",
    "tokens": "total_tokens",
    "duration": "duration_ms",
    "steps": "span_count",
}


@dataclass(frozen=True, slots=True)
class Sort:
    order: Order
    is_ascending: bool = False

    @property
    def text(self) -> str:
        return f"{self.order.name} asc" if self.is_ascending else self.order.name


def read_sort(text: str | None) -> Sort:
    """``cost``, ``-cost`` and ``cost desc`` put the largest first; ``cost asc`` and ``+cost`` the smallest.

    Raises Invalid for a name that is not in ORDERS.
    """
    name = (text or "started_at").strip()
    ascending = name.startswith("+")
    name = name.removeprefix("-").removeprefix("+")
    for ending, is_ascending in ((" asc", True), (":asc", True), (" desc", False), (":desc", False)):
        if name.endswith(ending):
            name, ascending = name.removesuffix(ending), is_ascending
    order = ORDERS.get(_ORDER_ALIASES.get(name, name))
    if order is None:
        raise Invalid(f"sort is one of {', '.join(ORDERS)}; add ' asc' for the smallest first.", field="sort")
    return Sort(order, ascending)


@dataclass(frozen=True, slots=True)
class RunPage:
    runs: list[RunRow]
    next_cursor: str | None


def runs(
    team_id: int, filters: RunFilters, *, sort: Sort | None = None, limit: int | None = None, cursor: str | None = None
) -> RunPage:
    """One page of the team's runs. ``limit`` is cut to LIMITS["page_rows_max"]; ``cursor`` continues a page before.

    Raises Invalid for a cursor this server did not give for this order.
    """
    sort = sort or Sort(ORDERS["started_at"])
    rows_max = page_rows(limit)
    condition, values = where(team_id, filters)
    if cursor:
        after, more = _after(sort, cursor)
        condition, values = f"{condition} AND {after}", [*values, *more]
    direction = "ASC" if sort.is_ascending else "DESC"
    nulls = " NULLS LAST" if sort.order.is_nullable else ""
    statement = (
        f"{SELECT}, {sort.order.expression} FROM tracking_run r WHERE {condition} "
        f"ORDER BY {sort.order.expression} {direction}{nulls}, r.id {direction} LIMIT %s"
    )
    with connection.cursor() as db:
        db.execute(statement, [*values, rows_max + 1])
        found = db.fetchall()
    page = [RunRow(*row[:-1]) for row in found[:rows_max]]
    has_more = len(found) > rows_max
    return RunPage(page, _cursor(sort, found[rows_max - 1][-1], page[-1].id) if has_more else None)


def page_rows(limit: int | None) -> int:
    """The rows of one page: the default, or what was asked for within its bounds. Raises Invalid below 1."""
    if limit is None:
        return settings.LIMITS["page_rows"]
    if limit < 1:
        raise Invalid("limit is a number from 1 on.", field="limit")
    return min(limit, settings.LIMITS["page_rows_max"])


def _cursor(sort: Sort, value: object, run_id: UUID) -> str:
    written = value.isoformat() if isinstance(value, datetime) else None if value is None else str(value)
    return signing.dumps([sort.text, written, run_id.hex], salt=_SALT)


def _after(sort: Sort, cursor: str) -> tuple[str, list[Any]]:
    """The condition that a row comes after the cursor's. The cursor is signed: its parts are as they were given."""
    try:
        order, value, run_id = signing.loads(cursor[:1_000], salt=_SALT)
    except (signing.BadSignature, ValueError, UnicodeError):
        raise Invalid("This cursor is not one this server gave.", field="cursor") from None
    if order != sort.text:
        raise Invalid(f"This cursor continues a list sorted by {order}.", field="cursor")
    sign = ">" if sort.is_ascending else "<"
    expression = sort.order.expression
    if not sort.order.is_nullable:
        return f"({expression}, r.id) {sign} (%s, %s)", [_sort_value(sort, value), UUID(run_id)]
    if value is None:
        return f"({expression} IS NULL AND r.id {sign} %s)", [UUID(run_id)]
    money = Decimal(value)
    later = f"({expression} {sign} %s OR ({expression} = %s AND r.id {sign} %s) OR {expression} IS NULL)"
    return later, [money, money, UUID(run_id)]


def _sort_value(sort: Sort, value: str) -> object:
    if sort.order.name in ("started_at", "ended_at"):
        return datetime.fromisoformat(value)
    return Decimal(value)


def agent_colours(team_id: int, names: Sequence[str]) -> dict[str, int]:
    """The colour (2..8) each agent keeps on every page."""
    if not names:
        return {}
    with connection.cursor() as db:
        db.execute(
            "SELECT name, colour FROM tracking_agent WHERE team_id = %s AND name = ANY(%s)",
            [team_id, sorted(set(names))],
        )
        return dict(db.fetchall())


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The runs that began just before and just after one, by id; None at an end of the list."""

    older: UUID | None
    newer: UUID | None


def neighbours(team_id: int, run: RunRow) -> Neighbours:
    found: dict[str, UUID | None] = {}
    with connection.cursor() as db:
        for name, sign, direction in (("older", "<", "DESC"), ("newer", ">", "ASC")):
            db.execute(
                "SELECT r.id FROM tracking_run r WHERE r.team_id = %s AND NOT r.is_hidden"
                f" AND (r.started_at, r.id) {sign} (%s, %s) ORDER BY r.started_at {direction}, r.id {direction} LIMIT 1",
                [team_id, run.started_at, run.id],
            )
            row = db.fetchone()
            found[name] = row[0] if row else None
    return Neighbours(found["older"], found["newer"])


def count_newer(team_id: int, filters: RunFilters, *, after: datetime, most: int = 1_000) -> int:
    """How many runs that fit began after a moment; ``most`` at most."""
    condition, values = where(team_id, filters)
    with connection.cursor() as db:
        db.execute(
            f"SELECT count(*) FROM (SELECT FROM tracking_run r WHERE {condition} AND r.started_at > %s LIMIT %s) AS counted",
            [*values, after, most],
        )
        return int(db.fetchone()[0])
