"""Usage is exact at every moment, folded or not, by any groups."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import combinations

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from tests.make import make_team
from tests.tracking.ingest.spans import batch, call, span
from tracking.errors import Invalid
from tracking.ingest.writer import Store
from tracking.usage import fold
from tracking.usage.latency import BUCKETS, WEIGHTS, bucket_of, counts, percentiles
from tracking.usage.query import COLUMNS, UsageTable, usage
from tracking.usage.stretches import DAY, HOUR, Stretch, stretches
from wflo.spans import Kind, Span, Status

NOW = datetime.now(UTC)
START, END = NOW - timedelta(days=40), NOW + timedelta(hours=2)


def week_of_spans() -> list[Span]:
    """30 runs over 33 days, two users, three agents, a tool, errors, an unpriced model."""
    spans = []
    for run in range(30):
        ago = -run * 26.4 * 3600
        who = {"trace": run + 1, "user_id": f"user-{run % 2}", "environment": ("prod", "test")[run % 3 == 0]}
        spans += [
            span(1, kind=Kind.AGENT, agent=f"agent-{run % 3}", begins=ago, **who),
            call(
                2, parent=1, begins=ago + 1, model=("gpt-4o-mini", "claude-sonnet-4-5", "house-model")[run % 3], **who
            ),
            span(3, parent=1, kind=Kind.TOOL, tool_name="search", begins=ago + 2, **who),
            call(4, parent=1, begins=ago + 3, tokens=None, status=Status.ERROR, **who),
        ]
    return spans


@pytest.fixture
def store(transactional_db: None):  # type: ignore[no-untyped-def]
    from tracking import pricing

    pricing.load_bundled()
    store = Store()
    yield store
    store.close()


def facts(table: UsageTable) -> dict[tuple[object, ...], tuple[object, ...]]:
    return {
        tuple(row.key.values()): (row.spans, row.llm_calls, row.tool_calls, row.errors, row.total_tokens, row.cost_usd,
                                  row.unpriced_calls, row.p95_ms)
        for row in table.rows
    }  # fmt: skip


def ask(team_id: int, *group_by: str, **filters: list[str | None]) -> UsageTable:
    return usage([team_id], start=START, end=END, group_by=group_by, filters=filters)


@pytest.mark.django_db(transaction=True)
def test_every_pair_of_groups_sums_to_the_whole_before_and_after_folding(store: Store) -> None:
    team = make_team("Usage")
    store.write([batch(team, *week_of_spans())])
    whole = ask(team.id).totals
    assert (whole.runs, whole.spans, whole.llm_calls, whole.tool_calls, whole.errors) == (30, 120, 60, 30, 30)
    before = {pair: facts(ask(team.id, *pair)) for pair in combinations((*COLUMNS, "day"), 2)}
    fold.fold(100)
    assert {pair: facts(ask(team.id, *pair)) for pair in before} == before
    fold.fold_all()
    after = {pair: facts(ask(team.id, *pair)) for pair in before}
    assert after == before
    for pair in before:
        rows = ask(team.id, *pair).rows
        assert sum(row.spans for row in rows) == 120, pair
        assert sum(row.cost_usd or Decimal(0) for row in rows) == whole.cost_usd, pair


@pytest.mark.django_db(transaction=True)
def test_runs_are_counted_once_for_every_value_they_touch(store: Store) -> None:
    team = make_team("Runs")
    store.write([batch(team, *week_of_spans())])
    fold.fold_all()
    assert {row.key["agent"]: row.runs for row in ask(team.id, "agent").rows} == {
        "agent-0": 10,
        "agent-1": 10,
        "agent-2": 10,
    }
    assert {row.key["user"]: row.runs for row in ask(team.id, "user").rows} == {"user-0": 15, "user-1": 15}
    assert ask(team.id, "model", agent=["agent-1"]).totals.runs == 10
    assert ask(team.id, "provider", agent=["agent-1"]).rows[0].runs is None


@pytest.mark.django_db(transaction=True)
def test_a_range_takes_whole_days_from_day_rows_and_edges_from_hours(store: Store) -> None:
    team = make_team("Edges")
    spans = week_of_spans()
    store.write([batch(team, *spans)])
    expected: dict[int, int] = defaultdict(int)
    for hours in (1, 5, 30, 24 * 7, 24 * 20):
        start = (NOW - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        expected[hours] = sum(s.started_ns >= start.timestamp() * 1e9 for s in spans)
    unfolded = {h: usage([team.id], start=NOW - timedelta(hours=h), end=END).totals.spans for h in expected}
    fold.fold_all()
    folded = {h: usage([team.id], start=NOW - timedelta(hours=h), end=END).totals.spans for h in expected}
    assert unfolded == folded == expected


@pytest.mark.django_db(transaction=True)
def test_any_range_is_the_sum_of_its_hours_and_rows_sum_to_their_totals(store: Store) -> None:
    team = make_team("Hours")
    store.write([batch(team, *week_of_spans())])
    fold.fold_all()
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    for hours in range(-80, 24, 7):
        for length in (1, 6, 17, 23, 30, 52):
            asked = {"start": midnight + timedelta(hours=hours), "end": midnight + timedelta(hours=hours + length)}
            by_hour = usage([team.id], group_by=["hour"], **asked).rows
            by_model = usage([team.id], group_by=["model"], **asked)
            whole = usage([team.id], **asked).totals
            for name in ("spans", "latency", "total_tokens", "runs"):
                assert sum(getattr(row, name) for row in by_hour) == getattr(whole, name), (asked, name)
            assert by_model.totals == whole
            assert all(row.spans or row.runs for row in by_model.rows)


@given(st.integers(0, 90), st.integers(1, 90), st.integers(0, 200))
def test_the_stretches_of_a_range_hold_each_of_its_hours_once_and_no_other(begins: int, length: int, now: int) -> None:
    zero = datetime(2026, 11, 20, tzinfo=UTC)
    start, end = zero + timedelta(hours=begins), zero + timedelta(hours=begins + length)
    held: dict[datetime, int] = defaultdict(int)
    parts = stretches(start, end, zero + timedelta(hours=now))
    for part in parts:
        for hour in range(int((part.end - part.start) / timedelta(hours=1))):
            held[part.start + timedelta(hours=hour)] += -1 if part.is_taken_away else 1
    assert {hour for hour, times in held.items() if times} == {start + timedelta(hours=n) for n in range(length)}
    assert set(held.values()) <= {0, 1}
    days = [part for part in parts if part.grain == DAY]
    assert all(part.start.hour == part.end.hour == 0 for part in days)
    if days:
        passed = [min(part.end, zero + timedelta(hours=now)) - part.start for part in parts if part.grain == HOUR]
        assert all(hours <= timedelta(hours=12) for hours in passed)


def test_hours_are_taken_off_a_day_where_they_are_fewer() -> None:
    def at(day: int, hour: int = 0) -> datetime:
        return datetime(2026, 11, day, hour, tzinfo=UTC)

    now = at(28, 9)
    assert stretches(at(20, 1), at(28, 10), now) == [
        Stretch(DAY, at(20), at(29)),
        Stretch(HOUR, at(20), at(20, 1), is_taken_away=True),
        Stretch(HOUR, at(28, 10), at(29), is_taken_away=True),
    ]
    assert stretches(at(20, 20), at(23, 4), now) == [
        Stretch(DAY, at(21), at(23)),
        Stretch(HOUR, at(20, 20), at(21)),
        Stretch(HOUR, at(23), at(23, 4)),
    ]
    assert stretches(at(20), at(22), now) == [Stretch(DAY, at(20), at(22))]
    assert stretches(at(20, 11), at(20, 14), now) == [Stretch(HOUR, at(20, 11), at(20, 14))]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("group_by", "filters", "order", "field"),
    [(("colour",), {}, "cost_usd", "group_by"), ((), {"colour": ["x"]}, "cost_usd", "colour"),
     ((), {"kind": ["nope"]}, "cost_usd", "kind"), ((), {}, "p95_ms; DROP TABLE", "order")],
)  # fmt: skip
def test_what_cannot_be_asked_names_its_field(
    group_by: tuple[str, ...], filters: dict[str, list[str | None]], order: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        usage([1], start=START, end=END, group_by=group_by, filters=filters, order=order)
    assert refused.value.field == field


@given(st.lists(st.floats(0, 3e6, allow_nan=False), min_size=1, max_size=200))
def test_a_histogram_in_a_number_keeps_every_count_and_finds_percentiles(durations: list[float]) -> None:
    packed = sum(WEIGHTS[bucket_of(ms)] for ms in durations)
    assert sum(counts(packed)) == len(durations)
    middle, highest = percentiles(packed, 0.5, 1)
    assert highest is not None
    assert bucket_of(highest - 0.001) == bucket_of(max(durations))
    exact = sorted(durations)[(len(durations) - 1) // 2]
    assert middle is not None
    assert (
        bucket_of(middle) == bucket_of(exact)
        or abs(middle - exact) <= 1
        or bucket_of(exact) in (bucket_of(middle) - 1, BUCKETS - 1)
    )


def test_of_nothing_there_is_no_percentile_and_a_lost_count_is_told() -> None:
    assert percentiles(0, 0.5, 0.95) == (None, None)
    with pytest.raises(ValueError, match="negative"):
        counts(-1)


@pytest.mark.django_db(transaction=True)
def test_after_folding_no_dead_rows_are_left_for_readers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "TIDY_FROM", 1)
    team = make_team("Tidy")
    store.write([batch(team, *week_of_spans())])
    assert fold.fold_and_tidy() > 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('tracking_usage_delta')")
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT reltuples > 0 FROM pg_class WHERE relname = 'tracking_run'")
        assert cursor.fetchone() == (True,), "the planner takes a table that was never analysed for empty"
    assert ask(team.id).totals.spans == 120
