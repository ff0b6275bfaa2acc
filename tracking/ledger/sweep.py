"""Holds whose calls fell silent are closed, and closed ones cleared away when nobody asks for them any more."""

from __future__ import annotations

from collections import Counter

from django.conf import settings
from django.db import connection

from tracking.ledger.perform import perform
from tracking.ledger.verbs import expire
from tracking.sql import statements


def sweep() -> Counter[str]:
    """Close every hold whose lease ran out, a bounded number at a time: how many were released, expired, stuck."""
    done: Counter[str] = Counter()
    while done.total() < settings.LIMITS["holds_swept_at_once"]:
        closed = perform(expire())
        if closed is None:
            break
        done[closed[2]] += 1
    return done


def clear() -> int:
    """Delete holds that were closed LIMITS["closed_hold_days"] ago; how many. Their entries stay for ever."""
    cleared = 0
    with connection.cursor() as cursor:
        while cleared < settings.LIMITS["holds_cleared_at_once"]:
            cursor.execute(
                statements("ledger")["clear"],
                {"days": settings.LIMITS["closed_hold_days"], "limit": settings.LIMITS["holds_cleared_per_commit"]},
            )
            if not cursor.rowcount:
                break
            cleared += cursor.rowcount
    return cleared
