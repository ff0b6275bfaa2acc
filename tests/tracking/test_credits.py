"""What a completed job costs, what is left, and what comes in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from tracking import credits
from tracking.audit import SYSTEM
from tracking.errors import Invalid, NotFound, OutOfCredits
from tracking.models import Alert, AuditEntry, CreditAccount, CreditEntry, Team

pytestmark = pytest.mark.django_db

Mode = CreditAccount.Mode


@pytest.mark.parametrize(
    ("mode", "usd", "tokens", "price"),
    [
        (Mode.JOB, "0", 0, 1),
        (Mode.JOB, "50", 10**6, 1),
        (Mode.USD, "0", 0, 1),
        (Mode.USD, "0.152", 0, 2),  # 1.52 credits: rounded up
        (Mode.USD, "0.45", 0, 5),
        (Mode.USD, "0.4", 0, 4),
        (Mode.TOKENS, "0", 0, 1),
        (Mode.TOKENS, "9", 10_000, 1),
        (Mode.TOKENS, "0", 10_001, 2),
    ],
)
def test_a_job_costs_credits_rounded_up_and_never_less_than_one(mode: str, usd: str, tokens: int, price: int) -> None:
    account = CreditAccount(mode=mode)
    assert credits.price_of(account, client_usd=D(usd), tokens=tokens) == price


def charge(team: Team, usd: str = "0") -> credits.Charged:
    with transaction.atomic():
        return credits.charge(team, uuid4(), "agent_task", client_usd=D(usd), tokens=0)


def test_a_job_is_charged_and_the_entry_tells_before_and_after(team: Team) -> None:
    credits.open_account(team, allocated=10, mode=Mode.USD, actor=SYSTEM)
    assert charge(team, "0.31") == credits.Charged(is_charged=True, amount=4, shortfall=0, left=6)
    entry = credits.entries_of(team, limit=1)[0]
    assert (entry.kind, entry.amount, entry.before, entry.after) == ("deduction", 4, 10, 6)


def test_what_is_not_there_is_a_shortfall_and_somebody_is_told(team: Team) -> None:
    credits.open_account(team, allocated=3, mode=Mode.USD, actor=SYSTEM)
    assert charge(team, "0.5") == credits.Charged(is_charged=True, amount=3, shortfall=2, left=0)
    alert = Alert.objects.get(team=team, kind="credit")
    assert (alert.severity, alert.payload["shortfall"]) == ("critical", 2)
    with pytest.raises(OutOfCredits, match="Insufficient credits"):
        credits.demand(team)
    credits.add(team, 5, actor=SYSTEM)
    credits.demand(team)
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_a_tenth_left_is_told_once(team: Team) -> None:
    credits.open_account(team, allocated=20, actor=SYSTEM)
    for _ in range(19):
        charge(team)
    low = Alert.objects.get(team=team, dedupe_key="credit:low")
    assert (low.payload["left"], low.times) == (2, 1)


def test_nobody_counts_for_the_unlimited_and_for_teams_without_an_account(team: Team, other_team: Team) -> None:
    assert charge(team).is_charged is False
    credits.demand(team)
    credits.open_account(other_team, is_unlimited=True, actor=SYSTEM)
    assert charge(other_team).is_charged is False
    credits.demand(other_team, 10**9)
    assert not CreditEntry.objects.filter(team__in=[team, other_team]).exists()


def test_a_job_is_charged_once(team: Team) -> None:
    credits.open_account(team, allocated=10, actor=SYSTEM)
    job = uuid4()
    with transaction.atomic():
        credits.charge(team, job, "x", client_usd=D(0), tokens=0)
    with pytest.raises(DatabaseError), transaction.atomic():
        credits.charge(team, job, "x", client_usd=D(0), tokens=0)
    assert CreditAccount.objects.get(team=team).left == 9


def test_what_comes_in_says_why_and_a_refund_gives_back(team: Team) -> None:
    credits.open_account(team, allocated=10, actor=SYSTEM)
    charge(team)
    credits.add(team, 1, kind="refund", reason="sorry", actor=SYSTEM)
    paid = credits.add(team, 100, kind="one_time_payment", paid_usd=D("9.99"), actor=SYSTEM)
    assert (paid.before, paid.after, paid.paid_usd) == (10, 110, D("9.99"))
    credits.add(team, -30, kind="adjustment", reason="too many", actor=SYSTEM)
    assert credits.entries_of(team, limit=1)[0].after == 80
    assert AuditEntry.objects.filter(team=team, action="credits.add").count() == 3


@pytest.mark.parametrize(
    ("amount", "kind"),
    [(0, "allocation"), (-1, "allocation"), (True, "allocation"), (-11, "adjustment"), (10**13, "allocation")],
)
def test_an_amount_that_cannot_be_is_refused(team: Team, amount: int, kind: str) -> None:
    credits.open_account(team, allocated=10, actor=SYSTEM)
    with pytest.raises(Invalid) as refused:
        credits.add(team, amount, kind=kind, actor=SYSTEM)
    assert refused.value.field == "credits"
    assert CreditAccount.objects.get(team=team).left == 10


def test_a_team_without_an_account_is_told_so(team: Team) -> None:
    for act in (lambda: credits.add(team, 1, actor=SYSTEM), lambda: credits.change(team, actor=SYSTEM)):
        with pytest.raises(NotFound, match="no credit account"):
            act()
    credits.open_account(team, actor=SYSTEM)
    with pytest.raises(Invalid, match="already"):
        credits.open_account(team, actor=SYSTEM)


def test_entries_are_never_changed(team: Team) -> None:
    credits.open_account(team, allocated=10, actor=SYSTEM)
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE tracking_creditentry SET amount = 1000 WHERE team_id = %s", [team.pk])


# --- refills ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("period", "days"), [("daily", 1), ("weekly", 7), ("monthly", 31)])
def test_a_refill_comes_when_its_period_is_over_and_once(team: Team, period: str, days: int) -> None:
    credits.open_account(team, allocated=1, actor=SYSTEM)
    charge(team)
    credits.set_refill(team, enabled=True, amount=50, period=period, actor=SYSTEM)
    now = datetime.now(UTC)
    assert credits.refill_due(now + timedelta(days=1) - timedelta(minutes=1)) == 0
    assert credits.refill_due(now + timedelta(days=days, minutes=1)) == 1
    assert credits.refill_due(now + timedelta(days=days, minutes=2)) == 0
    account = CreditAccount.objects.get(team=team)
    assert account.left == 50
    assert account.refill_at is not None
    assert account.refill_at > now + timedelta(days=days)
    assert not Alert.objects.filter(team=team, kind="credit", resolved_at=None).exists()


def test_what_a_stopped_clock_missed_is_given_once(team: Team) -> None:
    credits.open_account(team, actor=SYSTEM)
    credits.set_refill(team, enabled=True, amount=5, period="daily", actor=SYSTEM)
    assert credits.refill_due(datetime.now(UTC) + timedelta(days=10)) == 1
    assert CreditAccount.objects.get(team=team).left == 5


def test_a_refill_that_is_off_does_not_come_and_a_half_one_is_refused(team: Team) -> None:
    credits.open_account(team, actor=SYSTEM)
    with pytest.raises(Invalid) as refused:
        credits.set_refill(team, enabled=True, amount=5, actor=SYSTEM)
    assert refused.value.field == "refill_period"
    with pytest.raises(Invalid):
        credits.set_refill(team, enabled=True, amount=5, period="hourly", actor=SYSTEM)
    credits.set_refill(team, enabled=True, amount=5, period="daily", actor=SYSTEM)
    credits.set_refill(team, enabled=False, actor=SYSTEM)
    assert credits.refill_due(datetime.now(UTC) + timedelta(days=10)) == 0


def test_what_ends_after_its_job_costs_the_rest_and_what_was_given_back_is_not_taken_for_paid(team: Team) -> None:
    credits.open_account(team, allocated=10, mode=Mode.USD, actor=SYSTEM)
    job = uuid4()

    def late(usd: str) -> int:
        with transaction.atomic():
            return credits.charge_late(team, job, "agent_task", client_usd=D(usd), tokens=0)

    with transaction.atomic():
        credits.charge(team, job, "agent_task", client_usd=D("0.2"), tokens=0)
    assert [late("0.2"), late("0.5"), late("0.5")] == [0, 3, 0]
    credits.add(team, 3, kind="adjustment", reason="our fault", job_id=job, actor=SYSTEM)
    assert late("0.5") == 3
    assert late("2") == 5, "what there is"
    entry = credits.entries_of(team, limit=1)[0]
    assert (entry.kind, entry.amount, entry.shortfall, entry.after) == ("adjustment", -5, 10, 0)
    assert Alert.objects.get(team=team, kind="credit").severity == "critical"
