"""A team's weeks for tests of reports: spans at hours of a day that is over, whatever the clock says now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.tracking.ingest.spans import BEGAN_NS, SECOND, call, span
from tracking.ingest.writer import Store
from tracking.models import Price
from tracking.pricing import book
from wflo.pricing import Rates
from wflo.spans import Kind, Span

MILLION = 10**6

# Yesterday's midnight, UTC: the reports are asked as if it were noon of that day.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
NOON = DAY + timedelta(hours=12)


@contextmanager
def a_priced_store() -> Iterator[Store]:
    """A writer's own connection; gpt-4o-mini at 0.15 in, 0.075 cached and 0.60 out, USD per million, and nothing else."""
    figures = {"input": "0.15", "cache_read": "0.075", "output": "0.60"}
    rates = Rates(**{bucket: Decimal(usd) / MILLION for bucket, usd in figures.items()})
    source = Price.Source.LITELLM
    Price.objects.create(
        model="gpt-4o-mini", valid_from=datetime(1970, 1, 1, tzinfo=UTC), rates=rates.to_json(), source=source
    )
    book.expire()
    store = Store()
    try:
        yield store
    finally:
        store.close()


def begins(hour: float, *, days_ago: int = 0) -> float:
    """Seconds from the spans' own beginning to an hour of DAY, or of a day before it."""
    moment = DAY - timedelta(days=days_ago) + timedelta(hours=hour)
    return moment.timestamp() - BEGAN_NS / SECOND


def run_at(
    trace: int,
    hour: float,
    *,
    days_ago: int = 0,
    agent: str = "planner",
    model: str = "gpt-4o-mini",
    tokens: tuple[int, int] | None = (1_000_000, 0),
    lasts: float | None = 10,
    **fields: Any,
) -> list[Span]:
    """A run of one agent with one model call: 1M input tokens of gpt-4o-mini are 0.15 USD."""
    at = begins(hour, days_ago=days_ago)
    root = span(1, trace=trace, kind=Kind.AGENT, agent=agent, begins=at, lasts=lasts, **fields)
    return [root, call(2, trace=trace, parent=1, begins=at + 1, model=model, tokens=tokens)]
