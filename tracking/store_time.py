"""What time it is by the store's clock, which all processes share."""

from __future__ import annotations

from datetime import datetime

from django.db import connection


def store_now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        now: datetime = cursor.fetchone()[0]
        return now
