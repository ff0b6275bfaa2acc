"""How budgets stand, where they go, what they spent, and what another limit would have done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.make import make_team
from tests.tracking.ingest.spans import BEGAN_NS, SECOND, call, stored
from tests.tracking.ledger.conftest import LEASE_MS, ceiling
from tests.tracking.reports.past import a_priced_store
from tracking.audit import SYSTEM
from tracking.errors import Invalid, NotFound
from tracking.ingest.writer import Store
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand
from tracking.ledger.calls import Actual, Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, dispatch, reserve, settle
from tracking.models import Budget, Team
from tracking.reports.budget_entries import entries, holds, teams_seen
from tracking.reports.budget_outlook import Clock
from tracking.reports.budget_standing import subjects
from tracking.reports.budgets import BudgetLine, budget_line, budget_list, budget_page
from tracking.reports.what_if import what_if

HAND = Hand(SYSTEM, rules_organization=True)
EACH = D("0.15")
NOW = datetime.now(UTC)


def make(team: Team, **given: Any) -> Budget:
    given = {"scope_kind": "team", "scope_id": None, "window": "month", "name": "all", "limit_usd": "10", **given}
    return verbs.create(team, HAND, **given).budget


def spend(team: Team, usd: str, tokens: int = 10, **call: Any) -> None:
    perform(charge(team.pk, [Charge(call=Call(team_id=team.pk, **call), at=NOW, usd=D(usd), tokens=tokens)]))


def through(team: Team, usd: str, held: str = "0.5", **call: Any) -> UUID:
    """A call of the gateway's that cost so much."""
    id = uuid4()
    perform(reserve(Call(team_id=team.pk, **call), ceiling(held), id=id, lease_ms=LEASE_MS))
    perform(dispatch([team.pk], [id]))
    perform(settle(team.pk, id, Actual(usd=D(usd), tokens=10)))
    return id


def line(team: Team, budget: Budget) -> BudgetLine:
    return budget_line(team, budget.pk)


# --- standing --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_budget_stands_as_its_window_does(team: Team) -> None:
    budget = make(team, window="total", limit_tokens=100)
    spend(team, "4", tokens=50)
    perform(reserve(Call(team_id=team.pk), ceiling("2"), id=uuid4(), lease_ms=LEASE_MS))
    row = line(team, budget).row
    standing = row.standing
    assert (standing.spent_usd, standing.held_usd, standing.free_usd) == (4, 2, 4)
    assert (standing.spent_tokens, standing.held_tokens, standing.free_tokens) == (50, 10, 40)
    assert (standing.spent_percent, standing.held_percent, standing.is_exhausted) == (50, 20, False)
    assert (standing.starts_at, standing.ends_at, row.subjects, row.is_many) == (None, None, 1, False)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_a_budget_nobody_used_stands_at_nothing_in_its_present_window(zone: str) -> None:
    team = make_team("Far", time_zone=zone)
    standing = line(team, make(team, window="day")).row.standing
    assert standing.starts_at is not None
    assert standing.ends_at is not None
    assert standing.starts_at <= datetime.now(UTC) < standing.ends_at
    assert (standing.spent_usd, standing.free_usd, standing.spent_percent) == (0, 10, 0)


@pytest.mark.django_db
def test_a_raise_counts_until_it_ends(team: Team) -> None:
    budget = make(team, window="total", limit_usd="1")
    verbs.raise_until(budget, team, HAND, until=datetime.now(UTC) + timedelta(hours=1), usd="0.5")
    spend(team, "1.2")
    row = line(team, budget).row
    assert (row.limit_usd, row.raised_usd, row.standing.limit_usd, row.standing.free_usd) == (
        1,
        D("0.5"),
        D("1.5"),
        D("0.3"),
    )
    Budget.objects.update(raised_until=datetime.now(UTC) - timedelta(seconds=1))
    row = line(team, budget).row
    assert (row.raised_usd, row.standing.free_usd, row.standing.is_exhausted) == (None, 0, True)


@pytest.mark.django_db
def test_a_limit_of_nothing_is_used_up(team: Team) -> None:
    standing = line(team, make(team, limit_usd=0)).row.standing
    assert (standing.is_exhausted, standing.spent_percent, standing.free_usd) == (True, 100, 0)


@pytest.mark.django_db
def test_of_many_subjects_the_worst_is_shown_and_all_are_counted(team: Team) -> None:
    budget = make(team, scope_kind="user", window="day", limit_usd="1", alert_at=[50])
    for n, usd in enumerate(("0.1", "0.9", "0.6", "0.2"), 1):
        spend(team, usd, user=f"u{n}")
    row = line(team, budget).row
    assert (row.is_many, row.subjects, row.standing.subject, row.standing.spent_usd) == (True, 4, "u2", D("0.9"))
    first = subjects(row, budget, limit=3)
    assert [one.subject for one in first.subjects] == ["u2", "u3", "u4"]
    rest = subjects(row, budget, limit=3, cursor=first.next_cursor)
    assert ([one.subject for one in rest.subjects], rest.next_cursor) == (["u1"], None)
    with pytest.raises(Invalid):
        subjects(row, budget, cursor="made up")


@pytest.mark.django_db
def test_each_run_and_each_limit_in_tokens_has_its_worst(team: Team) -> None:
    budget = make(team, scope_kind="agent", scope_id="a", window="run", limit_usd=None, limit_tokens=100)
    for run, tokens in (("r1", 20), ("r2", 80)):
        spend(team, "1", tokens=tokens, agent="a", run=run)
    row = line(team, budget).row
    assert (row.standing.subject, row.standing.spent_percent) == ("a in run r2", 80)
    assert [one.subject for one in subjects(row, budget).subjects] == ["a in run r2", "a in run r1"]


@pytest.mark.django_db
def test_the_list_is_the_teams_and_its_organizations_and_pages(team: Team, other_team: Team) -> None:
    own = [make(team, name=f"b{n}") for n in range(3)]
    above = make(team, name="above", scope_kind="organization")
    make(other_team, name="elsewhere")
    sister = make_team("Sister", organization=team.organization)
    first = budget_list(team, limit=3)
    rest = budget_list(team, limit=3, cursor=first.next_cursor)
    assert [one.row.id for one in first.lines + rest.lines] == [budget.pk for budget in [*own, above]]
    assert rest.next_cursor is None
    assert [one.row.id for one in budget_list(sister).lines] == [above.pk]
    verbs.archive(own[0], team, HAND)
    assert [one.row.id for one in budget_list(team, archived=True).lines] == [own[0].pk]
    with pytest.raises(Invalid):
        budget_list(team, cursor="made up")


@pytest.mark.django_db
def test_a_list_costs_the_same_for_any_number_of_budgets(team: Team) -> None:
    for scope in ("team", "agent", "user"):
        make(team, scope_kind=scope)
    spend(team, "1", agent="a", user="u")
    with CaptureQueriesContext(connection) as few:
        budget_list(team)
    for scope in ("team", "agent", "user") * 3:
        make(team, scope_kind=scope)
    with CaptureQueriesContext(connection) as many:
        budget_list(team)
    assert len(many) == len(few) <= 6


@pytest.mark.django_db
def test_another_teams_budget_is_not_found(team: Team, other_team: Team) -> None:
    theirs = make(other_team)
    for ask in (budget_line, budget_page):
        with pytest.raises(NotFound):
            ask(team, theirs.pk)


@pytest.mark.django_db
def test_when_it_was_used_up_is_told_by_the_entry_that_did_it(team: Team) -> None:
    budget = make(team, window="total", limit_usd="1", limit_tokens=1_000)
    for usd in ("0.5", "0.4", "0.2", "0.3"):
        spend(team, usd)
    found = entries([team.pk], budget).entries
    assert line(team, budget).exhausted_at == found[1].at  # the third of four
    assert budget_list(team).lines[0].exhausted_at == found[1].at


# --- what moved, and what is under way -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_entries_come_newest_first_page_by_page_each_with_who_and_why(team: Team) -> None:
    budget = make(team, window="total", scope_kind="agent")
    for n in range(4):
        spend(team, f"0.{n + 1}", agent=f"a{n}", run="r", user="u", models=("m",))
    verbs.adjust(budget, team, HAND, usd="0.5", subject="a0", reason="a refund")
    first = entries([team.pk], budget, limit=3)
    rest = entries([team.pk], budget, limit=3, cursor=first.next_cursor)
    assert [e.usd for e in first.entries + rest.entries] == [D(usd) for usd in ("0.5", "0.4", "0.3", "0.2", "0.1")]
    top, below = first.entries[:2]
    assert (top.kind, top.actor, top.reason, top.subject, top.window_start) == (
        "adjustment",
        "Wflo",
        "a refund",
        "a0",
        None,
    )
    assert (below.kind, below.agent, below.run, below.model, below.end_user) == ("charge", "a3", "r", "m", "u")
    with pytest.raises(Invalid):
        entries([team.pk], budget, cursor="made up")


@pytest.mark.django_db
def test_holds_in_flight_show_their_lease(team: Team) -> None:
    budget, other = make(team, window="total"), make(team, scope_kind="agent", scope_id="b")
    id = uuid4()
    perform(reserve(Call(team_id=team.pk, agent="a", run="r"), ceiling("0.3"), id=id, lease_ms=LEASE_MS))
    (hold,) = holds([team.pk], budget).holds
    assert (hold.id, hold.agent, hold.run, hold.held_usd, hold.dispatched_at) == (id, "a", "r", D("0.3"), None)
    assert 0 < hold.lease_seconds <= LEASE_MS / 1000
    perform(reserve(Call(team_id=team.pk), ceiling("0.1"), id=uuid4(), lease_ms=LEASE_MS))
    first = holds([team.pk], budget, limit=1)
    rest = holds([team.pk], budget, cursor=first.next_cursor)
    assert sorted(one.held_usd for one in first.holds + rest.holds) == [D("0.1"), D("0.3")]
    with pytest.raises(Invalid):
        entries([team.pk], budget, cursor=first.next_cursor)
    assert holds([team.pk], other).holds == []


@pytest.mark.django_db
def test_of_the_organizations_budget_a_team_sees_its_own_calls_and_an_owner_all(team: Team) -> None:
    sister = make_team("Sister", organization=team.organization)
    budget = make(team, scope_kind="organization", window="total")
    for one, usd in ((team, "1"), (sister, "2")):
        spend(one, usd)
        perform(reserve(Call(team_id=one.pk), ceiling("0.1"), id=uuid4(), lease_ms=LEASE_MS))
    own = budget_page(sister, budget.pk)
    assert own.is_organizations
    assert ([e.usd for e in own.entries.entries], len(own.holds.holds)) == ([2], 1)
    assert own.line.row.standing.spent_usd == 3
    every = budget_page(sister, budget.pk, sees_organization=True)
    assert ([e.usd for e in every.entries.entries], len(every.holds.holds)) == ([2, 1], 2)
    assert teams_seen(team, budget) == [team.pk]
    assert teams_seen(team, make(team), sees_organization=True) == [team.pk]


# --- where it goes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def store(transactional_db: None) -> Iterator[Store]:
    with a_priced_store() as store:
        yield store


@pytest.fixture
def old_team(transactional_db: None) -> Team:
    return make_team("Old")


def used_daily(store: Store, team: Team, days: int, *, agent: str = "a", dollars: int = 1) -> None:
    """A call for 0.15 USD (times ``dollars``) in the hour before this one, on each of so many days."""
    calls = [
        call(
            1, trace=hash((agent, day)) % 10**9 + 1, begins=-86_400 * day, tokens=(1_000_000 * dollars, 0), agent=agent
        )
        for day in range(days)
    ]
    stored(store, team, *calls)


@pytest.mark.django_db(transaction=True)
def test_a_month_made_today_shows_its_past_and_where_it_goes(store: Store, old_team: Team) -> None:
    used_daily(store, old_team, 50)
    budget = make(old_team, limit_usd="1000")
    page = budget_page(old_team, budget.pk)
    standing, told = page.line.row.standing, page.line.outlook
    assert standing.ends_at is not None
    assert standing.starts_at is not None
    opened = sum(EACH for day in range(50) if began(day) >= standing.starts_at)
    assert standing.spent_usd == opened
    to_come = sum(1 for day in range(1, 32) if began(-day) < standing.ends_at)
    assert told.usd is not None
    assert abs(told.usd.p50 - (opened + to_come * EACH)) <= EACH
    assert told.usd.p10 is not None
    assert told.usd.p90 is not None
    assert told.usd.p10 <= told.usd.p50 <= told.usd.p90
    assert told.error is not None
    assert told.error < D("0.1")  # every day alike
    assert (told.until, told.exhausted_at, told.is_by_week) == (standing.ends_at, None, True)
    assert [entry.kind for entry in page.entries.entries] == (["opening"] if opened else [])
    shown = sum(began(day).date() >= page.days[0].day for day in range(50))  # 41 in the day's first hour, else 42
    assert sum(day.usd for day in page.days) == EACH * shown
    assert shown in (41, 42)
    assert budget_list(old_team).lines[0].outlook.usd.p50 == told.usd.p50
    assert budget_list(old_team).lines[0].outlook.error is None


def began(days_ago: int) -> datetime:
    return datetime.fromtimestamp(BEGAN_NS / SECOND, UTC) - timedelta(days=days_ago)


@pytest.mark.django_db(transaction=True)
def test_when_the_money_ends_is_told_in_usd_and_in_tokens(store: Store, old_team: Team) -> None:
    used_daily(store, old_team, 30)
    total = make(old_team, window="total", limit_usd=EACH * 40)
    told = line(old_team, total).outlook
    assert told.exhausted_at is not None
    assert abs(told.exhausted_at - (NOW + timedelta(days=10))) < timedelta(days=1, hours=1)
    assert told.exhausted_early_at is not None
    assert told.exhausted_early_at <= told.exhausted_at
    tokens = make(old_team, window="total", limit_usd=EACH * 40, limit_tokens=35_000_000)
    sooner = line(old_team, tokens).outlook
    assert sooner.exhausted_at is not None
    assert abs(sooner.exhausted_at - (NOW + timedelta(days=5))) < timedelta(days=1, hours=1)
    far = make(old_team, window="total", limit_usd=1000)
    assert line(old_team, far).outlook.exhausted_at is None


@pytest.mark.django_db(transaction=True)
def test_each_scope_has_its_own_past(store: Store, old_team: Team) -> None:
    used_daily(store, old_team, 20, agent="a")
    used_daily(store, old_team, 20, agent="b", dollars=3)
    used_daily(store, old_team, 1, agent="new")
    made = [make(old_team, scope_kind="agent", scope_id=one, window="total") for one in ("a", "b", "new", "none")]
    each = make(old_team, scope_kind="agent", window="total", limit_usd="20")
    lines = {one.row.id: one.outlook for one in budget_list(old_team).lines}
    a, b, new, none = (lines[budget.pk] for budget in made)
    assert a.usd is not None
    assert b.usd is not None
    assert abs(b.usd.p50 - 3 * a.usd.p50) <= EACH
    assert "Too little history" in new.why_not
    assert "Too little history" in none.why_not
    assert lines[each.pk].usd == b.usd  # the worst of them


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"window": "run"}, "A run has no usual week"),
        ({"scope_kind": "job"}, "Usage is not kept by job"),
        ({"scope_kind": "user"}, "Nobody has used anything"),
        ({}, "Too little history: 0 hours of use, and a forecast needs 72"),
    ],
)
def test_where_nothing_can_be_forecast_it_is_said(team: Team, given: dict[str, Any], why: str) -> None:
    told = line(team, make(team, **given)).outlook
    assert why in told.why_not
    assert (told.usd, told.exhausted_at, told.error) == (None, None, None)


@pytest.mark.parametrize(
    ("zone", "at", "end"),
    [
        ("UTC", "2026-12-31T23:30", "2027-01-01T00:00"),
        ("Europe/Berlin", "2026-02-14T12:00", "2026-02-28T23:00"),
        ("America/New_York", "2028-02-29T12:00", "2028-03-01T05:00"),
    ],
)
def test_a_month_ends_where_the_budget_is(zone: str, at: str, end: str) -> None:
    clock = Clock(zone, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert clock.month_end == datetime.fromisoformat(end).replace(tzinfo=UTC)
    hours = clock.ahead(clock.month_end)
    assert sum(share for _, share in hours) == (clock.month_end - clock.now) / timedelta(hours=1)


# --- what it spent, and what might have been -------------------------------------------------------------------------


@pytest.mark.django_db
def test_past_windows_are_kept_and_days_are_of_entries_where_usage_is_not_kept(team: Team) -> None:
    budget = make(team, window="day", scope_kind="job", scope_id="j")
    for days_ago, usd in ((0, "1"), (1, "2"), (3, "4")):
        at = datetime.now(UTC) - timedelta(days=days_ago)
        call = Call(team_id=team.pk, job="j")
        perform(charge(team.pk, [Charge(call=call, at=at, usd=D(usd), tokens=5)]))
    page = budget_page(team, budget.pk)
    assert [(window.spent_usd, window.subjects) for window in page.windows] == [(1, 1), (2, 1), (4, 1)]
    assert len(page.days) == 42
    assert [day.usd for day in page.days][-1] == 7  # entered today
    assert budget_page(team, make(team, scope_kind="job").pk).days == []


@pytest.mark.django_db
def test_another_limit_over_the_past_says_which_calls_and_how_much(team: Team) -> None:
    budget = make(team, window="total", limit_usd="100")
    for usd in ("0.1", "0.2", "0.3"):
        through(team, usd, agent="planner")
    through(team, "0.5", agent="writer")
    told = what_if([team.pk], budget, limit_usd="0.35")
    assert told.found.calls == 4
    assert [(one.agent, one.calls, one.usd) for one in told.found.blocked] == [
        ("writer", 1, D("0.5")),
        ("planner", 1, D("0.3")),
    ]
    assert told.sentence == "Would have blocked 2 of 4 calls (1 of writer, 1 of planner) and saved $0.80."
    assert what_if([team.pk], budget).sentence == "Would have blocked none of 4 calls."
    assert what_if([team.pk], budget, limit_usd=0, mode="soft").found.blocked_calls == 0
    one = what_if([team.pk], budget, limit_usd="0.6")
    assert one.sentence == "Would have blocked 1 of 4 calls, all of writer, and saved $0.50."
    spend(team, "3")
    assert "1 more over the limit were seen only afterwards" in what_if([team.pk], budget, limit_usd="0.6").sentence


@pytest.mark.django_db
def test_a_window_that_had_begun_starts_with_what_it_had_spent(team: Team, settings: Any) -> None:
    budget = make(team, window="total", limit_usd="100")
    for usd in ("0.4", "0.1", "0.1"):
        through(team, usd)
    settings.LIMITS = {**settings.LIMITS, "what_if_entries": 2}
    told = what_if([team.pk], budget, limit_usd="0.55")
    assert told.is_cut
    assert (told.found.calls, told.found.blocked_calls) == (2, 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "field"),
    [({"days": 0}, "days"), ({"days": 93}, "days"), ({"limit_usd": "x"}, "limit_usd"), ({"mode": "hard"}, "mode")],
)
def test_a_question_that_makes_no_sense_names_its_field(team: Team, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        what_if([team.pk], make(team), **given)
    assert refused.value.field == field


@pytest.mark.django_db
def test_nothing_called_is_said_so(team: Team) -> None:
    assert what_if([team.pk], make(team), limit_usd=1).sentence == "No call was made under this budget in that time."
