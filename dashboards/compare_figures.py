"""What two runs cost so far, step by step, as one figure."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards import figures
from dashboards.figures import Figure
from tracking.reports.compare import Comparison, Row

POINTS_MAX = 600  # of each line; more are thinned, the ends and the parting kept
A_COLOUR, B_COLOUR = "var(--c2)", "var(--c1)"


def cost_so_far(found: Comparison) -> Figure:
    """Both lines begin at nothing and go along the steps as they stand side by side; what both share is tinted."""
    rows = _thinned(found.rows, found.divergence)
    steps = [0, *(row.number for row in rows)]
    lines = [
        figures.line(steps, [0, *(row.so_far_a.cost_usd for row in rows)], name="A", colour=A_COLOUR),
        figures.line(steps, [0, *(row.so_far_b.cost_usd for row in rows)], name="B", colour=B_COLOUR),
    ]
    for line in lines:
        line["line"]["shape"] = "hv"
    shapes, notes = [], []
    if found.prefix:
        shapes.append(
            {
                "type": "rect", "x0": 0, "x1": found.prefix, "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 0},
                "fillcolor": figures.soft("var(--forecast)", 0.16), "layer": "below",
            }
        )  # fmt: skip
    if found.divergence is not None:
        shape, note = figures.vertical(found.divergence, words="they part")
        shapes.append(shape)
        notes.append(note)
    axis = {"range": [0, max(len(found.rows), 1)], "nticks": 8, "tickformat": "d", "hoverformat": "d"}
    return figures.figure(
        lines,
        height=190,
        prefix="$",
        shapes=shapes,
        annotations=notes,
        layout={"xaxis": axis, "yaxis": {"hoverformat": ".4~g"}, "margin": {"t": 20}},
    )


def _thinned(rows: Sequence[Row], divergence: int | None) -> list[Row]:
    every = -(-len(rows) // POINTS_MAX) or 1
    return [
        row
        for row in rows
        if row.number % every == 0 or row.number in (1, len(rows), divergence, (divergence or 0) - 1)
    ]
