"""The engine: what PostgreSQL says is what Django's own would read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection

from tracking.models import Team


@pytest.mark.django_db
def test_times_are_read_in_utc_whatever_zone_they_were_written_in(team: Team) -> None:
    moment = datetime(2026, 7, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz, '2026-07-01 12:00+02'::timestamptz, NULL::timestamptz", [moment])
        first, second, third = cursor.fetchone()
    assert (first, second, third) == (moment, datetime(2026, 7, 1, 10, tzinfo=UTC), None)
    assert first.tzinfo is UTC
    assert first.isoformat() == "2026-07-01T07:00:15.123456+00:00"
    assert Team.objects.get(pk=team.pk).created_at.tzinfo is UTC


@pytest.mark.django_db
def test_times_are_not_read_in_python() -> None:
    with connection.cursor() as cursor:
        loader = cursor.adapters.get_loader(connection.Database.adapters.types["timestamptz"].oid, 0)
    assert loader.__module__.endswith("._psycopg")
