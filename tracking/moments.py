"""Times as they stand in an address: absolute RFC 3339, or relative to now (``now-24h``). Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tracking.errors import Invalid

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)

_RELATIVE = re.compile(r"now(?:-(\d{1,6})([smhdw]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def read_moment(text: str | None, *, now: datetime, field: str) -> datetime | None:
    """The time ``text`` names, UTC, kept within 1970..9000; None for nothing. Without a zone it is UTC.

    Raises Invalid, naming ``field``.
    """
    text = (text or "").strip()
    if not text:
        return None
    relative = _RELATIVE.fullmatch(text)
    try:
        if relative is not None:
            amount, unit = relative.groups()
            moment = now - timedelta(**{_UNITS[unit]: int(amount)}) if unit else now
        else:
            moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max(moment.astimezone(UTC), EARLIEST), LATEST)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{field} is a time such as 2026-11-20T14:00:00Z, or relative such as now-24h.", field=field
        ) from None
