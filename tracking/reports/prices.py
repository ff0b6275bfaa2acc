"""Prices as people read them: what each model costs a team now, what it cost before, which models have no price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import orjson
from django.db import connection
from django.db.models import Q

from tracking.models import Price, Repricing, Team
from tracking.price_book import book
from tracking.price_input import per_million
from tracking.sql import statements
from tracking.usage.query import usage
from wflo.rates import Rates

CALLED_OF = timedelta(days=30)
"""How far back the lists of models the team called look."""

_COLUMNS = ("model", "provider", "source", "valid_from", "rates", "created_by")


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One dated price. ``figures`` are USD by the names of ``price_input.FIELDS``; what is not declared is not there."""

    model: str
    provider: str
    source: str  # team, operator, litellm, wflo
    valid_from: datetime
    figures: dict[str, Decimal]
    has_tiers: bool  # other rates for long contexts, service tiers or hours
    created_by: str
    calls: int | None = None  # of the team lately, where that was asked

    @property
    def since(self) -> datetime | None:
        """None for a price that holds from the beginning."""
        return self.valid_from if self.valid_from.year > 1970 else None


@dataclass(frozen=True, slots=True)
class PricePage:
    lines: list[PriceLine]
    after: str | None  # give it as ``after`` for the next page


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Calls of one model whose cost is unknown. ``priced_from``: its price was set later, and they were not re-priced."""

    model: str
    provider: str | None
    calls: int
    tokens: int
    priced_from: datetime | None


def prices(
    team: Team, *, text: str = "", own: bool = False, at: datetime | None = None, after: str = "", limit: int
) -> PricePage:
    """The price in force of every model whose name or provider holds ``text``, by name, keyset-paged.

    ``own``: those people set, for the team or for every team.
    """
    words = text.strip().lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters: dict[str, int | str | bool | datetime] = {
        "team": team.pk,
        "at": at or datetime.now(UTC),
        "like": f"%{words}%",
        "after": after,
        "own": own,
        "limit": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("prices")["in_force"], parameters)
        lines = [_line(*columns) for columns in cursor.fetchall()]
    return PricePage(lines[:limit], lines[limit - 1].model if len(lines) > limit else None)


def called(team: Team, now: datetime) -> list[PriceLine]:
    """The prices of the models the team called lately, under the names its calls carry, most calls first."""
    lines = []
    for model, provider, calls, _, _ in _calls(team, now):
        line = price_now(team, model, provider, now, calls=calls)
        if line is not None:
            lines.append(line)
    return sorted(lines, key=lambda line: -(line.calls or 0))


def unpriced(team: Team, now: datetime) -> list[Unpriced]:
    """Models with calls of unknown cost lately, most of them first."""
    found = []
    for model, provider, _, calls, tokens in _calls(team, now):
        if calls:
            price = book.find(team.pk, model, provider, now)
            found.append(Unpriced(model, provider, calls, tokens, price.valid_from if price else None))
    return sorted(found, key=lambda one: -one.calls)


def price_now(
    team: Team, model: str, provider: str | None, now: datetime, *, calls: int | None = None
) -> PriceLine | None:
    """What a call of the model would be charged at now; None when it has no price."""
    entry = book.find(team.pk, model, provider, now)
    if entry is None:
        return None
    rates = entry.rates
    return PriceLine(
        model,
        provider or entry.provider,
        entry.source,
        entry.valid_from,
        per_million(rates),
        bool(rates.tiers or rates.services or rates.off_peak),
        "",
        calls,
    )


def history(team: Team, model: str, *, limit: int = 100) -> list[PriceLine]:
    """Every price of that name the team can see, the latest first; those still to come too."""
    rows = Price.objects.filter(Q(team=team) | Q(team=None), model=model.strip().lower())
    return [_line(*row) for row in rows.order_by("-valid_from", "-id").values_list(*_COLUMNS)[:limit]]


def repricings(team: Team, model: str | None = None, *, limit: int = 50) -> list[Repricing]:
    """What was re-priced, the latest first."""
    rows = Repricing.objects.filter(team=team)
    if model is not None:
        rows = rows.filter(model=model.strip().lower())
    return list(rows.order_by("-requested_at")[:limit])


def _calls(team: Team, now: datetime) -> list[tuple[str, str | None, int, int, int]]:
    """(model, provider, calls, calls of unknown cost, tokens) of the last ``CALLED_OF``."""
    table = usage([team.pk], start=now - CALLED_OF, end=now, group_by=["model", "provider"])
    return [
        (row.key["model"], row.key["provider"] or None, row.llm_calls, row.unpriced_calls, row.total_tokens)
        for row in table.rows
        if row.key["model"]
    ]


def _line(model: str, provider: str, source: str, valid_from: datetime, data: object, created_by: str) -> PriceLine:
    rates = Rates.from_json(orjson.loads(data) if isinstance(data, str) else data)  # type: ignore[arg-type]  # jsonb
    has_tiers = bool(rates.tiers or rates.services or rates.off_peak)
    return PriceLine(model, provider, source, valid_from, per_million(rates), has_tiers, created_by)
