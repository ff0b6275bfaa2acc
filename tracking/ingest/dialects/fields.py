"""Reading one attribute: what counts as unset, what is a token count, what is money.

Attributes come as their senders made them: numbers as text, "None" for nothing, values scrubbed on the way.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from wflo.usage import Usage

TOKENS_MAX = 10**10  # of one call: more is a broken counter
COST_MAX_USD = Decimal(10**6)  # of one call
WORD_MAX = 200  # names and ids
JSON_MAX = 64 * 1024  # of an attribute that is parsed while spans come in
METADATA_MAX = 50  # entries kept of a run's metadata

_NUMBER_MAX = 2**64  # of a number that stands where a name or a time belongs

_SCRUBBED = "[Scrubbed due to "  # Logfire writes this over values whose name looks secret
_UNSET = ("", "None", "null")

Attributes = dict[str, Any]


class BadField(Exception):
    """An attribute holds a value that cannot be true; the span it stands on is rejected."""

    def __init__(self, attribute: str, what: str, *, code: str) -> None:
        self.attribute, self.what, self.code = attribute, what, code
        super().__init__(f"{attribute} {what}")


def text(attributes: Attributes, *keys: str) -> str | None:
    """The first of these attributes that says something, as text of at most WORD_MAX characters."""
    for key in keys:
        value = attributes.get(key)
        if value is None:
            continue
        if value.__class__ is not str:
            if value.__class__ is bool or not isinstance(value, int | float) or abs(value) > _NUMBER_MAX:
                continue
            value = str(value)
        if value in _UNSET or value[:1] == "[" and value.startswith(_SCRUBBED):
            continue
        return value if len(value) <= WORD_MAX else value[:WORD_MAX]
    return None


def word(value: Any) -> str:
    """A deciding word in lower case, without the quotes that some write round it; empty when it is no text."""
    return value.strip("\"' ").lower() if value.__class__ is str else ""


def quoted(attributes: Attributes, *keys: str) -> str | None:
    """As ``text``, where the emitter writes every value as JSON: the quotes come off."""
    for key in keys:
        value = text(attributes, key)
        if value and value[0] == '"' and value[-1] == '"' and len(value) > 1:
            decoded = parsed(value)
            value = decoded if isinstance(decoded, str) and decoded not in _UNSET else None
            if value and value.startswith(_SCRUBBED):
                value = None
        if value:
            return value
    return None


def parsed(value: Any) -> Any:
    """A JSON text's value, or None when it is no JSON or too long to parse while spans come in."""
    if value.__class__ is not str:
        return value if isinstance(value, dict | list) else None
    if len(value) > JSON_MAX:
        return None
    try:
        return orjson.loads(value)
    except ValueError:  # covers lone surrogates too: UnicodeEncodeError is one
        return None


def tokens(attributes: Attributes, *keys: str) -> int | None:
    """The first of these token counts that is set. Raises BadField when it is no whole number in 0..TOKENS_MAX."""
    for key in keys:
        value = attributes.get(key)
        if value is None:
            continue
        if value.__class__ is int:
            if 0 <= value <= TOKENS_MAX:
                return value
            raise _bad_tokens(key, value)
        count = _whole(key, value)
        if count is not None:
            return count
    return None


def _whole(key: str, value: Any) -> int | None:
    if isinstance(value, str):
        if value in _UNSET or value.startswith(_SCRUBBED):
            return None
        try:
            value = int(value) if value.isdecimal() and len(value) < 20 else float(value)
        except ValueError:
            raise _bad_tokens(key, value) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad_tokens(key, value)
    if not math.isfinite(value) or value != int(value) or not 0 <= value <= TOKENS_MAX:
        raise _bad_tokens(key, value)
    return int(value)


def _bad_tokens(key: str, value: Any) -> BadField:
    return BadField(
        key, f"must be a whole number of tokens from 0 to {TOKENS_MAX:,}, not {_short(value)}", code="bad_tokens"
    )


def money(attributes: Attributes, *keys: str) -> Decimal | None:
    """The first of these costs in USD that is set and not 0: emitters write 0 for what they cannot price.

    Raises BadField when it is negative, not finite, or beyond COST_MAX_USD.
    """
    for key in keys:
        value = attributes.get(key)
        if value is None or value.__class__ is str and value in _UNSET:
            continue
        try:
            cost = Decimal(value) if value.__class__ is int else Decimal(str(value))
        except InvalidOperation:
            raise _bad_cost(key, value) from None
        if isinstance(value, bool) or not cost.is_finite() or not 0 <= cost <= COST_MAX_USD:
            raise _bad_cost(key, value)
        if cost:
            return cost
    return None


def _bad_cost(key: str, value: Any) -> BadField:
    return BadField(key, f"must be a cost in USD from 0 to {COST_MAX_USD:,}, not {_short(value)}", code="bad_cost")


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else str(value) if isinstance(value, float | bool) else _digits(value)
    return shown if len(shown) <= 40 else shown[:40] + "…"


def _digits(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= 10**40:
        return "a number of more than 40 digits"
    return str(value)


def seconds_as_ms(attributes: Attributes, *keys: str) -> float | None:
    for key in keys:
        value = attributes.get(key)
        if isinstance(value, int | float) and 0 < value < _NUMBER_MAX:
            return float(value) * 1_000
    return None


def usage_of(
    input_tokens: int | None,
    output_tokens: int | None,
    *,
    cached: int | None = None,
    cache_write: int | None = None,
    reasoning: int | None = None,
    total: int | None = None,
    **rare: Any,
) -> Usage | None:
    """Usage in inclusive buckets, or None when neither total is known.

    Most emitters report inclusive figures. Where the figures themselves say otherwise they are added up: parts larger
    than the whole, or a total that is the sum of whole and parts. Input and output both 0 are written for calls whose
    usage nobody learnt: unknown.
    """
    if not input_tokens and not output_tokens:
        return None
    if cached or cache_write:
        parts = (cached or 0) + (cache_write or 0)
        whole = input_tokens or 0
        if parts > whole or (total is not None and total == whole + (output_tokens or 0) + parts):
            input_tokens = whole + parts
    if reasoning:
        whole = output_tokens or 0
        if reasoning > whole or (total is not None and total == (input_tokens or 0) + whole + reasoning):
            output_tokens = whole + reasoning
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cached_tokens=cached,
        cache_write_tokens=cache_write,
        reasoning_tokens=reasoning,
        **rare,
    )


def entries(attributes: Attributes, prefix: str) -> Attributes:
    """The attributes below a prefix, without it and without unset ones; at most METADATA_MAX."""
    found: Attributes = {}
    start = len(prefix)
    for key, value in attributes.items():
        if key.startswith(prefix) and value is not None and value not in _UNSET:
            found[key[start:]] = value
            if len(found) == METADATA_MAX:
                break
    return found


def words(value: Any) -> tuple[str, ...]:
    """Tags, sent as a list, as a JSON list, or as text with commas."""
    if isinstance(value, str):
        listed = parsed(value) if value[:1] == "[" else None
        value = listed if isinstance(listed, list) else value.split(",")
    if not isinstance(value, list | tuple):
        return ()
    return tuple(tag.strip()[:100] for tag in value if isinstance(tag, str) and tag.strip())[:METADATA_MAX]
