"""Tags of the money pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboards import numbers
from dashboards.words import NONE_WORDS

register = template.Library()

_LENGTH = re.compile(r"(\d+)([smhdw])")
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week"}
TIMES_FROM = 2  # three times as much reads better than 200% above


@register.simple_tag
def above(now: Decimal | float | None, usual: Decimal | float | None) -> str:
    """``12% above``, ``8% below``, ``4 times``; ``about as on`` within half a percent; empty when it cannot be said."""
    if now is None or not usual:
        return ""
    moved = Decimal(now) / Decimal(usual) - 1
    if abs(moved) < Decimal("0.005"):
        return "about as on"
    if moved >= TIMES_FROM:
        return f"{numbers.exact((moved + 1).quantize(Decimal(1)))} times"
    return f"{numbers.percent(abs(moved))} {'above' if moved > 0 else 'below'}"


@register.simple_tag
def chart(figure: Mapping[str, Any], name: str, label: str) -> SafeString:
    """A figure 210 px high. It travels as hidden text: htmx takes every script out of what it swaps in, data too."""
    return format_html(
        '<div hidden id="{}">{}</div><div class="figure h210" data-figure="{}" role="img" aria-label="{}"></div>',
        name,
        orjson.dumps(figure).decode(),
        name,
        label,
    )


@register.simple_tag
def moved(change: Decimal, whole: Decimal) -> str:
    """The class of a part of a change: amber up, green down, plain when it is less than 5% of the whole."""
    if abs(change) < abs(whole) * Decimal("0.05"):
        return ""
    return "up" if change > 0 else "down"


@register.filter
def signed_usd(value: Decimal) -> str:
    """+$1.20, −$0.3000, $0."""
    return f"+{numbers.usd(value)}" if value > 0 else numbers.usd(value)


@register.filter
def signed_tokens(value: int) -> str:
    """+1.2k, −300, 0."""
    return f"+{numbers.tokens(value)}" if value > 0 else numbers.tokens(value)


@register.filter
def signed_duration(ms: float) -> str:
    """+1.2 s, −380 ms, 0."""
    if abs(ms) < 0.5:
        return "0"
    sign = "+" if ms > 0 else "\N{MINUS SIGN}"
    return sign + numbers.duration(abs(ms))


@register.filter
def in_period(label: str) -> str:
    """A period's label inside a sentence: ``in the last 7 days``, ``this month``, ``from 3 Nov to 5 Nov``."""
    if label in ("Month", "Quarter"):
        return f"this {label.lower()}"
    length = _LENGTH.fullmatch(label)
    if length:
        number, unit = int(length[1]), _UNITS[length[2]]
        return f"in the last {unit}" if number == 1 else f"in the last {number} {unit}s"
    return f"from {label}" if " to " in label else f"on {label}"


@register.filter
def group_value(value: str, group: str) -> str:
    """What a row without a value of the group is called."""
    return value or NONE_WORDS[group]


@register.filter
def name_of(value: str, names: Mapping[str, str]) -> str:
    """A key's name for its id; anything else as it is."""
    return names.get(value, value)
