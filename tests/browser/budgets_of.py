"""Budgets for the browser's teams, through the product's own verbs: well filled, used up, for each of many, in tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from tests.browser.hostile import PAYLOADS
from tests.tracking.ledger.conftest import ceiling
from tracking.audit import SYSTEM
from tracking.ledger import budgets as verbs
from tracking.ledger.budgets import Hand
from tracking.ledger.calls import Call, Charge
from tracking.ledger.perform import perform
from tracking.ledger.verbs import charge, dispatch, reserve
from tracking.models import Team

HAND = Hand(SYSTEM, rules_organization=True)
LEASE_MS = 3_600_000
AGENT = "refund-resolver"
CALLS = (
    ("0.42", AGENT, "gpt-4o", "cus_5521"),
    ("0.06", "web-researcher", "gpt-4o-mini", "cus_17"),
    ("0.9", AGENT, "gpt-4o", "cus_9"),
)


def fill(slug: str) -> dict[str, str]:
    """The address part of the first, which has entries, holds and a raise."""
    team = Team.objects.get(slug=slug)
    kept = {"scope_id": None, "window": "month"}
    first = verbs.create(team, HAND, scope_kind="team", name="Core, month", limit_usd="10", **kept).budget
    verbs.create(team, HAND, scope_kind="organization", name="Core Ltd", limit_usd="6000", mode="elastic", **kept)
    verbs.create(team, HAND, scope_kind="agent", scope_id=AGENT, name="refunds", window="day", limit_usd="1")
    verbs.create(team, HAND, scope_kind="user", scope_id=None, name="each customer", window="day", limit_usd="2")
    verbs.create(team, HAND, scope_kind="model", scope_id="gpt-4o", name="gpt-4o tokens", window="week", limit_tokens=400_000,
                 limit_usd="50", mode="soft")  # fmt: skip
    gone = verbs.create(team, HAND, scope_kind="team", name="Last year's", limit_usd="3", **kept).budget
    verbs.archive(gone, team, HAND)
    spend(team)
    verbs.adjust(first, team, HAND, usd="-0.25", reason="the provider gave a credit")
    verbs.raise_until(first, team, HAND, until=datetime.now(UTC) + timedelta(days=2), usd="2")
    return {"budget": str(first.pk)}


def spend(team: Team) -> None:
    now = datetime.now(UTC)
    for usd, agent, model, user in CALLS:
        call = Call(team_id=team.pk, agent=agent, models=(model,), user=user, run="run-1")
        perform(charge(team.pk, [Charge(call=call, at=now, usd=Decimal(usd), tokens=4_000)]))
        id = uuid4()
        perform(reserve(call, ceiling("0.05"), id=id, lease_ms=LEASE_MS))
        perform(dispatch([team.pk], [id]))


def attack(slug: str) -> dict[str, str]:
    """The corpus in every string of budgets, their entries and holds."""
    team = Team.objects.get(slug=slug)
    words = [line for payload in PAYLOADS if (line := " ".join(payload.split())[:100]).isprintable()]
    made = [
        verbs.create(team, HAND, scope_kind="user", scope_id=None, name=text, window="total", limit_usd="9").budget
        for text in words[:20]
    ]
    for text in words:
        call = Call(team_id=team.pk, agent=text, models=(text,), user=text, run=text)
        perform(charge(team.pk, [Charge(call=call, at=datetime.now(UTC), usd=Decimal("0.1"), tokens=1)]))
        perform(reserve(call, ceiling("0.05"), id=uuid4(), lease_ms=LEASE_MS))
        verbs.adjust(made[0], team, HAND, usd="0.1", reason=text, subject=text)
    return {"budget": str(made[0].pk)}
