"""Work asked for, and what its calls came to for whoever is billed for it."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tracking.models.teams import Team


class Job(models.Model):
    """Work with a beginning, an end and a bill. Its calls are spans of the run that has the job's id for a name."""

    class Driver(models.TextChoices):
        CALLER = "caller"  # a program makes the calls and says when it is done

    class Status(models.TextChoices):
        PENDING = "pending"
        IN_PROGRESS = "in_progress"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="jobs")
    id = models.UUIDField(default=uuid.uuid4, editable=False)
    driver = models.CharField(max_length=6, choices=Driver, default=Driver.CALLER)
    job_type = models.CharField(max_length=100)
    user_id = models.CharField(max_length=256, blank=True, default="")  # the caller's own user
    external_task_id = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=11, choices=Status, default=Status.PENDING)
    metadata = models.JSONField(default=dict)
    error = models.TextField(blank=True, default="")
    model_groups: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=200), default=list)
    credit_applied = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "-created_at", "id"], name="job_by_team"),  # lists
            models.Index(fields=["-created_at"], name="job_latest"),  # the operators' table
        ]

    def __str__(self) -> str:
        return f"{self.job_type} {self.id}"


class JobRow(models.Model):
    """The same jobs for Django's admin, which knows no key of two columns."""

    id = models.UUIDField(primary_key=True)
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    driver = models.CharField(max_length=6, choices=Job.Driver)
    job_type = models.CharField(max_length=100)
    user_id = models.CharField(max_length=256)
    external_task_id = models.CharField(max_length=200)
    status = models.CharField(max_length=11, choices=Job.Status)
    metadata = models.JSONField()
    error = models.TextField()
    credit_applied = models.BooleanField()
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    completed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "tracking_job"
        verbose_name = "job"

    def __str__(self) -> str:
        return f"{self.job_type} {self.id}"


class JobCall(models.Model):
    """One call of a job as it is billed: what the provider took, and what the customer pays, at the prices of its day."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    id = models.UUIDField()  # of the gateway's call
    job_id = models.UUIDField()
    model_group = models.CharField(max_length=200)  # as the caller named it
    model = models.CharField(max_length=200, blank=True)  # which answered
    purpose = models.CharField(max_length=200, blank=True)
    input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # the provider's; None: unknown
    client_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # with the team's markup
    markup_percent = models.DecimalField(max_digits=7, decimal_places=2, default=0)
    rates = models.JSONField(default=dict)  # USD a token by bucket, as text
    latency_ms = models.IntegerField(default=0)
    error = models.TextField(blank=True, default="")
    created_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "job_id", "created_at"], name="job_call_by_job")]  # summaries

    def __str__(self) -> str:
        return f"{self.purpose or self.model_group} of {self.job_id}"
