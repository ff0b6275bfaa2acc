"""What the alert doors take and answer, as it stands in the OpenAPI file."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import AwareDatetime

from tracking.models import Alert, AlertRule, Destination
from tracking.reports.alerts import KINDS, STATES

Kind = Alert.Kind
Severity = Alert.Severity
Event = Destination.Event


class AlertQuery(Schema):
    kind: list[str] = Field([], description=f"any of {', '.join(KINDS)}")
    state: list[str] = Field([], description=f"any of {', '.join(STATES)}")
    run: str = Field("", description="as its sender named it, or its trace id", max_length=200)
    limit: int | None = Field(None, ge=1, description="rows of a page: 50, at most 500")
    cursor: str | None = Field(None, max_length=1000)


class AlertShown(Schema):
    id: UUID
    kind: str
    severity: Severity
    state: Literal["open", "acknowledged", "resolved"]
    title: str = Field(description="what happened, in a sentence")
    what: str
    todo: str = Field(description="what to do about it")
    url: str = Field(description="the page that shows more; empty when there is none")
    run: str
    agent: str
    times: int = Field(description="how often it was the same again while it is open")
    opened_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    resolved_at: datetime | None
    delivered_at: datetime | None = Field(description="when it was handed to the destinations")
    facts: dict[str, Any] = Field(description="what the sentences are made of; money as text")


class Alerts(Schema):
    alerts: list[AlertShown]
    next_cursor: str | None = Field(description="Give it as `cursor` for those after these; null at the end")


class DestinationAsked(Schema):
    name: str = Field(min_length=1, max_length=120)
    alert_kinds: list[Kind] | None = Field(None, description="null: all, those to come too", max_length=40)
    severity_least: Severity = Severity.LOW
    events: list[Event] = Field([], max_length=40)


class NewDestination(DestinationAsked):
    kind: Destination.Kind
    address: str = Field(
        description="webhook: an https address; slack: an incoming webhook's; email: addresses with commas between; "
        "apprise: one address as apprise has them. It is stored sealed and never shown again.",
        max_length=2000,
    )


class ChangedDestination(DestinationAsked):
    address: str | None = Field(None, description="left out or null: as it was", max_length=2000)


class DestinationShown(Schema):
    id: UUID
    name: str
    kind: Destination.Kind
    shown: str = Field(description="as much of its address as is ever shown")
    alert_kinds: list[str] | None
    severity_least: Severity
    events: list[str]
    muted_until: datetime | None
    tried_at: datetime | None
    tried_error: str = Field(description="what went wrong with the last try; empty: it arrived")
    created_at: datetime


class DestinationMade(DestinationShown):
    signing_secret: str = Field(description="of a webhook, shown here and never again: see wflo.webhooks.verify")


class Destinations(Schema):
    destinations: list[DestinationShown]


class Muted(Schema):
    until: AwareDatetime | None = Field(None, description="null: it hears again")


class Tried(Schema):
    arrived: bool
    error: str


class SecretMade(Schema):
    signing_secret: str


class NewRule(Schema):
    kind: AlertRule.Kind
    agent: str = Field("", description="empty: the whole team", max_length=200)
    over: Decimal = Field(
        description="errors: percent of model calls; latency: ms of p95; spike: percent of the usual; unpriced: calls"
    )
    calls_least: int | None = Field(None, ge=0, le=10**9)
    severity: Severity | None = None
    is_on: bool = True


class RuleShown(Schema):
    id: UUID | None = Field(description="null: the default of its kind")
    kind: AlertRule.Kind
    agent: str
    over: float
    calls_least: int
    severity: Severity
    is_on: bool


class Rules(Schema):
    rules: list[RuleShown]
