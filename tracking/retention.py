"""Partitions: made ahead of time, made on demand for late runs, dropped when their days are over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max

from tracking.models import Team
from tracking.sql import statements

DAYS_AHEAD = 7
FORGET_ROWS = 500
TABLES = ("tracking_span", "tracking_payload")
_LOCK = 0x57464C4F  # "WFLO": one maker or dropper of partitions at a time
_CLEANING = _LOCK + 1  # one drop_old at a time


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _tables(cursor: psycopg.Cursor[Any]) -> dict[tuple[date, str], str]:
    """Of every (day, table) how its partition stands: attached; leaving or left when dropping it ended midway."""
    cursor.execute(
        "SELECT to_date(right(c.relname, 8), 'YYYYMMDD'), left(c.relname, -9),"
        " CASE WHEN i.inhrelid IS NULL THEN 'left' WHEN i.inhdetachpending THEN 'leaving' ELSE 'attached' END"
        " FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
        " AND c.relname ~ '_[0-9]{8}$' AND left(c.relname, -9) = ANY(%s)",
        (list(TABLES),),
    )
    return {(day, table): state for day, table, state in cursor.fetchall()}


def existing_days(cursor: psycopg.Cursor[Any]) -> set[date]:
    """Days that can be written to."""
    tables = _tables(cursor)
    return {day for day, _ in tables if all(tables.get((day, table)) == "attached" for table in TABLES)}


def make_days(cursor: psycopg.Cursor[Any], days: Iterable[date]) -> None:
    """Make the partitions of ``days`` that are not there yet. Runs in a transaction of its own.

    A table is made apart and then attached: attaching does not stop readers or writers of the other days. What is
    left of a day that retention was dropping goes first.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    wanted = set(days) - existing_days(cursor)
    if not wanted:
        return
    tables = _tables(cursor)
    for day, table in sorted((day, table) for day in wanted for table in TABLES):
        name, state = partition_name(table, day), tables.get((day, table))
        if state == "attached":
            continue
        if state == "leaving":
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
        cursor.execute(f"DROP TABLE IF EXISTS {name}")
        cursor.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)")
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        )


def make_partitions(now: datetime | None = None) -> None:
    """Today's partitions and those of the next DAYS_AHEAD days."""
    today = (now or datetime.now(UTC)).date()
    with transaction.atomic(), connection.cursor() as cursor:
        make_days(cursor.cursor, [today + timedelta(days=i) for i in range(-1, DAYS_AHEAD + 1)])


def drop_old(now: datetime | None = None) -> list[date]:
    """Drop the days that are older than every team keeps, and the runs of days older than their own team keeps.

    A partition holds all teams' spans, so it lives as long as the team with the longest retention; what a team may no
    longer see is gone from lists at its own time, with its runs. Does nothing while another process is at it; what
    one that was killed left half done is finished.
    """
    today = (now or datetime.now(UTC)).date()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_CLEANING])
        if not cursor.fetchone()[0]:
            return []
        try:
            _forget_runs(today)
            dropped = _drop_days(cursor.cursor, today)
            if dropped:
                _forget_runs(today)  # those begun in a day while it was going
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_CLEANING])
    return dropped


def clear_kept_answers() -> int:
    """What idempotency keys were answered with, when their time is over."""
    gone, most = 0, settings.LIMITS["kept_answers_cleared_at_once"]
    while True:
        with connection.cursor() as cursor:
            cursor.execute(statements("kept_answers")["clear"], {"limit": most})
            cleared: int = cursor.rowcount
        gone += cleared
        if cleared < most:
            return gone


def _drop_days(cursor: psycopg.Cursor[Any], today: date) -> list[date]:
    longest = Team.objects.aggregate(days=Max("retention_days"))["days"]
    if longest is None:
        return []
    first_day = today - timedelta(days=longest)
    old = sorted({day for day, _ in _tables(cursor) if day < first_day})
    for day in old:
        cursor.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        try:
            _drop_day(cursor, day)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return old


def _drop_day(cursor: psycopg.Cursor[Any], day: date) -> None:
    tables = _tables(cursor)
    for table in TABLES:
        name, state = partition_name(table, day), tables.get((day, table))
        # Detached first, and not in a transaction: nobody who reads or writes other days waits.
        if state == "attached":
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY")
        elif state == "leaving":
            cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
        if state:
            cursor.execute(f"DROP TABLE {name}")


def _forget_runs(today: date) -> None:
    for team in Team.objects.only("id", "retention_days"):
        parameters = {"team": team.id, "first_day": today - timedelta(days=team.retention_days), "limit": FORGET_ROWS}
        while _forget_some(parameters):
            pass


def _forget_some(parameters: dict[str, Any]) -> bool:
    """A small bite. The runs are locked by a statement of its own, so that the next sees every span they have got."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statements("retention")["old_runs"], parameters)
        ids = [row[0] for row in cursor.fetchall()]
        if ids:
            cursor.execute(statements("retention")["forget_runs"], {"team": parameters["team"], "ids": ids})
    return len(ids) == int(parameters["limit"])
