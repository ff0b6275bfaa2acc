"""Agents: who they are, what each cost, and what its money bought."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboards import access, addresses, periods
from dashboards.costs_figures import by_part, cost_spread
from dashboards.frame import is_fragment
from tracking.errors import Invalid
from tracking.models import Team
from tracking.reports import agents as report
from tracking.reports.agents import PARTS, AgentLine, AgentPage, PartsOverTime

LIST_RANGE = "now-7d"
PAGE_RANGE = "now-30d"
SORTS = ("cost", "change", "runs", "name")
PART_WORDS = {"model": "Model", "tool": "Tool", "kind": "Kind"}


@require_safe
def agents(request: HttpRequest) -> HttpResponse:
    team = access.team_for(request)
    period = periods.from_request(request, zone=team.time_zone, default=LIST_RANGE)
    found = report.agents(team, start=period.start, end=period.end, now=datetime.now(UTC))
    sort = request.GET.get("sort", "") if request.GET.get("sort", "") in SORTS else SORTS[0]
    context = {
        "team": team,
        "period": period,
        "found": found,
        "lines": _sorted(found.lines, sort),
        "sort": sort,
        "sorts": [(word, addresses.changed("/agents", request.GET, sort=word)) for word in SORTS],
        "colours": {line.name: line.colour for line in found.lines if line.name},
    }
    return render(request, "dashboards/_agents.html" if is_fragment(request) else "dashboards/agents.html", context)


def _sorted(lines: tuple[AgentLine, ...], sort: str) -> list[AgentLine]:
    if sort == "change":
        return sorted(lines, key=lambda line: (line.row.cost_usd or 0) - (line.before_usd or 0), reverse=True)
    if sort == "runs":
        return sorted(lines, key=lambda line: line.row.runs or 0, reverse=True)
    if sort == "name":
        return sorted(lines, key=lambda line: (line.name is None, (line.name or "").casefold()))
    return list(lines)


@require_safe
def agent(request: HttpRequest, name: str) -> HttpResponse:
    team = access.team_for(request)
    period = periods.from_request(request, zone=team.time_zone, default=PAGE_RANGE)
    by = request.GET.get("by", "") or "model"
    if by not in PARTS:
        raise Invalid(f'"{by}" is no part of an agent; there are {", ".join(PARTS)}.', field="by")
    page = report.agent(team, name, start=period.start, end=period.end, now=datetime.now(UTC))
    figure, legend = _over_time(report.over_time(team, name, by=by, start=period.start, end=period.end))
    context = {
        "team": team,
        "period": period,
        "page": page,
        "by": by,
        "parts": [(word, _part_href(request, name, part), part == by) for part, word in PART_WORDS.items()],
        "over_time": figure,
        "legend": legend,
        "spread": cost_spread(page.spread) if page.spread.bars else None,
        "bought": [(part.share, f"f{place + 1}", part.label) for place, part in enumerate(page.bought)],
        "month_word": f"{page.day.now:%B}",
        "colours": report.colours(team),
        **_usd_of(page, team),
    }
    return render(request, "dashboards/_agent.html" if is_fragment(request) else "dashboards/agent.html", context)


def _part_href(request: HttpRequest, name: str, part: str) -> str:
    return addresses.changed(request.path, request.GET, by=part)


def _usd_of(page: AgentPage, team: Team) -> dict[str, object]:
    """What templates cannot divide."""
    facts = page.spread.facts
    failed_share = facts.failed / facts.ended if facts.ended else None
    cached = page.totals.cached_tokens / page.totals.input_tokens if page.totals.input_tokens else None
    return {"facts": facts, "failed_share": failed_share, "cached_share": cached}


def _over_time(parts: PartsOverTime) -> tuple[object, list[tuple[str, int, object]]]:
    figure, legend = by_part(
        parts.times,
        parts.rows,
        group=parts.by,
        bucket=parts.bucket,
        measure=(lambda row: row.tool_calls) if parts.by == "tool" else (lambda row: row.cost_usd),
        prefix="" if parts.by == "tool" else "$",
    )
    return figure if legend else None, list(legend)
