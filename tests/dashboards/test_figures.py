"""Figures as Plotly's own schema reads them, and the page that shows them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import pytest

from dashboards import figures

TOKENS = Path(__file__).parents[2] / "dashboards/static/dashboards/tokens.css"
HOSTILE = "<a href='javascript:alert(1)'>x</a>"
DAYS = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
SHAPE, NOTE = figures.vertical(DAYS[1], words="now")

EXAMPLES = {
    "line": figures.figure(
        [
            *figures.band(DAYS, [1, 1, 1], [3, 3, 3]),
            figures.line(DAYS, [Decimal("0.1"), None, Decimal(2)], name="spend", is_area=True),
        ],
        prefix="$",
        drag=True,
        shapes=[SHAPE],
        annotations=[NOTE],
    ),
    "usual": figures.figure([figures.usual(DAYS, [1, 2, 3])]),
    "bars": figures.figure(
        [figures.bars(DAYS, [1, 2, 3], name="calls", customdata=["a", "b", "c"])], click="agent", stacked=True
    ),
    "areas": figures.figure(
        figures.stacked_areas(DAYS, [("a", [1, 2, 3], "var(--c1)"), ("b", [3, 2, 1], "var(--c2)")])
    ),
    "log": figures.figure(
        [figures.bars([1, 10, 100], [3, 2, 1], name="runs")], layout={"xaxis": {"type": "log"}, "bargap": 0.05}
    ),
}


def resolved(value: Any) -> Any:
    """As figures.js does it, with any colour."""
    if isinstance(value, str) and value.startswith("var(--sans"):
        return "sans-serif"
    if isinstance(value, str) and re.fullmatch(r"var\(--[a-z0-9-]+\)|soft\(--[a-z0-9-]+ [0-9.]+\)", value):
        return "#123456"
    if isinstance(value, list):
        return [resolved(item) for item in value]
    if isinstance(value, dict):
        return {name: resolved(item) for name, item in value.items()}
    return value


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_is_what_plotly_understands(name: str) -> None:
    figure = resolved(json.loads(json.dumps(EXAMPLES[name])))
    checked = go.Figure(data=figure["data"], layout=figure["layout"])
    assert len(checked.data) == len(EXAMPLES[name]["data"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_figure_has_the_look(name: str) -> None:
    layout, config = EXAMPLES[name]["layout"], EXAMPLES[name]["config"]
    assert (layout["showlegend"], layout["xaxis"]["showgrid"], config["displayModeBar"]) == (False, False, False)
    assert layout["margin"] == {"l": 44, "r": 0, "t": 12, "b": 20}
    assert "title" not in layout


def test_every_colour_is_a_token_of_the_stylesheet() -> None:
    tokens = set(re.findall(r"(--[a-z0-9-]+):", TOKENS.read_text()))
    named = set(re.findall(r"(?:var|soft)\((--[a-z0-9-]+)", json.dumps(EXAMPLES)))
    assert named
    assert named <= tokens


def test_an_unknown_value_is_a_gap_and_not_nothing() -> None:
    assert figures.line(DAYS, [Decimal("0.1"), None, 0], name="spend")["y"] == [0.1, None, 0]


def test_names_are_text_wherever_plotly_reads_html_and_whole_where_a_click_uses_them() -> None:
    for trace in (figures.line([1], [1], name=HOSTILE), figures.bars([1], [1], name=HOSTILE)):
        assert "<a" not in trace["name"]
        assert trace["meta"] == HOSTILE
    assert "<a" not in figures.vertical(1, words=HOSTILE)[1]["text"]


def test_a_part_of_the_layout_is_overridden_and_the_rest_stays() -> None:
    axis = EXAMPLES["log"]["layout"]["xaxis"]
    assert (axis["type"], axis["showgrid"]) == ("log", False)
    assert EXAMPLES["log"]["layout"]["bargap"] == 0.05


def test_a_figure_that_is_dragged_zooms_in_time_alone() -> None:
    layout = EXAMPLES["line"]["layout"]
    assert (layout["dragmode"], layout["xaxis"]["fixedrange"], layout["yaxis"]["fixedrange"]) == ("zoom", False, True)
    assert EXAMPLES["bars"]["layout"]["dragmode"] is False
