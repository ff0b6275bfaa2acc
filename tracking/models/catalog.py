"""What models cost: dated prices, and what a re-pricing changed.

A price is never updated or deleted: a change is a new row with a later ``valid_from``, so that no later call changes
what an earlier day cost. Of the rows that fit a call, the first of these wins: its team's, an operator's, the bundled.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from tracking.models.teams import Team


class Price(models.Model):
    """What one model costs from a moment on. ``rates`` is ``wflo.pricing.Rates`` as JSON: strings, USD per token."""

    class Source(models.TextChoices):
        LITELLM = "litellm", "LiteLLM's bundled map"
        WFLO = "wflo", "Wflo's own demo models"
        OPERATOR = "operator", "an operator, for every team"
        TEAM = "team", "the team"

    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="+")  # null: everyone
    model = models.CharField(max_length=300)  # lower case, as wflo.model_names.price_keys asks for it
    provider = models.CharField(max_length=100, blank=True)  # for reading only; the key says which model
    valid_from = models.DateTimeField()
    rates = models.JSONField()
    source = models.CharField(max_length=12, choices=Source)
    created_by = models.CharField(max_length=200, blank=True)  # a name; the audit log has the whole actor
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            # prices page, PUT /api/v1/prices: history of one model
            models.UniqueConstraint(fields=["team", "model", "valid_from"], name="price_once", nulls_distinct=False),
            models.CheckConstraint(
                condition=models.Q(source="team", team__isnull=False)
                | (~models.Q(source="team") & models.Q(team__isnull=True)),
                name="price_source_fits_team",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model} from {self.valid_from:%Y-%m-%d}"


class Repricing(models.Model):
    """One re-pricing of a team's past spans: who asked, from which day, what it changed."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    id = models.UUIDField(default=uuid.uuid4)
    model = models.CharField(max_length=300)
    since = models.DateTimeField()
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)  # null while it works
    spans_changed = models.PositiveBigIntegerField(default=0)
    spans_unpriced_before = models.PositiveBigIntegerField(default=0)  # of those changed: had no price until now
    old_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)
    new_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "model", "-requested_at"], name="repricing_by_model")
        ]  # prices page

    def __str__(self) -> str:
        return f"{self.model} since {self.since:%Y-%m-%d}"


class PriceChange(models.Model):
    """What a re-pricing found on one span and what it put there. Null was unpriced, and stays told apart from 0."""

    pk = models.CompositePrimaryKey("team_id", "day", "trace_id", "span_id", "repricing_id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()  # the run's, as on the span
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField()
    repricing_id = models.UUIDField()
    run_id = models.UUIDField()
    old_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    new_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "repricing_id"], name="price_change_by_repricing"),  # prices page
            models.Index(fields=["day"], name="price_change_day"),  # retention
        ]

    def __str__(self) -> str:
        return f"{self.trace_id} {self.span_id:016x}: {self.old_usd} -> {self.new_usd}"
