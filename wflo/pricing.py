"""What a call costs: usage times rates, in exact decimals. Arithmetic only; the prices themselves live elsewhere.

The same function prices a finished call, a streamed one and the worst case a budget holds before the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from wflo.rates import EXACT, InForce, OffPeak, Rates, Tier, Window
from wflo.usage import Usage

__all__ = ["Cost", "CostStatus", "Line", "OffPeak", "Rates", "Tier", "Window", "cost_usd"]

TOKENS_MAX = 10**12  # in one call; more is a mistake of the emitter
COST_MAX_USD = Decimal(10**10)  # NUMERIC(20,10) ends here

_STEP = Decimal("1e-10")
_ZERO = Decimal(0)


class CostStatus(StrEnum):
    NONE = "none"  # owns no cost
    KNOWN = "known"
    UNKNOWN = "unknown"
    ESTIMATED = "estimated"  # a figure that rests on a repaired count or a rate next to the right one; see the notes


class Line(NamedTuple):
    """One row of the bill. ``usd`` is rounded so that the lines add up to the total to the last digit."""

    bucket: str  # a field of InForce
    tokens: int  # calls, for per_request
    usd_per_token: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """``total`` in USD at 10 decimals, None when unknown; ``notes`` say in words what was repaired or is missing."""

    total: Decimal | None
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> CostStatus:
        if self.total is None:
            return CostStatus.UNKNOWN
        return CostStatus.ESTIMATED if self.notes else CostStatus.KNOWN


def cost_usd(usage: Usage, rates: Rates, *, is_sum: bool = False) -> Cost:
    """The cost of ``usage`` at ``rates``.

    Buckets are inclusive, so cached, written, audio and image tokens are taken out of input before the rest is charged
    as input, and reasoning, audio and image tokens out of output. Parts larger than their whole are cut to it and
    noted. Unknown tokens on a side that has a price, or tokens in a bucket without any, make the cost unknown.
    ``is_sum``: the usage adds several calls up, so no long-context tier applies.
    """
    tokens_in, tokens_out = usage.input_tokens, usage.output_tokens
    problem = _nonsense(usage)
    if problem is not None:
        return Cost(None, (), (problem,))
    service, has_service = rates.service_of(usage.service_tier)
    at = rates.in_force(service, tokens_in or 0)
    notes: tuple[str, ...] = ()
    if not has_service:
        notes = (f'no rates for service tier "{usage.service_tier}"; the standard ones are used',)
    if is_sum and rates.tiers:
        below = rates.in_force(service)
        if below is not at:
            at, notes = below, (*notes, "several calls in one figure; long-context rates left out")
    missing = _missing(tokens_in, tokens_out, at)
    if missing is not None:
        return Cost(None, (), (missing,))
    parts, repairs = _parts(usage)
    if at.per_request is not None:
        parts.append(("per_request", 1))
    return _added_up(parts, at, (*notes, *repairs) if repairs else notes)


def _nonsense(usage: Usage) -> str | None:
    tokens_in, tokens_out = usage.input_tokens or 0, usage.output_tokens or 0
    if tokens_in < 0 or tokens_out < 0:
        return "negative token count"
    if tokens_in > TOKENS_MAX or tokens_out > TOKENS_MAX:
        return "more tokens than any call can have"
    return None


def _missing(tokens_in: int | None, tokens_out: int | None, at: InForce) -> str | None:
    """Why there can be no figure. A side without a price, or free, need not be known."""
    if tokens_in is None and at.input:
        return "input tokens unknown"
    if tokens_out is None and at.output:
        return "output tokens unknown"
    if at.input is None and at.output is None and at.per_request is None:
        return "no rates"
    return None


def _parts(usage: Usage) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """Inclusive counts as disjoint (bucket, tokens), and what had to be cut."""
    repairs: list[str] = []
    parts: list[tuple[str, int]] = []

    rest = usage.input_tokens or 0
    if usage.cached_tokens:
        rest = _take(parts, repairs, rest, "cache_read", usage.cached_tokens, "cached tokens")
    written, written_1h = usage.cache_write_tokens, usage.cache_write_1h_tokens
    if written or written_1h:
        hour = max(written_1h or 0, 0)
        rest = _take(parts, repairs, rest, "cache_write_1h", hour, "cache writes kept an hour")
        rest = _take(parts, repairs, rest, "cache_write", max((written or 0) - hour, 0), "cache writes")
    if usage.audio_input_tokens:
        rest = _take(parts, None, rest, "audio_in", usage.audio_input_tokens, "audio")
    if usage.image_input_tokens:
        rest = _take(parts, None, rest, "image_in", usage.image_input_tokens, "image")
    if rest:
        parts.insert(0, ("input", rest))

    rest, place = usage.output_tokens or 0, len(parts)
    if usage.reasoning_tokens:
        rest = _take(parts, repairs, rest, "reasoning", usage.reasoning_tokens, "reasoning tokens")
    if usage.audio_output_tokens:
        rest = _take(parts, repairs, rest, "audio_out", usage.audio_output_tokens, "audio output")
    if usage.image_output_tokens:
        rest = _take(parts, repairs, rest, "image_out", usage.image_output_tokens, "image output")
    if rest:
        parts.insert(place, ("output", rest))
    return parts, tuple(repairs)


def _take(
    parts: list[tuple[str, int]], repairs: list[str] | None, rest: int, bucket: str, tokens: int, words: str
) -> int:
    """Move ``tokens`` out of ``rest`` into a bucket; returns what is left. Cached audio is cached: no repair then."""
    taken = min(tokens, rest)
    if tokens < 0 or (taken < tokens and repairs is not None):
        if repairs is not None:
            repairs.append(f"{words}: {tokens} of the {rest} there can be")
        taken = max(taken, 0)
    if taken:
        parts.append((bucket, taken))
    return rest - taken


def _added_up(parts: list[tuple[str, int]], at: InForce, notes: tuple[str, ...]) -> Cost:
    """Lines and total. Each line is the step of the rounded running sum, so that they add up exactly."""
    lines: list[Line] = []
    exact = total = _ZERO
    for bucket, tokens in parts:
        rate: Decimal | None = getattr(at, bucket)
        if rate is None:
            return Cost(None, (), (f"no rate for {bucket}",))
        exact = EXACT.fma(tokens, rate, exact)
        if exact >= COST_MAX_USD:
            return Cost(None, (), ("more money than can be stored",))
        rounded = exact.quantize(_STEP, None, EXACT)
        lines.append(Line(bucket, tokens, rate, rounded - total))
        total = rounded
    return Cost(total, tuple(lines), notes)
