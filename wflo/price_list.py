"""What a model costs, as far as this process can know without asking: prices that were set, then LiteLLM's installed map.

The server prices every call by itself, from dated prices; what is reckoned here is for the budgets and breakdowns of this
process, at once. A model nobody knows a price of costs None, which is not 0.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from wflo import config
from wflo.demo.rates import DEMO_RATES
from wflo.model_names import price_keys
from wflo.price_map import bundled_file, rates_of
from wflo.pricing import cost_usd
from wflo.rates import Rates
from wflo.usage import Usage

log = logging.getLogger("wflo")
_lock = threading.Lock()
_map: Mapping[str, Any] | None = None  # LiteLLM's, as its file has it
_found: dict[tuple[str, str], Rates | None] = {}


def cost_of(usage: Usage, model: str, provider: str = "") -> Decimal | None:
    """USD of a call, None when its model has no price here or its usage does not tell."""
    rates = rates_for(model, provider)
    return None if rates is None else cost_usd(usage, rates.at(datetime.now(UTC))).total


def rates_for(model: str, provider: str = "") -> Rates | None:
    key = (model, provider)
    if key not in _found:
        _found[key] = _searched(model, provider)
    return _found[key]


def _searched(model: str, provider: str) -> Rates | None:
    own = config.current().prices
    for name in (model, *price_keys(model, provider or None, is_published=False)):
        if name in own:
            return own[name]
    for name in price_keys(model, provider or None):
        if name in DEMO_RATES:
            return DEMO_RATES[name]
        entry = _published().get(name)
        rates = rates_of(entry) if isinstance(entry, Mapping) else None
        if rates is not None:
            return rates
    return None


def _published() -> Mapping[str, Any]:
    global _map
    with _lock:
        if _map is None:
            _map = _read()
    return _map


def _read() -> Mapping[str, Any]:
    try:
        document = json.loads(bundled_file().read_bytes(), parse_float=Decimal)
        return {str(name).strip().lower(): entry for name, entry in document.items()}
    except (OSError, ValueError, AttributeError) as error:
        log.info("no published prices here, so costs are known where configure(prices=...) says them: %s", error)
        return {}


def _forget(_: config.Config) -> None:
    _found.clear()


config.on_change(_forget)
