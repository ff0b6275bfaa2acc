"""The waterfall of a run: one grid for tree, cost and time, in percent of its width. Pure; no HTTP, no queries."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from dashboards import numbers
from tracking.reports.span_tree import Place, Step, cumulative
from tracking.reports.spans import ReadSpan

INDENT_MAX = 12  # deeper rows stand at this depth and say theirs
TICKS_MAX = 5
PLOT_HEIGHT, PLOT_BOTTOM, PLOT_TOP = 92.0, 68.0, 14.0
STEPS_MAX = 400  # of the cost line; more are thinned, its ends kept
DIAMONDS_APART = 0.8  # per cent of the width
_WIDTH_MIN = 0.25

_SECOND = 1_000_000
_TICK_STEPS = tuple(
    unit * factor
    for unit, factors in (
        (1, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (1_000, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
        (_SECOND, (1, 2, 5, 10, 20, 30)),
        (60 * _SECOND, (1, 2, 5, 10, 20, 30)),
        (3_600 * _SECOND, (1, 2, 3, 6, 12)),
        (86_400 * _SECOND, (1, 2, 5, 10, 20, 50, 100, 500)),
    )
    for factor in factors
)
_BARS = {"agent": "agent", "llm": "llm", "embedding": "llm", "tool": "tool", "retriever": "tool"}


@dataclass(frozen=True, slots=True)
class Tick:
    x: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Scale:
    """Time from the first span's start to the last one's end, microseconds."""

    start_us: int
    length_us: int
    ticks: tuple[Tick, ...]

    def x(self, at_us: int) -> float:
        return min(max((at_us - self.start_us) / self.length_us * 100, 0.0), 100.0)


def scale(places: Sequence[Place], now_us: int | None = None) -> Scale:
    """``now_us``: where open spans reach to while the run goes on."""
    if not places:
        return Scale(0, 1, ())
    start = min(place.node.started_us for place in places)
    end = max(place.node.ended_us or place.node.started_us for place in places)
    if now_us is not None and any(place.node.ended_us is None for place in places):
        end = max(end, now_us)
    length = max(end - start, 1_000)
    step = next((step for step in _TICK_STEPS if length / step < TICKS_MAX), _TICK_STEPS[-1])
    ticks = []
    for at in range(0, length + 1, max(step, length // 50)):
        share = at / length * 100
        if share <= 96 or share == 100:
            ticks.append(Tick(_percent(share), _tick_label(at), "start" if at == 0 else "middle"))
    return Scale(start, length, tuple(ticks))


def _tick_label(at_us: int) -> str:
    return "0" if at_us == 0 else numbers.duration(at_us / 1000)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the waterfall. ``x``, ``width`` and ``label_x`` are SVG lengths in percent."""

    place: Place
    span: ReadSpan
    reference: str  # how the page's address names it
    index: int
    step: int | None  # of model and tool calls: their number in the run
    indent: int
    title: str
    bar: str  # its class: agent, llm, tool, wait; run while it is open
    x: str
    width: str
    label_x: str
    is_label_left: bool
    label: str
    is_costliest: bool
    is_chosen: bool

    @property
    def has_children(self) -> bool:
        return self.place.children > 0

    @property
    def is_agent(self) -> bool:
        return self.span.kind == "agent"

    @property
    def cost_usd(self) -> Decimal | None:
        """Its own cost, or of an agent and of what holds others the sum of what is known below."""
        return self.place.subtree_usd

    @property
    def is_sum(self) -> bool:
        return self.place.children > 0 and self.place.node.cost_units is None

    @property
    def repeats(self) -> bool:
        """Carries tokens that another span is counted for."""
        return not self.span.counted and self.span.input_tokens is not None


def row(
    place: Place,
    span: ReadSpan,
    on: Scale,
    *,
    reference: str,
    index: int,
    step: int | None,
    now_us: int,
    costliest: bool = False,
    chosen: bool = False,
) -> Row:
    start, end = place.node.started_us, place.node.ended_us
    left = on.x(start)
    right = on.x(end if end is not None else max(now_us, start))
    width = max(right - left, _WIDTH_MIN)
    left = min(left, 100 - _WIDTH_MIN)
    is_left = left + width > 88 and left > 12
    return Row(
        place=place,
        span=span,
        reference=reference,
        index=index,
        step=step,
        indent=min(place.depth, INDENT_MAX),
        title=title_of(span),
        bar="run" if end is None else _BARS.get(span.kind, "wait"),
        x=_percent(left),
        width=_percent(width),
        label_x=_percent(left if is_left else left + width),
        is_label_left=is_left,
        label="open" if end is None else numbers.duration((end - start) / 1000),
        is_costliest=costliest,
        is_chosen=chosen,
    )


def title_of(span: ReadSpan) -> str:
    """What a person calls the step: an agent by its name, a tool by the tool, a call by its purpose or span name."""
    if span.kind == "agent":
        return span.agent or span.name
    if span.kind == "tool":
        return span.tool_name or span.name
    return span.purpose or span.name or span.model or span.kind


@dataclass(frozen=True, slots=True)
class Mark:
    y: str
    label: str


@dataclass(frozen=True, slots=True)
class CostLine:
    """Cumulative cost as steps, in a view box of 1000 x 92."""

    line: str
    area: str
    marks: tuple[Mark, ...]
    end_x: str
    end_y: str
    is_end_left: bool
    total_usd: Decimal


@dataclass(frozen=True, slots=True)
class Diamond:
    """A checkpoint on the axis; ``is_on``: a run went on from it."""

    version: int
    name: str
    x: str
    is_on: bool
    is_superseded: bool


def diamonds(on: Scale, saved: Iterable[tuple[int, str, int, bool]], gone_on: Collection[int]) -> list[Diamond]:
    """``saved``: version, name, when in microseconds, whether it was superseded. Those too near to the one before are left out, unless
    a run went on from them."""
    found: list[Diamond] = []
    last = -100.0
    for version, name, at_us, is_superseded in sorted(saved):
        x = on.x(at_us)
        if x - last >= DIAMONDS_APART or version in gone_on:
            found.append(Diamond(version, name, _percent(x), version in gone_on, is_superseded))
            last = x
    return found


def cost_line(places: Sequence[Place], on: Scale) -> CostLine | None:
    """None when nothing is known to have cost anything."""
    steps = _thinned(cumulative(place.node for place in places))
    if not steps:
        return None
    total = steps[-1].total_usd
    top = _nice(total)
    points = [(0.0, PLOT_BOTTOM)]
    for step in steps:
        x = on.x(step.at_us) * 10
        points += [(x, points[-1][1]), (x, _y(step.total_usd, top))]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    end_x, end_y = points[-1]
    marks = tuple(
        Mark(f"{_y(value, top):.1f}", f"${numbers.exact(value)}") for value in (Decimal(0), top / 2, top)
    )  # fmt: skip
    return CostLine(
        line=line,
        area=f"0,{PLOT_BOTTOM:.0f} {line} {end_x:.1f},{PLOT_BOTTOM:.0f}",
        marks=marks,
        end_x=_percent(end_x / 10),
        end_y=f"{end_y:.1f}",
        is_end_left=end_x > 850,
        total_usd=total,
    )


def _thinned(steps: list[Step]) -> list[Step]:
    if len(steps) <= STEPS_MAX:
        return steps
    stride = len(steps) / STEPS_MAX
    return [steps[int(place * stride)] for place in range(STEPS_MAX)] + [steps[-1]]


def _nice(total: Decimal) -> Decimal:
    """The round figure at or above ``total`` that the axis ends at."""
    size = Decimal(1).scaleb(total.adjusted())
    return next(size * factor for factor in (1, 2, 4, 5, 6, 8, 10) if size * factor >= total)


def _y(value: Decimal, top: Decimal) -> float:
    return PLOT_BOTTOM - float(value / top) * (PLOT_BOTTOM - PLOT_TOP)


def _percent(share: float) -> str:
    return f"{share:.2f}%"
