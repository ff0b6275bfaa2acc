"""What is stored, by day: the sizes of the partitions. They hold all teams, so operators only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db import connection

# Sizes with indexes and compressed contents; rows as PostgreSQL last estimated them (-1: not yet).
_SIZES = """
SELECT to_date(right(child.relname, 8), 'YYYYMMDD'),
       sum(pg_total_relation_size(child.oid))::bigint,
       sum(CASE WHEN pg_relation_size(child.oid) = 0 THEN 0 ELSE child.reltuples END)
         FILTER (WHERE child.relname LIKE 'tracking\\_span\\_%%')::bigint
FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid
WHERE inhparent IN ('tracking_span'::regclass, 'tracking_payload'::regclass)
GROUP BY 1
ORDER BY 1 DESC
LIMIT %s
"""
_DAYS_SHOWN = 400


@dataclass(frozen=True, slots=True)
class StoredDay:
    day: date
    size_bytes: int
    spans_estimated: int | None


def stored_days() -> list[StoredDay]:
    """Newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZES, [_DAYS_SHOWN])
        return [StoredDay(day, size, None if spans < 0 else spans) for day, size, spans in cursor.fetchall()]
