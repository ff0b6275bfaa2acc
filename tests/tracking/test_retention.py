"""What is older than a team keeps goes, by days; what it cost stays, and nobody who writes notices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest
from django.db import connection

from tests.make import make_team
from tests.told import a_store
from tests.tracking.ingest.spans import batch, call, span, stored
from tracking import invariants, retention
from tracking.ingest.writer import Store, connect
from tracking.models import Payload, Run, Span, Team
from tracking.usage.query import UsageRow, usage
from wflo.spans import Kind
from wflo.spans import Span as Told

pytestmark = pytest.mark.django_db(transaction=True)
DAY = 24 * 3600
TODAY = datetime.now(UTC).date()


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    """In a database of today's partitions alone: those of tests before this one outlive their rows."""
    nobody = keeping("Nobody", 1)
    retention.drop_old()
    nobody.delete()
    with a_store() as store:
        yield store


def a_run(trace: int, *, days_ago: int) -> list[Told]:
    at = -days_ago * DAY
    return [
        span(1, trace=trace, kind=Kind.AGENT, agent="mira", begins=at, lasts=9),
        call(2, trace=trace, parent=1, begins=at + 1),
    ]


def keeping(name: str, days: int) -> Team:
    team = make_team(name)
    Team.objects.filter(pk=team.pk).update(retention_days=days)
    return team


def total(team: Team) -> UsageRow:
    now = datetime.now(UTC)
    return usage([team.pk], start=now - timedelta(days=399), end=now + timedelta(hours=1)).totals


def days() -> set[date]:
    with connection.cursor() as cursor:
        return retention.existing_days(cursor.cursor)


def tables_of(day: date) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s", [f"%\\_{day:%Y%m%d}"])
        return [name for (name,) in cursor.fetchall()]


def test_old_days_go_with_their_runs_and_what_they_cost_stays(store: Store) -> None:
    team = keeping("Core", 30)
    stored(store, team, *a_run(1, days_ago=40), *a_run(2, days_ago=20), *a_run(3, days_ago=0))
    before = total(team)
    assert before.runs == 3

    dropped = retention.drop_old()

    gone = TODAY - timedelta(days=40)
    assert [day for day in dropped if abs((day - gone).days) <= 1] == dropped != []
    assert not any(tables_of(day) for day in dropped)
    assert {run.trace_id.int for run in Run.objects.filter(team=team)} == {2, 3}
    assert {row.trace_id.int for row in Span.objects.filter(team_id=team.pk)} == {2, 3}
    assert total(team) == before
    assert invariants.check(team.pk) == []
    assert retention.drop_old() == []


def test_each_team_keeps_its_own_days_though_they_share_partitions(store: Store) -> None:
    short, long = keeping("Short", 10), keeping("Long", 60)
    old = [a_run(1, days_ago=30), a_run(2, days_ago=5)]
    store.write([batch(team, *run) for team in (short, long) for run in old])

    assert retention.drop_old() == []

    assert {run.trace_id.int for run in Run.objects.filter(team=short)} == {2}
    assert {row.trace_id.int for row in Payload.objects.filter(team_id=short.pk)} == {2}
    assert Run.objects.filter(team=long).count() == 2
    assert (total(short).runs, total(short).cost_usd) == (total(long).runs, total(long).cost_usd)
    assert invariants.check(short.pk) == invariants.check(long.pk) == []


def test_more_runs_than_one_bite_are_all_forgotten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FORGET_ROWS", 3)
    team = keeping("Core", 5)
    keeping("Long", 90)
    stored(store, team, *[one for trace in range(1, 12) for one in a_run(trace, days_ago=8)])
    retention.drop_old()
    assert not Run.objects.filter(team=team).exists()
    assert not Span.objects.filter(team_id=team.pk).exists()


def test_those_who_write_meanwhile_lose_nothing(store: Store) -> None:
    """O8. One writes to today, another to days that are being dropped."""
    team = keeping("Core", 30)
    stop = threading.Event()
    told: list[int] = []
    failures: list[BaseException] = []

    def write(first: int, days_ago: int) -> None:
        mine = Store()
        try:
            for trace in range(first, first + 10_000):
                if stop.is_set():
                    return
                stored(mine, team, *a_run(trace, days_ago=days_ago))
                told.append(trace)
        except BaseException as error:
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(10_000, 0)), threading.Thread(target=write, args=(20_000, 45))]
    for thread in threads:
        thread.start()
    try:
        for days_ago in range(40, 46):
            stored(store, team, *a_run(days_ago, days_ago=days_ago))
            retention.drop_old()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    retention.drop_old()
    kept = {run.trace_id.int for run in Run.objects.filter(team=team)}
    assert kept == {trace for trace in told if trace < 20_000}
    assert len(kept) > 0
    assert Span.objects.filter(team_id=team.pk).count() == 2 * len(kept)
    assert total(team).runs == len(told) + 6
    assert invariants.check(team.pk) == []


@pytest.fixture
def half_dropped(store: Store) -> date:
    """A day whose dropping ended midway: of one table detached and left, of the other still waiting for a reader."""
    team = keeping("Core", 30)
    stored(store, team, *a_run(1, days_ago=50))
    day: date = Run.objects.get(team=team).day
    span_table, payload_table = (retention.partition_name(table, day) for table in retention.TABLES)
    with connect() as mine, connect() as reader:
        mine.execute(f"ALTER TABLE tracking_span DETACH PARTITION {span_table} CONCURRENTLY")
        mine.execute("SET statement_timeout = 200")
        with reader.transaction():
            reader.execute("SELECT count(*) FROM tracking_payload")
            with pytest.raises(psycopg.errors.QueryCanceled):
                mine.execute(f"ALTER TABLE tracking_payload DETACH PARTITION {payload_table} CONCURRENTLY")
    return day


def test_a_drop_that_was_interrupted_is_finished_by_the_next(half_dropped: date) -> None:
    assert half_dropped in retention.drop_old()
    assert tables_of(half_dropped) == []
    assert retention.drop_old() == []
    assert invariants.check(Team.objects.get().pk) == []


def test_a_late_span_of_a_half_dropped_day_is_stored(store: Store, half_dropped: date) -> None:
    team = Team.objects.get(name="Core")
    stored(store, team, *a_run(2, days_ago=50))
    assert Span.objects.filter(team_id=team.pk, day=half_dropped, trace_id=f"{2:032x}").count() == 2


def test_two_at_once_are_as_one(store: Store) -> None:
    team = keeping("Core", 30)
    stored(store, team, *[one for ago in range(40, 44) for one in a_run(ago, days_ago=ago)])
    dropped: list[list[date]] = []
    failures: list[BaseException] = []

    def drop() -> None:
        try:
            dropped.append(retention.drop_old())
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=drop) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len({day for days in dropped for day in days}) == sum(map(len, dropped)) >= 4
    assert min(days(), default=TODAY) > TODAY - timedelta(days=40)


def test_the_days_to_come_have_their_partitions_before_they_begin(store: Store) -> None:
    retention.make_partitions()
    retention.make_partitions()
    wanted = {TODAY + timedelta(days=ahead) for ahead in range(-1, retention.DAYS_AHEAD + 1)}
    assert wanted <= days()
