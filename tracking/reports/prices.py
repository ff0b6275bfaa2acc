"""Prices as people read them: what each model costs now for a team, what it cost before, what was re-priced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection
from django.db.models import Q

from tracking.models import Price, Repricing, Team
from tracking.price_input import per_million
from tracking.sql import statements
from wflo.rates import Rates


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One dated price. ``figures`` are USD by the names of ``price_input.FIELDS``; what is not declared is not there."""

    id: int
    model: str
    provider: str
    source: str  # team, operator, litellm, wflo
    valid_from: datetime | None  # None: from the beginning
    figures: dict[str, Decimal]
    rates: Rates
    set_by: str
    set_at: datetime

    @property
    def is_set_by_people(self) -> bool:
        return self.source in (Price.Source.TEAM, Price.Source.OPERATOR)

    @property
    def tiers_above(self) -> tuple[int, ...]:
        return tuple(tier.above for tier in self.rates.tiers)


@dataclass(frozen=True, slots=True)
class PricePage:
    rows: list[PriceRow]
    after: str | None  # give it as ``after`` for the next page


def prices(
    team: Team,
    *,
    search: str = "",
    sources: Sequence[str] | None = None,
    at: datetime | None = None,
    after: str = "",
    limit: int,
) -> PricePage:
    """The price in force of every model whose name or provider holds ``search``, by name, keyset-paged."""
    words = search.strip().lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters: dict[str, Any] = {
        "team": team.pk,
        "at": at or datetime.now(UTC),
        "like": f"%{words}%",
        "after": after,
        "sources": list(sources) if sources else None,
        "limit": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("prices")["in_force"], parameters)
        rows = [_row(*columns) for columns in cursor.fetchall()]
    return PricePage(rows[:limit], rows[limit - 1].model if len(rows) > limit else None)


def price_history(team: Team, model: str, *, limit: int = 100) -> list[PriceRow]:
    """Every price of that name the team can see, the latest first; those still to come too."""
    rows = Price.objects.filter(Q(team=team) | Q(team=None), model=model.strip().lower())
    columns = rows.order_by("-valid_from", "-id").values_list(
        "id", "model", "provider", "source", "valid_from", "rates", "created_by", "created_at"
    )
    return [_row(*row) for row in columns[:limit]]


def repricings(team: Team, model: str | None = None, *, limit: int = 50) -> list[Repricing]:
    """What was re-priced, the latest first."""
    rows = Repricing.objects.filter(team=team)
    if model is not None:
        rows = rows.filter(model=model.strip().lower())
    return list(rows.order_by("-requested_at")[:limit])


def _row(
    price_id: int,
    model: str,
    provider: str,
    source: str,
    valid_from: datetime,
    data: Any,
    created_by: str,
    created_at: datetime,
) -> PriceRow:
    rates = Rates.from_json(orjson.loads(data) if isinstance(data, str) else data)
    return PriceRow(
        id=price_id,
        model=model,
        provider=provider,
        source=source,
        valid_from=valid_from if valid_from.year > 1970 else None,
        figures=per_million(rates),
        rates=rates,
        set_by=created_by,
        set_at=created_at,
    )
