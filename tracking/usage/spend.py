"""Dollars by hour, by day and by agent: the light reader of home pages, which ask for many periods at once.

``query.usage`` answers everything about a range; here only the cost and the number of spans are summed, so that eight
past weekdays of every agent are one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from tracking.sql import statements
from tracking.usage import slices

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Spent:
    cost_usd: Decimal = Decimal(0)
    spans: int = 0
    unpriced_calls: int = 0

    @property
    def known_usd(self) -> Decimal | None:
        """None when all that was spent has an unknown price."""
        return None if self.unpriced_calls and not self.cost_usd else self.cost_usd


NOTHING = Spent()


def first_hour(team_id: int) -> datetime | None:
    """The first hour the team spent anything in; None of a team without spans."""
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["first_hour"], {"team": team_id, "slice": slices.TOTAL})
        row = cursor.fetchone()
    found: datetime | None = row[0] if row else None
    return found


def spend_by_hour(team_id: int, hours: Sequence[datetime]) -> dict[datetime, Decimal]:
    """Dollars of each of ``hours`` (their starts, UTC) in which there were any spans."""
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["by_hour"], {"team": team_id, "slice": slices.TOTAL, "hours": list(hours)})
        return {period.astimezone(UTC): cost for period, cost in cursor.fetchall()}


def spend_by_agent(
    team_id: int, starts: Sequence[datetime], *, hours: int, agent: str | None = None
) -> dict[str | None, list[Spent]]:
    """What each agent spent in each window of ``hours`` hours from ``starts`` (full hours, UTC). None: unattributed.

    With ``agent`` only that one's.
    """
    asked = [start + HOUR * i for start in starts for i in range(hours)]
    if not asked:
        return {}
    parameters: dict[str, Any] = {"team": team_id, "slice": slices.AGENT, "hours": asked, "size": hours, "agent": agent}
    result: dict[str | None, list[Spent]] = {}
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["by_agent"], parameters)
        for agent, place, cost, spans, unpriced in cursor.fetchall():
            windows = result.setdefault(agent or None, [NOTHING] * len(starts))
            windows[place] = Spent(cost, int(spans), int(unpriced))
    return result


def hourly_by_name(
    team_ids: Sequence[int], slice: int, *, start: datetime, end: datetime, names: Sequence[str] | None = None
) -> list[tuple[str, datetime, Decimal, int]]:
    """(name, hour, dollars, tokens) of each hour with spans, by the one column of a slice ('' where it has none).

    Only of ``names``, unless it is None.
    """
    parameters: dict[str, Any] = {
        "teams": list(team_ids), "slice": slice, "start": start, "end": end, "names": None if names is None else list(names)
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["by_name_hour"], parameters)
        found: list[tuple[str, datetime, Decimal, int]] = cursor.fetchall()
    return found


def daily_by_agent(team_id: int, first_day: datetime, *, days: int) -> dict[str | None, list[Spent]]:
    """What each agent spent on each of ``days`` UTC days from ``first_day`` (a midnight, UTC)."""
    end = first_day + timedelta(days=days)
    result: dict[str | None, list[Spent]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            statements("spend")["by_day"], {"team": team_id, "slice": slices.AGENT, "start": first_day, "end": end}
        )
        for agent, day, cost, spans, unpriced in cursor.fetchall():
            row = result.setdefault(agent or None, [NOTHING] * days)
            row[(day - first_day).days] = Spent(cost, int(spans), int(unpriced))
    return result


def door(team_id: int, start: datetime, end: datetime) -> dict[str, int]:
    """Spans that reached the door, by what became of them: received, accepted, known, "rejected: <code>"."""
    parameters: dict[str, Any] = {"team": team_id, "slice": slices.DOOR, "start": start, "end": end}
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["door"], parameters)
        return {word: int(count) for word, count in cursor.fetchall()}


def spent_since(team_id: int, agent: str, since: datetime) -> Decimal:
    """Known dollars of an agent's calls that began since then, to the minute: read from the calls themselves, of runs that
    were heard of since."""
    parameters: dict[str, Any] = {
        "team": team_id,
        "agent": agent,
        "since": since,
        "run_since": since - timedelta(days=1),
    }
    with connection.cursor() as cursor:
        cursor.execute(statements("spend")["agent_since"], parameters)
        found: Decimal = cursor.fetchone()[0]
    return found
