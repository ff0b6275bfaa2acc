"""Spans that come twice at once, or days after the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.tracking.ingest.spans import BEGAN_NS, SECOND, call, span, stored
from tracking.ingest.writer import Store
from tracking.models import Run, Team
from tracking.models import Span as SpanRow
from tracking.usage import fold
from tracking.usage.query import usage
from wflo.spans import Kind

pytestmark = pytest.mark.django_db(transaction=True)
WEEK = 7 * 24 * 3600
BEGAN = datetime.fromtimestamp(BEGAN_NS / SECOND, UTC)


def cost_between(team: Team, start: datetime, end: datetime) -> tuple[int, Decimal | None]:
    totals = usage([team.id], start=start, end=end, group_by=["agent"]).totals
    return totals.llm_calls, totals.cost_usd


def test_a_span_twice_in_one_batch_is_one_span(store: Store, team: Team) -> None:
    """I21"""
    receipt = stored(store, team, call(1), span(2), call(1), call(1))
    assert (receipt.accepted, receipt.known, receipt.rejected) == (2, 2, [])
    run = Run.objects.get(team_id=team.id)
    assert (run.span_count, run.llm_calls, run.input_tokens) == (2, 1, 1000)


@pytest.mark.parametrize("is_folded", [False, True])
def test_a_call_that_comes_a_week_late_is_counted_when_it_began(store: Store, team: Team, is_folded: bool) -> None:
    """I23"""
    stored(store, team, span(1, kind=Kind.AGENT, agent="mira", begins=-WEEK))
    stored(store, team, call(9, trace=2))
    if is_folded:
        fold.fold_all()
    stored(store, team, call(2, parent=1, begins=-WEEK + 1))
    if is_folded:
        fold.fold_all()
    then = BEGAN - timedelta(seconds=WEEK)
    one_call = Decimal("0.000210")  # 1,000 and 100 tokens of gpt-4o-mini at 0.15 and 0.60 USD per million
    assert cost_between(team, then - timedelta(hours=1), then + timedelta(hours=1)) == (1, one_call)
    assert cost_between(team, BEGAN - timedelta(hours=1), BEGAN + timedelta(hours=1)) == (1, one_call)
    late = SpanRow.objects.get(team_id=team.id, span_id=2)
    assert (late.agent, late.day) == ("mira", then.date())
