"""The time a page is about: from its address, or as a person types it. Pure; UTC in and out.

In an address ``from`` and ``to`` are relative (``now-24h``, ``now/d``, ``now-1d/d``: the units s m h d w M Q) or ISO 8601.
Days begin at midnight of the team's time zone. A relative range stays relative when the link is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from dashboards import numbers
from dashboards.typed_periods import typed
from tracking.errors import Invalid

DEFAULT = "now-24h"
ZONE_COOKIE = "wflo_zone"  # utc; absent: the team's
YEARS_MAX = 10
_AMOUNT_MAX = 100_000
_STEPS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_RELATIVE = re.compile(r"now(?:-(?P<amount>\d{1,6})(?P<unit>[smhdw]))?(?:/(?P<floor>[hdwMQ]))?")
_BUCKETS = (("minute", timedelta(hours=3)), ("hour", timedelta(days=4)), ("day", timedelta.max))


@dataclass(frozen=True, slots=True)
class Preset:
    """A range of the picker. The common ones are always in the bar, the rest from 1400 px on and in the menu."""

    label: str
    from_text: str
    title: str
    is_common: bool = False


PRESETS = (
    Preset("15m", "now-15m", "last 15 minutes"),
    Preset("1h", "now-1h", "last hour", is_common=True),
    Preset("6h", "now-6h", "last 6 hours"),
    Preset("24h", "now-24h", "last 24 hours", is_common=True),
    Preset("7d", "now-7d", "last 7 days", is_common=True),
    Preset("30d", "now-30d", "last 30 days", is_common=True),
    Preset("Month", "now/M", "this month so far", is_common=True),
    Preset("Quarter", "now/Q", "this quarter so far"),
)


@dataclass(frozen=True, slots=True)
class Period:
    """Half open: ``start`` is in it, ``end`` is not. ``from_text`` and ``to_text`` are what the address says."""

    start: datetime
    end: datetime
    from_text: str
    to_text: str
    zone: ZoneInfo

    @property
    def presets(self) -> tuple[Preset, ...]:
        return PRESETS

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def bucket(self) -> str:
        """The step a chart over it takes: minute, hour or day."""
        return next(name for name, longest in _BUCKETS if self.length <= longest)

    @property
    def is_live(self) -> bool:
        """Whether it ends now, so that new rows belong to it."""
        return self.to_text in ("", "now")

    @property
    def is_common(self) -> bool:
        """Whether it is one of the presets that are always in the bar."""
        return self.is_live and any(preset.is_common and preset.from_text == self.from_text for preset in PRESETS)

    @property
    def label(self) -> str:
        """Short, for the button: ``24h``, ``Month``, ``3 Nov 09:00 to 11:00``."""
        if self.is_live:
            for preset in PRESETS:
                if preset.from_text == self.from_text:
                    return preset.label
            if self.from_text.startswith("now-") and "/" not in self.from_text:
                return self.from_text.removeprefix("now-")
        return _spoken(self.start.astimezone(self.zone), self.end.astimezone(self.zone))

    @property
    def title(self) -> str:
        """Both ends to the minute, with the zone they are told in."""
        start, end = self.start.astimezone(self.zone), self.end.astimezone(self.zone)
        return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {self.zone.key}"

    @property
    def typed(self) -> str:
        """What the text box holds: something that means the same when it is typed again."""
        if self.is_live and self.from_text.startswith("now-") and "/" not in self.from_text:
            return self.from_text.removeprefix("now-")
        return "..".join(self.picked)

    @property
    def picked(self) -> tuple[str, str]:
        """What the two boxes of the calendar hold: both ends, in its zone."""
        start, end = self.start.astimezone(self.zone), self.end.astimezone(self.zone)
        return f"{start:%Y-%m-%dT%H:%M}", f"{end:%Y-%m-%dT%H:%M}"

    @property
    def previous(self) -> Period:
        """The stretch of the same length just before it."""
        return between(self.start - self.length, self.start, self.zone)

    @property
    def wider(self) -> Period:
        """Twice as long round the same middle, never beyond its end when that is now."""
        half = self.length / 2
        if self.is_live:
            return between(self.start - self.length, self.end, self.zone)
        return between(self.start - half, self.end + half, self.zone)

    @property
    def query(self) -> dict[str, str]:
        """The parameters that make it again."""
        return {"from": self.from_text} | ({"to": self.to_text} if self.to_text else {})


def from_query(
    query: Mapping[str, str], *, now: datetime, zone: str | ZoneInfo = "UTC", default: str = DEFAULT
) -> Period:
    """The period of an address. Raises Invalid naming ``from`` or ``to``."""
    place = zone if isinstance(zone, ZoneInfo) else ZoneInfo(zone)
    from_text, to_text = query.get("from", "").strip() or default, query.get("to", "").strip()
    start = _moment(from_text, now, place, field="from", is_end=False)
    end = _moment(to_text or "now", now, place, field="to", is_end=True)
    if end <= start:
        raise Invalid(f"The range ends ({to_text or 'now'}) before it begins ({from_text}).", field="to")
    if end - start > timedelta(days=366 * YEARS_MAX):
        raise Invalid(f"A range has at most {YEARS_MAX} years.", field="from")
    return Period(start, end, from_text, "" if to_text == "now" else to_text, place)


def from_request(request: HttpRequest, *, zone: str, default: str = DEFAULT) -> Period:
    """``from_query`` of a page's address, at this moment; ``zone`` is the team's."""
    return from_query(request.GET, now=datetime.now(UTC), zone=zone_for(request, zone), default=default)


def zone_for(request: HttpRequest, zone: str) -> str:
    """Whose clock this person reads times by: the team's, or UTC when they chose so."""
    return "UTC" if request.COOKIES.get(ZONE_COOKIE) == "utc" else zone


def from_text(text: str, *, now: datetime, zone: str | ZoneInfo = "UTC") -> Period:
    """The period somebody typed: ``2h``, ``yesterday``, ``last tue 9-11``, ``2026-11-01..2026-11-07``. Raises Invalid."""
    place = zone if isinstance(zone, ZoneInfo) else ZoneInfo(zone)
    found = typed(text, now.astimezone(place))
    if isinstance(found, str):
        return from_query({"from": found}, now=now, zone=place)
    start, end = found
    return between(start.astimezone(UTC), end.astimezone(UTC), place)


def between(start: datetime, end: datetime, zone: ZoneInfo) -> Period:
    """An absolute range."""
    return Period(start, end, _iso(start), _iso(end), zone)


def _moment(text: str, now: datetime, zone: ZoneInfo, *, field: str, is_end: bool) -> datetime:
    relative = _RELATIVE.fullmatch(text)
    if relative is None:
        return _absolute(text, zone, field=field, is_end=is_end)
    moment = now
    if relative["amount"]:
        amount = int(relative["amount"])
        if amount > _AMOUNT_MAX or amount * _STEPS[relative["unit"]] > timedelta(days=366 * YEARS_MAX):
            raise Invalid(f"{text} is further back than {YEARS_MAX} years.", field=field)
        moment = now - amount * _STEPS[relative["unit"]]
    if relative["floor"]:
        moment = _floor(moment.astimezone(zone), relative["floor"])
    return moment.astimezone(UTC)


def _floor(moment: datetime, unit: str) -> datetime:
    if unit == "h":
        return moment.replace(minute=0, second=0, microsecond=0)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "w":
        return midnight - timedelta(days=midnight.weekday())
    if unit == "M":
        return midnight.replace(day=1)
    if unit == "Q":
        return midnight.replace(month=(midnight.month - 1) // 3 * 3 + 1, day=1)
    return midnight


def _absolute(text: str, zone: ZoneInfo, *, field: str, is_end: bool) -> datetime:
    """A day as an end is the whole day."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text) + timedelta(days=is_end)
            return datetime.combine(day, time(), zone).astimezone(UTC)
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            f'"{text[:40]}" is no time. Write now-24h, 2026-11-01 or 2026-11-01T09:00:00Z.', field=field
        ) from None


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _spoken(start: datetime, end: datetime) -> str:
    if start.time() == end.time() == time():
        last = end - timedelta(days=1)
        return numbers.day(start) if last.date() == start.date() else f"{numbers.day(start)} to {numbers.day(last)}"
    if start.date() == end.date():
        return f"{numbers.day(start)} {start:%H:%M} to {end:%H:%M}"
    return f"{numbers.day(start)} {start:%H:%M} to {numbers.day(end)} {end:%H:%M}"
