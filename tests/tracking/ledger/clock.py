"""A clock of the test's own for PostgreSQL: the ledger asks ``now()``, and here it is this one's answer."""

from __future__ import annotations

from datetime import datetime

from django.db import connection

_MAKE = """
CREATE SCHEMA IF NOT EXISTS test_clock;
CREATE OR REPLACE FUNCTION test_clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
  $$ SELECT current_setting('test_clock.now')::timestamptz $$;
CREATE OR REPLACE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
  $$ SELECT current_setting('test_clock.now')::timestamptz $$;
SET LOCAL search_path = test_clock, public, pg_catalog;
"""


def set_clock(at: datetime) -> None:
    """Within the test's transaction; gone with it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('search_path')")
        if not cursor.fetchone()[0].startswith("test_clock"):
            cursor.execute(_MAKE)
        cursor.execute("SELECT set_config('test_clock.now', %s, true)", [at.isoformat()])
