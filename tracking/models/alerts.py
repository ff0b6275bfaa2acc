"""What a person should see."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from tracking.models.teams import Team, User


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
            models.Index(fields=["team", "-opened_at"], name="alert_by_team"),  # alerts page, home
            models.Index(fields=["opened_at"], condition=models.Q(delivered_at=None), name="alert_to_deliver"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.dedupe_key}"
