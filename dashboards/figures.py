"""Figures for Plotly as plain dicts, with one look: no request pays for importing or checking Plotly's classes.

Colours are the names of tokens, ``"var(--c1)"``, or a share of one, ``"soft(--c1 0.1)"``; figures.js puts the reader's
theme in. Tests check every figure against Plotly's own schema.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

Trace = dict[str, Any]
Figure = dict[str, Any]

SERIES = tuple(f"var(--c{number})" for number in range(1, 9))
OTHERS = "var(--c6)"

_FONT = {"family": "var(--sans)", "size": 11, "color": "var(--ink-3)"}
_CONFIG = {"displayModeBar": False, "responsive": True, "doubleClick": False, "showTips": False}
_MARGIN = {"l": 44, "r": 0, "t": 12, "b": 20}


def figure(
    traces: Sequence[Trace],
    *,
    height: int = 190,
    prefix: str = "",
    suffix: str = "",
    drag: bool = False,
    click: str = "",
    href: str = "",
    offset: str = "Z",
    stacked: bool = False,
    shapes: Sequence[Mapping[str, Any]] = (),
    annotations: Sequence[Mapping[str, Any]] = (),
    layout: Mapping[str, Any] | None = None,
) -> Figure:
    """A figure for ``json_script`` and figures.js.

    ``prefix`` and ``suffix`` are the y axis' unit (``"$"``); ``drag`` makes a dragged stretch the page's time range;
    ``click`` is the parameter that a clicked point's ``customdata`` (else its trace's ``meta``, else name) is given to;
    ``href`` is the page a click goes to instead, with ``{}`` for the value; ``offset`` is the zone of the x values;
    ``layout`` overrides single parts, e.g. ``{"xaxis": {"type": "log"}}``.
    """
    base: dict[str, Any] = {
        "height": height,
        "margin": dict(_MARGIN),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": dict(_FONT),
        "colorway": list(SERIES),
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": "var(--raised)",
            "bordercolor": "var(--line-firm)",
            "font": {**_FONT, "size": 12, "color": "var(--ink)"},
            "namelength": 40,
        },
        "dragmode": "zoom" if drag else False,
        "bargap": 0.3,
        "barmode": "stack" if stacked else "group",
        "xaxis": {
            "showgrid": False,
            "zeroline": False,
            "fixedrange": not drag,
            "linecolor": "var(--line-firm)",
            "showline": True,
            "ticks": "",
            "automargin": False,
        },
        "yaxis": {
            "gridcolor": "var(--grid)",
            "zerolinecolor": "var(--line-firm)",
            "nticks": 4,
            "tickprefix": prefix,
            "ticksuffix": suffix,
            "rangemode": "tozero",
            "fixedrange": True,
            "automargin": "left",
        },
        "shapes": [dict(shape) for shape in shapes],
        "annotations": [dict(annotation) for annotation in annotations],
    }
    for part, value in (layout or {}).items():
        both_are_parts = isinstance(value, Mapping) and isinstance(base.get(part), dict)
        base[part] = {**base[part], **value} if both_are_parts else value
    acts = {"drag": drag, "click": click, "href": href, "offset": offset}
    return {"data": list(traces), "layout": base, "config": dict(_CONFIG), "acts": acts}


def line(
    x: Sequence[Any], y: Sequence[Any], *, name: str, colour: str = "var(--spent)", is_area: bool = False
) -> Trace:
    """A line of figures that are known; None is a gap. With ``is_area`` the ground below it is tinted."""
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": text(name),
        "meta": name,
        "x": _plain(x),
        "y": _plain(y),
        "line": {"color": colour, "width": 1.75},
    }
    if is_area:
        trace |= {"fill": "tozeroy", "fillcolor": soft(colour, 0.1)}
    return trace


def usual(x: Sequence[Any], y: Sequence[Any], *, name: str = "usual") -> Trace:
    """What was to be expected, or will be: thin, grey, dashed."""
    trace = line(x, y, name=name, colour="var(--forecast)")
    trace["line"] |= {"width": 1.25, "dash": "4px 3px"}
    return trace


def band(x: Sequence[Any], low: Sequence[Any], high: Sequence[Any], *, name: str = "") -> list[Trace]:
    """The ground between lowest and highest, as two traces that say nothing when pointed at."""
    edge: Trace = {"type": "scatter", "mode": "lines", "x": _plain(x), "line": {"width": 0}, "hoverinfo": "skip"}
    fill = {"fill": "tonexty", "fillcolor": soft("var(--forecast)", 0.16)}
    return [{**edge, "name": text(name), "y": _plain(low)}, {**edge, "name": text(name), "y": _plain(high), **fill}]


def bars(
    x: Sequence[Any], y: Sequence[Any], *, name: str, colour: str = "var(--spent)", customdata: Any = None
) -> Trace:
    """Bars; ``customdata`` is what a click stands for: one value each in a list, or one for all."""
    trace: Trace = {
        "type": "bar",
        "name": text(name),
        "meta": name,
        "x": _plain(x),
        "y": _plain(y),
        "marker": {"color": colour, "line": {"width": 0}},
    }
    if customdata is not None:
        trace |= {"customdata": list(customdata)} if isinstance(customdata, list | tuple) else {"meta": customdata}
    return trace


def stacked_areas(x: Sequence[Any], parts: Sequence[tuple[str, Sequence[Any], str]]) -> list[Trace]:
    """Parts of one sum over time: each (name, values, colour), the largest first, at the bottom."""
    return [
        {
            **line(x, values, name=name, colour=colour),
            "stackgroup": "sum",
            "line": {"color": colour, "width": 0.5},
            "fillcolor": soft(colour, 0.75),
        }
        for name, values, colour in parts
    ]


def vertical(x: Any, *, words: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """A dotted line at a moment (now, a deploy) as (shape, annotation)."""
    place = _plain([x])[0]
    shape = {
        "type": "line",
        "x0": place,
        "x1": place,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "var(--ink-3)", "width": 1, "dash": "dot"},
    }
    note = {"x": place, "yref": "paper", "y": 1, "yanchor": "bottom", "text": text(words), "showarrow": False}
    return shape, {**note, "font": {**_FONT, "color": "var(--ink)"}}


def soft(colour: str, share: float) -> str:
    """A share of a token's colour, as figures.js understands it."""
    return f"soft({colour.removeprefix('var(').removesuffix(')')} {share})"


def text(words: str) -> str:
    """What somebody wrote, for places where Plotly reads a little HTML: names, ticks, titles, hover."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(values: Sequence[Any]) -> list[Any]:
    """Decimals as floats (pixels need no more), times as Plotly reads them; unknown stays None."""
    return [
        float(value)
        if isinstance(value, Decimal)
        else value.strftime("%Y-%m-%dT%H:%M:%S")
        if isinstance(value, datetime)
        else value
        for value in values
    ]
