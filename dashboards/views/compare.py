"""Two runs side by side: the address names them and says what is shown (`only`, `shared`, `after`, `open`).

htmx asks the same address for a part of it: older rows further down, or one row, opened or closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboards import addresses, compare_figures
from dashboards.access import team_for
from dashboards.compare_words import ALONE, DIFFERS, OTHER_PARTS, PARTS, chip
from dashboards.frame import is_fragment
from dashboards.messages import SpokenPart, cut, written
from dashboards.waterfall import title_of
from tracking.errors import Invalid, NotFound
from tracking.models import Team
from tracking.reports import compare as report
from tracking.reports import step_words
from tracking.reports.compare import Comparison, Row
from tracking.reports.run import REFERENCE_CHARACTERS_MAX, find_run
from tracking.reports.run_filters import RunFilters
from tracking.reports.run_steps import Step
from tracking.reports.runs import RunRow, agent_colours, runs
from tracking.reports.step_words import Part

PATH = "/compare"
ROWS = 100
SUGGESTED = 12
CHANGES = 100
BEFORE = 3  # rows shown before the one that a link leads to, when it is on a page of its own


@dataclass(frozen=True, slots=True)
class Asked:
    """``open``: the number of the row that is open; ``after``: of the one before the first that is shown."""

    a: str
    b: str
    is_only_different: bool
    has_shared: bool
    after: int
    open: int
    row: int
    part: str


@dataclass(frozen=True, slots=True)
class Change:
    """One path of two JSON values."""

    path: str
    change: str
    before: SpokenPart
    after: SpokenPart


@dataclass(frozen=True, slots=True)
class Section:
    """A part of two steps as it is shown."""

    name: str
    part: Part
    changes: list[Change]
    changes_left: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A row as it is shown; ``sections`` of the open one."""

    row: Row
    title_a: str
    title_b: str
    words: list[str]
    ms: float | None
    tokens: int
    is_divergence: bool
    sections: list[Section] | None = None


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    team = team_for(request)
    asked = _asked(request)
    found, faults = _found(team, asked)
    context: dict[str, Any] = {"team": team, "asked": asked, "faults": faults, **found}
    if "a" not in found or "b" not in found:
        if asked.part:
            raise Http404("This team has no such run.")
        context |= _suggested(team, found)
        return render(request, "dashboards/compare.html", context, status=404 if faults else 200)
    compared = report.compare(team.pk, found["a"], found["b"])
    context |= _rows(request, team, asked, compared)
    if asked.part:
        return render(request, "dashboards/_compare_rows.html", context)
    context |= _head(request, asked, compared)
    if is_fragment(request):
        return render(request, "dashboards/_compare_body.html", context)
    context |= _suggested(team, found)
    return render(request, "dashboards/compare.html", context)


def _asked(request: HttpRequest) -> Asked:
    """Raises Invalid naming the parameter."""
    part = request.GET.get("part", "") if is_fragment(request) else ""
    return Asked(
        a=request.GET.get("a", "").strip()[: REFERENCE_CHARACTERS_MAX + 1],
        b=request.GET.get("b", "").strip()[: REFERENCE_CHARACTERS_MAX + 1],
        is_only_different=request.GET.get("only") == "differences",
        has_shared=request.GET.get("shared") == "1",
        after=_number(request, "after"),
        open=_number(request, "open"),
        row=_number(request, "row"),
        part=part if part in ("rows", "row") else "",
    )


def _number(request: HttpRequest, name: str) -> int:
    text = request.GET.get(name, "")
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Invalid(f"{name} is the number of a row.", field=name)
    return int(text)


def _found(team: Team, asked: Asked) -> tuple[dict[str, RunRow], dict[str, str]]:
    """The runs by side, and what is wrong with a side that is named and is not there."""
    found, faults = {}, {}
    for side, reference in (("a", asked.a), ("b", asked.b)):
        if not reference:
            continue
        try:
            found[side] = find_run(team.pk, reference).run
        except NotFound:
            faults[side] = "This team has no run of that id, external id or trace id."
    return found, faults


def _suggested(team: Team, found: dict[str, RunRow]) -> dict[str, Any]:
    """Runs to choose from: the newest, and for the second side those that the first one's agent started."""
    newest = runs(team.pk, RunFilters(), limit=SUGGESTED).runs
    one = found.get("a") or found.get("b")
    near: list[RunRow] = []
    if one is not None and len(found) == 1:
        starts = (one.entry_agent,) if one.entry_agent else ()
        like = runs(team.pk, RunFilters(starts=starts), limit=SUGGESTED + 1).runs if starts else newest
        near = [run for run in like if run.id != one.id][:SUGGESTED]
        if one.parent_run_id is not None and one.parent_run_id not in [run.id for run in near]:
            near = [*_parent(team, one), *near]
    known = list({run.id: run for run in (*near, *newest)}.values())
    return {"choices": [(run.external_id or run.trace_id.hex, run) for run in known], "near": near, "one": one}


def _parent(team: Team, run: RunRow) -> list[RunRow]:
    try:
        return [find_run(team.pk, str(run.parent_run_id)).run]
    except NotFound:
        return []


# --- the rows ---------------------------------------------------------------------------------------------------------


def _rows(request: HttpRequest, team: Team, asked: Asked, found: Comparison) -> dict[str, Any]:
    """The page of rows asked for, or the one row."""
    listed = found.rows[asked.row - 1 : asked.row] if asked.part == "row" else _listed(asked, found)
    shown = listed[:ROWS]
    if not found.is_by_words:
        shown = report.by_words(team.pk, shown)
    agents = [step.span.agent for row in shown for step in (row.a, row.b) if step is not None and step.span.agent]
    rows = [_shown(team, asked, row, found) for row in shown]
    if asked.part == "row" and not rows:
        raise Http404("They have no such step.")
    return {
        "found": found,
        "rows": rows,
        "colours": agent_colours(team.pk, [*found.a.run.agents, *found.b.run.agents, *agents]),
        "next_after": shown[-1].number if len(listed) > ROWS else 0,
        "kept": _kept(request.GET),
    }


def _listed(asked: Asked, found: Comparison) -> list[Row]:
    """From where the address says; else so that the open row is on the page."""
    first = asked.after or (0 if asked.has_shared or 0 < asked.open <= found.prefix else found.prefix)
    listed = [row for row in found.rows[first:] if row.is_different or not asked.is_only_different]
    at = next((place for place, row in enumerate(listed) if row.number == asked.open), 0)
    return listed[at - BEFORE :] if at >= ROWS and not asked.after else listed


def _kept(query: QueryDict) -> list[tuple[str, str]]:
    """What the form that names other runs keeps of the address."""
    return [(name, query.get(name, "")) for name in ("only", "team") if name in query]


def _shown(team: Team, asked: Asked, row: Row, found: Comparison) -> Shown:
    times = [None if step is None else step.span.duration_ms for step in (row.a, row.b)]
    tokens = [0 if step is None else step.tokens for step in (row.a, row.b)]
    both = row.a is not None and row.b is not None
    return Shown(
        row=row,
        title_a=title_of(row.a.span) if row.a is not None else "",
        title_b=title_of(row.b.span) if row.b is not None else "",
        words=[DIFFERS[name] for name in row.differs] or ([ALONE[row.how]] if row.how in ALONE else []),
        ms=times[1] - times[0] if both and times[0] is not None and times[1] is not None else None,
        tokens=tokens[1] - tokens[0],
        is_divergence=row.number == found.divergence,
        sections=_sections(team, row) if row.number == asked.open else None,
    )


def _sections(team: Team, row: Row) -> list[Section]:
    step: Step | None = row.a or row.b
    names = PARTS.get(step.span.kind if step is not None else "", OTHER_PARTS)
    return [
        Section(
            names.get(part.name, OTHER_PARTS[part.name]),
            part,
            [
                Change(one["path"], one["change"], cut(written(one["before"])), cut(written(one["after"])))
                for one in part.changes[:CHANGES]
            ],
            max(len(part.changes) - CHANGES, 0),
        )
        for part in step_words.side_by_side(team.pk, row.a, row.b)
    ]


# --- what stands above them -------------------------------------------------------------------------------------------


def _head(request: HttpRequest, asked: Asked, found: Comparison) -> dict[str, Any]:
    a, b = found.a, found.b
    return {
        "chips": [chip(verdict) for verdict in found.verdicts],
        "sides": [("A", "c2", a), ("B", "c1", b)],
        "figure": compare_figures.cost_so_far(found) if found.rows else None,
        "is_one": a.run.id == b.run.id,
        "is_live": a.run.is_running or b.run.is_running,
        "goes_on": next(((name, side.came_from[0]) for name, side in (("B", b), ("A", a)) if side.came_from), None),
        "differing": sum(row.is_different for row in found.rows),
        "difference_size": None if found.difference_usd is None else abs(found.difference_usd),
        "tokens_more": b.whole.tokens - a.whole.tokens,
        "ms_more": b.whole.ms - a.whole.ms,
        "steps_more": b.whole.steps - a.whole.steps,
        "swap_href": addresses.changed(PATH, request.GET, a=asked.b, b=asked.a, after=None, open=None),
        "divergence_href": _divergence_href(request, asked, found),
    }


def _divergence_href(request: HttpRequest, asked: Asked, found: Comparison) -> str:
    """To the row where they part: on this page, else on one that begins shortly before it."""
    if found.divergence is None:
        return ""
    if found.divergence in [row.number for row in _listed(asked, found)[:ROWS]]:
        return "#divergence"
    after = max(found.divergence - 1 - BEFORE, 0)
    return addresses.changed(PATH, request.GET, after=str(after) if after else None, open=None) + "#divergence"
