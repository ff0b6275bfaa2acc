"""What spans cost is charged to budgets with the spans: once, as a difference when it changes, never lost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from tests.tracking.ingest import spans
from tests.tracking.ingest.spans import batch
from tests.tracking.ledger.conftest import make_budget
from tracking import pricing
from tracking.audit import SYSTEM, Actor
from tracking.ingest.reprice import reprice
from tracking.ingest.writer import Store
from tracking.models import Alert, Budget, BudgetPeriod, LedgerEntry, Team
from wflo.spans import Span
from wflo.usage import Usage

pytestmark = pytest.mark.django_db(transaction=True)
RATES = {"input_usd_per_million": "1", "output_usd_per_million": "10"}


def call(n: int, **fields: object) -> Span:
    return spans.call(n, tokens=(100, 10), model="m-1", **{"agent": "a", **fields})


@pytest.fixture
def priced(team: Team) -> Team:
    pricing.set_price(SYSTEM, team, "m-1", RATES, valid_from="2020-01-01T00:00:00Z")
    return team


def spent(budget: Budget) -> D:
    return sum((p.spent_usd for p in BudgetPeriod.objects.filter(budget=budget)), D(0))


def test_a_span_is_charged_with_its_commit_and_once(store: Store, priced: Team) -> None:
    budget, agent = make_budget(priced), make_budget(priced, name="a", scope_kind="agent", scope_id="a")
    other = make_budget(priced, name="b", scope_kind="agent", scope_id="b")
    for _ in range(2):
        store.write([batch(priced, call(1), call(2))])
    assert (spent(budget), spent(agent), spent(other)) == (D("0.0004"), D("0.0004"), 0)
    assert LedgerEntry.objects.filter(team=priced).count() == 1


def test_a_later_report_charges_the_difference(store: Store, priced: Team) -> None:
    budget = make_budget(priced)
    store.write([batch(priced, call(1))])
    again = call(1)
    again.usage = Usage(input_tokens=100, output_tokens=20)
    store.write([batch(priced, again)])
    assert spent(budget) == D("0.0003")
    assert [e.usd for e in LedgerEntry.objects.filter(team=priced).order_by("id")] == [D("0.0002"), D("0.0001")]


def test_a_call_of_last_month_is_of_last_months_window(store: Store, priced: Team) -> None:
    budget = make_budget(priced, window="month")
    span = call(1, trace=2)
    span.started_ns -= 40 * 86_400 * 10**9
    span.ended_ns = span.started_ns + 10**9
    store.write([batch(priced, span)])
    assert BudgetPeriod.objects.get(budget=budget).ends_at < datetime.now(UTC)


def test_a_new_price_enters_the_difference_with_who_and_why(store: Store, priced: Team) -> None:
    budget = make_budget(priced)
    store.write([batch(priced, call(1))])
    since = datetime(2021, 1, 1, tzinfo=UTC)
    dear = {"input_usd_per_million": "2", "output_usd_per_million": "20"}
    pricing.set_price(SYSTEM, priced, "m-1", dear, valid_from=since)
    reprice(priced, "m-1", since, Actor("person", "1", "Alice"))
    assert spent(budget) == D("0.0004")
    entry = LedgerEntry.objects.filter(team=priced).latest("id")
    assert (entry.kind, entry.usd, entry.actor) == ("reprice", D("0.0002"), "Alice")


def test_passing_a_limit_seen_afterwards_is_told(store: Store, priced: Team) -> None:
    make_budget(priced, "0.0003")
    store.write([batch(priced, call(1), call(2))])
    assert Alert.objects.get(team=priced).payload["percent"] == 100


def test_a_team_without_a_budget_has_no_entries(store: Store, priced: Team) -> None:
    store.write([batch(priced, call(1))])
    assert not LedgerEntry.objects.filter(team=priced).exists()
