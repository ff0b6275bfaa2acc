"""What the palette finds: runs by id or words of their title, agents and models by a part of their name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection

from tracking.models import Agent, Team
from tracking.reports.run_filters import pattern_of
from tracking.usage.query import usage

_HEX = re.compile(r"[0-9a-f]{4,32}")
_MODELS_OF = timedelta(days=90)

# Words are looked for in the newest runs only, so that the answer takes the same time at any size.
_RUNS = """
SELECT id, trace_id, title, name, status, started_at FROM (
    SELECT id, trace_id, title, name, status, started_at FROM tracking_run
    WHERE team_id = %(team)s AND NOT is_hidden ORDER BY started_at DESC, id DESC LIMIT %(newest)s
) AS newest WHERE title ILIKE %(pattern)s OR name ILIKE %(pattern)s
ORDER BY started_at DESC LIMIT %(limit)s
"""
_RUNS_BY_ID = """
SELECT id, trace_id, title, name, status, started_at FROM tracking_run
WHERE team_id = %(team)s AND (id BETWEEN %(low)s AND %(high)s OR trace_id BETWEEN %(low)s AND %(high)s)
ORDER BY started_at DESC LIMIT %(limit)s
"""
_RUN_BY_EXTERNAL_ID = """
SELECT id, trace_id, title, name, status, started_at FROM tracking_run WHERE team_id = %(team)s AND external_id = %(text)s
"""


@dataclass(frozen=True, slots=True)
class FoundRun:
    id: UUID
    trace_id: UUID
    title: str
    name: str
    status: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class FoundModel:
    name: str
    llm_calls: int


@dataclass(frozen=True, slots=True)
class Found:
    """The best few of each; without a text the newest runs, the dearest agents and models stay out."""

    runs: Sequence[FoundRun]
    agents: Sequence[str]
    models: Sequence[FoundModel]


def find(team: Team, text: str, *, limit: int = 5) -> Found:
    """Look for a text in a team's things."""
    text = " ".join(text.replace("\0", "").split())
    runs = _runs(team, text, limit)
    if not text:
        return Found(runs, (), ())
    agents = Agent.objects.filter(team=team, name__icontains=text).order_by("name").values_list("name", flat=True)
    return Found(runs, tuple(agents[:limit]), _models(team, text, limit))


def _runs(team: Team, text: str, limit: int) -> list[FoundRun]:
    asked: dict[str, Any] = {
        "team": team.pk,
        "limit": limit,
        "text": text,
        "newest": settings.LIMITS["palette_runs_searched"],
    }
    digits = text.lower().replace("-", "")
    with connection.cursor() as cursor:
        found: dict[UUID, FoundRun] = {}
        if _HEX.fullmatch(digits):
            ends = {"low": UUID(digits.ljust(32, "0")), "high": UUID(digits.ljust(32, "f"))}
            cursor.execute(_RUNS_BY_ID, asked | ends)
            found |= {row[0]: FoundRun(*row) for row in cursor.fetchall()}
        if text:
            cursor.execute(_RUN_BY_EXTERNAL_ID, asked)
            found |= {row[0]: FoundRun(*row) for row in cursor.fetchall()}
        if len(found) < limit:
            cursor.execute(_RUNS, asked | {"pattern": f"%{pattern_of(text)}%"})
            found |= {row[0]: FoundRun(*row) for row in cursor.fetchall()}
    return list(found.values())[:limit]


def _models(team: Team, text: str, limit: int) -> list[FoundModel]:
    now = datetime.now(UTC)
    table = usage([team.pk], start=now - _MODELS_OF, end=now, group_by=["model"], order="llm_calls", limit=500)
    named = [(row.key["model"], row.llm_calls) for row in table.rows if row.key["model"]]
    return [FoundModel(name, calls) for name, calls in named if text.lower() in name.lower()][:limit]
