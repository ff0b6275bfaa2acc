"""What alert rules look at, now and in the past: model calls by the hour, a day's spend beside the usual one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tracking.alerts.judging import CallsSeen, SpendSeen, judged_calls, judged_spend
from tracking.alerts.rules import Rule
from tracking.models import Team
from tracking.reports.team_day import HOUR, TeamDay, team_day
from tracking.reports.usual import DAYS_MAX, Usual, at, usual_day
from tracking.usage.latency import percentiles
from tracking.usage.query import UsageRow, usage_rows
from tracking.usage.spend import first_hour, spend_by_agent, spend_by_hour

WINDOW = timedelta(hours=1)  # and the hour that goes on
PREVIEW_DAYS = 30
ZERO = Decimal(0)
_MODEL_CALLS = {"kind": ["llm", "embedding"]}


@dataclass(frozen=True, slots=True)
class Preview:
    """How often a rule would have opened an alert, by the hour, and when it last would have."""

    times: int
    last_at: datetime | None
    days: int = PREVIEW_DAYS


def calls_now(team: Team, agent: str, now: datetime) -> CallsSeen:
    rows = usage_rows([team.pk], start=now - WINDOW, end=now, group_by=["kind"], filters=_filters(agent))
    return _calls(rows)


def spend_now(team: Team, agent: str, now: datetime) -> SpendSeen | None:
    """None without past days to compare with."""
    day = team_day(team.time_zone, now)
    starts = _past_starts(day, first_hour(team.pk))
    spent = _hourly(team, [day.start, *starts], agent)
    return _spend(day, spent, _usual(spent, starts))


def unpriced_models(team: Team, start: datetime, end: datetime) -> dict[str, int]:
    """Calls without a price by model, most first."""
    rows = usage_rows([team.pk], start=start, end=end, group_by=["model"], order="unpriced_calls")
    return {row.key["model"]: row.unpriced_calls for row in rows if row.key["model"] and row.unpriced_calls > 0}


def preview(team: Team, rule: Rule, now: datetime) -> Preview:
    """What the rule would have done in the last PREVIEW_DAYS days."""
    if rule.kind == "unpriced":
        models = unpriced_models(team, now - timedelta(days=PREVIEW_DAYS), now)
        return Preview(sum(calls > rule.over for calls in models.values()), None)
    fired = _spikes(team, rule, now) if rule.kind == "spike" else _bad_hours(team, rule, now)
    return Preview(len(fired), fired[-1] if fired else None)


def _bad_hours(team: Team, rule: Rule, now: datetime) -> list[datetime]:
    """The hours in which it would have begun."""
    start = now - timedelta(days=PREVIEW_DAYS)
    rows = usage_rows([team.pk], start=start, end=now, group_by=["hour"], filters=_filters(rule.agent))
    by_hour = {row.key["hour"].astimezone(UTC): row for row in rows}
    fired, was_bad = [], False
    for hour in sorted({h for seen in by_hour for h in (seen, seen + HOUR)}):
        window = [by_hour[h] for h in (hour - HOUR, hour) if h in by_hour]
        is_bad = judged_calls(rule.threshold, _calls(window)) is not None
        if is_bad and not (was_bad and hour - HOUR in by_hour):
            fired.append(hour)
        was_bad = is_bad
    return fired


def _spikes(team: Team, rule: Rule, now: datetime) -> list[datetime]:
    """The first hour of each day in which it would have."""
    today, first = team_day(team.time_zone, now), first_hour(team.pk)
    days = [
        team_day(team.time_zone, today.start + timedelta(hours=12) - timedelta(days=n)) for n in range(PREVIEW_DAYS)
    ]
    past = {day.start: _past_starts(day, first) for day in days}
    spent = _hourly(team, {start for day in days for start in (day.start, *past[day.start])}, rule.agent)
    fired = []
    for day in reversed(days):
        usual = _usual(spent, past[day.start])
        for hour in range(1, 25):
            moment = TeamDay(day.start + HOUR * hour - timedelta(seconds=1), day.start, day.zone)
            if moment.now > now:
                break
            seen = _spend(moment, spent, usual)
            if seen is not None and judged_spend(rule.threshold, seen) is not None:
                fired.append(moment.now)
                break
    return fired


def _filters(agent: str) -> dict[str, Sequence[str | None]]:
    return {**_MODEL_CALLS, "agent": [agent]} if agent else {**_MODEL_CALLS}


def _calls(rows: Sequence[UsageRow]) -> CallsSeen:
    if not rows:
        return CallsSeen()
    latency = sum(row.latency for row in rows)
    return CallsSeen(sum(row.spans for row in rows), sum(row.errors for row in rows), percentiles(latency, 0.95)[0])


def _past_starts(day: TeamDay, first: datetime | None) -> list[datetime]:
    """Starts of past days alike, as far back as there is data."""
    starts = [day.weeks_before(weeks) for weeks in range(1, DAYS_MAX + 1)]
    return [start for start in starts if first is not None and start + timedelta(days=1) > first]


def _hourly(team: Team, starts: Iterable[datetime], agent: str) -> Mapping[datetime, Decimal]:
    hours = sorted({start + HOUR * i for start in starts for i in range(24)})
    if not agent:
        return spend_by_hour(team.pk, hours)
    windows = spend_by_agent(team.pk, hours, hours=1, agent=agent).get(agent, [])
    return {hour: spent.cost_usd for hour, spent in zip(hours, windows, strict=False)}


def _usual(spent: Mapping[datetime, Decimal], starts: Sequence[datetime]) -> Usual | None:
    return usual_day([[spent.get(start + HOUR * i, ZERO) for i in range(24)] for start in starts])


def _spend(day: TeamDay, spent: Mapping[datetime, Decimal], usual: Usual | None) -> SpendSeen | None:
    if usual is None:
        return None
    so_far = sum((spent.get(day.start + HOUR * i, ZERO) for i in range(day.hours_begun)), ZERO)
    return SpendSeen(so_far, at(usual.median, day.hour), usual.median[-1], usual.days)
