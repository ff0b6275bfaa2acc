"""A time range as people type it. Pure: text and the local time in, a relative ``from`` or two local times out."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta

from tracking.errors import Invalid

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "week", "weeks"), "w"),
}
_NAMES = {
    "today": "now/d",
    "this week": "now/w",
    "this month": "now/M",
    "month": "now/M",
    "mtd": "now/M",
    "this quarter": "now/Q",
    "quarter": "now/Q",
    "qtd": "now/Q",
}
_LENGTH = re.compile(r"(?:last )?(?P<amount>\d{1,5})? ?(?P<unit>[a-z]+)")
_CLOCK = r"\d{1,2}(?::\d{2})?(?: ?[ap]m)?"
_DAY_AND_HOURS = re.compile(
    rf"(?P<last>last )?(?P<day>[a-z]+|\d{{4}}-\d{{2}}-\d{{2}})(?: (?P<from>{_CLOCK}) ?(?:-|to|\.\.) ?(?P<to>{_CLOCK}))?"
)
_HOURS = re.compile(rf"(?P<from>{_CLOCK}) ?(?:-|to|\.\.) ?(?P<to>{_CLOCK})")
_HOW = "Write 2h, yesterday, last tue 9-11 or 2026-11-01..2026-11-07."


def typed(text: str, here: datetime) -> str | tuple[datetime, datetime]:
    """A ``from`` that stays relative (``now-2h``), or start and end in the zone of ``here``. Raises Invalid."""
    words = " ".join(text.lower().split())
    if not words:
        raise Invalid(f"Say which time. {_HOW}", field="text")
    if words in _NAMES:
        return _NAMES[words]
    if ".." in words and not _DAY_AND_HOURS.fullmatch(words) and not _HOURS.fullmatch(words):
        return _two_ends(words, here)
    length = _LENGTH.fullmatch(words)
    if length and length["unit"] in _UNITS and (length["amount"] or words.startswith("last ")):
        return f"now-{int(length['amount'] or 1)}{_UNITS[length['unit']]}"
    hours = _HOURS.fullmatch(words)
    if hours:
        return _hours(here.date(), hours["from"], hours["to"], here)
    named = _DAY_AND_HOURS.fullmatch(words)
    if named:
        day = _day(named["day"], here.date(), is_last=bool(named["last"]))
        if named["from"]:
            return _hours(day, named["from"], named["to"], here)
        return _midnight(day, here), _midnight(day + timedelta(days=1), here)
    raise Invalid(f'"{text[:60]}" is no time range. {_HOW}', field="text")


def _two_ends(words: str, here: datetime) -> tuple[datetime, datetime]:
    first, _, last = (part.strip() for part in words.partition(".."))
    start, end = _end(first, here, is_end=False), _end(last or "now", here, is_end=True)
    if end <= start:
        raise Invalid(f"{last} is before {first}.", field="text")
    return start, end


def _end(word: str, here: datetime, *, is_end: bool) -> datetime:
    if word == "now":
        return here
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError:
        return _midnight(_day(word, here.date(), is_last=False) + timedelta(days=is_end), here)
    if len(word) == 10 and is_end:
        moment += timedelta(days=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=here.tzinfo)


def _day(word: str, today: date, *, is_last: bool) -> date:
    """A weekday is the latest one that has begun; with "last" the latest one before today."""
    if word == "today":
        return today
    if word == "yesterday":
        return today - timedelta(days=1)
    weekday = _LONG_DAYS.index(word) if word in _LONG_DAYS else _DAYS.index(word[:3]) if word in _shorts() else None
    if weekday is not None:
        back = (today.weekday() - weekday) % 7
        return today - timedelta(days=back or (7 if is_last else 0))
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise Invalid(f'"{word[:40]}" is no day. {_HOW}', field="text") from None


def _shorts() -> frozenset[str]:
    return frozenset({*_DAYS, "tues", "weds", "thur", "thurs"})


def _hours(day: date, start: str, end: str, here: datetime) -> tuple[datetime, datetime]:
    """Hours of one day; an end that is not after the start is on the day after."""
    first = datetime.combine(day, _clock(start), here.tzinfo)
    last = datetime.combine(day, _clock(end), here.tzinfo)
    return first, last if last > first else last + timedelta(days=1)


def _clock(text: str) -> time:
    digits = text.rstrip("apm ").split(":")
    hour, minute = int(digits[0]), int(digits[1]) if len(digits) > 1 else 0
    if text.endswith("m"):
        if not 1 <= hour <= 12:
            raise Invalid(f'"{text}" is no time of day.', field="text")
        hour = hour % 12 + (12 if "p" in text else 0)
    if hour == 24 and minute == 0:
        return time()
    if hour > 23 or minute > 59:
        raise Invalid(f'"{text}" is no time of day.', field="text")
    return time(hour, minute)


def _midnight(day: date, here: datetime) -> datetime:
    return datetime.combine(day, time(), here.tzinfo)
