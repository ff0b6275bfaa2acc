"""What must always hold between the tables (V1 to V6, V10 to V12), checked by tests and by the clock.

Each check finds rows that break it; none means that the money and the counts can be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection, transaction

from tracking.sql import statements


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant's name, and the first rows found that break it."""

    name: str
    rows: list[tuple[Any, ...]]


def check(team_id: int | None = None) -> list[Broken]:
    """Every invariant that does not hold, for one team or all, from one snapshot of the database."""
    with transaction.atomic(), connection.cursor() as cursor:
        return broken(cursor.cursor, team_id)


def broken(cursor: psycopg.Cursor[Any], team_id: int | None = None) -> list[Broken]:
    """The same through any connection, as the first statements of its transaction."""
    found = []
    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    for name, sql in statements("invariants").items():
        cursor.execute(sql, {"team": team_id})
        rows = cursor.fetchall()
        if rows:
            found.append(Broken(name, rows))
    return found
