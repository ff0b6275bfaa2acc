"""Periods as these clients write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tracking.errors import Invalid


def period_of(text: str | None) -> tuple[str, datetime, datetime]:
    """(period, start, end) of "YYYY-MM" or "YYYY-MM-DD" in UTC; this month where nothing is said. Raises Invalid."""
    text = text or f"{datetime.now(UTC):%Y-%m}"
    for form in ("%Y-%m-%d", "%Y-%m"):
        try:
            start = datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
        return text, start, start + timedelta(days=1) if form.endswith("%d") else _month_after(start)
    raise Invalid("period is a month as 2026-11 or a day as 2026-11-26.", field="period")


def span_of(start_date: str | None, end_date: str | None, *, days: int = 30) -> tuple[datetime, datetime]:
    """From the beginning of one day to the end of another; the last ``days`` where nothing is said. Raises Invalid."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = _day(end_date, "end_date") if end_date else today
    start = _day(start_date, "start_date") if start_date else end - timedelta(days=days - 1)
    if start > end:
        raise Invalid("start_date lies after end_date.", field="start_date")
    return start, end + timedelta(days=1)


def _day(text: str, field: str) -> datetime:
    try:
        return datetime.strptime(text[:10], "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid(f"{field} is a day as 2026-11-26.", field=field) from None


def _month_after(start: datetime) -> datetime:
    return (start + timedelta(days=32)).replace(day=1)
