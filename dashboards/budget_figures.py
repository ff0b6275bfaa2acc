"""The chart of a budget: its spending in the window under the limit with what is to come, or day by day. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

from dashboards import figures
from dashboards.budget_cards import Card, forecast_of
from tracking.reports.budgets import SpentDay

HEIGHT = 210
DAYS_SHOWN = 28
_BY_DAY = ("day", "run")


def is_by_day(card: Card) -> bool:
    """A window of a day is one bar; so is what has a window for each of many that no history is kept of."""
    return card.row.window in _BY_DAY


def chart(card: Card, days: Sequence[SpentDay], now: datetime) -> figures.Figure | None:
    """None where nothing was ever spent."""
    if not days:
        return None
    return _bars(card, days) if is_by_day(card) else _curve(card, days, now)


def _amount(day: SpentDay, unit: str) -> Decimal:
    return day.usd if unit == "usd" else Decimal(day.tokens)


def _bars(card: Card, days: Sequence[SpentDay]) -> figures.Figure:
    shown = days[-DAYS_SHOWN:]
    unit = card.main.unit
    trace = figures.bars([day.day.isoformat() for day in shown], [_amount(day, unit) for day in shown], name="spent")
    has_limit = card.row.window == "day"
    shapes, notes = _limit(card) if has_limit else ([], [])
    return _figure([trace], unit, shapes, notes)


def _curve(card: Card, days: Sequence[SpentDay], now: datetime) -> figures.Figure:
    """The running total; its end is what the ledger has, whatever usage says of the days."""
    standing, unit, zone = card.row.standing, card.main.unit, ZoneInfo(card.row.zone)
    first = standing.starts_at.astimezone(zone).date() if standing.starts_at else days[0].day
    inside = [day for day in days if day.day >= first]
    ends = [datetime.combine(day.day + timedelta(days=1), time(), zone) for day in inside]
    totals = list(accumulate((_amount(day, unit) for day in inside), initial=Decimal(0)))
    missing = max(card.main.spent - totals[-1], Decimal(0)) if standing.starts_at is None else Decimal(0)
    start = datetime.combine(first, time(), zone)
    points = [(start, totals[0] + missing)]
    points += [
        (end, min(total + missing, card.main.spent)) for end, total in zip(ends, totals[1:], strict=True) if end <= now
    ]
    points.append((now, card.main.spent))
    local = [(at.astimezone(zone).replace(tzinfo=None), amount) for at, amount in points]
    traces = [*_fan(card, now), figures.line([x for x, _ in local], [y for _, y in local], name="spent", is_area=True)]
    shapes, notes = _limit(card)
    here, _ = figures.vertical(now.astimezone(zone).replace(tzinfo=None))
    return _figure(traces, unit, [*shapes, here], notes)


def _fan(card: Card, now: datetime) -> list[figures.Trace]:
    """From now to the end of the window: the middle dashed, eight in ten between the edges."""
    told, outlook = forecast_of(card.outlook, card.main.unit), card.outlook
    if told is None or outlook.until is None:
        return []
    zone = ZoneInfo(card.row.zone)
    x = [at.astimezone(zone).replace(tzinfo=None) for at in (now, outlook.until)]
    spent = card.main.spent
    traces = [figures.usual(x, [spent, told.p50], name="forecast")]
    if told.p10 is not None and told.p90 is not None:
        traces = [*figures.band(x, [spent, told.p10], [spent, told.p90], name="8 in 10"), *traces]
    return traces


def _limit(card: Card) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if card.main.limit is None:
        return [], []
    y = float(card.main.limit)
    line = {"color": "var(--loop)", "width": 1.25}
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line}
    note = {
        "xref": "paper",
        "x": 0,
        "xanchor": "left",
        "y": y,
        "yanchor": "bottom",
        "text": f"limit {figures.text(card.main.limit_words)}",
        "showarrow": False,
        "font": {"family": "var(--sans)", "size": 11, "color": "var(--loop)"},
    }
    return [shape], [note]


def _figure(traces: Sequence[figures.Trace], unit: str, shapes: Sequence[Any], notes: Sequence[Any]) -> figures.Figure:
    return figures.figure(
        traces, height=HEIGHT, prefix="$" if unit == "usd" else "", shapes=shapes, annotations=notes,
        layout={"margin": {"l": 44, "r": 0, "t": 18, "b": 20}},
    )  # fmt: skip
