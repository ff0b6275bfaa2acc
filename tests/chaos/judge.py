"""What must be true when the storm is over: to the last digit, by the bill that the provider kept itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.journeys.house import House

INPUT_USD, OUTPUT_USD = Decimal("0.000001"), Decimal("0.000010")

# An entry that expired and was corrected since is as exact as any.
_ENTRIES = """SELECT e.end_user, e.usd,
    CASE WHEN e.reason LIKE 'nobody said what the call cost%' AND NOT EXISTS (
           SELECT FROM tracking_ledger_entry c WHERE c.team_id = e.team_id AND c.reservation_id = e.reservation_id
           AND c.kind = 'correction') THEN 'expired'
         WHEN e.reason LIKE 'nobody said%' THEN 'exact'
         WHEN e.is_estimated THEN 'estimated' ELSE 'exact' END
  FROM tracking_ledger_entry e WHERE e.end_user LIKE 'call-%'"""
_BUDGETS = """SELECT b.name, b.limit_usd, p.subject, p.spent_usd, p.held_usd FROM tracking_budget_period p
  JOIN tracking_budget b ON b.id = p.budget_id"""
_OPEN = "SELECT count(*) FROM tracking_reservation WHERE state = 0"


@dataclass(slots=True)
class Verdict:
    """``wrong`` is empty when all holds. Money in USD."""

    calls_billed: int = 0
    billed_usd: Decimal = Decimal(0)
    ledger_usd: Decimal = Decimal(0)
    exact: int = 0  # calls whose entry is the provider's bill to the last digit
    expired: int = 0  # whose process died: entered at the most they may have cost
    estimated: int = 0  # whose provider did not say, or broke off
    over_usd: Decimal = Decimal(0)  # beyond a limit, of all budgets
    wrong: list[str] = field(default_factory=list)


def open_holds(house: House) -> int:
    return int(house.rows(_OPEN)[0][0])


def judge(house: House, bill: list[dict[str, Any]], answered: set[str]) -> Verdict:
    """Each call of the bill beside its entries; each budget beside its limit; V1 to V12."""
    verdict = Verdict()
    billed: dict[str, Decimal] = defaultdict(Decimal)
    for line in bill:
        billed[str(line["user"])] += line["input"] * INPUT_USD + line["output"] * OUTPUT_USD
    entered: dict[str, Decimal] = defaultdict(Decimal)
    kinds: dict[str, set[str]] = defaultdict(set)
    for user, usd, kind in house.rows(_ENTRIES):
        entered[user] += usd
        kinds[user].add(kind)
    for user in sorted({*billed, *entered}):
        _call(verdict, user, billed.get(user), entered.get(user), kinds[user])
    verdict.calls_billed, verdict.billed_usd = len(billed), sum(billed.values(), Decimal(0))
    verdict.ledger_usd = sum(entered.values(), Decimal(0))
    missing = answered - set(entered)
    if missing:
        verdict.wrong.append(f"{len(missing)} answered calls have no entry: {sorted(missing)[:3]}")
    for name, limit, subject, spent, held in house.rows(_BUDGETS):
        verdict.over_usd += max(spent - limit, Decimal(0))
        if spent > limit:
            verdict.wrong.append(f"the budget {name} {subject} of {limit} has spent {spent}")
        if held:
            verdict.wrong.append(f"the budget {name} {subject} still holds {held}")
    verdict.wrong += [f"{one.name}: {one.rows[:2]}" for one in house.broken()]
    return verdict


def _call(verdict: Verdict, user: str, billed: Decimal | None, entered: Decimal | None, kinds: set[str]) -> None:
    if entered is None:
        verdict.wrong.append(f"{user} was billed {billed} and is in no ledger")
    elif "expired" in kinds:
        verdict.expired += 1
        if entered < (billed or 0):
            verdict.wrong.append(f"{user} expired at {entered}, below its bill of {billed}")
    elif "estimated" in kinds:
        verdict.estimated += 1
        if entered <= 0:
            verdict.wrong.append(f"{user} was billed {billed} and entered at {entered}")
    else:
        verdict.exact += 1
        if entered != (billed or 0):
            verdict.wrong.append(f"{user} was billed {billed} and entered at {entered}")
