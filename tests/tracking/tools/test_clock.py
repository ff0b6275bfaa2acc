"""The clock: time zones, and arithmetic that knows of summer time."""

from __future__ import annotations

from typing import Any

import pytest

from tracking.tools.clock import clock


@pytest.mark.parametrize(
    ("asked", "time"),
    [
        ({"start": "2026-03-01T14:30", "time_zone": "Europe/Berlin"}, "2026-03-01T14:30:00+01:00"),
        ({"start": "2026-03-01T14:30Z", "time_zone": "Asia/Tokyo"}, "2026-03-01T23:30:00+09:00"),
        ({"start": "2026-03-28T12:00", "time_zone": "Europe/Berlin", "add_days": 1}, "2026-03-29T12:00:00+02:00"),
        ({"start": "2026-03-28T12:00", "time_zone": "Europe/Berlin", "add_hours": 24}, "2026-03-29T13:00:00+02:00"),
        ({"start": "2024-02-28", "add_days": 1}, "2024-02-29T00:00:00+00:00"),
        ({"start": "2026-01-01", "add_minutes": -1}, "2025-12-31T23:59:00+00:00"),
    ],
)
def test_it_tells_and_moves_a_time(asked: dict[str, Any], time: str) -> None:
    assert clock(**asked)["time"] == time


def test_it_says_how_far_two_times_are_apart() -> None:
    told = clock(start="2026-11-27", until="2026-12-25", time_zone="Europe/Berlin")
    assert (told["weekday"], told["week"], told["until"]["days"]) == ("Friday", 48, 28)
    assert clock(start="2026-12-25", until="2026-11-27")["until"] == {
        "time": "2026-11-27T00:00:00+00:00",
        "days": -28,
        "seconds": -28 * 86_400,
    }
    assert clock()["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"time_zone": "Berlin"}, "no time zone"),
        ({"time_zone": "../../etc/passwd"}, "no time zone"),
        ({"start": "tomorrow"}, "no time such as"),
        ({"start": "9999-12-31", "add_days": 2}, "beyond the years"),
        ({"start": "0001-01-01", "time_zone": "Asia/Tokyo", "until": "now"}, "beyond the years"),
        ({"add_days": 10**9}, "at most"),
        ({"add_hours": float("nan")}, "NaN"),
    ],
)
def test_what_it_cannot_tell_it_says(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        clock(**asked)
