"""Days, weeks and months as a team's clock has them, by the database's own clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from tests.make import make_team
from tests.tracking.ledger.clock import set_clock
from tests.tracking.ledger.conftest import LEASE_MS, ceiling, make_budget
from tracking.ledger import verbs
from tracking.ledger.calls import Actual, Call, Charge, Outcome
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, dispatch, settle
from tracking.models import Budget, BudgetPeriod, Team

pytestmark = pytest.mark.django_db


def window(kind: str, zone: str, at: str) -> tuple[datetime, datetime]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT starts_at, ends_at FROM ledger_window(%s, %s, %s::timestamptz)", [kind, zone, at])
        starts_at, ends_at = cursor.fetchone()
    return starts_at, ends_at


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "zone", "at", "begins", "ends"),
    [
        # midnight: the last moment of a day and the first of the next
        ("day", "UTC", "2026-03-04 23:59:59.999999+00", "2026-03-04 00:00", "2026-03-05 00:00"),
        ("day", "UTC", "2026-03-05 00:00:00+00", "2026-03-05 00:00", "2026-03-06 00:00"),
        ("day", "Asia/Kolkata", "2026-03-04 18:29:59+00", "2026-03-03 18:30", "2026-03-04 18:30"),
        ("day", "Asia/Kolkata", "2026-03-04 18:30:00+00", "2026-03-04 18:30", "2026-03-05 18:30"),
        ("day", "Pacific/Kiritimati", "2026-03-04 10:00:00+00", "2026-03-04 10:00", "2026-03-05 10:00"),
        # days of 23 and 25 hours
        ("day", "Europe/Berlin", "2026-03-29 12:00+00", "2026-03-28 23:00", "2026-03-29 22:00"),
        ("day", "Europe/Berlin", "2026-10-25 12:00+00", "2026-10-24 22:00", "2026-10-25 23:00"),
        (
            "day",
            "Europe/Berlin",
            "2026-10-25 00:30+00",
            "2026-10-24 22:00",
            "2026-10-25 23:00",
        ),  # 02:30 for the first time
        ("day", "Europe/Berlin", "2026-10-25 01:30+00", "2026-10-24 22:00", "2026-10-25 23:00"),  # and for the second
        ("day", "Australia/Lord_Howe", "2026-04-05 12:00+00", "2026-04-04 13:00", "2026-04-05 13:30"),
        # there is no midnight: clocks go from 00:00 to 01:00, at 04:00 UTC
        ("day", "America/Santiago", "2026-09-06 12:00+00", "2026-09-06 04:00", "2026-09-07 03:00"),
        # there are two: clocks go from 01:00 back to 00:00, at 05:00 UTC, and the day begins at the first
        ("day", "America/Havana", "2026-11-01 04:30+00", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("day", "America/Havana", "2026-11-01 05:30+00", "2026-11-01 04:00", "2026-11-02 05:00"),
        ("day", "America/Havana", "2026-10-31 12:00+00", "2026-10-31 04:00", "2026-11-01 04:00"),
        # weeks begin on Mondays
        ("week", "UTC", "2026-03-01 23:59+00", "2026-02-23 00:00", "2026-03-02 00:00"),
        ("week", "Europe/Berlin", "2026-03-29 21:59+00", "2026-03-22 23:00", "2026-03-29 22:00"),
        ("week", "UTC", "2026-01-01 12:00+00", "2025-12-29 00:00", "2026-01-05 00:00"),
        # months of all lengths, a leap day, the turn of the year
        ("month", "UTC", "2026-02-28 23:59+00", "2026-02-01 00:00", "2026-03-01 00:00"),
        ("month", "UTC", "2028-02-29 12:00+00", "2028-02-01 00:00", "2028-03-01 00:00"),
        ("month", "America/New_York", "2028-03-01 04:59+00", "2028-02-01 05:00", "2028-03-01 05:00"),
        ("month", "America/New_York", "2026-03-31 12:00+00", "2026-03-01 05:00", "2026-04-01 04:00"),
        ("month", "Asia/Tokyo", "2026-12-31 15:00+00", "2026-12-31 15:00", "2027-01-31 15:00"),
        ("total", "Europe/Berlin", "2026-12-31 15:00+00", "1970-01-01 00:00", "9000-01-01 00:00"),
        ("run", "Europe/Berlin", "2026-12-31 15:00+00", "1970-01-01 00:00", "9000-01-01 00:00"),
    ],
)
def test_a_window_is_that_of_the_teams_clock(kind: str, zone: str, at: str, begins: str, ends: str) -> None:
    """B29"""
    assert window(kind, zone, at) == (utc(begins), utc(ends))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana", "America/Santiago", "Asia/Beirut", "Africa/Cairo",
                                  "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Atlantic/Azores"])  # fmt: skip
@pytest.mark.parametrize("kind", ["day", "week", "month"])
def test_the_windows_of_two_years_follow_one_another_without_a_gap(zone: str, kind: str) -> None:
    """And every moment lies in the window it is counted in, on the date that the team's clock shows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT at, w.starts_at, w.ends_at FROM generate_series('2026-01-01'::timestamptz, '2028-03-02', '7 hours 30 minutes') AS at"
            " CROSS JOIN LATERAL ledger_window(%s, %s, at) AS w ORDER BY at", [kind, zone],
        )  # fmt: skip
        rows = cursor.fetchall()
    before: tuple[datetime, datetime] | None = None
    for at, starts_at, ends_at in rows:
        assert starts_at <= at < ends_at
        local = starts_at.astimezone(ZoneInfo(zone))
        assert local.date() == (starts_at + timedelta(hours=20)).astimezone(ZoneInfo(zone)).date()
        if before is not None and before[0] != starts_at:
            assert before[1] == starts_at
        before = (starts_at, ends_at)


def periods(budget: Budget) -> dict[datetime, tuple[D, D]]:
    return {p.starts_at: (p.spent_usd, p.held_usd) for p in BudgetPeriod.objects.filter(budget=budget)}


def test_a_new_day_has_its_money_and_a_call_under_way_stays_in_the_old(hold: Callable[..., Any]) -> None:
    team = make_team("Berliners", time_zone="Europe/Berlin")
    budget = make_budget(team, "1", window="day")
    call = Call(team_id=team.pk, models=("m",))
    old, new = utc("2026-03-28 23:00"), utc("2026-03-29 22:00")
    set_clock(new - timedelta(seconds=1))
    id, _ = hold(call, ceiling("0.9"))
    perform(dispatch([team.pk], [id]))
    assert hold(call, ceiling("0.2"))[1].outcome is Outcome.REFUSED
    set_clock(new)
    assert hold(call, ceiling("0.8"))[1].outcome is Outcome.HELD
    assert periods(budget) == {old: (0, D("0.9")), new: (0, D("0.8"))}
    perform(settle(team.pk, id, Actual(usd=D("0.7"), tokens=1)))
    assert periods(budget) == {old: (D("0.7"), 0), new: (0, D("0.8"))}
    perform(charge(team.pk, [Charge(call=call, at=new - timedelta(minutes=5), usd=D("0.05"), tokens=1)]))
    assert periods(budget) == {old: (D("0.75"), 0), new: (0, D("0.8"))}


def test_a_charge_of_long_ago_is_of_its_own_window(team: Team) -> None:
    budget = make_budget(team, "1", window="month")
    call = Call(team_id=team.pk)
    for at in ("2026-01-31 23:59:59", "2026-02-01 00:00", "2028-02-29 23:00"):
        perform(charge(team.pk, [Charge(call=call, at=utc(at), usd=D("0.1"), tokens=1)]))
    assert sorted(periods(budget)) == [utc("2026-01-01 00:00"), utc("2026-02-01 00:00"), utc("2028-02-01 00:00")]


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1)])
def test_only_the_databases_clock_counts(team: Team, hold: Callable[..., Any], off: timedelta) -> None:
    """B30: this process's clock is a day off the database's, and the window is the database's."""
    budget = make_budget(team, "1", window="day")
    there = datetime.now(UTC) + off
    set_clock(there)
    hold()
    assert list(periods(budget)) == [there.replace(hour=0, minute=0, second=0, microsecond=0)]


def test_no_verb_tells_the_time() -> None:
    """But a charge, which says when its call was."""
    id, call = Budget(name="x").pk, Call(team_id=1, models=("m",))
    told = [
        verbs.reserve(call, ceiling(), id=id, lease_ms=LEASE_MS), verbs.dispatch([1], [id]), verbs.release(1, id), verbs.expire(),
        verbs.extend(1, id, usd=D(1), tokens=1, lease_ms=LEASE_MS), verbs.renew([1], [id], lease_ms=LEASE_MS),
        verbs.settle(1, id, Actual(usd=D(1), tokens=1)),
    ]  # fmt: skip
    year = str(datetime.now(UTC).year)
    for statement in told:
        assert not any(
            isinstance(value, datetime) or year in str(value).replace(str(id), "")
            for value in statement.parameters.values()
        )
