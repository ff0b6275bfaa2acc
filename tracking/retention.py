"""Partitions: made ahead of time, made on demand for late runs, dropped when their days are over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from django.db import connection, transaction
from django.db.models import Max

from tracking.models import Team
from tracking.sql import statements

DAYS_AHEAD = 7
FORGET_ROWS = 500
TABLES = ("tracking_span", "tracking_payload")
_LOCK = 0x57464C4F  # "WFLO": one maker of partitions at a time


def partition_name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def existing_days(cursor: psycopg.Cursor[Any]) -> set[date]:
    cursor.execute(
        "SELECT to_date(right(c.relname, 8), 'YYYYMMDD') FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'tracking_payload'::regclass"
    )
    return {row[0] for row in cursor.fetchall()}


def make_days(cursor: psycopg.Cursor[Any], days: Iterable[date]) -> None:
    """Make the partitions of ``days`` that are not there yet. Runs in a transaction of its own.

    A table is made apart and then attached: attaching does not stop readers or writers of the other days.
    """
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    for day in sorted(set(days) - existing_days(cursor)):
        for table in TABLES:
            name = partition_name(table, day)
            cursor.execute(
                f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)"
            )
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
    longer see is gone from lists and totals at its own time, with its runs.
    """
    today = (now or datetime.now(UTC)).date()
    _forget_runs(today)
    longest = Team.objects.aggregate(days=Max("retention_days"))["days"]
    if longest is None:
        return []
    with connection.cursor() as cursor:
        old = sorted(day for day in existing_days(cursor.cursor) if day < today - timedelta(days=longest))
        for day in old:
            for table in TABLES:
                name = partition_name(table, day)
                # Detached first, and not in a transaction: nobody who reads or writes other days waits.
                cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {name} CONCURRENTLY")
                cursor.execute(f"DROP TABLE {name}")
    return old


def _forget_runs(today: date) -> None:
    for team in Team.objects.only("id", "retention_days"):
        first_day = today - timedelta(days=team.retention_days)
        while True:
            with connection.cursor() as cursor:
                cursor.execute(statements("retention")["forget_runs"], {"team": team.id, "first_day": first_day})
                if cursor.rowcount < FORGET_ROWS:
                    break
