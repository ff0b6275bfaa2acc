"""Past calls at a price set later: totals follow, the old figure stays."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from tests.tracking.ingest.spans import BEGAN_NS, call, span, stored
from tracking import pricing
from tracking.audit import SYSTEM
from tracking.ingest.reprice import preview, reprice
from tracking.ingest.writer import Store
from tracking.models import AuditEntry, PriceChange, Run, Span, Team
from wflo.spans import Kind
from wflo.spans import Span as SpanValue

pytestmark = pytest.mark.django_db(transaction=True)

BEGAN = datetime.fromtimestamp(BEGAN_NS / 1e9, UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PRICE = {"input_usd_per_million": 10, "output_usd_per_million": 100}  # of 1000 and 100 tokens: 0.01 + 0.01


def house_run(trace: int) -> list[SpanValue]:
    return [
        span(1, kind=Kind.AGENT, agent="planner", trace=trace),
        call(2, parent=1, model="house-model", trace=trace),
        call(3, parent=1, model="gpt-4o-mini", trace=trace),
    ]


def test_an_unpriced_model_is_charged_for_the_past_once_someone_set_its_price(store: Store, team: Team) -> None:
    stored(store, team, *house_run(1))
    stored(store, team, *house_run(2))
    known = D("0.000210")
    assert {(r.cost_usd, r.unpriced_calls) for r in Run.objects.filter(team_id=team.id)} == {(known, 1)}

    pricing.set_price(SYSTEM, team, "house-model", PRICE, valid_from=LONG_AGO)
    assert {r.cost_usd for r in Run.objects.filter(team_id=team.id)} == {known}  # setting alone changes no past
    assert preview(team, "house-model", LONG_AGO).runs == 2
    job = reprice(team, "House-Model", LONG_AGO, SYSTEM)

    assert (job.spans_changed, job.spans_unpriced_before, job.old_usd, job.new_usd) == (2, 2, D(0), D("0.04"))
    assert {(r.cost_usd, r.unpriced_calls) for r in Run.objects.filter(team_id=team.id)} == {(known + D("0.02"), 0)}
    assert list(PriceChange.objects.filter(team=team).values_list("old_usd", "new_usd")) == [(None, D("0.02"))] * 2
    assert AuditEntry.objects.filter(team=team, action="price.reprice", object_id="House-Model").count() == 1
    again = reprice(team, "house-model", LONG_AGO, SYSTEM)
    assert (again.spans_changed, PriceChange.objects.filter(team=team).count()) == (0, 2)


def test_a_price_set_for_a_later_day_leaves_what_was_before_it(store: Store, team: Team) -> None:
    stored(store, team, *house_run(1))
    pricing.set_price(SYSTEM, team, "house-model", PRICE, valid_from=BEGAN.replace(year=BEGAN.year + 1, day=1))
    assert reprice(team, "house-model", LONG_AGO, SYSTEM).spans_changed == 0
    assert Run.objects.get(team_id=team.id).unpriced_calls == 1


def test_only_calls_since_the_moment_given_are_charged_again(store: Store, team: Team) -> None:
    stored(store, team, call(1, model="house-model"), call(60, model="house-model"))
    pricing.set_price(SYSTEM, team, "house-model", PRICE, valid_from=LONG_AGO)
    since = datetime.fromtimestamp(BEGAN_NS / 1e9 + 30, UTC)
    assert reprice(team, "house-model", since, SYSTEM).spans_changed == 1
    assert [s.cost_usd for s in Span.objects.filter(team=team).order_by("started_at")] == [None, D("0.02")]


def test_a_model_priced_under_its_bare_name_is_found_whoever_served_it(store: Store, team: Team) -> None:
    local = call(2, model="llama3.2")
    local.provider = "ollama"
    stored(store, team, local)
    pricing.set_price(SYSTEM, team, "llama3.2", PRICE, valid_from=LONG_AGO)
    assert reprice(team, "llama3.2", LONG_AGO, SYSTEM).spans_changed == 1


def test_another_teams_calls_are_not_touched(store: Store, team: Team, other_team: Team) -> None:
    stored(store, other_team, *house_run(1))
    pricing.set_price(SYSTEM, None, "house-model", PRICE, valid_from=LONG_AGO)
    assert reprice(team, "house-model", LONG_AGO, SYSTEM).spans_changed == 0
    assert Run.objects.get(team_id=other_team.id).unpriced_calls == 1
