"""What people and agents decide together: approvals, dead letters, votes, and values that the agents of a run share."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tracking.models.teams import Team


class Approval(models.Model):
    """A step of an agent that waits for a yes. Decided once and for ever."""

    class Risk(models.TextChoices):
        LOW = "low"
        MEDIUM = "medium"
        HIGH = "high"
        CRITICAL = "critical"

    class Status(models.TextChoices):
        PENDING = "pending"
        APPROVED = "approved"
        REJECTED = "rejected"
        EXPIRED = "expired"
        CANCELLED = "cancelled"

    class OnTimeout(models.TextChoices):
        REJECT = "reject"
        APPROVE = "approve"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    id = models.UUIDField()
    run = models.CharField(max_length=128)  # as its callers name it
    action = models.CharField(max_length=200)
    agent = models.CharField(max_length=200, blank=True)
    risk = models.CharField(max_length=8, choices=Risk)
    question = models.CharField(max_length=2_000, blank=True)
    payload = models.JSONField(null=True)
    status = models.CharField(max_length=9, choices=Status, default=Status.PENDING)
    on_timeout = models.CharField(max_length=7, choices=OnTimeout, default=OnTimeout.REJECT)
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=200, blank=True, default="")
    comment = models.CharField(max_length=1_000, blank=True, default="")

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "-requested_at"], name="approval_latest"),
            models.Index(fields=["team", "run", "-requested_at"], name="approval_of_run"),  # what senders hear
            models.Index(fields=["expires_at"], condition=models.Q(status="pending"), name="approval_waiting"),
        ]

    def __str__(self) -> str:
        return f"{self.action}: {self.status}"


class DeadLetter(models.Model):
    """What was given up after its last try, with what it was called with."""

    class Source(models.TextChoices):
        SDK = "sdk"
        QUEUE = "queue"
        WEBHOOK = "webhook"

    class Status(models.TextChoices):
        OPEN = "open"
        RETRY_WANTED = "retry_wanted"  # whoever takes letters of its name is to try it
        RETRIED = "retried"
        DISCARDED = "discarded"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    source = models.CharField(max_length=7, choices=Source)
    name = models.CharField(max_length=200)
    run = models.CharField(max_length=128, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    error = models.CharField(max_length=2_000, blank=True)
    attempts = models.IntegerField()
    payload = models.JSONField(null=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.OPEN)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()
    taken_until = models.DateTimeField(null=True)  # somebody is trying it
    handled_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "-created_at"], name="dead_letter_latest")]

    def __str__(self) -> str:
        return f"{self.name}: {self.status}"


class Poll(models.Model):
    """A question that agents vote on."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    run = models.CharField(max_length=128, blank=True)
    question = models.CharField(max_length=2_000, blank=True)
    options = models.JSONField(default=list)  # []: any answer
    voters = models.JSONField()
    weights = models.JSONField(default=dict)
    strategy = models.CharField(max_length=20)
    quorum = models.FloatField()
    votes = models.JSONField(default=dict)  # voter -> choice, null for an abstention
    created_at = models.DateTimeField()
    closes_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["created_at"], name="poll_old")]

    def __str__(self) -> str:
        return self.question


class SharedValue(models.Model):
    """A value that the agents of a run share. ``version`` rises with each writing."""

    pk = models.CompositePrimaryKey("team_id", "run", "key")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.CharField(max_length=128)
    key = models.CharField(max_length=200)
    value = models.JSONField(null=True)
    version = models.IntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["changed_at"], name="shared_value_old")]

    def __str__(self) -> str:
        return f"{self.run} {self.key}"
