"""Alerts as pages mark them: glyph, word and colour by kind, what a rule counts, when a mute ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tracking.reports.alerts import AlertRow

# kind -> icon, word
KINDS: Mapping[str, tuple[str, str]] = {
    "budget": ("prices", "Budget"),
    "overage": ("prices", "Over the limit"),
    "loop": ("loop", "Loop"),
    "killed": ("killed", "Stopped"),
    "circuit": ("refused", "Cut off"),
    "credit": ("prices", "Credits"),
    "unpriced": ("unknown", "No price"),
    "errors": ("error", "Errors"),
    "latency": ("clock", "Slow"),
    "spike": ("costs", "Costs"),
    "drift": ("error", "Ledger"),
    "stuck": ("clock", "Stuck"),
}
_COLOURS = {"critical": "error", "high": "loop", "low": "unknown"}
_OF_A_KIND = {"loop": "loop", "killed": "killed"}
STATE_WORDS = {"open": "Open", "acknowledged": "Acknowledged", "resolved": "Resolved", "all": "All"}
SEVERITY_WORDS = {"low": "low", "high": "high", "critical": "critical"}
EVENT_WORDS = {
    "run.completed": "a run is done",
    "run.failed": "a run failed",
    "run.killed": "a run was stopped",
    "run.rollback": "a run is to go back to a checkpoint",
    "approval.request": "an agent waits for a yes",
    "approval.decided": "a question was answered",
    "job.completed": "a job is done",
    "job.failed": "a job failed",
}
# kind -> what it is called, what its number counts
RULE_WORDS: Mapping[str, tuple[str, str]] = {
    "errors": ("Model calls fail more than", "% of the time"),
    "latency": ("The slowest 5% of model calls take more than", "ms"),
    "spike": ("A day costs more than", "% of the usual"),
    "unpriced": ("A model without a price is called more than", "times"),
}
MUTES = {"1h": "for an hour", "8h": "for 8 hours", "tomorrow": "until tomorrow", "7d": "for a week", "": "hear again"}


@dataclass(frozen=True, slots=True)
class Mark:
    colour: str
    icon: str
    word: str


def mark(row: AlertRow) -> Mark:
    glyph, word = KINDS.get(row.kind, ("other", row.kind))
    if row.state == "resolved":
        return Mark("killed", glyph, word)
    return Mark(_OF_A_KIND.get(row.kind) or _COLOURS.get(row.severity, "unknown"), glyph, word)


def kind_word(kind: str) -> str:
    return KINDS.get(kind, ("", kind))[1]


def mute_ends(choice: str, now: datetime, zone: str) -> datetime | None:
    """None: it hears again. "tomorrow" is the next midnight where the team is. Raises KeyError for no choice of ours."""
    if not MUTES[choice] or not choice:
        return None
    if choice == "tomorrow":
        local = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
        return (local + timedelta(days=1)).replace(tzinfo=ZoneInfo(zone))
    return now + {"1h": timedelta(hours=1), "8h": timedelta(hours=8), "7d": timedelta(days=7)}[choice]


def plain(number: Decimal) -> str:
    """A threshold as people type it."""
    return f"{number.normalize():f}"
