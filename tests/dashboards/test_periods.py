"""Time ranges: of an address, and as people type them. It is Saturday 14 November 2026, 14:02:11 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import periods
from tracking.errors import Invalid

NOW = datetime(2026, 11, 14, 14, 2, 11, tzinfo=UTC)
BERLIN = "Europe/Berlin"


def ends(period: periods.Period) -> tuple[str, str]:
    return f"{period.start:%Y-%m-%dT%H:%M}", f"{period.end:%Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(
    ("query", "zone", "start", "end"),
    [
        ({}, "UTC", "2026-11-13T14:02", "2026-11-14T14:02"),
        ({"from": "now-15m"}, "UTC", "2026-11-14T13:47", "2026-11-14T14:02"),
        ({"from": "now-30d", "to": "now-1d"}, "UTC", "2026-10-15T14:02", "2026-11-13T14:02"),
        ({"from": "now/d"}, "UTC", "2026-11-14T00:00", "2026-11-14T14:02"),
        ({"from": "now/d"}, BERLIN, "2026-11-13T23:00", "2026-11-14T14:02"),
        ({"from": "now/w"}, "UTC", "2026-11-09T00:00", "2026-11-14T14:02"),
        ({"from": "now/M"}, "UTC", "2026-11-01T00:00", "2026-11-14T14:02"),
        ({"from": "now/Q"}, "UTC", "2026-10-01T00:00", "2026-11-14T14:02"),
        ({"from": "now/Q"}, BERLIN, "2026-09-30T22:00", "2026-11-14T14:02"),
        ({"from": "now-1d/d", "to": "now/d"}, "UTC", "2026-11-13T00:00", "2026-11-14T00:00"),
        ({"from": "2026-11-01", "to": "2026-11-07"}, "UTC", "2026-11-01T00:00", "2026-11-08T00:00"),
        ({"from": "2026-10-25", "to": "2026-10-25"}, BERLIN, "2026-10-24T22:00", "2026-10-25T23:00"),
        (
            {"from": "2026-11-14T09:00:00Z", "to": "2026-11-14T11:00:00Z"},
            BERLIN,
            "2026-11-14T09:00",
            "2026-11-14T11:00",
        ),
        ({"from": "2026-11-14T09:00:00+02:00"}, "UTC", "2026-11-14T07:00", "2026-11-14T14:02"),
        ({"from": "2026-11-14T09:00:00 02:00"}, "UTC", "2026-11-14T07:00", "2026-11-14T14:02"),
        ({"from": "2026-11-14T09:00"}, BERLIN, "2026-11-14T08:00", "2026-11-14T14:02"),
    ],
)
def test_an_address_says_which_time(query: dict[str, str], zone: str, start: str, end: str) -> None:
    assert ends(periods.from_query(query, now=NOW, zone=zone)) == (start, end)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "yesteryear"}, "from"),
        ({"from": "now-5y"}, "from"),
        ({"from": "now-999999w"}, "from"),
        ({"from": "2026-13-01"}, "from"),
        ({"from": "now", "to": "now-1h"}, "to"),
        ({"to": "0001-01-01"}, "to"),
        ({"from": "1990-01-01"}, "from"),
        ({"from": "9999-12-31", "to": "9999-12-31"}, "to"),
        ({"from": "\0"}, "from"),
    ],
)
def test_a_time_that_is_none_is_refused_by_its_name(query: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        periods.from_query(query, now=NOW)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2h", "2026-11-14T12:02", "2026-11-14T14:02"),
        ("Last 3 days", "2026-11-11T14:02", "2026-11-14T14:02"),
        ("last hour", "2026-11-14T13:02", "2026-11-14T14:02"),
        ("90 min", "2026-11-14T12:32", "2026-11-14T14:02"),
        ("today", "2026-11-14T00:00", "2026-11-14T14:02"),
        ("yesterday", "2026-11-13T00:00", "2026-11-14T00:00"),
        ("MTD", "2026-11-01T00:00", "2026-11-14T14:02"),
        ("this quarter", "2026-10-01T00:00", "2026-11-14T14:02"),
        ("last tue 9-11", "2026-11-10T09:00", "2026-11-10T11:00"),
        ("tuesday 9:30 to 11:15", "2026-11-10T09:30", "2026-11-10T11:15"),
        ("last sat", "2026-11-07T00:00", "2026-11-08T00:00"),
        ("sat", "2026-11-14T00:00", "2026-11-15T00:00"),
        ("9am-1pm", "2026-11-14T09:00", "2026-11-14T13:00"),
        ("yesterday 22-2", "2026-11-13T22:00", "2026-11-14T02:00"),
        ("yesterday 22-24", "2026-11-13T22:00", "2026-11-14T00:00"),
        ("2026-11-01", "2026-11-01T00:00", "2026-11-02T00:00"),
        ("2026-11-01..2026-11-07", "2026-11-01T00:00", "2026-11-08T00:00"),
        ("2026-11-01T09:00..2026-11-01T10:30", "2026-11-01T09:00", "2026-11-01T10:30"),
        ("mon..wed", "2026-11-09T00:00", "2026-11-12T00:00"),
        ("2026-11-10..now", "2026-11-10T00:00", "2026-11-14T14:02"),
    ],
)
def test_a_time_range_is_typed_as_it_is_said(text: str, start: str, end: str) -> None:
    assert ends(periods.from_text(text, now=NOW)) == (start, end)


def test_hours_are_of_the_teams_clock() -> None:
    assert ends(periods.from_text("last tue 9-11", now=NOW, zone=BERLIN)) == ("2026-11-10T08:00", "2026-11-10T10:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "last fortnight", "25-26", "tue 9-61:00", "13pm-2pm", "2026-02-30", "wed..mon"]
)
def test_what_is_no_time_range_is_refused_with_examples(text: str) -> None:
    with pytest.raises(Invalid):
        periods.from_text(text, now=NOW)


@given(st.text(max_size=40))
def test_any_typed_text_is_a_range_or_refused(text: str) -> None:
    try:
        period = periods.from_text(text, now=NOW)
    except Invalid:
        return
    assert period.start < period.end


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_address_is_a_range_or_refused(start: str, end: str) -> None:
    try:
        period = periods.from_query({"from": start, "to": end}, now=NOW)
    except Invalid:
        return
    assert period.start < period.end


@pytest.mark.parametrize("text", ["2h", "yesterday", "last tue 9-11", "2026-11-01..2026-11-07"])
def test_what_the_box_shows_means_the_same_when_it_is_typed_again(text: str) -> None:
    period = periods.from_text(text, now=NOW, zone=BERLIN)
    assert ends(periods.from_text(period.typed, now=NOW, zone=BERLIN)) == ends(period)


def test_a_link_keeps_a_relative_range_relative() -> None:
    assert periods.from_text("7d", now=NOW).query == {"from": "now-7d"}
    again = periods.from_query(periods.from_text("yesterday", now=NOW).query, now=NOW + timedelta(days=3))
    assert ends(again) == ("2026-11-13T00:00", "2026-11-14T00:00")


def test_before_and_round_it() -> None:
    period = periods.from_text("last tue 9-11", now=NOW)
    assert ends(period.previous) == ("2026-11-10T07:00", "2026-11-10T09:00")
    assert ends(period.wider) == ("2026-11-10T08:00", "2026-11-10T12:00")
    assert ends(periods.from_text("2h", now=NOW).wider) == ("2026-11-14T10:02", "2026-11-14T14:02")


@pytest.mark.parametrize(
    ("text", "label", "bucket"),
    [
        ("24h", "24h", "hour"),
        ("15m", "15m", "minute"),
        ("mtd", "Month", "day"),
        ("5h", "5h", "hour"),
        ("yesterday", "13 Nov", "hour"),
        ("2026-11-01..2026-11-07", "1 Nov to 7 Nov", "day"),
        ("last tue 9-11", "10 Nov 09:00 to 11:00", "minute"),
    ],
)
def test_its_button_says_it_shortly_and_its_charts_step_fits(text: str, label: str, bucket: str) -> None:
    period = periods.from_text(text, now=NOW)
    assert (period.label, period.bucket) == (label, bucket)


def test_a_day_of_25_hours_is_one_day() -> None:
    period = periods.from_text("2026-10-25", now=NOW, zone=BERLIN)
    assert period.length == timedelta(hours=25)
    assert period.label == "25 Oct"
    assert period.start.astimezone(ZoneInfo(BERLIN)).hour == 0
