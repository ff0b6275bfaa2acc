"""Counts of the runs list are kept between two questions, and never outlive what they counted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.make import make_team
from tests.told import a_store, tell_many, tell_one
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from tracking.reports import run_facets as facets
from tracking.reports.run_facets import run_facets
from tracking.reports.run_filters import RunFilters

SNAPSHOT = "SELECT pg_current_snapshot()::text"


@pytest.fixture
def team(transactional_db: None) -> Team:
    return make_team("Core")


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_store() as store:
        yield store


@pytest.fixture
def many(store: Store, team: Team) -> Team:
    tell_many(store, team)
    return team


def counted(team: Team, **filters: Any) -> tuple[int, dict[str, int]]:
    found = run_facets(team.id, RunFilters(**filters))
    return found.matched, dict(found.facets["status"].counts)


def counted_and_closed(team: Team) -> tuple[int, dict[str, int]]:
    try:
        return counted(team)
    finally:
        connection.close()


@contextmanager
def another_connection() -> Iterator[psycopg.Connection[Any]]:
    known = connection.settings_dict
    with psycopg.connect(
        host=known["HOST"], port=known["PORT"], user=known["USER"], password=known["PASSWORD"], dbname=known["NAME"]
    ) as other:
        yield other


def asked_while_nothing_is_written(team: Team, *starts: datetime | None) -> list[str]:
    """What counting from these starts asks PostgreSQL. Its own housekeeping writes too: then it is asked again."""
    for _ in range(50):
        run_facets(team.id, RunFilters(start=starts[0]))
        before = snapshot()
        with CaptureQueriesContext(connection) as asked:
            for start in starts:
                run_facets(team.id, RunFilters(start=start))
        if snapshot() == before:
            return [query["sql"] for query in asked]
    raise AssertionError("the database is never left alone")


def snapshot() -> str:
    with connection.cursor() as cursor:
        cursor.execute(SNAPSHOT)
        return str(cursor.fetchone())


def test_what_nobody_changed_is_not_counted_again(many: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.LIMITS, "facets_remembered_seconds", 600)
    assert asked_while_nothing_is_written(many, None) == [SNAPSHOT]
    first = run_facets(many.id, RunFilters())
    assert run_facets(many.id, RunFilters()) == first
    assert run_facets(many.id, RunFilters(status=("failed",), environment=("prod",))).matched == 1


def test_what_was_written_is_in_the_next_count(many: Team, store: Store) -> None:
    assert counted(many) == (12, {"completed": 10, "failed": 2})
    assert counted(many, user=("nobody",)) == (0, {})
    tell_one(store, many, trace=500)
    assert counted(many)[0] == 13
    run = Run.objects.filter(team=many, status="completed").first()
    assert run is not None
    Run.objects.filter(pk=run.pk).update(status="killed", user_id="nobody")
    assert counted(many)[1]["killed"] == 1
    assert counted(many, user=("nobody",)) == (1, {"killed": 1})
    Run.objects.filter(pk=run.pk).delete()
    assert counted(many)[0] == 12
    assert counted(many, user=("nobody",)) == (0, {})


def test_what_another_began_sooner_and_commits_later_is_seen(many: Team) -> None:
    with another_connection() as other:
        other.execute("UPDATE tracking_run SET status = 'killed' WHERE team_id = %s AND status = 'failed'", [many.id])
        assert counted(many) == (12, {"completed": 10, "failed": 2})
        Run.objects.filter(team=many, status="completed").update(status="cancelled")
        assert counted(many) == (12, {"cancelled": 10, "failed": 2})
        other.commit()
        assert counted(many) == (12, {"cancelled": 10, "killed": 2})


def test_a_transaction_sees_its_own_writes_and_leaves_nothing_behind(many: Team) -> None:
    before = counted(many)
    with transaction.atomic():
        Run.objects.filter(team=many).update(status="killed")
        assert counted(many) == (12, {"killed": 12})
        Run.objects.filter(team=many).update(status="failed")
        assert counted(many) == (12, {"failed": 12})
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(counted_and_closed, many).result() == before
        transaction.set_rollback(True)
    assert counted(many) == before


def test_a_start_that_moves_past_a_run_leaves_it_out(many: Team) -> None:
    begins = sorted(Run.objects.filter(team=many).values_list("started_at", flat=True))
    soon = timedelta(microseconds=1)
    for start, runs in (
        (begins[0] - soon, 12),
        (begins[0], 12),
        (begins[0] + soon, 11),
        (begins[5] + soon, 5),
        (begins[3], 9),
        (begins[0] - soon, 12),
        (None, 12),
        (begins[-1] + soon, 0),
        (begins[-1] + 2 * soon, 0),
        (begins[-1], 1),
    ):
        assert counted(many, start=start)[0] == runs
        assert counted(many, start=start)[0] == runs


def test_the_newest_are_the_same_from_any_start_before_them(many: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facets, "FACET_ROWS", 4)
    begins = sorted(Run.objects.filter(team=many).values_list("started_at", flat=True))
    first = run_facets(many.id, RunFilters(start=begins[2]))
    assert (first.matched, first.is_capped) == (5, True)
    monkeypatch.setitem(settings.LIMITS, "facets_remembered_seconds", 600)
    assert asked_while_nothing_is_written(many, begins[2], begins[0], begins[7]) == [SNAPSHOT] * 3
    for start in (begins[2], begins[0], begins[7]):
        assert run_facets(many.id, RunFilters(start=start)) == first
    assert counted(many, start=begins[9])[0] == 3
    assert run_facets(many.id, RunFilters(start=begins[7])) == first


def test_counts_are_kept_for_seconds_and_for_few_lists(many: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.LIMITS, "facets_remembered", 1)
    ends = [datetime(2030, 1, day, tzinfo=UTC) for day in (1, 2)]
    with CaptureQueriesContext(connection) as asked:
        for end in ends * 2:
            run_facets(many.id, RunFilters(end=end))
    assert len(asked) == 4
    monkeypatch.setitem(settings.LIMITS, "facets_remembered_seconds", -1)
    with CaptureQueriesContext(connection) as asked:
        run_facets(many.id, RunFilters(end=ends[1]))
    assert "tracking_run" in asked[0]["sql"]
