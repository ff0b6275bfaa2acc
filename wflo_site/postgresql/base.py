"""DATABASES' ENGINE."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from psycopg.types.datetime import TimestamptzLoader


class DatabaseWrapper(base.DatabaseWrapper):
    """Django puts a loader in Python over psycopg's, which gives every time its zone: 4 us for each, a tenth in C.
    There is nothing to give it here: each connection is set to UTC (``wflo_site.database_url``).
    """

    def create_cursor(self, name: str | None = None) -> Any:
        cursor = super().create_cursor(name)
        cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
        return cursor
