"""What a person should see, where it is told, and what makes it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models

from tracking.models.teams import Team, User, one_line


class Alert(models.Model):
    """Something a person should see, told once: the same again (``dedupe_key``) only counts."""

    class Kind(models.TextChoices):
        BUDGET = "budget"
        LOOP = "loop"
        KILLED = "killed", "run killed"
        CIRCUIT = "circuit"
        CREDIT = "credit"
        UNPRICED = "unpriced", "cost unknown"
        ERRORS = "errors", "error rate"
        LATENCY = "latency"
        SPIKE = "spike", "cost spike"
        DRIFT = "drift", "ledger drift"
        OVERAGE = "overage", "over the limit"
        STUCK = "stuck"

    class Severity(models.TextChoices):
        LOW = "low"
        HIGH = "high"
        CRITICAL = "critical"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=12, choices=Kind)
    severity = models.CharField(max_length=8, choices=Severity)
    dedupe_key = models.CharField(max_length=400)
    run = models.CharField(max_length=128, blank=True)  # as its sender named it, or its trace id
    agent = models.CharField(max_length=200, blank=True)
    payload = models.JSONField(default=dict)
    opened_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.IntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)  # None: not handed to destinations yet

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "dedupe_key"], name="alert_once")]
        indexes: ClassVar = [
            models.Index(fields=["team", "-opened_at"], name="alert_by_team"),  # alerts page
            # the count in the navigation, home, and what the clock opened
            models.Index(fields=["team", "-opened_at"], condition=models.Q(resolved_at=None), name="alert_open"),
            models.Index(fields=["opened_at"], condition=models.Q(delivered_at=None), name="alert_to_deliver"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.dedupe_key}"


class Destination(models.Model):
    """Where a team's alerts and events are told. Its address holds a secret more often than not, so it is sealed."""

    class Kind(models.TextChoices):
        EMAIL = "email", "e-mail"
        SLACK = "slack", "Slack"
        WEBHOOK = "webhook"
        APPRISE = "apprise", "another service"

    class Event(models.TextChoices):
        RUN_COMPLETED = "run.completed"
        RUN_FAILED = "run.failed"
        RUN_KILLED = "run.killed"
        ROLLBACK_REQUESTED = "run.rollback"
        APPROVAL_REQUESTED = "approval.request"
        APPROVAL_DECIDED = "approval.decided"
        JOB_COMPLETED = "job.completed"
        JOB_FAILED = "job.failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="destinations")
    name = models.CharField(max_length=120, validators=[one_line])
    kind = models.CharField(max_length=8, choices=Kind)
    address = models.BinaryField()  # sealed: tracking.sealed
    shown = models.CharField(max_length=200)  # as much of the address as anybody may see
    signing = models.BinaryField(null=True)  # sealed: what a webhook's requests are signed with
    alert_kinds: ArrayField[list[str] | None, list[str] | None] = ArrayField(
        models.CharField(max_length=12, choices=Alert.Kind), null=True, blank=True
    )  # None: all, those to come too
    severity_least = models.CharField(max_length=8, choices=Alert.Severity, default=Alert.Severity.LOW)
    events: ArrayField[list[str], list[str]] = ArrayField(
        models.CharField(max_length=20, choices=Event), default=list, blank=True
    )
    muted_until = models.DateTimeField(null=True, blank=True)
    quiet_until = models.DateTimeField(null=True, blank=True)  # people get what gathers meanwhile as one message
    tried_at = models.DateTimeField(null=True, blank=True)
    tried_error = models.CharField(max_length=300, blank=True)  # '': the last one arrived
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "created_at"], name="destination_by_team")
        ]  # settings, notify

    def __str__(self) -> str:
        return f"{self.name} ({self.shown})"


class Delivery(models.Model):
    """One thing to tell one destination: at least once, under one id however often it is tried."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DELIVERED = "delivered"
        GIVEN_UP = "given_up", "given up"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    alert = models.ForeignKey(Alert, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries")
    opened_at = models.DateTimeField(null=True, blank=True)  # which opening of the alert
    event = models.CharField(max_length=20)  # alert.opened, or one of Destination.Event
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField()  # of one being sent: when somebody else may, if its sender died
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "destination", "alert", "opened_at"], name="delivery_once")
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=models.Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["destination", "-created_at"], name="delivery_by_destination"),  # its history
            models.Index(fields=["finished_at"], name="delivery_finished"),  # clearing
        ]

    def __str__(self) -> str:
        return f"{self.event} to {self.destination_id}: {self.state}"


class AlertRule(models.Model):
    """When the clock opens an alert. A team without a row of a kind has that kind's default (tracking.alerts.rules)."""

    class Kind(models.TextChoices):
        ERRORS = "errors", "error rate"
        LATENCY = "latency"
        SPIKE = "spike", "cost spike"
        UNPRICED = "unpriced", "cost unknown"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="alert_rules")
    kind = models.CharField(max_length=12, choices=Kind)
    agent = models.CharField(max_length=200, blank=True, validators=[one_line])  # '': the whole team
    threshold = models.DecimalField(max_digits=12, decimal_places=3, validators=[MinValueValidator(0)])
    calls_least = models.PositiveIntegerField(default=0)  # below so many nothing is said
    severity = models.CharField(max_length=8, choices=Alert.Severity)
    is_on = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "kind", "agent"], name="alert_rule_once")]

    def __str__(self) -> str:
        return f"{self.kind} over {self.threshold}"
