"""How a team's credits stand: what is left, what came and went, how long it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Sum

from tracking import credits
from tracking.models import CreditAccount, CreditEntry, Team

PACE_OF = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class CreditPage:
    """``account`` None: the team is not billed in credits. ``a_day``: used a day over the last two weeks."""

    account: CreditAccount | None
    entries: tuple[CreditEntry, ...] = ()
    next_before: int | None = None  # where older ones go on
    used_lately: int = 0
    jobs_lately: int = 0
    short_lately: int = 0

    @property
    def a_day(self) -> float:
        return self.used_lately / PACE_OF.days

    @property
    def days_left(self) -> int | None:
        """At the pace of the last two weeks; None where nothing was used or nobody counts."""
        if self.account is None or self.account.is_unlimited or not self.used_lately:
            return None
        return int(max(self.account.left, 0) / self.a_day)


def credit_page(team: Team, *, before: int | None, limit: int, now: datetime | None = None) -> CreditPage:
    """Entries with the latest first; those older than the entry ``before``."""
    account = credits.account_of(team)
    if account is None:
        return CreditPage(None)
    found = credits.entries_of(team, limit=limit + 1, before=before)
    since = (now or datetime.now(UTC)) - PACE_OF
    lately = CreditEntry.objects.filter(team=team, kind=CreditEntry.Kind.DEDUCTION, created_at__gte=since)
    sums = lately.aggregate(used=Sum("amount"), jobs=Count("id"), short=Sum("shortfall"))
    more = found[limit - 1].pk if len(found) > limit else None
    return CreditPage(account, tuple(found[:limit]), more, sums["used"] or 0, sums["jobs"] or 0, sums["short"] or 0)
