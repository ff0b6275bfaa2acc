"""Everything that must be the same whatever way spans came in."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from tracking.models import Run, Span, Team
from tracking.usage.query import COLUMNS, usage

_UNORDERED = ("id", "trace_id", "last_seen_at", "day")
_SPAN_PLACES = ("chunk", "chunk_position", "digest", "day")


def snapshot(team: Team) -> dict[str, Any]:
    runs = {
        str(run["trace_id"]): {k: v for k, v in run.items() if k not in _UNORDERED}
        for run in Run.objects.filter(team_id=team.id).values()
    }
    spans = {
        (str(row["trace_id"]), row["span_id"]): {k: v for k, v in row.items() if k not in _SPAN_PLACES}
        for row in Span.objects.filter(team_id=team.id).values()
    }
    now = timezone.now()
    sums = {
        word: [
            (
                row.key,
                row.runs,
                row.spans,
                row.llm_calls,
                row.tool_calls,
                row.errors,
                row.total_tokens,
                row.cost_usd,
                row.p95_ms,
            )
            for row in usage(
                [team.id], start=now - timedelta(days=3), end=now + timedelta(hours=2), group_by=[word], order="spans"
            ).rows
        ]
        for word in (*COLUMNS, "hour")
    }
    return {"runs": runs, "spans": spans, "usage": sums}
