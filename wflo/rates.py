"""Rates: what one model charges, USD per token, and which of its rates are in force for a call.

A rate that is not declared is None; ``in_force`` fills it by rule, once for each (service tier, context tier):

* cached reads, cache writes, audio and image input without a rate of their own are ordinary input;
* an hour-long cache write without its own rate is a cache write;
* reasoning, audio and image output are ordinary output; a model that prices image output only prices all output so;
* a declared 0 is a price: free.

The long-context tier is chosen by all input tokens of the call, cached ones too, and every token of the call is
charged at it. A service tier (flex, priority, batch) replaces the rates it declares and leaves the others; above a
context threshold it has no rate for, its rate moves in the same proportion as the standard one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, time
from decimal import Context, Decimal
from functools import cached_property
from typing import Any, NamedTuple, cast
from zoneinfo import ZoneInfo

EXACT = Context(prec=50)
_RATE_STEP = Decimal("1e-15")  # scaled rates end here: a thousandth of what any price list prints

_STANDARD_SERVICES = frozenset({"", "default", "standard", "standard_only", "auto", "none", "unspecified", "on_demand"})
_SERVICE_ALIASES = {
    "batches": "batch",
    "batch_api": "batch",
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "traffic_type_unspecified": "",
}


class InForce(NamedTuple):
    """The rates of one call, USD per token, fallbacks filled in. None: this bucket cannot be priced."""

    input: Decimal | None
    output: Decimal | None
    cache_read: Decimal | None
    cache_write: Decimal | None
    cache_write_1h: Decimal | None
    reasoning: Decimal | None
    audio_in: Decimal | None
    audio_out: Decimal | None
    image_in: Decimal | None
    image_out: Decimal | None
    per_request: Decimal | None


BUCKETS: tuple[str, ...] = InForce._fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates of calls with more than ``above`` input tokens (from exactly that many on, if ``is_inclusive``)."""

    above: int
    rates: Rates
    is_inclusive: bool = False

    def covers(self, input_tokens: int) -> bool:
        return input_tokens > self.above or (self.is_inclusive and input_tokens == self.above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Hours of the day, UTC, on some days of the week (1 Monday .. 7 Sunday). Equal ends mean the whole day."""

    begins: time
    ends: time
    days: frozenset[int] = frozenset(range(1, 8))

    def holds(self, clock: time, weekday: int) -> bool:
        if weekday not in self.days:
            return False
        if self.begins < self.ends:
            return self.begins <= clock < self.ends
        return clock >= self.begins or clock < self.ends


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPeak:
    """Other rates at other hours. ``zone`` is the calendar the weekdays are read on; the hours are UTC."""

    rates: Rates
    windows: tuple[Window, ...]
    zone: str = "UTC"

    def holds(self, at: datetime) -> bool:
        clock = at.astimezone(ZoneInfo("UTC")).time()
        weekday = at.astimezone(ZoneInfo(self.zone)).isoweekday()
        return any(window.holds(clock, weekday) for window in self.windows)


@dataclass(frozen=True, kw_only=True)
class Rates:
    """USD per token and bucket, ``per_request`` USD a call. None is not declared, which is not 0."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_in: Decimal | None = None
    audio_out: Decimal | None = None
    image_in: Decimal | None = None
    image_out: Decimal | None = None
    per_request: Decimal | None = None
    tiers: tuple[Tier, ...] = ()  # ascending
    services: Mapping[str, Rates] = field(default_factory=dict)
    off_peak: OffPeak | None = None

    @cached_property
    def _in_force(self) -> dict[tuple[str, int], InForce]:
        return {}

    def in_force(self, service: str = "", input_tokens: int = 0) -> InForce:
        """The rates of a call of that many input tokens in that service tier (``service_of`` names it)."""
        place = -1
        if self.tiers:
            for place_of, tier in enumerate(self.tiers):
                if tier.covers(input_tokens):
                    place = place_of
        found = self._in_force.get((service, place))
        if found is None:
            found = self._in_force[service, place] = _filled(_chosen(self, service, place))
        return found

    def service_of(self, name: str | None) -> tuple[str, bool]:
        """(the service tier to charge, whether this model has rates for what the provider named)."""
        if name is None:
            return "", True
        name = name.strip().lower()
        name = _SERVICE_ALIASES.get(name, name)
        if name in _STANDARD_SERVICES:
            return "", True
        if name == "fast" and "fast" not in self.services:
            name = "priority"  # as OpenAI renamed it
        return (name, True) if name in self.services else ("", False)

    def at(self, moment: datetime) -> Rates:
        """These rates, or the off-peak ones if ``moment`` falls in their hours. Off-peak rates know no other tier."""
        if self.off_peak is None or not self.off_peak.holds(moment):
            return self
        return self._at_off_peak

    @cached_property
    def _at_off_peak(self) -> Rates:
        off = cast(OffPeak, self.off_peak).rates
        return replace(_laid_over(self, off), tiers=(), services={}, off_peak=None)

    def to_json(self) -> dict[str, Any]:
        """As ``Price.rates`` keeps it: decimals as strings, nothing undeclared."""
        data: dict[str, Any] = {
            name: format(rate.normalize(EXACT), "f") for name in BUCKETS if (rate := getattr(self, name)) is not None
        }
        if self.tiers:
            data["tiers"] = [_tier_to_json(tier) for tier in self.tiers]
        if self.services:
            data["services"] = {name: rates.to_json() for name, rates in sorted(self.services.items())}
        if self.off_peak:
            data["off_peak"] = _off_peak_to_json(self.off_peak)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Rates:
        """The inverse of ``to_json``."""
        buckets: dict[str, Any] = {name: Decimal(data[name]) for name in BUCKETS if name in data}
        return cls(
            **buckets,
            tiers=tuple(_tier_from_json(tier) for tier in data.get("tiers", ())),
            services={name: cls.from_json(rates) for name, rates in data.get("services", {}).items()},
            off_peak=_off_peak_from_json(data["off_peak"]) if "off_peak" in data else None,
        )

    @property
    def is_empty(self) -> bool:
        return all(getattr(self, name) is None for name in BUCKETS)


def _declared(rates: Rates) -> dict[str, Decimal]:
    return {name: rate for name in BUCKETS if (rate := getattr(rates, name)) is not None}


def _laid_over(under: Rates, over: Rates) -> Rates:
    """``under`` with what ``over`` declares. Reasoning goes with output and hour-long writes go with cache writes."""
    changes: dict[str, Any] = dict(_declared(over))
    if over.output is not None and over.reasoning is None:
        changes["reasoning"] = None
    if over.cache_write is not None and over.cache_write_1h is None:
        changes["cache_write_1h"] = _moved(under.cache_write_1h, over.cache_write, under.cache_write)
    return replace(under, **changes)


def _moved(rate: Decimal | None, to: Decimal | None, base: Decimal | None) -> Decimal | None:
    """``rate`` moved in the proportion in which ``base`` became ``to``; as it is when that cannot be said."""
    if rate is None or to is None or not base:
        return rate
    return EXACT.divide(EXACT.multiply(rate, to), base).quantize(_RATE_STEP, None, EXACT).normalize(EXACT)


def _chosen(rates: Rates, service: str, place: int) -> Rates:
    """The declared rates of one (service tier, context tier)."""
    tier = rates.tiers[place] if place >= 0 else None
    standard = rates if tier is None else _laid_over(rates, tier.rates)
    if not service:
        return standard
    own = rates.services[service]
    chosen = _laid_over(rates, own)
    if tier is not None:
        own_tier = next((t.rates for t in own.tiers if t.above == tier.above), Rates())
        chosen = _laid_over(_laid_over(chosen, _in_proportion(rates, tier.rates, own)), own_tier)
    return _cached_no_dearer(chosen)


def _in_proportion(standard: Rates, tier: Rates, own: Rates) -> Rates:
    """The tier's rates, each moved as the service tier moves the standard rate below the threshold."""
    moved: dict[str, Any] = {}
    for name, rate in _declared(tier).items():
        moved[name] = _moved(rate, getattr(own, name), getattr(standard, name))
    return Rates(**moved)


def _cached_no_dearer(rates: Rates) -> Rates:
    """A service tier that names no cached rate keeps the standard one, yet never above its own input rate."""
    if rates.cache_read is not None and rates.input is not None and rates.cache_read > rates.input:
        return replace(rates, cache_read=rates.input)
    return rates


def _first(*rates: Decimal | None) -> Decimal | None:
    return next((rate for rate in rates if rate is not None), None)


def _filled(rates: Rates) -> InForce:
    output = _first(rates.output, rates.image_out)
    cache_write = _first(rates.cache_write, rates.input)
    return InForce(
        input=rates.input,
        output=output,
        cache_read=_first(rates.cache_read, rates.input),
        cache_write=cache_write,
        cache_write_1h=_first(rates.cache_write_1h, cache_write),
        reasoning=_first(rates.reasoning, output),
        audio_in=_first(rates.audio_in, rates.input),
        audio_out=_first(rates.audio_out, output),
        image_in=_first(rates.image_in, rates.input),
        image_out=_first(rates.image_out, output),
        per_request=rates.per_request,
    )


def _tier_to_json(tier: Tier) -> dict[str, Any]:
    return {"above": tier.above, **({"is_inclusive": True} if tier.is_inclusive else {}), **tier.rates.to_json()}


def _tier_from_json(data: Mapping[str, Any]) -> Tier:
    return Tier(above=data["above"], rates=Rates.from_json(data), is_inclusive=data.get("is_inclusive", False))


def _off_peak_to_json(off: OffPeak) -> dict[str, Any]:
    windows = [
        {"begins": f"{window.begins:%H:%M}", "ends": f"{window.ends:%H:%M}", "days": sorted(window.days)}
        for window in off.windows
    ]
    return {"windows": windows, "zone": off.zone, **off.rates.to_json()}


def _off_peak_from_json(data: Mapping[str, Any]) -> OffPeak:
    windows: Iterable[Mapping[str, Any]] = data["windows"]
    return OffPeak(
        rates=Rates.from_json({name: data[name] for name in BUCKETS if name in data}),
        windows=tuple(
            Window(
                begins=time.fromisoformat(window["begins"]),
                ends=time.fromisoformat(window["ends"]),
                days=frozenset(window["days"]),
            )
            for window in windows
        ),
        zone=data.get("zone", "UTC"),
    )
