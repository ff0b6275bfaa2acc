"""The palette: objects, pages and actions by a few letters of their name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from dashboards import numbers
from dashboards.access import team_for
from dashboards.frame import LOOK, OPERATE
from tracking.reports import found as report

_TEXT_MAX = 200


@dataclass(frozen=True, slots=True)
class Hit:
    """A line of the palette. ``opens`` is a dialog instead of a page."""

    label: str
    href: str
    icon: str
    note: str = ""
    keys: str = ""
    opens: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    label: str
    hits: list[Hit]


_PAGES = (
    *(Hit(place.label, place.path, place.icon, keys=f"g {place.key}") for place in (*LOOK, *OPERATE)),
    Hit("Members", "/settings/members", "team", "settings"),
    Hit("API keys", "/settings/keys", "key", "settings"),
    Hit("Alert rules and destinations", "/settings/alerts", "alerts", "settings"),
    Hit("Retention", "/settings/retention", "admin", "settings"),
    Hit("Audit log", "/settings/audit", "admin", "settings"),
    Hit("Account", "/settings/account", "admin", "settings"),
)
_ACTIONS = (
    Hit("Send spans: snippets and a key", "/onboarding", "plus"),
    Hit("Make an API key", "/settings/keys", "key"),
    Hit("Set a price", "/prices", "prices"),
    Hit("Set a budget", "/budgets/new", "budget"),
    Hit("Failed runs", "/runs?status=failed", "error"),
    Hit("Runs with unpriced calls", "/runs?q=has%3Aunpriced", "unknown"),
    Hit("Compare two runs", "/compare", "compare"),
    Hit("Keyboard", "#", "keyb", keys="?", opens="keys"),
)


@require_GET
def found(request: HttpRequest) -> HttpResponse:
    """The palette's list for ``q``."""
    team = team_for(request)
    text = request.GET.get("q", "")[:_TEXT_MAX].strip()
    hits = report.find(team, text)
    groups = [
        Group("Runs" if text else "Newest runs", [_run(run) for run in hits.runs]),
        Group("Agents", [Hit(name, f"/agents/{quote(name, safe='')}", "agent") for name in hits.agents]),
        Group("Models", [_model(model) for model in hits.models]),
        Group("Pages", _named(_PAGES, text)),
        Group("Do", _named(_ACTIONS, text)),
    ]
    return render(request, "dashboards/_found.html", {"groups": [group for group in groups if group.hits], "q": text})


def _run(run: report.FoundRun) -> Hit:
    return Hit(run.title or run.name or "Run", f"/runs/{run.id}", "runs", f"{run.trace_id.hex[:8]} · {run.status}")


def _model(model: report.FoundModel) -> Hit:
    return Hit(
        model.name, f"/runs?{urlencode({'model': model.name})}", "llm", f"{numbers.tokens(model.llm_calls)} calls"
    )


def _named(hits: Iterable[Hit], text: str) -> list[Hit]:
    """Those whose label has every word of the text."""
    words = text.lower().split()
    return [hit for hit in hits if all(word in f"{hit.label} {hit.note}".lower() for word in words)]
