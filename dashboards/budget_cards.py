"""A budget as pages show it: the measure that is nearest to its limit, its bar, and where it is going in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from dashboards import numbers
from dashboards.budget_words import IN_WINDOW, WINDOW_WORDS, left, moment, scope_word, until
from tracking.reports.budget_outlook import Outlook, Range
from tracking.reports.budget_standing import BudgetRow, Standing
from tracking.reports.budgets import BudgetLine

BEYOND_MOST = 1.6  # how far beyond the track a forecast is drawn
HELD_LEAST = 0.9  # percent of the track: less would not be seen
_HUNDRED = 100.0


@dataclass(frozen=True, slots=True)
class Bar:
    """Percents of the drawing's width. ``track`` is below 100 where the forecast or the spending is beyond the limit."""

    track: float
    spent: float
    over: float  # of what was spent, the part beyond the limit
    held_from: float
    held: float
    forecast: float | None
    marks: tuple[float, ...]  # thresholds that alert


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure of a standing: dollars or tokens, as figures and as words. ``limit`` None: there is none."""

    unit: str  # usd or tokens
    limit: Decimal | None
    spent: Decimal
    held: Decimal
    free: Decimal | None
    is_over: bool

    @property
    def share(self) -> float:
        """Spent and held, of the limit."""
        if self.limit is None:
            return 0.0
        return float((self.spent + self.held) / self.limit) if self.limit else 1.0

    def words(self, amount: Decimal | None) -> str:
        if amount is None:
            return ""
        return numbers.usd(amount) if self.unit == "usd" else f"{numbers.tokens(int(amount))} tokens"

    def exact(self, amount: Decimal | None) -> str:
        if amount is None:
            return ""
        return numbers.usd_exact(amount) if self.unit == "usd" else f"{int(amount):,} tokens"

    @property
    def spent_words(self) -> str:
        return self.words(self.spent)

    @property
    def held_words(self) -> str:
        return self.words(self.held)

    @property
    def free_words(self) -> str:
        return self.words(self.free)

    @property
    def limit_words(self) -> str:
        return self.words(self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """``heading`` says where it is going, "" where nothing can be said; ``why_not`` says why. ``ends``: of its window."""

    row: BudgetRow
    outlook: Outlook
    main: Measured
    other: Measured | None
    bar: Bar
    label: str
    scope: str
    window: str
    in_window: str
    ends: str
    heading: str
    is_running_out: bool
    is_used_up: bool
    is_soft: bool
    raised_until: str

    @property
    def state(self) -> str:
        """What of the card changes: a changed row is tinted."""
        return f"{self.main.spent} {self.main.held} {self.main.limit} {self.heading}"


def card(line: BudgetLine, now: datetime) -> Card:
    row, standing = line.row, line.row.standing
    main, other = _measures(standing)
    ranged = forecast_of(line.outlook, main.unit)
    heading, running_out = _heading(line, main, ranged, now)
    return Card(
        row=row,
        outlook=line.outlook,
        main=main,
        other=other,
        bar=bar(main, ranged.p50 if ranged else None, row.alert_at),
        label=_label(row, main),
        scope=scope_word(row.scope_kind, row.scope_name),
        window=WINDOW_WORDS[row.window],
        in_window=IN_WINDOW[row.window],
        ends=left(standing.ends_at, now) if standing.ends_at else "",
        heading=heading,
        is_running_out=running_out,
        is_used_up=main.is_over,
        is_soft=row.mode == "soft",
        raised_until=moment(row.raised_until, row.zone, now) if row.raised_until else "",
    )


def measured(standing: Standing, unit: str) -> Measured | None:
    """None where there is no limit in it."""
    if unit == "usd":
        limit, spent, held, free = standing.limit_usd, standing.spent_usd, standing.held_usd, standing.free_usd
    else:
        limit = None if standing.limit_tokens is None else Decimal(standing.limit_tokens)
        spent, held = Decimal(standing.spent_tokens), Decimal(standing.held_tokens)
        free = None if standing.free_tokens is None else Decimal(standing.free_tokens)
    return None if limit is None else Measured(unit, limit, spent, held, free, spent >= limit)


def _measures(standing: Standing) -> tuple[Measured, Measured | None]:
    """The one nearest to its limit first."""
    found = [one for one in (measured(standing, "usd"), measured(standing, "tokens")) if one is not None]
    found.sort(key=lambda one: -one.share)
    if not found:  # the table forbids it
        return Measured("usd", None, standing.spent_usd, standing.held_usd, None, False), None
    return found[0], found[1] if len(found) > 1 else None


def nearest(standing: Standing) -> Measured:
    return _measures(standing)[0]


def forecast_of(outlook: Outlook, unit: str) -> Range | None:
    return outlook.usd if unit == "usd" else outlook.tokens


def bar(of: Measured, forecast: Decimal | None = None, marks: Sequence[int] = ()) -> Bar:
    """The limit is the track; what goes beyond it makes the track shorter."""
    if not of.limit:
        return Bar(_HUNDRED, 0.0, _HUNDRED if of.spent else 0.0, 0.0, 0.0, None, ())
    spent, held = float(of.spent / of.limit), float(of.held / of.limit)
    ahead = None if forecast is None else min(float(forecast / of.limit), BEYOND_MOST)
    whole = max(1.0, min(spent + held, BEYOND_MOST), ahead or 0.0)
    scale = _HUNDRED / whole
    inside = min(spent, 1.0) * scale
    reach = min(spent, whole) * scale
    hatched = min(max(held * scale, HELD_LEAST), _HUNDRED - reach) if held else 0.0
    return Bar(
        track=scale,
        spent=inside,
        over=max(reach - inside, 0.0),
        held_from=reach,
        held=max(hatched, 0.0),
        forecast=None if ahead is None else ahead * scale,
        marks=tuple(mark / 100 * scale for mark in marks if mark < 100),
    )


def _label(row: BudgetRow, main: Measured) -> str:
    """The bar in words."""
    return f"{row.name}: {main.spent_words} spent, {main.held_words} held, {main.free_words} free of {main.limit_words}"


def _heading(line: BudgetLine, main: Measured, ranged: Range | None, now: datetime) -> tuple[str, bool]:
    """Words, and whether they should worry somebody."""
    zone, at = line.row.zone, line.outlook.exhausted_at
    is_soft = line.row.mode == "soft"
    if main.is_over:
        since = f" {until(at, zone, now)}" if at else ""
        return (f"went over{since}" if is_soft else f"used up{since}"), True
    if at is not None:
        return f"{'goes over' if is_soft else 'runs out'} {until(at, zone, now)}", True
    if ranged is None:
        return "", False
    return f"heading for {rough(ranged.p50, main)}", False


def rough(amount: Decimal, main: Measured) -> str:
    """A forecast says no cents from $100 on: it is not known so well."""
    return f"${amount:,.0f}" if main.unit == "usd" and amount >= 100 else main.words(amount)


# --- where the money stands ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stand:
    """All budgets in a sentence: the widest one, and those that need somebody. ``many``: how many more do."""

    main: Card | None
    used_up: tuple[Card, ...]
    running_out: tuple[Card, ...]
    ends_near: str  # of the main one
    count: int

    @property
    def told_used_up(self) -> tuple[Card, ...]:
        return self.used_up[:2]

    @property
    def more_used_up(self) -> int:
        return max(len(self.used_up) - 2, 0)

    @property
    def told_running_out(self) -> tuple[Card, ...]:
        return self.running_out[:2]

    @property
    def more_running_out(self) -> int:
        return max(len(self.running_out) - 2, 0)


def most_urgent(cards: Sequence[Card], most: int) -> list[Card]:
    """Those a person should see first: used up, running out, then the fullest."""
    return sorted(cards, key=lambda one: (not one.is_used_up, not one.is_running_out, -one.main.share))[:most]


_WIDEST = ("team", "organization")
_LONGEST = ("month", "total", "week", "day")


def stand(cards: Sequence[Card]) -> Stand:
    main = min((one for one in cards if one.row.scope_kind in _WIDEST and not one.is_used_up and not one.row.is_many),
               key=lambda one: (_WIDEST.index(one.row.scope_kind), _rank(one.row.window)), default=None)  # fmt: skip
    used_up = tuple(one for one in cards if one.is_used_up)
    soon = [one for one in cards if one.is_running_out and not one.is_used_up and one.outlook.exhausted_at]
    soon.sort(key=lambda one: (one.outlook.exhausted_at is None, one.outlook.exhausted_at))
    near = ""
    if main is not None and not main.is_running_out:
        ranged = forecast_of(main.outlook, main.main.unit)
        near = rough(ranged.p50, main.main) if ranged else ""
    return Stand(main, used_up, tuple(soon), near, len(cards))


def _rank(window: str) -> int:
    return _LONGEST.index(window) if window in _LONGEST else len(_LONGEST)
