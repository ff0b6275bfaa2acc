"""Alerts over HTTP: reading them wants the scope "read", everything else "admin"."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Status

from tracking.alerts import acknowledge, deliver, destinations, resolve, rules
from tracking.alerts.standing import alert_of
from tracking.alerts_schemas import (
    AlertQuery,
    Alerts,
    AlertShown,
    ChangedDestination,
    DestinationMade,
    Destinations,
    DestinationShown,
    Muted,
    NewDestination,
    NewRule,
    Rules,
    RuleShown,
    SecretMade,
    Tried,
)
from tracking.audit import Actor
from tracking.errors import WfloServerError
from tracking.keys import ApiKeyAuth, Caller, Scope
from tracking.models import Destination, Team
from tracking.reports.alerts import AlertRow, alert_page, alert_row

reading = Router(auth=ApiKeyAuth(Scope.READ), tags=["Alerts"])
router = Router(auth=ApiKeyAuth(Scope.ADMIN), tags=["Alerts"])


@reading.get("/alerts", response=Alerts, summary="Alerts, newest first")
def list_alerts(request: HttpRequest, query: Query[AlertQuery]) -> dict[str, Any]:
    page = alert_page(
        _team(request), kinds=query.kind, states=query.state, run=query.run, limit=query.limit, cursor=query.cursor
    )
    return {"alerts": [_alert_json(row) for row in page.rows], "next_cursor": page.next_cursor}


@router.post("/alerts/{alert_id}/acknowledge", response=AlertShown, summary="Somebody takes care of it")
def acknowledge_alert(request: HttpRequest, alert_id: str) -> dict[str, Any]:
    team = _team(request)
    acknowledge(team, [alert_of(team, alert_id).pk], actor=_actor(request))
    return _alert_json(alert_row(alert_of(team, alert_id)))


@router.post("/alerts/{alert_id}/resolve", response=AlertShown, summary="It is over")
def resolve_alert(request: HttpRequest, alert_id: str) -> dict[str, Any]:
    team = _team(request)
    resolve(team, [alert_of(team, alert_id).pk], actor=_actor(request))
    return _alert_json(alert_row(alert_of(team, alert_id)))


@router.get("/destinations", response=Destinations, summary="Where the team is told")
def list_destinations(request: HttpRequest) -> dict[str, Any]:
    return {"destinations": [_destination_json(each) for each in destinations.destinations_of(_team(request))]}


@router.post("/destinations", response={201: DestinationMade}, summary="Tell the team there too")
def make_destination(request: HttpRequest, body: NewDestination) -> Status[dict[str, Any]]:
    made, secret = destinations.create(_team(request), actor=_actor(request), **body.model_dump())
    return Status(201, {**_destination_json(made), "signing_secret": secret})


@router.put("/destinations/{destination_id}", response=DestinationShown, summary="Change what is told there")
def change_destination(request: HttpRequest, destination_id: str, body: ChangedDestination) -> dict[str, Any]:
    known = destinations.destination_of(_team(request), destination_id)
    return _destination_json(destinations.change(known, actor=_actor(request), **body.model_dump()))


@router.delete("/destinations/{destination_id}", response={204: None}, summary="Tell nothing there any more")
def remove_destination(request: HttpRequest, destination_id: str) -> Status[None]:
    destinations.remove(destinations.destination_of(_team(request), destination_id), actor=_actor(request))
    return Status(204, None)


@router.post("/destinations/{destination_id}/test", response=Tried, summary="Send a test now")
def test_destination(request: HttpRequest, destination_id: str) -> dict[str, Any]:
    error = deliver.test(destinations.destination_of(_team(request), destination_id), actor=_actor(request))
    return {"arrived": not error, "error": error}


@router.post("/destinations/{destination_id}/mute", response=DestinationShown, summary="Nothing until a time")
def mute_destination(request: HttpRequest, destination_id: str, body: Muted) -> dict[str, Any]:
    destination = destinations.destination_of(_team(request), destination_id)
    destinations.mute(destination, body.until, actor=_actor(request))
    return _destination_json(destination)


@router.post("/destinations/{destination_id}/secret", response=SecretMade, summary="Sign with another secret")
def new_secret(request: HttpRequest, destination_id: str) -> dict[str, Any]:
    destination = destinations.destination_of(_team(request), destination_id)
    return {"signing_secret": destinations.new_signing_secret(destination, actor=_actor(request))}


@router.get("/alert-rules", response=Rules, summary="When the clock opens alerts")
def list_rules(request: HttpRequest) -> dict[str, Any]:
    return {"rules": rules.rules_of(_team(request))}


@router.put("/alert-rules", response=RuleShown, summary="Set the rule of a kind, for the team or one agent")
def set_rule(request: HttpRequest, body: NewRule) -> rules.Rule:
    return rules.set_rule(_team(request), actor=_actor(request), **body.model_dump())


@router.delete("/alert-rules/{rule_id}", response={204: None}, summary="Back to the default; an agent's rule goes")
def remove_rule(request: HttpRequest, rule_id: str) -> Status[None]:
    rules.remove_rule(_team(request), rule_id, actor=_actor(request))
    return Status(204, None)


def _caller(request: HttpRequest) -> Caller:
    caller = request.auth  # type: ignore[attr-defined]
    if not isinstance(caller, Caller):
        raise WfloServerError("A door without a key in front of it.")
    return caller


def _actor(request: HttpRequest) -> Actor:
    return _caller(request).actor(request_id=getattr(request, "id", ""))


def _team(request: HttpRequest) -> Team:
    return Team.objects.get(pk=_caller(request).team_id)


def _alert_json(row: AlertRow) -> dict[str, Any]:
    fields = ("id", "kind", "severity", "state", "run", "agent", "times", "opened_at", "last_at", "acknowledged_at",
              "acknowledged_by", "resolved_at", "delivered_at", "facts")  # fmt: skip
    words = row.words
    url = settings.WFLO_PUBLIC_URL + words.path if words.path else ""
    said = {"title": words.title, "what": words.what, "todo": words.todo, "url": url}
    return said | {name: getattr(row, name) for name in fields}


def _destination_json(destination: Destination) -> dict[str, Any]:
    fields = ("name", "kind", "shown", "alert_kinds", "severity_least", "events", "muted_until", "tried_at",
              "tried_error", "created_at")  # fmt: skip
    return {"id": destination.pk} | {name: getattr(destination, name) for name in fields}
