"""GET /api/v1/usage: what was used and what it cost, by any groups. The scope "read" is needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema
from pydantic import Field

from tracking.errors import Invalid, WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.moments import read_moment
from tracking.reading_json import write
from tracking.reading_schemas import Money
from tracking.usage.query import COLUMNS, GROUPS, UsageRow, usage

router = Router(auth=ApiKeyAuth(Scope.READ), tags=["Reading"])

DEFAULT_RANGE = timedelta(days=7)
_ANY = "only these; several mean any of them, an empty one means none"


class UsageQuery(Schema):
    """Groups and filters, any together."""

    from_: str | None = Field(None, alias="from", description="RFC 3339, or relative: now-24h; a week ago by default")
    to: str | None = Field(None, description="now by default; both ends are widened to whole hours")
    group_by: str = Field(
        "", description=f"any of {', '.join(GROUPS)}, with commas between; none: one row", max_length=200
    )
    agent: list[str] = Field([], description=_ANY)
    model: list[str] = Field([], description=_ANY)
    provider: list[str] = Field([], description=_ANY)
    tool: list[str] = Field([], description=_ANY)
    kind: list[str] = Field([], description=_ANY)
    user: list[str] = Field([], description=_ANY)
    key: list[str] = Field([], description=_ANY)
    environment: list[str] = Field([], description=_ANY)
    order: str = Field("cost_usd", description="the sum that decides the order, largest first; with day or hour: time")
    limit: int | None = Field(None, description="rows of the answer; 10,000 at most", ge=1)


class UsageSums(Schema):
    """Sums of one group. Its groups stand beside them, each under its own name."""

    runs: int | None = Field(description="null where runs are not counted by these groups together")
    spans: int
    llm_calls: int
    tool_calls: int
    errors: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    embedding_tokens: int
    total_tokens: int
    cost_usd: Money
    unpriced_calls: int = Field(description="calls whose price is not known: cost_usd is without them")
    estimated_calls: int
    p50_ms: float | None = Field(description="of span durations")
    p95_ms: float | None


class UsageInGroup(UsageSums):
    agent: str | None = None
    model: str | None = None
    provider: str | None = None
    tool: str | None = None
    kind: str | None = None
    user: str | None = None
    key: str | None = None
    environment: str | None = None
    team: str | None = None
    day: datetime | None = None
    hour: datetime | None = None


class UsageAnswer(Schema):
    rows: list[UsageInGroup]
    totals: UsageSums
    rows_left_out: int = Field(description="beyond the limit; totals have them")
    from_: datetime = Field(alias="from")
    to: datetime


@router.get("/usage", response=UsageAnswer, summary="Usage and cost by any groups", by_alias=True)
def get_usage(request: HttpRequest, query: Query[UsageQuery]) -> HttpResponse:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    groups = [word.strip() for word in query.group_by.split(",") if word.strip()]
    if len(set(groups)) < len(groups):
        raise Invalid("a group is named twice", field="group_by")
    start, end = read_range(query.from_, query.to, datetime.now(UTC))
    filters = {word: getattr(query, word) for word in COLUMNS if getattr(query, word)}
    table = usage([caller.team_id], start=start, end=end, group_by=groups, filters=filters, order=query.order)
    limit = min(query.limit or settings.LIMITS["usage_rows_max"], settings.LIMITS["usage_rows_max"])
    answer = {
        "rows": [row_json(row, caller.team_slug) for row in table.rows[:limit]],
        "totals": row_json(table.totals, caller.team_slug),
        "rows_left_out": max(0, len(table.rows) - limit),
        "from": table.start,
        "to": table.end,
    }
    return HttpResponse(write(answer), content_type="application/json")


def read_range(from_text: str | None, to_text: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Raises Invalid naming the field, also for a range longer than LIMITS["usage_days_max"]."""
    end = read_moment(to_text, now=now, field="to") or now
    start = read_moment(from_text, now=now, field="from") or end - DEFAULT_RANGE
    days_max = settings.LIMITS["usage_days_max"]
    if end - start > timedelta(days=days_max):
        raise Invalid(f"a range has at most {days_max} days", field="from")
    return start, end


def row_json(row: UsageRow, team_slug: str) -> dict[str, Any]:
    p50_ms, p95_ms = row.percentiles_ms(0.5, 0.95)
    return {
        **_key(row.key, team_slug),
        "runs": row.runs,
        "spans": row.spans,
        "llm_calls": row.llm_calls,
        "tool_calls": row.tool_calls,
        "errors": row.errors,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "cached_tokens": row.cached_tokens,
        "cache_write_tokens": row.cache_write_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "embedding_tokens": row.embedding_tokens,
        "total_tokens": row.total_tokens,
        "cost_usd": row.cost_usd,
        "unpriced_calls": row.unpriced_calls,
        "estimated_calls": row.estimated_calls,
        "p50_ms": p50_ms,
        "p95_ms": p95_ms,
    }


def _key(key: Mapping[str, Any], team_slug: str) -> dict[str, Any]:
    return {word: team_slug if word == "team" else value for word, value in key.items()}
