"""The team's day: where it begins in UTC, and which past days are its like.

Usage is kept by UTC hour. Where a zone's midnight falls between two full hours (India, Newfoundland) the day begins
with the hour that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TeamDay:
    """``start`` is a full hour in UTC; ``hour`` is how far the day has gone, in hours (13.5)."""

    now: datetime
    start: datetime
    zone: str

    @property
    def hour(self) -> Decimal:
        return min(Decimal(24), Decimal(str((self.now - self.start) / HOUR)))

    @property
    def hours_begun(self) -> int:
        return min(24, int(self.hour) + 1)

    @property
    def weekday(self) -> str:
        return f"{self.now.astimezone(ZoneInfo(self.zone)):%A}"

    @property
    def month_start(self) -> datetime:
        local = self.now.astimezone(ZoneInfo(self.zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return _whole_hour(local)

    def weeks_before(self, weeks: int) -> datetime:
        """The start of the same weekday some weeks ago, where the zone's clocks stood then."""
        local = self.start.astimezone(ZoneInfo(self.zone))
        return _whole_hour((local.replace(tzinfo=None) - timedelta(weeks=weeks)).replace(tzinfo=ZoneInfo(self.zone)))


def team_day(zone: str, now: datetime) -> TeamDay:
    local = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return TeamDay(now, _whole_hour(local), zone)


def _whole_hour(local: datetime) -> datetime:
    return local.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
