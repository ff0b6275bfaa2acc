"""The charts of the money pages: a report in, a Plotly dict out. No HTTP, no queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from dashboards import figures, numbers
from dashboards.words import value_word
from tracking.reports.agent_runs import CostSpread
from tracking.reports.costs import Measure, Pivot, Series, Value
from tracking.usage.query import UsageRow

OTHERS_COLOUR = 6
_COLOURS = (1, 2, 3, 4, 5, 7, 8)  # the sixth is that of the others
_SECOND = 1000


def colour_of(place: int, key: Sequence[str | None] | None, groups: Sequence[str], agents: Mapping[str, int]) -> int:
    """An agent keeps its colour; other parts take theirs in order of size; the others are grey."""
    if key is None:
        return OTHERS_COLOUR
    if groups == ("agent",):
        return agents.get(key[0] or "", OTHERS_COLOUR)
    return _COLOURS[place % len(_COLOURS)]


def label_of(key: Sequence[str | None] | None, groups: Sequence[str], names: Mapping[str, str]) -> str:
    if key is None:
        return "others"
    return " · ".join(value_word(group, value, names) for group, value in zip(groups, key, strict=True))


def over_time(pivot: Pivot, *, agents: Mapping[str, int], names: Mapping[str, str]) -> figures.Figure:
    """The explorer's chart: stacked bars of a sum, lines of a percentile."""
    traces = [_trace(pivot, place, series, agents, names) for place, series in enumerate(pivot.series)]
    prefix, suffix = _units(pivot.measure)
    return figures.figure(
        traces, height=210, prefix=prefix, suffix=suffix, drag=True, click=pivot.groups[0], stacked=pivot.measure.is_sum
    )


def _trace(
    pivot: Pivot, place: int, series: Series, agents: Mapping[str, int], names: Mapping[str, str]
) -> figures.Trace:
    colour = f"var(--c{colour_of(place, series.key, pivot.groups, agents)})"
    name = label_of(series.key, pivot.groups, names)
    values = [_plotted(value, pivot.measure) for value in series.values]
    if not pivot.measure.is_sum:
        return figures.line(pivot.times, values, name=name, colour=colour) | {"meta": _filter(series)}
    return figures.bars(pivot.times, values, name=name, colour=colour) | {"meta": _filter(series)}


def _filter(series: Series) -> str | bool:
    """What a click narrows the page to; the others together are no filter."""
    return series.key[0] or "" if series.key else False


def _plotted(value: Value, measure: Measure) -> Value:
    return float(value) / _SECOND if measure is Measure.P95 and value is not None else value


def _units(measure: Measure) -> tuple[str, str]:
    return ("$", "") if measure is Measure.COST else ("", " s") if measure is Measure.P95 else ("", "")


def by_part(
    times: Sequence[datetime],
    rows: Sequence[UsageRow],
    *,
    group: str,
    bucket: str,
    measure: Callable[[UsageRow], Decimal | int | None],
    prefix: str,
    parts_max: int = 7,
) -> tuple[figures.Figure, list[tuple[str, int, Decimal | int]]]:
    """An agent's chart: stacked bars by model, tool or kind; and its legend (name, colour, sum), largest first."""
    sums: dict[str, Any] = {}
    for row in rows:
        sums[row.key[group]] = sums.get(row.key[group], 0) + (measure(row) or 0)
    ordered = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    shown = ordered if len(ordered) <= parts_max + 1 else ordered[:parts_max]
    places = {time: place for place, time in enumerate(times)}
    values: dict[str, list[Any]] = {name: [0] * len(times) for name in shown}
    others: list[Any] = [0] * len(times)
    for row in rows:
        part = values.get(row.key[group], others)
        part[places[row.key[bucket]]] += measure(row) or 0
    legend = [(name, _COLOURS[place % len(_COLOURS)], sums[name]) for place, name in enumerate(shown)]
    traces = [figures.bars(times, values[name], name=name, colour=f"var(--c{colour})") for name, colour, _ in legend]
    if len(shown) < len(ordered):
        traces.append(figures.bars(times, others, name="others", colour=figures.OTHERS))
        legend.append(("others", OTHERS_COLOUR, sum(sums[name] for name in ordered[len(shown) :])))
    return figures.figure(traces, height=210, prefix=prefix, drag=True, stacked=True), legend


def cost_spread(spread: CostSpread) -> figures.Figure:
    """How many runs cost how much: equal steps on a log scale, the median marked."""
    places = list(range(len(spread.bars)))
    words = [f"{numbers.usd(bar.low_usd)} to {numbers.usd(bar.high_usd)}" for bar in spread.bars]
    trace = figures.bars(places, [bar.runs for bar in spread.bars], name="runs")
    trace |= {
        "hovertext": [word.replace("$", "&#36;") for word in words],
        "hovertemplate": "%{hovertext}: %{y} runs<extra></extra>",
    }
    shapes, notes = _median_mark(spread)
    step = max(1, len(places) // 4)
    edges = [*(bar.low_usd for bar in spread.bars), *(bar.high_usd for bar in spread.bars[-1:])]
    axis = {
        "tickmode": "array",
        "tickvals": [place - 0.5 for place in range(0, len(edges), step)],
        "ticktext": [_short(edges[place]) for place in range(0, len(edges), step)],
        "range": [-0.6, len(places) - 0.4],
    }
    return figures.figure(
        [trace],
        height=210,
        shapes=shapes,
        annotations=notes,
        layout={"xaxis": axis, "bargap": 0.06, "hovermode": "closest"},
    )


def _short(usd: Decimal) -> str:
    """Two digits that count are enough on an axis."""
    return f"&#36;{numbers.exact(usd.quantize(Decimal(1).scaleb(usd.adjusted() - 1)) if usd else usd)}"


def _median_mark(spread: CostSpread) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    median = spread.facts.median_usd
    if not median:
        return [], []
    for place, bar in enumerate(spread.bars):
        if bar.low_usd <= median < bar.high_usd:
            within = float((median - bar.low_usd) / (bar.high_usd - bar.low_usd))
            shape, note = figures.vertical(place - 0.5 + within, words=f"median {numbers.usd(median)}")
            return [shape], [note]
    return [], []
