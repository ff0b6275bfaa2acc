"""A team with money, and calls that want some of it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.postgres.functions import TransactionNow
from django.db import connection

from tracking.ledger.calls import Answer, Call, Ceiling
from tracking.ledger.perform import perform
from tracking.ledger.verbs import reserve
from tracking.models import Budget, BudgetPeriod, Team

LEASE_MS = 60_000


def make_budget(of: Team, limit: str | None = "1", **fields: Any) -> Budget:
    fields = {"scope_kind": "team", "window": "total", "name": "all", "team": of, **fields}
    made = Budget.objects.create(
        organization=of.organization, limit_usd=None if limit is None else Decimal(limit), **fields
    )
    Budget.objects.filter(pk=made.pk).update(created_at=TransactionNow())  # by the clock that holds are dated by
    return made


def ceiling(base: str | None = "0.1", each: str | None = "0", **fields: Any) -> Ceiling:
    return Ceiling(
        base_usd=None if base is None else Decimal(base),
        output_usd=None if each is None else Decimal(each),
        **{"base_tokens": 10, **fields},
    )


def sums(budget: Budget, subject: str = "") -> tuple[Decimal, Decimal]:
    """(spent, held) of a budget's only window."""
    period = BudgetPeriod.objects.get(budget=budget, subject=subject)
    return period.spent_usd, period.held_usd


_LEDGER = ("budget_period", "reservation", "ledger_entry", "ledger_seal", "ledger_unsealed", "ledger_sum")


@pytest.fixture(autouse=True)
def nothing_of_other_tests(request: pytest.FixtureRequest) -> None:
    """What tests that commit leave in the ledger's tables is out of sight: Django empties only its own."""
    if request.node.get_closest_marker("django_db") is None:
        return
    request.getfixturevalue("db")
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"(SELECT 1 FROM tracking_{name} LIMIT 1)" for name in _LEDGER))
        if cursor.fetchone():
            cursor.execute(f"TRUNCATE {', '.join(f'tracking_{name}' for name in _LEDGER)}")


@pytest.fixture
def hold(team: Team) -> Callable[..., tuple[UUID, Answer]]:
    def make(call: Call | None = None, of: Ceiling | None = None, id: UUID | None = None) -> tuple[UUID, Answer]:
        id = id or uuid4()
        call = call or Call(team_id=team.pk, models=("m",))
        return id, perform(reserve(call, of or ceiling(), id=id, lease_ms=LEASE_MS))

    return make
