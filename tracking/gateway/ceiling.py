"""The most a call can cost, from what it sends and what it may be answered with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.conf import settings

from tracking.gateway import tokens
from tracking.gateway.asked import Asked
from tracking.gateway.dialects.counts import Tokens
from tracking.gateway.routing import Route
from tracking.ledger.calls import Ceiling
from tracking.price_book import Entry, book
from wflo.pricing import Cost, cost_usd
from wflo.rates import InForce, Rates
from wflo.usage import Usage

_ZERO = Decimal(0)
_CACHE_BY_THEMSELVES = frozenset({"openai", "azure"})  # some of their models charge for what they write to the cache


@dataclass(frozen=True, slots=True)
class Priced:
    """A model's rates at the moment of the call; ``rates`` None: nobody knows its price."""

    entry: Entry | None
    rates: Rates | None

    def cost(self, usage: Usage) -> Cost:
        if self.rates is None:
            return Cost(None, (), ("no price",))
        return cost_usd(usage, self.rates)


async def price_of(team_id: int, route: Route) -> Priced:
    """Prices live in memory; now and then, and before a model is called unpriced, the table is looked at, in a thread."""
    at = datetime.now(UTC)
    asked = (team_id, route.name, route.provider, at)
    entry = book.find(*asked) if book.is_fresh else await asyncio.to_thread(book.find, *asked)
    if entry is None:
        entry = await asyncio.to_thread(book.find_anew, *asked)
    return Priced(entry, None if entry is None else entry.rates.at(at))


def ceiling(asked: Asked, route: Route, priced: Priced, *, is_exact: bool = False) -> Ceiling:
    """``is_exact``: the prompt's tokens are counted rather than bounded by its bytes; slower, and nearer."""
    everything = [*asked.dialect.counted(asked.body), Tokens(asked.kept_tokens)]
    if is_exact:
        base_tokens = tokens.count(everything, provider=route.provider, model=route.name)
    else:
        base_tokens = tokens.bound(everything, model=route.name)
    wanted = 0 if asked.dialect.is_embedding else asked.output_tokens or settings.LIMITS["gateway_output_tokens"]
    base_usd, each_usd = _rates(asked, route, priced, base_tokens)
    return Ceiling(
        base_usd=base_usd,
        output_usd=None if each_usd is None else each_usd * asked.choices,
        base_tokens=base_tokens,
        choices=asked.choices,
        wanted=wanted,
        floor=_floor(asked, wanted),
        slice=settings.LIMITS["gateway_slice_tokens"] if asked.is_stream else 0,
    )


def _floor(asked: Asked, wanted: int) -> int:
    """Fewer output tokens are not worth a call, or not taken by its provider."""
    worth = min(settings.LIMITS["gateway_floor_tokens"], -(-wanted // 4))
    return min(max(worth, asked.dialect.output_least), wanted)


def _rates(asked: Asked, route: Route, priced: Priced, base_tokens: int) -> tuple[Decimal | None, Decimal | None]:
    """(USD of the prompt, USD of each token of one choice); None where there is no price for what may come."""
    rates = priced.rates
    if rates is None:
        return None, None
    tier = asked.body.get("service_tier")
    service, _ = rates.service_of(tier if isinstance(tier, str) else None)
    # A prompt of fewer tokens than its bound may fall into any tier below.
    reached = [tier.above + (not tier.is_inclusive) for tier in rates.tiers if tier.covers(base_tokens)]
    bands = [rates.in_force(service, tokens_in) for tokens_in in (0, *reached)]
    dearest_in = [_dearest_input(band, asked, route) for band in bands]
    dearest_out = [_dearest_output(band, asked) for band in bands]
    if None in dearest_in or None in dearest_out:
        return None, None
    each_in = max(rate for rate in dearest_in if rate is not None)
    each_out = max(rate for rate in dearest_out if rate is not None)
    once = max((band.per_request or _ZERO) for band in bands)
    return base_tokens * each_in + once, each_out


def _dearest_input(band: InForce, asked: Asked, route: Route) -> Decimal | None:
    rates = [band.input, band.cache_read]
    if route.provider in _CACHE_BY_THEMSELVES:
        rates.append(band.cache_write)
    if asked.raw is None or b"cache_control" in asked.raw or b"prompt_cache" in asked.raw:
        rates += [band.cache_write, band.cache_write_1h]
    if asked.raw is None or b"input_audio" in asked.raw:
        rates.append(band.audio_in)
    if asked.raw is None or b"image" in asked.raw:
        rates.append(band.image_in)
    known = [rate for rate in rates if rate is not None]
    if known:
        return max(known)
    return _ZERO if band.per_request is not None else None


def _dearest_output(band: InForce, asked: Asked) -> Decimal | None:
    if asked.dialect.is_embedding:
        return _ZERO
    rates = [band.output, band.reasoning]
    modalities = asked.body.get("modalities") or ()
    if "audio" in modalities:
        rates.append(band.audio_out)
    if "image" in modalities:
        rates.append(band.image_out)
    known = [rate for rate in rates if rate is not None]
    if known:
        return max(known)
    return _ZERO if band.per_request is not None else None
