"""Template tags: figures, marks and small drawings. Geometry from data is SVG attributes, so the CSP can be strict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import template
from django.template import Context
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from dashboards import icons, numbers
from dashboards.markup import escaped

register = template.Library()

OTHER_COLOUR = 6

# what the store says -> class, icon, word
_STATUSES = {
    "completed": ("ok", "ok", "done"),
    "running": ("running", "running", "running"),
    "failed": ("error", "error", "failed"),
    "cancelled": ("killed", "killed", "stopped"),
    "killed": ("killed", "killed", "stopped"),
    "refused": ("error", "refused", "refused"),
    "looping": ("loop", "loop", "looping"),
    "ok": ("ok", "ok", "ok"),
    "error": ("error", "error", "failed"),
    "unpriced": ("unknown", "unknown", "no price"),
}
# kind of span -> class (what it costs), icon
_KINDS = {
    "agent": ("agent", "agent"),
    "llm": ("llm", "llm"),
    "embedding": ("llm", "embedding"),
    "tool": ("tool", "tool"),
    "retriever": ("tool", "retriever"),
    "reranker": ("other", "sort"),
    "chain": ("other", "chain"),
    "guardrail": ("other", "guardrail"),
    "evaluator": ("other", "evaluator"),
    "other": ("other", "other"),
}

register.filter("tokens", numbers.tokens)
register.filter("duration", numbers.duration)
register.filter("exact", numbers.exact)
register.filter("percent", numbers.percent)
register.filter("usd_text", numbers.usd)
register.filter("usd_exact", numbers.usd_exact)
register.filter("usd_fixed", numbers.usd_fixed)
register.filter("stamp", numbers.stamp)


@register.filter
def usd(value: Decimal | None) -> SafeString:
    """Money with its exact amount in the title; the badge "unpriced" for None."""
    if value is None:
        return badge("unknown", numbers.UNPRICED, "unknown", title=numbers.usd_exact(None))
    return SafeString(f'<span title="{numbers.usd_exact(value)}">{numbers.usd(value)}</span>')


@register.filter
def ago(then: datetime | None) -> SafeString | str:
    """How long ago, the absolute time in the title; empty for None, which does not apply."""
    if then is None:
        return ""
    at, age = then.astimezone(UTC).isoformat(), numbers.ago(then, datetime.now(UTC))
    return SafeString(f'<time datetime="{at}" title="{numbers.stamp(then)}">{age}</time>')


@register.filter
def count(value: int | None, noun: str = "") -> str:
    """``1,204`` or, with a noun, ``1 run`` and ``1,204 runs``. A plural of its own follows a comma: ``entry,entries``."""
    if value is None:
        return numbers.UNKNOWN
    one, _, many = noun.partition(",")
    words = one if value == 1 else many or f"{one}s"
    return f"{value:,} {words}" if noun else f"{value:,}"


@register.simple_tag
def icon(name: str) -> SafeString:
    return icons.icon(name)


@register.simple_tag
def sprite() -> SafeString:
    return icons.sprite()


@register.simple_tag
def badge(style: str, text: str, glyph: str = "", title: str = "") -> SafeString:
    """One fact: style is one of loop error ok running unknown money killed write, or empty."""
    drawn = icons.icon(glyph) if glyph else ""
    titled = f' title="{escaped(title)}"' if title else ""
    return SafeString(f'<span class="badge {style}"{titled}>{drawn}{escaped(text)}</span>')


@register.simple_tag
def status(value: str, word: str = "") -> SafeString:
    """Glyph and word of a run's or span's status; a status without a mark is plain text."""
    style, glyph, usual = _STATUSES.get(value, ("", "", value))
    drawn = icons.icon(glyph) if glyph else ""
    return SafeString(f'<span class="status {style}">{drawn}{escaped(word or usual)}</span>')


@register.simple_tag
def kind(value: str) -> SafeString:
    """The tile of a span's kind."""
    style, glyph = _KINDS.get(value, _KINDS["other"])
    return SafeString(f'<span class="kind {style}" title="{escaped(value)}">{icons.icon(glyph)}</span>')


@register.simple_tag
def agent_chip(name: str | None, colour: int | Mapping[str, int] | None = None, href: str = "") -> SafeString:
    """An agent with the colour it keeps everywhere; colour is 2..8, or a table of them by name."""
    if not name:
        return SafeString('<span class="chip c6 faint">unattributed</span>')
    if isinstance(colour, Mapping):
        colour = colour.get(name)
    if href:
        return SafeString(f'<a class="chip c{colour or OTHER_COLOUR:d}" href="{escaped(href)}">{escaped(name)}</a>')
    return SafeString(f'<span class="chip c{colour or OTHER_COLOUR:d}">{escaped(name)}</span>')


@register.simple_tag
def bar(share: float | Decimal | None, label: str = "", style: str = "spent", size: str = "thin") -> SafeString:
    """A share of 1 as a bar on its track. Without a label it only repeats a figure beside it."""
    described = f'role="img" aria-label="{escaped(label)}"' if label else 'aria-hidden="true"'
    return SafeString(
        f'<svg class="mbar {size}" {described}><rect class="track" width="100%" height="100%" rx="2"/>'
        f'<rect class="{style}" width="{_percent(float(share or 0))}" height="100%" rx="2"/></svg>'
    )


@register.simple_tag
def split_bar(parts: Iterable[Sequence[Any]], label: str = "") -> SafeString:
    """Parts of one sum beside one another: each (share of 1, class such as ``f2``, title)."""
    drawn, at = [], 0.0
    for share, style, title in parts:
        drawn.append((_percent(at), _percent(float(share)), style, title))
        at += float(share)
    return format_html(
        '<svg class="bars" role="img" aria-label="{}">{}</svg>',
        label,
        format_html_join("", '<rect x="{}" width="{}" height="100%" class="{}"><title>{}</title></rect>', drawn),
    )


@register.simple_tag
def spark(values: Sequence[Decimal | float | int | None], label: str = "", style: str = "") -> SafeString:
    """A line of the last values over its area; None (unknown) is a gap. Empty for fewer than two values."""
    known = [float(value) for value in values if value is not None]
    if len(values) < 2 or not known:
        return mark_safe("")
    top = max(*known, 0.0) or 1.0
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{place * 96 / (len(values) - 1):.1f},{20 - float(value) / top * 18:.1f}")
    drawn = [
        (f"{run[0].split(',')[0]},22 {' '.join(run)} {run[-1].split(',')[0]},22", " ".join(run)) for run in lines if run
    ]
    shapes = '<polygon class="area" points="{}"/><polyline class="ln thin {}" points="{}"/>'
    described = format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"')
    return format_html(
        '<svg class="spark" viewBox="0 0 96 22" preserveAspectRatio="none" {}>{}</svg>',
        described,
        format_html_join("", shapes, ((area, style, line) for area, line in drawn)),
    )


@register.simple_tag
def change(now: Decimal | float | None, before: Decimal | float | None, words: str = "") -> SafeString | str:
    """How a cost moved: up is amber, down is green, under 5% plain. "new" when there was nothing before."""
    if now is None or before is None:
        return ""
    if not before:
        return mark_safe('<span class="faint">new</span>') if now else ""
    moved = float(now) / float(before) - 1
    style = "" if abs(moved) < 0.05 else "up" if moved > 0 else "down"
    arrow = "▲" if moved > 0 else "▼" if moved < 0 else ""
    sign = "more" if moved > 0 else "less"
    return format_html(
        '<b class="{}" title="{} {}">{}&nbsp;{}</b>{}',
        style,
        numbers.percent(abs(moved)),
        sign,
        arrow,
        numbers.percent(abs(moved)),
        f" {words}" if words else "",
    )


@register.simple_tag
def took(started: datetime | None, ended: datetime | None) -> str:
    """Duration between two times; still going on counts until now."""
    if started is None:
        return numbers.UNKNOWN
    length: timedelta = (ended or datetime.now(UTC)) - started
    return numbers.duration(max(length, timedelta(0)))


def _percent(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0) * 100:.2f}%"


@register.simple_tag(takes_context=True)
def querystring(context: Context, **changed: str | None) -> str:
    """The address's query with some parameters changed; None takes one out. As Django's own tag of that name, without
    its deep copy: a page with a time range asks some thirty times.
    """
    asked = context["request"].GET
    parameters = dict(asked.lists())
    for name, value in changed.items():
        if value is None:
            parameters.pop(name, None)
        else:
            parameters[name] = [value]
    return f"?{urlencode(parameters, doseq=True)}" if parameters or asked else ""


@register.filter
def usd_rate(value: Decimal | None) -> str:
    """A price per million as price lists print it: two decimals, more only where it has more."""
    if value is None:
        return ""
    text = numbers.exact(value)
    return f"${text}" if len(text.partition(".")[2]) > 2 else f"${value:,.2f}"


@register.simple_tag
def querystring_of(**parameters: str | None) -> str:
    """The query of a link that says only these; None is left out. A name ``from_`` is ``from``."""
    return urlencode({name.rstrip("_"): value for name, value in parameters.items() if value is not None})
