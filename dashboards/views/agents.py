"""Agents: who they are, what each cost, and what its money bought."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from dashboards import access, addresses, periods
from dashboards.agent_words import PATTERN_WORDS
from dashboards.costs_figures import by_part, cost_spread
from dashboards.frame import is_fragment
from tracking.agents import store
from tracking.agents.store import Kept
from tracking.errors import Invalid, NotFound
from tracking.models import Team
from tracking.reports import agents as report
from tracking.reports import circuits
from tracking.reports.agents import PARTS, AgentLine, AgentPage, PartsOverTime
from tracking.teams import Role

LIST_RANGE = "now-7d"
PAGE_RANGE = "now-30d"
SORTS = ("cost", "change", "runs", "name")
PART_WORDS = {"model": "Model", "tool": "Tool", "kind": "Kind"}


@require_safe
def agents(request: HttpRequest) -> HttpResponse:
    team = access.team_for(request)
    period = periods.from_request(request, zone=team.time_zone, default=LIST_RANGE)
    found = report.agents(team, start=period.start, end=period.end, now=datetime.now(UTC))
    versions = store.names(team)
    sort = request.GET.get("sort", "") if request.GET.get("sort", "") in SORTS else SORTS[0]
    context = {
        "team": team,
        "period": period,
        "found": found,
        "lines": [(line, versions.get(line.name or "")) for line in _sorted(found.lines, sort)],
        "sort": sort,
        "sorts": [(word, addresses.changed("/agents", request.GET, sort=word)) for word in SORTS],
        "colours": {line.name: line.colour for line in found.lines if line.name},
        "may_define": access.may(request, Role.MEMBER),
        "resting": _resting(versions, found.lines),
    }
    return render(request, "dashboards/_agents.html" if is_fragment(request) else "dashboards/agents.html", context)


def _resting(versions: dict[str, int], lines: tuple[AgentLine, ...]) -> list[tuple[str, int]]:
    """Those defined here that were not at work in the range."""
    at_work = {line.name for line in lines}
    return [(name, version) for name, version in versions.items() if name not in at_work]


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
    defined = _definition(team, name)
    about: dict[str, object] = {"defined": defined, "may_define": access.may(request, Role.MEMBER)}
    if defined is not None:
        limit = defined.body["limits"]["cost_usd"]
        about["pattern_word"] = PATTERN_WORDS[defined.body["pattern"]][0]
        about["limit_usd"] = None if limit is None else Decimal(limit)
    try:
        page = report.agent(team, name, start=period.start, end=period.end, now=datetime.now(UTC))
    except NotFound:
        if defined is None:
            raise
        return render(request, "dashboards/agent_defined.html", {"team": team, **about})
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
        "circuit": circuits.agent_line(team, name),
        **about,
        **_usd_of(page, team),
    }
    return render(request, "dashboards/_agent.html" if is_fragment(request) else "dashboards/agent.html", context)


def _definition(team: Team, name: str) -> Kept | None:
    try:
        return store.find(team, name)
    except NotFound:
        return None


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
