"""LiteLLM's bundled map of prices, read from its file: importing litellm would cost six seconds and 220 MB.

Its numbers are JSON floats, USD per token; they are read as the decimals that are written there. What is left out is
left unpriced: an entry, or one side of it, that charges per image, second, page or character; and an entry whose token
prices are all 0, which says "nobody filled this in" as often as "free" (only models on the caller's own machine are).
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from wflo.rates import BUCKETS, OffPeak, Rates, Tier, Window

FILE_NAME = "model_prices_and_context_window_backup.json"

_BUCKET_OF = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_in",
    "output_cost_per_audio_token": "audio_out",
    "input_cost_per_image_token": "image_in",
    "output_cost_per_image_token": "image_out",
    "input_cost_per_request": "per_request",
    "input_cost_per_query": "per_request",
}
_FIELD = re.compile(
    rf"(?P<base>{'|'.join(_BUCKET_OF)})(?P<hour>_above_1hr)?(?:_above_(?P<above>\d+)(?P<thousand>k?)_tokens)?"
    r"(?:_(?P<service>batches|flex|priority|balanced|ultrafast|fast|decisions))?"
)
_SERVICE = {"batches": "batch"}
# Charged by something no token count tells: a 0 per token beside one of these is no price.
_OTHER_UNIT = re.compile(
    r"(?P<side>input|output)_cost_per_(?:second|audio_per|video_per|image$|image_above|image_\d|pixel|character)"
)
_OTHER_COST = re.compile(r"(?:ocr|annotation)_cost_per_|^cost_per_second$|_cost_per_(?:credit|session)$")

_FREE_PROVIDERS = frozenset({"ollama", "lemonade"})
_FROM_THRESHOLD_ON = frozenset({"xai"})  # bills the higher tier at the threshold, not only above it
_FIREWORKS_CACHED = Decimal("0.5")  # of the input rate, for text models without a cached rate (its price page)


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of a price list. ``model`` is lower case."""

    model: str
    provider: str
    rates: Rates


def bundled_file() -> Path:
    """Where the installed litellm keeps its map. Raises FileNotFoundError, saying what to install."""
    spec = importlib.util.find_spec("litellm")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / FILE_NAME
        if path.is_file():
            return path
    raise FileNotFoundError("LiteLLM's price map is not installed. Install the server's requirements: make up does it.")


def bundled() -> list[Listed]:
    """Every model of the installed map that is priced by tokens or by request."""
    return list(read(json.loads(bundled_file().read_bytes(), parse_float=Decimal)))


def read(document: Mapping[str, Any]) -> Iterator[Listed]:
    """The priced entries of a map. Numbers may be int, Decimal, or text; float is refused, as it is not what was written."""
    for name, entry in document.items():
        rates = rates_of(entry) if isinstance(entry, Mapping) else None
        if rates is not None:
            yield Listed(name.strip().lower(), str(entry.get("litellm_provider") or ""), rates)


def rates_of(entry: Mapping[str, Any]) -> Rates | None:
    """The rates of one entry, or None when it names none."""
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for name, value in entry.items():
        place = _place(name, value)
        if place is not None:
            service, above, bucket = place
            found.setdefault((service, above), {}).setdefault(bucket, _decimal(value))
    standard = found.pop(("", 0), {})
    _forget_zeros(standard, entry)
    rates = Rates(**standard, tiers=_tiers(found, "", entry), services=_services(found, entry))
    rates = _with_ranges(rates, entry)
    rates = _with_provider_rules(rates, entry)
    if rates.is_empty or not _is_priced(rates, entry):
        return None
    return replace(rates, off_peak=_off_peak(entry))


def _place(name: str, value: object) -> tuple[str, int, str] | None:
    """(service tier, context threshold, bucket) of a field; None if it is no rate."""
    field = _FIELD.fullmatch(name)
    if field is None or value is None or isinstance(value, bool | Mapping | list):
        return None
    bucket = _BUCKET_OF[field["base"]]
    if field["hour"]:
        bucket += "_1h"
    above = int(field["above"] or 0) * (1000 if field["thousand"] else 1)
    service = field["service"] or ""
    return _SERVICE.get(service, service), above, bucket


def _decimal(value: object) -> Decimal:
    if isinstance(value, float):
        raise TypeError("read the map with parse_float=Decimal")
    return Decimal(str(value))


def _forget_zeros(rates: dict[str, Any], entry: Mapping[str, Any]) -> None:
    """Zeros that are no price: a side charged by another unit; cache writes that cost nothing *on top of* input."""
    for name, value in entry.items():
        unit = _OTHER_UNIT.match(name)
        if unit is not None and value and not rates.get(unit["side"]):
            rates.pop(unit["side"], None)
    if rates.get("input") and rates.get("cache_write") == 0:
        del rates["cache_write"]


def _tiers(found: Mapping[tuple[str, int], dict[str, Any]], service: str, entry: Mapping[str, Any]) -> tuple[Tier, ...]:
    is_inclusive = entry.get("litellm_provider") in _FROM_THRESHOLD_ON
    tiers = sorted((above, rates) for (of, above), rates in found.items() if of == service and above)
    return tuple(Tier(above=above, rates=Rates(**rates), is_inclusive=is_inclusive) for above, rates in tiers)


def _services(found: Mapping[tuple[str, int], dict[str, Any]], entry: Mapping[str, Any]) -> dict[str, Rates]:
    names = sorted({service for service, _ in found if service})
    return {name: Rates(**found.get((name, 0), {}), tiers=_tiers(found, name, entry)) for name in names}


def _with_ranges(rates: Rates, entry: Mapping[str, Any]) -> Rates:
    """``tiered_pricing``: a table by input tokens. Within a row, cached tokens without a rate are that row's input."""
    rows = [row for row in entry.get("tiered_pricing") or () if "range" in row and "input_cost_per_token" in row]
    if not rows:
        return rates
    steps: list[tuple[int, Rates]] = []
    for row in sorted(rows, key=lambda row: row["range"][0]):
        own: dict[str, Any] = {
            place[2]: _decimal(value) for name, value in row.items() if (place := _place(name, value)) is not None
        }
        own.setdefault("cache_read", own["input"])
        steps.append((int(row["range"][0]), Rates(**own)))
    lowest: dict[str, Any] = {name: rate for name in BUCKETS if (rate := getattr(steps[0][1], name)) is not None}
    base = replace(rates, **lowest)
    return replace(base, tiers=tuple(Tier(above=above, rates=step) for above, step in steps[1:]))


def _with_provider_rules(rates: Rates, entry: Mapping[str, Any]) -> Rates:
    """What the map says in other ways: Anthropic's fast mode as a factor, Fireworks' cached tokens nowhere."""
    own = entry.get("provider_specific_entry") or {}
    if "fast" in own and "fast" not in rates.services:
        rates = replace(rates, services={**rates.services, "fast": _times(rates, _decimal(own["fast"]))})
    is_fireworks = str(entry.get("litellm_provider", "")).startswith("fireworks_ai")
    if is_fireworks and entry.get("mode") == "chat" and rates.input is not None and rates.cache_read is None:
        rates = replace(rates, cache_read=rates.input * _FIREWORKS_CACHED)
    return rates


def _times(rates: Rates, factor: Decimal) -> Rates:
    scaled: dict[str, Any] = {name: rate * factor for name in BUCKETS if (rate := getattr(rates, name)) is not None}
    return Rates(**scaled, tiers=tuple(replace(tier, rates=_times(tier.rates, factor)) for tier in rates.tiers))


def _is_priced(rates: Rates, entry: Mapping[str, Any]) -> bool:
    if any(getattr(each, name) for each in (rates, *(tier.rates for tier in rates.tiers)) for name in BUCKETS):
        return True
    is_charged_otherwise = any(_OTHER_COST.search(name) and value for name, value in entry.items())
    return entry.get("litellm_provider") in _FREE_PROVIDERS and not is_charged_otherwise


def _off_peak(entry: Mapping[str, Any]) -> OffPeak | None:
    block = entry.get("off_peak_pricing")
    if not isinstance(block, Mapping):
        return None
    rates: dict[str, Any] = {
        place[2]: _decimal(value) for name, value in block.items() if (place := _place(name, value)) is not None
    }
    rules = [*block.get("windows", ()), *([{"hours_utc": block["hours_utc"]}] if "hours_utc" in block else ())]
    windows = tuple(window for rule in rules for window in _windows(rule))
    zone = block.get("weekday_timezone", "UTC")
    return OffPeak(rates=Rates(**rates), windows=windows, zone=zone) if windows else None


def _windows(rule: Mapping[str, Any]) -> Iterator[Window]:
    hours = rule["hours_utc"]
    days = frozenset(rule.get("weekdays", range(1, 8)))
    for span in [hours] if isinstance(hours, str) else hours:
        begins, _, ends = span.partition("-")
        yield Window(begins=time.fromisoformat(begins.strip()), ends=time.fromisoformat(ends.strip()), days=days)
