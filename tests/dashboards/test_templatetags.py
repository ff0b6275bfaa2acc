"""Marks and drawings of templates: what was said is escaped, and nothing needs a style attribute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.template import Context, RequestContext, Template
from django.test import RequestFactory

from dashboards import icons
from dashboards.templatetags import wflo as tags

HOSTILE = "\"><script>alert('x')</script>"


def drawn(text: str, **context: object) -> str:
    return Template("{% load wflo %}" + text).render(Context(context))


def test_money_shows_the_exact_amount_when_pointed_at() -> None:
    assert drawn("{{ cost|usd }}", cost=Decimal("0.0123456789")) == '<span title="$0.0123456789">$0.01235</span>'


def test_an_unknown_cost_is_a_badge_with_a_glyph_and_never_nothing() -> None:
    badge = drawn("{{ cost|usd }}", cost=None)
    assert "unpriced" in badge
    assert "#i-unknown" in badge
    assert "$0" not in badge


def test_an_age_carries_its_moment() -> None:
    then = datetime.now(UTC) - timedelta(minutes=6, seconds=1)
    shown = drawn("{{ then|ago }}", then=then)
    assert ">6 m</time>" in shown
    assert f'title="{then:%Y-%m-%d %H:%M:%S} UTC"' in shown
    assert drawn("{{ then|ago }}", then=None) == ""


@pytest.mark.parametrize("address", ["", "from=now-1h&cursor=x", "tag=a&tag=b+%26+c&q=%C3%A9%22%3C&tag=", "cursor=x"])
@pytest.mark.parametrize(
    "change", ["cursor=None", "sort='cost_usd'", "from='now-7d' cursor=None", "q='' tag='&lt;'", ""]
)
def test_a_changed_query_is_what_django_makes_of_it(address: str, change: str) -> None:
    request = RequestFactory().get(f"/runs?{address}")
    ours = Template("{% load wflo %}{% querystring " + change + " %}").render(Context({"request": request}))
    theirs = Template("{% querystring " + change + " %}").render(RequestContext(request))
    assert ours == theirs


def test_counts_take_their_noun() -> None:
    assert [tags.count(1, "run"), tags.count(1204, "run"), tags.count(2, "entry,entries")] == [
        "1 run",
        "1,204 runs",
        "2 entries",
    ]


@pytest.mark.parametrize(
    ("value", "style", "word"),
    [
        ("completed", "ok", "done"),
        ("running", "running", "running"),
        ("failed", "error", "failed"),
        ("killed", "killed", "stopped"),
    ],
)
def test_a_status_is_a_glyph_and_a_word(value: str, style: str, word: str) -> None:
    shown = tags.status(value)
    assert f"status {style}" in shown
    assert "<use href=" in shown
    assert shown.endswith(f"{word}</span>")


def test_a_status_nobody_drew_is_its_word() -> None:
    assert tags.status("paused") == '<span class="status ">paused</span>'


@pytest.mark.parametrize(
    "shown",
    [
        tags.agent_chip(HOSTILE, 3),
        tags.agent_chip(HOSTILE, {HOSTILE: 4}, href=f"/agents/{HOSTILE}"),
        tags.badge("error", HOSTILE, "error", title=HOSTILE),
        tags.status(HOSTILE),
        tags.kind(HOSTILE),
        tags.bar(0.5, label=HOSTILE),
        tags.split_bar([(0.5, "f2", HOSTILE)], label=HOSTILE),
        tags.spark([1, 2], label=HOSTILE),
        tags.change(1, 2, words=HOSTILE),
    ],
)
def test_what_agents_say_is_escaped_and_nothing_has_a_style(shown: str) -> None:
    assert "<script" not in shown
    assert "style=" not in shown


def test_an_agent_keeps_its_colour_and_nobody_is_said_to_be_nobody() -> None:
    assert 'class="chip c4"' in tags.agent_chip("triage", {"triage": 4})
    assert 'class="chip c6"' in tags.agent_chip("new", {"triage": 4})
    assert "unattributed" in tags.agent_chip(None)


def test_a_bar_stays_within_its_track() -> None:
    widths = [re.findall(r'class="spent" width="([^"]+)"', tags.bar(share))[0] for share in (-1, 0, 0.1234, 7)]
    assert widths == ["0.00%", "0.00%", "12.34%", "100.00%"]


def test_a_line_has_a_gap_where_a_value_is_unknown() -> None:
    shown = tags.spark([1, 2, None, 3, 4])
    assert shown.count("<polyline") == 2
    assert tags.spark([None, None]) == ""
    assert tags.spark([5]) == ""


@pytest.mark.parametrize(
    ("now", "before", "parts"),
    [
        (Decimal(112), Decimal(100), ('class="up"', "▲&nbsp;12%")),
        (Decimal(80), Decimal(100), ('class="down"', "▼&nbsp;20%")),
        (Decimal(102), Decimal(100), ('class=""', "▲&nbsp;2%")),
        (Decimal(1), Decimal(0), ("new",)),
    ],
)
def test_a_change_is_coloured_when_it_is_not_small(now: Decimal, before: Decimal, parts: tuple[str, ...]) -> None:
    shown = str(tags.change(now, before))
    assert all(part in shown for part in parts)
    assert tags.change(None, before) == ""


def test_every_icon_is_in_the_sprite_and_an_unknown_one_is_an_error() -> None:
    sprite = icons.sprite()
    assert all(f'id="i-{name}"' in sprite for name in icons.names())
    assert "<script" not in sprite
    with pytest.raises(ValueError, match="no icon"):
        icons.icon("nothing")


def test_every_icon_a_template_or_tag_names_is_drawn() -> None:
    for name in [glyph for _, glyph, _ in tags._STATUSES.values()] + [glyph for _, glyph in tags._KINDS.values()]:
        assert icons.icon(name)


def test_a_price_has_the_decimals_price_lists_print() -> None:
    assert [tags.usd_rate(Decimal(text)) for text in ("2.5", "0.075", "1250", "0")] == [
        "$2.50",
        "$0.075",
        "$1,250.00",
        "$0.00",
    ]
    assert tags.usd_rate(None) == ""
