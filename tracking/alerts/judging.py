"""When a rule opens an alert: plain comparisons, for the clock and for the preview alike. Pure.

Error rate and latency are of the model calls of this hour and the one before. A cost spike compares what a day cost so
far with what the same weekday usually cost by that hour, and wants the difference to be a tenth of a usual day at
least: the first cents of a morning are no spike.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

USUAL_DAYS_LEAST = 2
SPIKE_DAY_SHARE = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Threshold:
    """``over``: percent of calls, ms, percent of the usual, or calls. Below ``calls_least`` calls nothing is said."""

    kind: str
    over: Decimal
    calls_least: int


@dataclass(frozen=True, slots=True)
class CallsSeen:
    calls: int = 0
    errors: int = 0
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class SpendSeen:
    """``usual_usd`` by this hour, ``usual_day_usd`` by its end, as the median of ``days`` past days alike."""

    spent_usd: Decimal
    usual_usd: Decimal
    usual_day_usd: Decimal
    days: int


def judged_calls(threshold: Threshold, seen: CallsSeen) -> dict[str, Any] | None:
    """The facts of an alert (tracking.alerts.words), None when all is well."""
    if seen.calls < max(threshold.calls_least, 1):
        return None
    if threshold.kind == "errors":
        percent = Decimal(100 * seen.errors) / seen.calls
        if percent <= threshold.over:
            return None
        return {"percent": f"{percent:.1f}", "threshold": threshold.over, "errors": seen.errors, "calls": seen.calls}
    if seen.p95_ms is None or Decimal(str(seen.p95_ms)) <= threshold.over:
        return None
    return {"p95_ms": round(seen.p95_ms), "threshold": threshold.over, "calls": seen.calls}


def judged_spend(threshold: Threshold, seen: SpendSeen) -> dict[str, Any] | None:
    if seen.days < USUAL_DAYS_LEAST or seen.usual_day_usd <= 0:
        return None
    too_much = seen.usual_usd * threshold.over / 100
    if seen.spent_usd <= too_much or seen.spent_usd - seen.usual_usd < seen.usual_day_usd * SPIKE_DAY_SHARE:
        return None
    facts: dict[str, Any] = {"spent_usd": seen.spent_usd, "usual_usd": seen.usual_usd, "threshold": threshold.over}
    if seen.usual_usd:
        facts["percent"] = round(100 * seen.spent_usd / seen.usual_usd)
    return facts
