"""A time range typed or picked from a calendar: text in, the page with that range out."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRedirect

from dashboards import periods
from dashboards.access import team_for
from dashboards.frame import is_fragment
from tracking.errors import Invalid

_OF_ANOTHER_RANGE = frozenset({"from", "to", "cursor", "span"})


@require_GET
def typed(request: HttpRequest) -> HttpResponse:
    """``text`` is the range, or ``start`` and ``end`` are; ``next`` is the page's address, and what else that says is
    kept. 422 with the reason for htmx."""
    team = team_for(request)
    asked = request.GET.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(asked, allowed_hosts=None) and asked.startswith("/")
    back = urlsplit(asked if is_ours else "/")
    try:
        zone = periods.zone_for(request, team.time_zone)
        period = periods.from_text(_asked(request), now=datetime.now(UTC), zone=zone)
    except Invalid as error:
        if is_fragment(request):
            return render(request, "dashboards/_fault.html", {"fault": error.message}, status=422)
        raise
    kept = [
        (name, value) for name, value in parse_qsl(back.query, keep_blank_values=True) if name not in _OF_ANOTHER_RANGE
    ]
    address = f"{back.path}?{urlencode([*kept, *period.query.items()])}"
    return HttpResponseClientRedirect(address) if is_fragment(request) else redirect(address)


def _asked(request: HttpRequest) -> str:
    start, end = request.GET.get("start", ""), request.GET.get("end", "")
    if not (start or end):
        return request.GET.get("text", "")
    if not (start and end):
        raise Invalid("Give both ends of the range.", field="end" if start else "start")
    return f"{start}..{end}"
