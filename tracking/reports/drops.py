"""Events that senders said they gave up: how many for which reason. What never came cannot be shown; that it is missing can."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Max, Sum

from tracking.models import Drop, Team

DAYS = 30


@dataclass(frozen=True, slots=True)
class DropLine:
    """``last`` is the day (UTC) it was told last."""

    reason: str
    events: int
    last: date


def drops(team: Team, now: datetime, *, days: int = DAYS) -> list[DropLine]:
    """Of so many days, most first."""
    return _lines(team, now.date() - timedelta(days=days - 1))


def drops_lately(team: Team, now: datetime) -> list[DropLine]:
    """Of the days (UTC) that the last 24 hours are part of."""
    return _lines(team, (now - timedelta(hours=24)).date())


def _lines(team: Team, first: date) -> list[DropLine]:
    rows = Drop.objects.filter(team=team, day__gte=first).values("reason").annotate(all=Sum("events"), last=Max("day"))
    return [DropLine(row["reason"], row["all"], row["last"]) for row in rows.order_by("-all", "reason")]
