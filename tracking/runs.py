"""Verbs on runs that no agent calls: closing those that went quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection

from tracking.sql import statements


def close_idle(now: datetime | None = None) -> int:
    """Close running runs that nothing was heard of for ``LIMITS["run_idle_minutes"]``; how many.

    Failed when their last model call or step failed, else completed. A later span opens the run again.
    """
    now = now or datetime.now(UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            statements("runs")["close_idle"],
            {"before": now - timedelta(minutes=settings.LIMITS["run_idle_minutes"]), "limit": 1_000},
        )
        return int(cursor.rowcount)
