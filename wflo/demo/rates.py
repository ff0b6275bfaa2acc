"""What the demo models cost, USD a token."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from wflo.rates import Rates

# demo/slow and demo/json exercise the buckets the others lack.
_DEMO = Rates(input=Decimal("0.000001"), output=Decimal("0.000004"), cache_read=Decimal("0.0000001"))
DEMO_RATES: dict[str, Rates] = {
    "demo/agent": _DEMO,
    "demo/echo": Rates(input=Decimal("0.0000001"), output=Decimal("0.0000004")),
    "demo/loop": _DEMO,
    "demo/slow": replace(_DEMO, output=Decimal("0.00001"), reasoning=Decimal("0.000012")),
    "demo/error": _DEMO,
    "demo/json": replace(_DEMO, cache_write=Decimal("0.00000125"), cache_write_1h=Decimal("0.000002")),
}
