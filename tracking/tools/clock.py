"""What time it is somewhere, and how long from one time to another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from wflo.agents.tools import declare

DAYS_MAX = 366 * 1_000


@declare(effect="read")
def clock(
    time_zone: str = "UTC",
    start: str = "now",
    add_days: int = 0,
    add_hours: float = 0,
    add_minutes: float = 0,
    until: str = "",
) -> dict[str, Any]:
    """Tells the time in a time zone, moves a date, and says how long it is from one time to another.

    Args:
        time_zone: a name such as Europe/Berlin or America/New_York
        start: "now", or a date or time such as 2026-03-01 or 2026-03-01T14:30; without an offset it is in time_zone
        add_days: days to add, below 0 to go back; the hour stays the same when clocks change
        add_hours: hours to add
        add_minutes: minutes to add
        until: another time; the answer says how far it is from the first
    """
    if time_zone not in available_timezones():
        raise ValueError(f'"{time_zone[:60]}" is no time zone; names look like Europe/Berlin')
    zone = ZoneInfo(time_zone)
    if abs(add_days) > DAYS_MAX or abs(add_hours) > DAYS_MAX * 24 or abs(add_minutes) > DAYS_MAX * 1_440:
        raise ValueError(f"at most {DAYS_MAX:,} days are added")
    try:
        moved = _read(start, zone) + timedelta(days=add_days)
        at = (moved.astimezone(UTC) + timedelta(hours=add_hours, minutes=add_minutes)).astimezone(zone)
        told = _told(at)
        if until:
            other = _read(until, zone)
            apart = other.astimezone(UTC) - at.astimezone(UTC)
            days = (other.date() - at.date()).days
            told["until"] = {
                "time": other.isoformat(timespec="seconds"),
                "days": days,
                "seconds": round(apart.total_seconds()),
            }
    except OverflowError:
        raise ValueError("that is beyond the years 1 to 9999") from None
    return told


def _told(at: datetime) -> dict[str, Any]:
    return {
        "time": at.isoformat(timespec="seconds"),
        "date": at.date().isoformat(),
        "weekday": f"{at:%A}",
        "week": at.isocalendar().week,
        "day_of_year": at.timetuple().tm_yday,
        "unix": int(at.timestamp()),
    }


def _read(text: str, zone: ZoneInfo) -> datetime:
    if text.strip().lower() in ("", "now"):
        return datetime.now(zone)
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f'"{text[:60]}" is no time such as 2026-03-01T14:30') from None
    return found.replace(tzinfo=zone) if found.tzinfo is None else found.astimezone(zone)
