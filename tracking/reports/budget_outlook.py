"""Where budgets are going: what will be spent by the end of their windows, and when nothing is left.

The rule is ``wflo.forecast``; here is its past: usage by the hour of what a budget is about, which goes back further than
the budget does. Hours are told by the clock of the budget's time zone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tracking.ledger.opening import WORDS
from tracking.models import Budget, Team
from tracking.reports.budget_standing import BudgetRow, Standing
from tracking.usage import slices
from tracking.usage.spend import hourly_by_name
from wflo.forecast import HOURS_LEAST, WEEK, Ahead, BackTest, Hour, Usual, back_test, reached_in

HOUR = timedelta(hours=1)
HOURS_BACK = 8 * WEEK
HOURS_USUAL = 4 * WEEK  # as much as a forecast goes by; a back-test wants more
HOURS_AHEAD_MOST = 92 * 24  # how far an end of the money is looked for where the window has no end
SLICES: dict[str, int] = {
    Budget.Scope.ORGANIZATION: slices.TOTAL,
    Budget.Scope.TEAM: slices.TOTAL,
    Budget.Scope.KEY: slices.KEY,
    Budget.Scope.AGENT: slices.AGENT,
    Budget.Scope.MODEL: slices.MODEL,
    Budget.Scope.USER: slices.USER,
}
ZERO = Decimal(0)
DIGITS = Decimal(10) ** -10


@dataclass(frozen=True, slots=True)
class Range:
    """The total at the end of the window. Without a back-test only the middle is known."""

    p10: Decimal | None
    p50: Decimal
    p90: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """``why_not`` says why nothing is forecast; then the rest is empty. ``until``: the end that totals are of. ``tokens``
    is None without a limit in tokens.

    ``exhausted_at``: when the limit is reached at this pace, None: not within the window (within 92 days where it has no
    end); ``exhausted_early_at``: the same where nine in ten are later. ``error``: of the back-test, as a share.
    """

    why_not: str = ""
    until: datetime | None = None
    usd: Range | None = None
    tokens: Range | None = None
    exhausted_at: datetime | None = None
    exhausted_early_at: datetime | None = None
    error: Decimal | None = None
    tries: int = 0
    tried_hours: int = 0
    history_hours: int = 0
    drift: Decimal | None = None  # of USD (of tokens, without a limit in USD), a week or day as against the one before
    is_by_week: bool = True


@dataclass(frozen=True, slots=True)
class Past:
    """What one subject used, hour by hour, oldest first, until the last full hour; it begins with the first use.

    ``begun``: what it used in the hour that is not over.
    """

    starts_at: datetime
    usd: tuple[Decimal, ...]
    tokens: tuple[int, ...]
    begun: tuple[Decimal, int] = (ZERO, 0)


Wanted = tuple[str, str]  # kind of scope and subject


class Clock:
    """The places in the week of hours from eight weeks ago to three months ahead, looked up once for many budgets."""

    def __init__(self, zone: str, now: datetime) -> None:
        self.now = now.astimezone(UTC)
        self.hour = self.now.replace(minute=0, second=0, microsecond=0)
        self.first = self.hour - HOUR * HOURS_BACK
        local = ZoneInfo(zone)
        times = ((self.first + HOUR * i).astimezone(local) for i in range(HOURS_BACK + HOURS_AHEAD_MOST + 2))
        self._places = [time.weekday() * 24 + time.hour for time in times]
        self.month_end = _month_end(self.now.astimezone(local)).astimezone(UTC)

    def past(self, past: Past, amounts: Sequence[Decimal | int]) -> list[Hour]:
        first = int((past.starts_at - self.first) / HOUR)
        return [(self._places[first + i], Decimal(amount)) for i, amount in enumerate(amounts)]

    def ahead(self, until: datetime) -> list[Ahead]:
        """From now to ``until``; the first and the last hour count by the part of them that is meant."""
        hours: list[Ahead] = []
        start = self.hour
        while start < until and len(hours) <= HOURS_AHEAD_MOST:
            part = min(start + HOUR, until) - max(start, self.now)
            hours.append(
                (self._places[HOURS_BACK + len(hours)], Decimal(part // timedelta(microseconds=1)) / 3_600_000_000)
            )
            start += HOUR
        return hours


def _month_end(local: datetime) -> datetime:
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return datetime(year, month, 1, tzinfo=local.tzinfo)


# --- the past --------------------------------------------------------------------------------------------------------


def why_not(row: BudgetRow) -> str:
    """Why no usual week can be known of a budget, whatever its past; "" where one can."""
    if row.window == Budget.Window.RUN:
        return "A run has no usual week to go by."
    if row.scope_kind not in SLICES:
        return f"Usage is not kept by {row.scope_kind}, so there is no usual week to go by."
    if row.is_many and not row.standing.subject:
        return "Nobody has used anything in this window yet."
    return ""


def pasts(
    team: Team, team_ids: Sequence[int], rows: Sequence[BudgetRow], now: datetime, *, hours: int = HOURS_USUAL
) -> dict[Wanted, Past]:
    """The past of the subjects shown of ``rows``; one question a kind of scope."""
    wanted: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if not why_not(row):
            wanted[row.scope_kind].add(row.standing.subject)
    found: dict[Wanted, Past] = {}
    for kind, subjects in wanted.items():
        teams = team_ids if kind == Budget.Scope.ORGANIZATION else [team.pk]
        found |= _pasts(teams, kind, sorted(subjects), now, hours)
    return found


def _pasts(
    team_ids: Sequence[int], kind: str, subjects: Sequence[str], now: datetime, hours: int
) -> dict[Wanted, Past]:
    end = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - HOUR * hours
    used: dict[str, dict[int, tuple[Decimal, int]]] = defaultdict(dict)
    names = subjects if kind in WORDS else None
    for name, hour, usd, tokens in hourly_by_name(team_ids, SLICES[kind], start=start, end=end + HOUR, names=names):
        used[name][(hour - start) // HOUR] = (usd, tokens)
    return {(kind, subject): _past(start, amounts, hours) for subject, amounts in used.items()}


def _past(start: datetime, used: Mapping[int, tuple[Decimal, int]], hours: int) -> Past:
    first = min(used)
    amounts = [used.get(i, (ZERO, 0)) for i in range(first, hours)]
    return Past(
        start + HOUR * first,
        tuple(usd for usd, _ in amounts),
        tuple(tokens for _, tokens in amounts),
        used.get(hours, (ZERO, 0)),
    )


# --- the outlook -----------------------------------------------------------------------------------------------------


def outlook(row: BudgetRow, past: Past | None, clock: Clock, *, with_back_test: bool = True) -> Outlook:
    """What becomes of the subject that ``row`` shows."""
    why = why_not(row) or _too_little(past)
    if why or past is None:
        return Outlook(why_not=why, history_hours=len(past.usd) if past else 0)
    standing = row.standing
    until = standing.ends_at or clock.month_end
    ahead = clock.ahead(until)
    further = ahead if standing.ends_at else clock.ahead(clock.now + HOUR * HOURS_AHEAD_MOST)
    usd = _Course.of(clock.past(past, past.usd), ahead, further, with_back_test=with_back_test)
    tokens = None
    if standing.limit_tokens is not None:
        tokens = _Course.of(clock.past(past, past.tokens), ahead, further, with_back_test=with_back_test)
    main = usd if standing.limit_usd is not None or tokens is None else tokens
    return Outlook(
        until=until,
        usd=usd.total(standing.spent_usd),
        tokens=None if tokens is None else tokens.total(Decimal(standing.spent_tokens)),
        exhausted_at=_first_end(standing, usd, tokens, clock, is_early=False),
        exhausted_early_at=_first_end(standing, usd, tokens, clock, is_early=True) if main.tried else None,
        error=main.tried.error if main.tried else None,
        tries=main.tried.tries if main.tried else 0,
        tried_hours=main.tried.hours if main.tried else 0,
        history_hours=len(past.usd),
        drift=main.usual.drift,
        is_by_week=main.usual.period == WEEK,
    )


def _too_little(past: Past | None) -> str:
    hours = len(past.usd) if past else 0
    if hours >= HOURS_LEAST:
        return ""
    return f"Too little history: {hours} hours of use, and a forecast needs {HOURS_LEAST}."


@dataclass(frozen=True, slots=True)
class _Course:
    """One measure from now on."""

    usual: Usual
    amounts: list[Decimal]  # to the end of the window
    further: list[Decimal]  # as far as an end of the money is looked for
    hours: Sequence[Ahead]
    tried: BackTest | None

    @classmethod
    def of(
        cls, past: Sequence[Hour], ahead: Sequence[Ahead], further: Sequence[Ahead], *, with_back_test: bool
    ) -> _Course:
        usual = Usual.of(past)
        if usual is None:
            raise ValueError("too little history was let through")
        amounts = usual.ahead(ahead)
        tried = back_test(past, len(ahead)) if with_back_test else None
        return cls(usual, amounts, amounts if further is ahead else usual.ahead(further), further, tried)

    def total(self, spent: Decimal) -> Range:
        rest = sum(self.amounts, ZERO)
        middle = _rounded(spent + rest)
        if self.tried is None:
            return Range(None, middle, None)
        low = _rounded(spent + rest * max(1 + self.tried.low, ZERO))
        high = _rounded(spent + rest * max(1 + self.tried.high, ZERO))
        return Range(min(low, middle), middle, max(high, middle))

    def reached_in(self, free: Decimal, *, is_early: bool) -> Decimal | None:
        faster = max(1 + self.tried.high, Decimal(1)) if is_early and self.tried else Decimal(1)
        return reached_in([amount * faster for amount in self.further], self.hours, free)


def _first_end(
    standing: Standing, usd: _Course, tokens: _Course | None, clock: Clock, *, is_early: bool
) -> datetime | None:
    ends = []
    if standing.limit_usd is not None:
        ends.append(usd.reached_in(standing.limit_usd - standing.spent_usd, is_early=is_early))
    if standing.limit_tokens is not None and tokens is not None:
        ends.append(tokens.reached_in(Decimal(standing.limit_tokens - standing.spent_tokens), is_early=is_early))
    hours = min((end for end in ends if end is not None), default=None)
    return None if hours is None else clock.now + timedelta(seconds=round(float(hours) * 3600))


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(DIGITS)
