"""The models a team calls: which have no price, and what the others cost now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from tracking.models import Price, Team
from tracking.price_book import book
from tracking.price_input import per_million
from tracking.usage.query import usage

CALLED_OF = timedelta(days=30)
_MODELS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class CalledModel:
    """A model as calls of the last ``CALLED_OF`` name it, with the price a call would have now.

    ``source`` is None while it has none. ``figures`` are USD per million tokens by ``price_input.FIELDS``.
    """

    model: str
    provider: str
    calls: int
    tokens: int
    unpriced_calls: int
    source: str | None = None
    priced_as: str = ""  # the name in the price list
    valid_from: datetime | None = None  # None: from the beginning
    figures: dict[str, Decimal] | None = None
    tiers_above: tuple[int, ...] = ()

    @property
    def is_set_by_people(self) -> bool:
        return self.source in (Price.Source.TEAM, Price.Source.OPERATOR)


def called_models(team: Team, now: datetime) -> list[CalledModel]:
    """The models of the last ``CALLED_OF``, the most calls first; without a name of its own a model is left out."""
    start, groups = now - CALLED_OF, ["model", "provider"]
    table = usage([team.pk], start=start, end=now, group_by=groups, order="llm_calls", limit=_MODELS_MAX)
    found = []
    for row in table.rows:
        model, provider = row.key["model"], row.key["provider"]
        if not model or not (row.llm_calls or row.unpriced_calls):
            continue
        tokens = row.total_tokens + row.embedding_tokens
        entry = book.find(team.pk, model, provider, now)
        if entry is None:
            found.append(CalledModel(model, provider or "", row.llm_calls, tokens, row.unpriced_calls))
            continue
        rates = entry.rates
        found.append(
            CalledModel(
                model=model,
                provider=provider or "",
                calls=row.llm_calls,
                tokens=tokens,
                unpriced_calls=row.unpriced_calls,
                source=entry.source,
                priced_as=entry.model,
                valid_from=entry.valid_from if entry.valid_from.year > 1970 else None,
                figures=per_million(rates),
                tiers_above=tuple(tier.above for tier in rates.tiers),
            )
        )
    return found
