"""Tags of the budget pages."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboards import numbers
from dashboards.budget_cards import Bar
from dashboards.budget_words import KIND_WORDS

register = template.Library()


@register.simple_tag
def money_bar(bar: Bar, label: str = "", size: str = "") -> SafeString:
    """Spent solid, held hatched, free the track, the forecast a pin, thresholds small marks below."""
    described = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    parts = [
        ("track", 0.0, bar.track, 2),
        ("spent", 0.0, bar.spent, 2),
        ("ferr", bar.spent, bar.over, 0),
        ("held", bar.held_from, bar.held, 0),
    ]
    shapes = format_html_join(
        "",
        '<rect class="{}" x="{}%" width="{}%" height="100%" rx="{}"/>',
        ((style, f"{at:.2f}", f"{width:.2f}", rx) for style, at, width, rx in parts if width > 0),
    )
    marks = format_html_join(
        "", '<line class="at" x1="{}%" x2="{}%" y1="100%" y2="135%"/>', ((f"{m:.2f}", f"{m:.2f}") for m in bar.marks)
    )
    pin = mark_safe("")
    if bar.forecast is not None:
        at = f"{bar.forecast:.2f}%"
        pin = format_html(
            '<line class="tick" x1="{}" x2="{}" y1="-3" y2="100%"/><circle class="fc" cx="{}" cy="-4" r="2.5"/>',
            at, at, at,
        )  # fmt: skip
    return format_html('<svg class="mbar {}" {}>{}{}{}</svg>', size, described, shapes, marks, pin)


@register.filter
def lease(seconds: float) -> str:
    """What is left of a lease: ``1:44``; ``run out`` when it is over, for it will be closed soon."""
    if seconds <= 0:
        return "run out"
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


@register.filter
def signed_ledger_usd(value: object) -> str:
    """A column of changes: +$0.0117, −$0.0420, four decimals each."""
    text = numbers.usd_fixed(value)  # type: ignore[arg-type]
    return text if text.startswith("\N{MINUS SIGN}") else f"+{text}"


@register.filter
def window_day(at: datetime, zone: str) -> str:
    """The day a window began on, by the clock of its zone."""
    return numbers.day(at.astimezone(ZoneInfo(zone)))


@register.filter
def words(text: str) -> list[str]:
    return text.split()


@register.filter
def kind_word(kind: str) -> str:
    return KIND_WORDS.get(kind, kind)
