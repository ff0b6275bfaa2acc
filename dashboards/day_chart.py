"""The home page's drawing of a day: what was spent, what is usual, what is to come. Pure geometry, for inline SVG.

x runs from 0 to 1000 over 24 hours, y from HEIGHT (nothing) up to 0; labels are placed in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from dashboards import numbers
from tracking.reports.home import SpendToday

HEIGHT = 196
_TOP = 14  # room for the words above the highest point
_LATE = 16
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Tick:
    y: str
    text_y: str
    label: str


@dataclass(frozen=True, slots=True)
class DayChart:
    """Points of polylines and polygons; empty where there is nothing to draw."""

    today: str
    area: str
    usual: str
    band: str
    coming: str
    ticks: tuple[Tick, ...]
    now_x: str
    now_y: str
    now_anchor: str
    says_now: bool  # late in the day its words would lie on the forecast's; the figure above says it too
    forecast_y: str


def day_chart(spend: SpendToday, hour: Decimal) -> DayChart:
    """``hour`` is how far the day has gone (13.5)."""
    curve = _curve(spend, hour)
    usual = spend.usual
    top = max(
        curve[-1][1],
        spend.forecast_usd or Decimal(0),
        usual.high[-1] if usual else Decimal(0),
        Decimal("0.0001"),
    )
    today = [_point(x, y, top) for x, y in curve]
    low = [_point(Decimal(i), y, top) for i, y in enumerate(usual.low)] if usual else []
    high = [_point(Decimal(i), y, top) for i, y in enumerate(usual.high)] if usual else []
    coming = _coming(spend, hour, top)
    now_x, now_y = today[-1]
    return DayChart(
        today=_joined(today),
        area=_joined([*today, (now_x, float(HEIGHT)), (0.0, float(HEIGHT))]),
        usual=_joined([_point(Decimal(i), y, top) for i, y in enumerate(usual.median)]) if usual else "",
        band=_joined([*high, *reversed(low)]),
        coming=_joined(coming),
        ticks=tuple(_ticks(top)),
        now_x=f"{now_x / 10:.2f}%",
        now_y=f"{now_y:.1f}",
        now_anchor="end" if hour > 4 else "start",
        says_now=not coming or hour < _LATE,
        forecast_y=f"{max(10.0, coming[-1][1] - 8):.1f}" if coming else "",
    )


def _curve(spend: SpendToday, hour: Decimal) -> list[tuple[Decimal, Decimal]]:
    """Full hours that are over, then now."""
    over = list(enumerate(spend.curve))[: int(hour) + 1]
    points = [(Decimal(i), usd) for i, usd in over]
    return [*points, (hour, spend.curve[-1])]


def _coming(spend: SpendToday, hour: Decimal, top: Decimal) -> list[tuple[float, float]]:
    """From now to the forecast at midnight, in the shape of the usual day's rest."""
    if spend.usual is None or spend.forecast_usd is None or spend.usual_usd is None:
        return []
    so_far = spend.curve[-1]
    rest = spend.usual.median[-1] - spend.usual_usd
    stretch = (spend.forecast_usd - so_far) / rest if rest else Decimal(0)
    points = [(hour, so_far)]
    for i in range(int(hour) + 1, 25):
        points.append((Decimal(i), so_far + (spend.usual.median[i] - spend.usual_usd) * stretch))
    return [_point(x, y, top) for x, y in points]


def _point(hour: Decimal, usd: Decimal, top: Decimal) -> tuple[float, float]:
    return float(hour) / 24 * 1000, HEIGHT - float(usd / top) * (HEIGHT - _TOP)


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _ticks(top: Decimal) -> list[Tick]:
    """At most four round amounts."""
    power = Decimal(1).scaleb((top / 3).adjusted())
    step = next(power * factor for factor in _STEPS if power * factor * 3 >= top)
    ticks = []
    for i in range(4):
        amount = step * i
        if amount <= top:
            y = _point(Decimal(0), amount, top)[1]
            label = f"${numbers.exact(amount)}" if amount < 1000 else f"${numbers.tokens(int(amount))}"
            ticks.append(Tick(f"{y:.1f}", f"{y + 4:.1f}", label))
    return ticks
