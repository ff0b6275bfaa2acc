"""What budgets are called on pages: scopes, windows, modes, kinds of entries, moments of their own time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

from dashboards import numbers

SCOPE_WORDS: Mapping[str, str] = {
    "organization": "organization",
    "team": "team",
    "key": "key",
    "agent": "agent",
    "model": "model",
    "user": "end user",
    "run": "run",
    "job": "job",
}
WINDOW_WORDS: Mapping[str, str] = {
    "day": "day",
    "week": "week",
    "month": "month",
    "run": "each run",
    "total": "in all",
}
IN_WINDOW: Mapping[str, str] = {
    "day": "today",
    "week": "this week",
    "month": "this month",
    "run": "in one run",
    "total": "in all",
}
MODE_NOTES: Mapping[str, str] = {
    "strict": "never over: what a call can cost at most is held before it is sent",
    "elastic": "over by a slice of one answer at most: the hold grows as the answer comes",
    "soft": "refuses nothing; alerts only",
}
KIND_WORDS: Mapping[str, str] = {
    "debit": "call",
    "charge": "seen afterwards",
    "correction": "correction",
    "opening": "opening",
    "adjustment": "adjustment",
    "reprice": "re-priced",
}


def usual_name(scope_kind: str, scope_id: str, window: str) -> str:
    """What a budget is called when nobody says: ``team, month``, ``each agent, day``, ``ops-bot, day``."""
    of = SCOPE_WORDS.get(scope_kind, scope_kind)
    whose = scope_id or (of if scope_kind in ("team", "organization") else f"each {of}")
    return f"{whose}, {WINDOW_WORDS.get(window, window)}"


def scope_word(scope_kind: str, scope_name: str) -> str:
    """``team``; ``agent ops-bot``; ``each end user``."""
    of = SCOPE_WORDS.get(scope_kind, scope_kind)
    if scope_kind in ("team", "organization"):
        return of
    return f"{of} {scope_name}" if scope_name else f"each {of}"


def moment(at: datetime, zone: str, now: datetime) -> str:
    """``14:06`` of today, else ``26 Nov``, by the clock of a zone."""
    local, today = at.astimezone(ZoneInfo(zone)), now.astimezone(ZoneInfo(zone)).date()
    if local.date() == today:
        return f"{local:%H:%M}"
    shown = numbers.day(local)
    return shown if local.year == today.year else f"{shown} {local.year}"


def until(at: datetime, zone: str, now: datetime) -> str:
    """When it will be: ``at 14:06`` or ``on 26 Nov``."""
    said = moment(at, zone, now)
    return f"at {said}" if ":" in said else f"on {said}"


def left(ends_at: datetime, now: datetime) -> str:
    """How long until then: ``9 days left``, ``7 h left``, ``12 min left``."""
    minutes = max(int((ends_at - now).total_seconds() // 60), 0)
    if minutes >= 2 * 24 * 60:
        return f"{minutes // 1440} days left"
    if minutes >= 120:
        return f"{minutes // 60} h left"
    return f"{minutes} min left"
