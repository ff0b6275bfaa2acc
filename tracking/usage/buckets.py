"""The steps of a chart: hours of a short range, UTC days of a longer one."""

from __future__ import annotations

from datetime import datetime, timedelta

HOURS_MAX = 24 * 4  # a longer range is charted by day
_STEPS = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


def bucket_of(start: datetime, end: datetime) -> str:
    """A word ``tracking.usage.query`` groups by."""
    return "hour" if end - start <= timedelta(hours=HOURS_MAX) else "day"


def bucket_times(start: datetime, end: datetime, bucket: str) -> tuple[datetime, ...]:
    """Where the buckets of a range of whole hours (UTC) begin."""
    step = _STEPS[bucket]
    first = start if bucket == "hour" else start.replace(hour=0)
    return tuple(first + step * i for i in range(-(-(end - first) // step)))
