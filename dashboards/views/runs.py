"""The runs list: what ran, what it cost, how it ended; every filter in the address.

htmx asks the same address for a part of it, named by its target: the list, older rows, or how many are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from dashboards import numbers, periods
from dashboards.access import may, team_for
from dashboards.csv_rows import csv_text
from dashboards.periods import Period
from dashboards.run_row import run_row
from tracking.errors import Invalid
from tracking.models import Team
from tracking.reports import search
from tracking.reports.run_facets import FACET_ROWS, Facet, RunFacets, excludes_most, run_facets
from tracking.reports.run_filters import RunFilters, read_filters
from tracking.reports.runs import ORDERS, RunRow, Sort, agent_colours, count_newer, read_sort, runs
from tracking.teams import Role
from tracking.usage.query import usage

EXPORT_ROWS = 10_000
SEARCH_HINT = 'agent: model: status: cost:>0.05 has:unpriced "text"'
_LISTS = ("status", "flags", "agent", "starts", "model", "origin", "session", "user", "environment", "tag")
_FACETS = (
    ("status", "Status", ""),
    ("flags", "Flags", "all of"),
    ("starts", "Agent", "starts the run"),
    ("model", "Model", "any of"),
    ("environment", "Environment", ""),
)
_FLAG_WORDS = {
    "unpriced": ("unknown", "unknown", "unpriced"),
    "estimated": ("", "unknown", "estimated"),
    "error": ("error", "error", "a step failed"),
    "loop": ("loop", "loop", "looped"),
    "budget": ("error", "prices", "over budget"),
}
SORT_WORDS = {
    "started_at": "Newest",
    "ended_at": "Last ended",
    "cost_usd": "Costliest",
    "total_tokens": "Most tokens",
    "duration_ms": "Longest",
    "span_count": "Most steps",
    "errors": "Most failed steps",
}
COLUMNS = {
    "tokens": "Tokens",
    "duration": "Duration",
    "steps": "Steps",
    "model": "Model",
    "user": "User",
    "session": "Session",
    "environment": "Environment",
}
DEFAULT_COLUMNS = ("tokens", "duration", "steps")
_LOOSENED = {
    "flags": "the flags",
    "starts": "the agent that starts the run",
    "environment": "the environment",
    "search": "the search",
    "min_cost": "the least cost",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks for. ``problems``: why the search was not run."""

    filters: RunFilters
    sort: Sort
    period: Period
    columns: tuple[str, ...]
    text: str
    pieces: tuple[search.Piece, ...]
    problems: tuple[str, ...]


def _asked(request: HttpRequest, team: Team) -> Asked:
    period = periods.from_request(request, zone=team.time_zone)
    text = request.GET.get("q", "").strip()
    found = search.parse(text)
    values: dict[str, object] = {name: request.GET.getlist(name) for name in _LISTS}
    values["start"] = period.start
    values["end"] = None if period.is_live else period.end
    values["min_cost"] = request.GET.get("min_cost") or None
    filters = read_filters(values)
    chosen = tuple(name for name in COLUMNS if name in request.GET.getlist("column"))
    return Asked(
        filters=replace(filters, search=found),
        sort=read_sort(request.GET.get("sort")),
        period=period,
        columns=chosen or DEFAULT_COLUMNS,
        text=text,
        pieces=found.pieces,
        problems=found.problems,
    )


@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    team = team_for(request)
    asked = _asked(request, team)
    part = _part(request)
    if part == "older":
        return render(request, "dashboards/_runs_rows.html", _rows(request, team, asked, ()))
    found = run_facets(team.pk, asked.filters) if not asked.problems else None
    starters = [name for name, _ in found.facets["starts"].counts] if found else []
    context = _rows(request, team, asked, starters) | _summary(request, team, asked, found)
    if part == "list":
        return render(request, "dashboards/_runs_list.html", context)
    return render(request, "dashboards/runs.html", context)


@require_GET
def new_runs(request: HttpRequest) -> HttpResponse:
    """How many runs that fit began since the page was made: a number as text."""
    team = team_for(request)
    asked = _asked(request, team)
    try:
        since = datetime.fromisoformat(request.GET.get("since", ""))
        since = since.astimezone(UTC) if since.tzinfo else since.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid("since is a time.", field="since") from None
    number = 0 if asked.problems else count_newer(team.pk, asked.filters, after=since)
    return HttpResponse(str(number), content_type="text/plain")


@require_GET
def short(request: HttpRequest, beginning: str) -> HttpResponse:
    """A link to write down: to the run whose id begins so, or to the list of several."""
    team = team_for(request)
    found = runs(team.pk, read_filters({"q": f"id:{beginning}"}), limit=2).runs
    if not found:
        raise Http404("This team has no run whose id begins so.")
    if len(found) > 1:
        return redirect(f"/runs?{urlencode({'q': f'id:{beginning}', 'from': 'now-30d'})}")
    return redirect(f"/runs/{found[0].id}")


@require_GET
def export(request: HttpRequest) -> HttpResponse:
    """The list as CSV, in its order, EXPORT_ROWS at most."""
    team = team_for(request)
    asked = _asked(request, team)
    if asked.problems:
        raise Invalid("The search was not run. " + "; ".join(asked.problems), field="q")
    found: list[RunRow] = []
    cursor: str | None = None
    while len(found) < EXPORT_ROWS:
        page = runs(team.pk, asked.filters, sort=asked.sort, limit=500, cursor=cursor)
        found += page.runs
        cursor = page.next_cursor
        if cursor is None:
            break
    response = HttpResponse(
        csv_text(_EXPORTED, map(_exported, found[:EXPORT_ROWS])), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="runs-{asked.period.start:%Y%m%d}.csv"'
    return response


_EXPORTED = (
    "id", "trace_id", "external_id", "title", "name", "status", "error", "started_at", "ended_at", "duration_ms",
    "agents", "models", "user_id", "session_id", "environment", "tags", "span_count", "llm_calls", "tool_calls",
    "errors", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens", "cost_usd", "cost_status",
    "unpriced_calls",
)  # fmt: skip


def _exported(run: RunRow) -> list[Any]:
    cells: list[Any] = []
    for name in _EXPORTED:
        value = getattr(run, "model_names" if name == "models" else name)
        if isinstance(value, datetime):
            value = value.isoformat()
        elif isinstance(value, list):
            value = " ".join(value)
        elif name in ("id", "trace_id"):
            value = value.hex if name == "trace_id" else str(value)
        cells.append(value)
    return cells


def _part(request: HttpRequest) -> str:
    htmx = getattr(request, "htmx", None)
    if not htmx or htmx.history_restore_request:
        return ""
    if request.GET.get("part") == "older":
        return "older"
    return "list" if htmx.target == "runs-list" else ""


# --- rows -----------------------------------------------------------------------------------------------------------


def _rows(request: HttpRequest, team: Team, asked: Asked, starters: Sequence[str]) -> dict[str, Any]:
    """The list, and the colours of its agents and of those who start runs."""
    cursor = request.GET.get("cursor") or None
    page = None if asked.problems else runs(team.pk, asked.filters, sort=asked.sort, cursor=cursor)
    found = page.runs if page else []
    now = datetime.now(UTC)
    colours = agent_colours(team.pk, [*starters, *(name for run in found for name in run.agents)])
    may_kill = may(request, Role.MEMBER)
    return {
        "asked": asked,
        "period": asked.period,
        "rows": [run_row(run, columns=asked.columns, colours=colours, now=now, may_kill=may_kill) for run in found],
        "team": team,
        "may_kill": may_kill,
        "here": request.get_full_path(),
        "colours": colours,
        "next_cursor": page.next_cursor if page else None,
        "is_continued": cursor is not None,
        "now_text": now.isoformat(timespec="milliseconds"),
        "heads": _heads(asked),
        "column_count": len(asked.columns) + 4,
    }


_HEADS = (
    ("cost_usd", "Cost", "", "", False),
    ("total_tokens", "Tokens", "", "tokens", False),
    ("duration_ms", "Duration", "log scale", "duration", True),
    ("span_count", "Steps", "", "steps", False),
    ("ended_at", "Ended", "", "", False),
)


def _heads(asked: Asked) -> list[dict[str, Any]]:
    """Heads that sort; the one the list is sorted by turns it round. "Ended" also stands for the order of beginning."""
    heads = []
    for name, label, note, column, is_left in _HEADS:
        if column and column not in asked.columns:
            continue
        is_sorted = asked.sort.order.name == name
        turned = f"{name} asc" if is_sorted and not asked.sort.is_ascending else name
        heads.append({"sort": turned, "label": label, "note": note, "is_left": is_left, "is_sorted": is_sorted})
    return heads


# --- what stands round the rows -------------------------------------------------------------------------------------


def _summary(request: HttpRequest, team: Team, asked: Asked, found: RunFacets | None) -> dict[str, Any]:
    context: dict[str, Any] = {
        "facets": _facets(asked, found) if found else [],
        "hint": SEARCH_HINT,
        "sort_words": SORT_WORDS,
        "sort_word": SORT_WORDS[asked.sort.order.name],
        "kept": _kept(request),
        "facet_names": [name for name, _, _ in _FACETS],
        "column_words": COLUMNS,
        "is_live": asked.period.is_live and asked.sort.order is ORDERS["started_at"] and not asked.problems,
    }
    if found is None:
        return context
    context |= _figures(team, asked, found)
    if not found.matched and not found.is_capped:
        excluding = excludes_most(team.pk, asked.filters)
        context["excluding"] = excluding
        context["excluding_words"] = _LOOSENED.get(excluding or "", f"the {excluding}")
        context["excluding_href"] = _without(request, {"search": "q"}.get(excluding or "", excluding or ""))
        context["is_filtered"] = not asked.filters.is_plain
    return context


def _kept(request: HttpRequest) -> list[tuple[str, str]]:
    """The address's parameters, for a form that changes one of them."""
    dropped = ("cursor", "part", "since")
    return [(name, value) for name, values in request.GET.lists() for value in values if name not in dropped]


def _without(request: HttpRequest, name: str) -> str:
    return f"/runs?{urlencode([pair for pair in _kept(request) if pair[0] != name])}"


def _figures(team: Team, asked: Asked, found: RunFacets) -> dict[str, Any]:
    """The header's figures: counted exactly up to FACET_ROWS runs; beyond, from the usage sums where nothing filters."""
    figures = {
        "run_count": numbers.exact(found.matched) if found.matched < 1_000 else f"{found.matched:,}",
        "known_usd": found.cost_usd,
        "unpriced_runs": found.unpriced_runs,
        "capped_at": FACET_ROWS if found.is_capped else 0,
    }
    if found.is_capped and asked.filters.is_plain:
        totals = usage([team.pk], start=asked.period.start, end=asked.period.end).totals
        figures |= {"run_count": f"{totals.runs or 0:,}", "known_usd": totals.cost_usd, "unpriced_runs": 0}
        figures["unpriced_calls"] = totals.unpriced_calls
    elif found.is_capped:
        matched = min(found.matched, FACET_ROWS)
        figures["run_count"] = (
            f"over {matched:,}" if matched == FACET_ROWS else f"{matched:,} of the newest {FACET_ROWS:,}"
        )
    return figures


def _facets(asked: Asked, found: RunFacets) -> list[dict[str, Any]]:
    shown = []
    for name, label, note in _FACETS:
        facet = found.facets[name]
        if facet.counts:
            ticked = getattr(asked.filters, name)
            shown.append(
                {"name": name, "label": label, "note": note, "others": facet.others, "rows": _ticks(facet, ticked)}
            )
    return shown


def _ticks(facet: Facet, ticked: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"value": value, "count": count, "is_ticked": value in ticked, "mark": _FLAG_WORDS.get(value)}
        for value, count in facet.counts
    ]
