"""Prices: models without one first, what each model costs and since when, the form that sets it, re-pricing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards import numbers
from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.frame import is_fragment
from tracking import pricing, tasks
from tracking.errors import Invalid, NotAllowed
from tracking.ingest import reprice as repricing
from tracking.models import Price, Team
from tracking.price_input import FIELDS, read_model, read_moment
from tracking.reports import called_models as calls
from tracking.reports import prices as report
from tracking.teams import Role

_LABELS = {
    "input": "Input",
    "output": "Output",
    "cache_read": "Cached input",
    "cache_write": "Cache write",
    "cache_write_1h": "Cache write, 1 hour",
    "reasoning": "Reasoning",
    "audio_in": "Audio input",
    "audio_out": "Audio output",
    "image_in": "Image input",
    "image_out": "Image output",
    "per_request": "Each request",
}
_ALWAYS_SHOWN = frozenset({"input", "output", "cache_read"})
_NAME_MAX = 300
_SET_HERE = (Price.Source.TEAM.value, Price.Source.OPERATOR.value)


@dataclass(frozen=True, slots=True)
class Figure:
    """A field of the form: USD per million tokens, or per request."""

    name: str
    label: str
    value: str
    unit: str
    is_common: bool


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The page; for htmx the table below the search alone. ``model`` opens the form on a model."""
    return _page(request)


@require_POST
def set_price(request: HttpRequest) -> HttpResponse:
    """Sets a price for the team, or for every team if an operator says so."""
    team = admin_team_for(request)
    everyone = request.POST.get("everyone") == "on"
    if everyone and not may(request, Role.OPERATOR):
        raise NotAllowed("Only operators of this installation set prices for every team.")
    figures = {name: request.POST.get(name, "").strip() for name in FIELDS.values()}
    try:
        price = pricing.set_price(
            actor(request),
            None if everyone else team,
            request.POST.get("model", ""),
            figures,
            valid_from=request.POST.get("valid_from", "").strip() or None,
        )
    except Invalid as error:
        return _page(request, given=request.POST, error=error)
    since = f"{price.valid_from:%Y-%m-%d %H:%M} UTC"
    messages.success(request, f"{price.model} has a price from {since} on. Calls stored before keep what they cost.")
    return redirect(_address(price.model))


@require_POST
def reprice(request: HttpRequest) -> HttpResponse:
    """First says what would be charged again; with ``sure`` does it, at once or in the background if it is much."""
    team = admin_team_for(request)
    try:
        model = read_model(request.POST.get("model", ""))
        since = read_moment(request.POST.get("since", "").strip(), field="since")
        if since is None:
            raise Invalid("Say from which day on.", field="since")
    except Invalid as error:
        return _page(request, given=request.POST, error=error)
    seen = repricing.preview(team, model, since)
    if request.POST.get("sure") != "yes" or not seen.runs:
        return _page(request, given=request.POST, preview=seen)
    if seen.runs > settings.LIMITS["reprice_runs_at_once"]:
        tasks.reprice.delay(team.pk, model, since.isoformat(), request.user.pk)
        messages.success(request, f"{seen.runs:,} runs are being charged again. What came of it shows below {model}.")
    else:
        done = repricing.reprice(team, model, since, actor(request))
        was, now = numbers.usd(done.old_usd), numbers.usd(done.new_usd)
        messages.success(
            request, f"{done.spans_changed:,} calls of {model} were charged again: {was} before, {now} now."
        )
    return redirect(_address(model))


def _page(
    request: HttpRequest,
    *,
    given: Mapping[str, str] | None = None,
    error: Invalid | None = None,
    preview: repricing.Preview | None = None,
) -> HttpResponse:
    team, now = seat_for(request).team, datetime.now(UTC)
    model = _clean((given or request.GET).get("model", "")).lower()
    context = {**_listed(request, team, now), "model": model}
    if is_fragment(request) and given is None:
        template = "dashboards/_price_rows.html" if context["after"] else "dashboards/_prices.html"
        return render(request, template, context)
    called = calls.called_models(team, now)
    unpriced = [one for one in called if one.unpriced_calls]
    found = report.prices(team, search=model, limit=1).rows if model else []
    in_force = next((row.figures for row in found if row.model == model), None)
    if in_force is None:
        in_force = next((one.figures for one in called if one.model == model), None)
    context |= {
        "unpriced": [one for one in unpriced if one.source is None],
        "priced_since": [one for one in unpriced if one.source is not None],
        "unpriced_calls": sum(one.unpriced_calls for one in unpriced if one.source is None),
        "days": calls.CALLED_OF.days,
        "history": report.price_history(team, model) if model else [],
        "repricings": report.repricings(team, model, limit=10) if model else [],
        "figures": _figures(given, in_force or {}),
        "given": given or {},
        "since": (given or {}).get("since") or f"{now - timedelta(days=7):%Y-%m-%d}",
        "preview": preview,
        "error": error,
        "can_set": may(request, Role.ADMIN),
        "can_set_everyone": may(request, Role.OPERATOR),
    }
    return render(request, "dashboards/prices.html", context, status=422 if error else 200)


def _listed(request: HttpRequest, team: Team, now: datetime) -> dict[str, object]:
    """The table: models called here, prices set here, or all; a search looks in all."""
    text, after, which = (_clean(request.GET.get(name, "")) for name in ("q", "after", "list"))
    called = [one for one in calls.called_models(team, now) if one.source] if not text and not which else []
    if called:
        return {"lines": called, "list": "called", "text": text, "after": after, "next": None}
    is_own = which == "own" and not text
    sources = _SET_HERE if is_own else None
    found = report.prices(team, search=text, sources=sources, after=after, limit=settings.LIMITS["page_rows"])
    return {"lines": found.rows, "list": "own" if is_own else "all", "text": text, "after": after, "next": found.after}


def _figures(given: Mapping[str, str] | None, known: Mapping[str, Decimal]) -> list[Figure]:
    """The form's fields: what was typed, else what is in force."""
    fields = []
    for bucket, name in FIELDS.items():
        typed = given is not None and name in given
        value = given[name] if given is not None and typed else numbers.exact(known[name]) if name in known else ""
        unit = "$ a request" if bucket == "per_request" else "$/M"
        fields.append(Figure(name, _LABELS[bucket], value, unit, bucket in _ALWAYS_SHOWN or bool(value)))
    return fields


def _clean(text: str) -> str:
    return text.replace("\0", "").strip()[:_NAME_MAX]


def _address(model: str) -> str:
    return f"/prices?{urlencode({'model': model})}"
