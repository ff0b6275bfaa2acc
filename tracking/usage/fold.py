"""Folding: deltas become hour and day rows. Any process may do it at any time; one at a time does."""

from __future__ import annotations

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from tracking.sql import statements

_LOCK = 0x464F4C44  # "FOLD"
TIDY_FROM = 1_000  # folded deltas leave dead rows behind that every reader would step over


def fold(limit: int | None = None) -> int:
    """Fold up to ``limit`` of the oldest deltas; how many were folded. 0 also when another process is at it."""
    limit = limit or settings.LIMITS["usage_deltas_per_fold"]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        # A page may not wait as long as a fold of many deltas on a busy machine may take.
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(settings.LIMITS["fold_ms"])])
        cursor.execute(statements("usage")["fold"], {"limit": limit})
        return int(cursor.fetchone()[0])


def hold_folding(cursor: CursorWrapper) -> None:
    """Wait for whoever is folding, and let nobody fold until this transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def fold_all() -> int:
    """Fold until nothing is left, or another process is at it; how many were folded."""
    total = 0
    while folded := fold():
        total += folded
    return total


def fold_and_tidy() -> int:
    """``fold_all``, and after many deltas their dead rows are cleared at once rather than at autovacuum's next round.

    Not to be called in a transaction.
    """
    total = fold_all()
    if total >= TIDY_FROM:
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (SKIP_LOCKED) tracking_usage_delta")
            cursor.execute("ANALYZE tracking_usage")
            _know_runs(cursor)
    return total


def _know_runs(cursor: CursorWrapper) -> None:
    """Have a young table of runs analysed now and not at autovacuum's next round: the planner takes it for empty until
    then, and every index for as good as another."""
    cursor.execute("SELECT reltuples < 0 FROM pg_class WHERE oid = 'tracking_run'::regclass")
    if cursor.fetchone()[0]:
        cursor.execute("ANALYZE tracking_run")
