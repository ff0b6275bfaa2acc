"""Prices as people write them: USD per million tokens, by field name, to ``Rates``. Each mistake names its field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tracking.errors import Invalid
from wflo.model_names import NAME_LENGTH_MAX
from wflo.rates import BUCKETS, Rates, Tier

USD_PER_MILLION_MAX = Decimal(10_000)
USD_PER_REQUEST_MAX = Decimal(1_000)
DECIMALS_MAX = 9  # of a figure per million: 15 of a price per token
TIERS_MAX = 8
SERVICES = ("flex", "priority", "batch", "balanced", "ultrafast", "fast", "decisions")
VALID_FROM_FIRST = datetime(2000, 1, 1, tzinfo=UTC)

_MILLION = Decimal(1_000_000)
_WORDS = {
    "audio_in": "audio_input",
    "audio_out": "audio_output",
    "image_in": "image_input",
    "image_out": "image_output",
}

FIELDS: dict[str, str] = {
    bucket: "per_request_usd" if bucket == "per_request" else f"{_WORDS.get(bucket, bucket)}_usd_per_million"
    for bucket in BUCKETS
}
"""Bucket -> the field a person or a program gives it in. ``PUT /api/v1/prices/{model}`` and the form share it."""


def read_rates(figures: Mapping[str, object]) -> Rates:
    """Rates from ``FIELDS`` (numbers or text; None and "" are not given), ``tiers`` and ``services``.

    ``tiers``: list of {"above_tokens": 200000, <fields>}; ``services``: {"batch": {<fields>, "tiers": [...]}}.
    Raises Invalid naming the field, unknown ones too, and when neither input, output nor request has a price.
    """
    rates = _rates(figures, "")
    if rates.input is None and rates.output is None and rates.per_request is None:
        raise Invalid("Give at least one of the price of input, of output and of a request.", field=FIELDS["input"])
    return rates


def read_model(name: object) -> str:
    """The key a price is kept under. Raises Invalid."""
    model = name.strip().lower() if isinstance(name, str) else ""
    if not model or not model.isprintable():
        raise Invalid("Name the model as your calls report it.", field="model")
    if len(model) > NAME_LENGTH_MAX:
        raise Invalid(f"A model's name has at most {NAME_LENGTH_MAX} characters.", field="model")
    return model


def read_moment(value: object, *, field: str = "valid_from") -> datetime | None:
    """A day (its first moment, UTC) or a moment from a date, datetime or RFC 3339 text. Raises Invalid."""
    if value is None or value == "":
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        raise Invalid("Give a day as 2026-03-01 or a moment as 2026-03-01T12:00:00Z.", field=field) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise Invalid("That moment is outside the calendar.", field=field) from None
    if moment < VALID_FROM_FIRST or moment.year > 2100:
        raise Invalid("Give a moment between 2000 and 2100.", field=field)
    return moment


def per_million(rates: Rates) -> dict[str, Decimal]:
    """The figures of ``rates`` under the field names people use; what is not declared is left out."""
    return {
        name: rate if bucket == "per_request" else rate * _MILLION
        for bucket, name in FIELDS.items()
        if (rate := getattr(rates, bucket)) is not None
    }


def _rates(figures: Mapping[str, object], path: str) -> Rates:
    known = {name: bucket for bucket, name in FIELDS.items()}
    buckets: dict[str, Any] = {}
    tiers: tuple[Tier, ...] = ()
    services: dict[str, Rates] = {}
    for name, value in figures.items():
        if name in known:
            if value is not None and value != "":
                buckets[known[name]] = _figure(value, known[name], path + name)
        elif name == "tiers":
            tiers = _tiers(value, path)
        elif name == "services" and not path:
            services = _services(value)
        else:
            raise Invalid(f'A price has no field "{name}".', field=path + name)
    return replace(Rates(**buckets), tiers=tiers, services=services)


def _figure(value: object, bucket: str, field: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise Invalid("Give a number of US dollars.", field=field)
    try:
        usd = Decimal(value) if isinstance(value, int) else Decimal(text := str(value).strip())
    except InvalidOperation:
        raise Invalid(f'"{text[:40]}" is not a number of US dollars.', field=field) from None
    if not usd.is_finite() or usd < 0:
        raise Invalid("A price is 0 or more.", field=field)
    most = USD_PER_REQUEST_MAX if bucket == "per_request" else USD_PER_MILLION_MAX
    if usd > most:
        unit = "a request" if bucket == "per_request" else "a million tokens"
        raise Invalid(f"More than {most:,} US dollars {unit}: check the unit.", field=field)
    exponent = usd.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DECIMALS_MAX:
        raise Invalid(f"At most {DECIMALS_MAX} decimals.", field=field)
    return usd if bucket == "per_request" else usd / _MILLION


def _tiers(value: object, path: str) -> tuple[Tier, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) > TIERS_MAX:
        raise Invalid(f"tiers is a list of at most {TIERS_MAX}.", field=f"{path}tiers")
    tiers: dict[int, Tier] = {}
    for place, item in enumerate(value):
        at = f"{path}tiers.{place}."
        if not isinstance(item, Mapping):
            raise Invalid("A tier is an object.", field=at[:-1])
        above = item.get("above_tokens")
        if isinstance(above, bool) or not isinstance(above, int) or not 0 < above < 10**9 or above in tiers:
            raise Invalid("Give a number of input tokens, different in each tier.", field=f"{at}above_tokens")
        rates = _rates({name: figure for name, figure in item.items() if name != "above_tokens"}, at)
        if rates.tiers or rates.is_empty:
            raise Invalid("A tier has prices and no tiers.", field=at[:-1])
        tiers[above] = Tier(above=above, rates=rates)
    return tuple(tiers[above] for above in sorted(tiers))


def _services(value: object) -> dict[str, Rates]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid("services is an object by service tier.", field="services")
    for name, figures in value.items():
        if name not in SERVICES or not isinstance(figures, Mapping):
            raise Invalid(f"A service tier is one of {', '.join(SERVICES)}.", field=f"services.{name}")
    return {str(name): _rates(figures, f"services.{name}.") for name, figures in value.items()}
