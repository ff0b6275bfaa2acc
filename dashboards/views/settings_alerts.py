"""Settings: where alerts are told, and when the clock opens them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from dashboards.access import actor, admin_team_for, may, seat_for
from dashboards.alert_forms import AgentRuleForm, ChangeForm, DestinationForm, RuleForm
from dashboards.alert_marks import EVENT_WORDS, MUTES, RULE_WORDS, SEVERITY_WORDS, kind_word, mute_ends, plain
from dashboards.frame import is_fragment
from tracking.alerts import deliver, destinations, rules
from tracking.alerts.events import is_muted
from tracking.alerts.rules import Rule
from tracking.errors import Invalid
from tracking.models import Destination, Team
from tracking.reports import watched
from tracking.reports.alerts import deliveries_of
from tracking.teams import Role

_KIND_WORDS = {"email": "e-mail", "slack": "Slack", "webhook": "webhook", "apprise": "service"}
_GRAVER = {"low": "", "high": ", if high or critical", "critical": ", if critical"}


@dataclass(frozen=True, slots=True)
class Place:
    """A destination as its line says it."""

    of: Destination
    kind: str
    hears: str
    events: str
    is_muted: bool


@dataclass(frozen=True, slots=True)
class RuleLine:
    of: Rule
    number: int
    before: str
    after: str
    over: str


@require_GET
def listed(request: HttpRequest) -> HttpResponse:
    return _page(request)


@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Shows a webhook's signing secret once, in this very answer."""
    team = admin_team_for(request)
    form = DestinationForm.of(request)
    if not form.is_valid():
        return _page(request, form=form)
    given = form.cleaned_data
    try:
        made, secret = destinations.create(
            team, kind=given["kind"], address=given["address"], actor=actor(request), **form.values()
        )
    except Invalid as error:
        form.refuse(error)
        return _page(request, form=form)
    if secret:
        return _page(request, made=made, secret=secret)
    messages.success(request, f"{made.name} hears from now on. Send it a test.")
    return redirect("settings_alerts")


@require_GET
def one(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    return _one(request, destination_id)


@require_POST
def change(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    destination = destinations.destination_of(team, destination_id)
    form = ChangeForm.of(request)
    if not form.is_valid():
        return _one(request, destination_id, form=form)
    address = form.cleaned_data["address"] or None
    try:
        destinations.change(destination, address=address, actor=actor(request), **form.values())
    except Invalid as error:
        form.refuse(error)
        return _one(request, destination_id, form=form)
    messages.success(request, f"{destination.name} is changed.")
    return redirect("settings_alerts")


@require_POST
def test(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    destination = destinations.destination_of(team, destination_id)
    error = deliver.test(destination, actor=actor(request))
    if error:
        messages.error(request, f"The test did not reach {destination.name}. {error}")
    else:
        messages.success(request, f"The test was handed to {destination.shown}. See whether {destination.name} has it.")
    return redirect("settings_alerts")


@require_POST
def mute(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    destination = destinations.destination_of(team, destination_id)
    try:
        until = mute_ends(request.POST.get("for", ""), datetime.now(UTC), team.time_zone)
    except KeyError:
        raise Invalid("Choose one of the times.", field="for") from None
    destinations.mute(destination, until, actor=actor(request))
    return redirect("settings_alerts")


@require_POST
def new_secret(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    """Shown once, in this very answer."""
    team = admin_team_for(request)
    destination = destinations.destination_of(team, destination_id)
    secret = destinations.new_signing_secret(destination, actor=actor(request))
    return _page(request, made=destination, secret=secret)


@require_POST
def remove(request: HttpRequest, destination_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    destination = destinations.destination_of(team, destination_id)
    destinations.remove(destination, actor=actor(request))
    messages.success(request, f"{destination.name} hears nothing any more.")
    return redirect("settings_alerts")


@require_POST
def set_rule(request: HttpRequest) -> HttpResponse:
    team = admin_team_for(request)
    is_new = request.POST.get("new") == "yes"
    form = AgentRuleForm.of(request, auto_id="rule_%s") if is_new else RuleForm.of(request)
    values: dict[str, Any] = {}
    if form.is_valid():
        values = form.cleaned_data if isinstance(form, AgentRuleForm) else form.values()
        try:
            rules.set_rule(team, actor=actor(request), **values)
            messages.success(request, "The rule is set.")
            return redirect("/settings/alerts#rules")
        except Invalid as error:
            form.refuse(error)
    if isinstance(form, AgentRuleForm):
        return _page(request, rule_form=form)
    fault = next(iter(form.errors.values()))[0]
    return _page(request, rule_fault=f"{RULE_WORDS.get(request.POST.get('kind', ''), ('The rule',))[0]} …: {fault}")


@require_POST
def remove_rule(request: HttpRequest, rule_id: UUID) -> HttpResponse:
    team = admin_team_for(request)
    rules.remove_rule(team, rule_id, actor=actor(request))
    return redirect("/settings/alerts#rules")


@require_GET
def preview(request: HttpRequest) -> HttpResponse:
    """What a rule as it is typed would have done; a sentence for htmx, else the page it stands on."""
    team = seat_for(request).team
    if not is_fragment(request):
        return redirect("/settings/alerts#rules")
    form = RuleForm(request.GET)
    said = "Give a number."
    if form.is_valid():
        try:
            said = _would_have(team, form.cleaned_data)
        except Invalid as error:
            said = error.message
    return render(request, "dashboards/_rule_preview.html", {"said": said})


def _would_have(team: Team, given: dict[str, Any]) -> str:
    kind = given["kind"]
    usual = rules.default(kind)
    least = usual.calls_least if given["calls_least"] is None else given["calls_least"]
    rule = Rule(None, kind, given["agent"], rules.threshold_of(kind, given["over"]), least, usual.severity, is_on=True)
    seen = watched.preview(team, rule, datetime.now(UTC))
    if not seen.times:
        return f"It would have said nothing in the last {seen.days} days."
    last = f", the last one on {seen.last_at:%Y-%m-%d}" if seen.last_at else ""
    times = "once" if seen.times == 1 else f"{seen.times} times"
    return f"It would have spoken {times} in the last {seen.days} days{last}."


def _page(
    request: HttpRequest,
    *,
    form: DestinationForm | None = None,
    rule_form: AgentRuleForm | None = None,
    rule_fault: str = "",
    made: Destination | None = None,
    secret: str = "",
) -> HttpResponse:
    seat = seat_for(request)
    places = [_place(destination) for destination in destinations.destinations_of(seat.team)]
    is_wrong = form is not None or rule_form is not None or bool(rule_fault)
    context = {
        "page": "alerts",
        "team": seat.team,
        "places": places,
        "silent": [place for place in places if place.of.tried_error],
        "form": form or DestinationForm(),
        "rules": _rule_lines(seat.team),
        "rule_form": rule_form or AgentRuleForm(auto_id="rule_%s"),
        "rule_fault": rule_fault,
        "severities": SEVERITY_WORDS,
        "mutes": MUTES,
        "made": made,
        "secret": secret,
        "can_change": may(request, Role.ADMIN),
    }
    return _private(render(request, "dashboards/settings_alerts.html", context, status=400 if is_wrong else 200))


def _one(request: HttpRequest, destination_id: UUID, *, form: ChangeForm | None = None) -> HttpResponse:
    seat = seat_for(request)
    destination = destinations.destination_of(seat.team, destination_id)
    context = {
        "page": "alerts",
        "team": seat.team,
        "place": _place(destination),
        "deliveries": deliveries_of(destination),
        "form": form or ChangeForm.showing(destination),
        "can_change": may(request, Role.ADMIN),
    }
    return _private(render(request, "dashboards/settings_alerts_one.html", context, status=400 if form else 200))


def _place(destination: Destination) -> Place:
    kinds = destination.alert_kinds
    if kinds == []:
        hears = "no alerts"
    else:
        named = "all alerts" if kinds is None else ", ".join(map(kind_word, kinds))
        hears = named + _GRAVER[destination.severity_least]
    events = ", ".join(EVENT_WORDS.get(event, event) for event in destination.events)
    return Place(destination, _KIND_WORDS[destination.kind], hears, events, is_muted(destination))


def _rule_lines(team: Team) -> list[RuleLine]:
    found = enumerate(rules.rules_of(team))
    return [RuleLine(rule, number, *RULE_WORDS[rule.kind], over=plain(rule.over)) for number, rule in found]


def _private(response: HttpResponse) -> HttpResponse:
    """What is shown once must not come back from a browser's cache."""
    response.headers["Cache-Control"] = "no-store"
    return response
