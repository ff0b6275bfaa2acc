"""What was used: sums kept as spans arrive, so that a chart costs the same at any number of spans.

Writers only append deltas; a background task folds them into hour and day rows. A reader adds rows and unfolded
deltas in one statement, so every total is exact at every moment and no two writers wait for each other.

A row belongs to a ``slice``: which columns group it. Other columns are ''. Single-column slices also count runs
exactly (a run counts once per value, in the hour it was first seen with it); the cube holds all combinations and
counts no runs. The slice ``door`` holds what reached the team's door: accepted, known, rejected by reason.
"""

from __future__ import annotations

from django.db import models

from tracking.models.teams import Team


class UsageColumns(models.Model):
    """Columns the deltas and the folded rows have in common."""

    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    slice = models.SmallIntegerField()
    period = models.DateTimeField()
    agent = models.TextField()
    model = models.TextField()
    provider = models.TextField()
    tool = models.TextField()
    kind = models.SmallIntegerField()  # -1 where the slice has no kind
    user_id = models.TextField()
    key_id = models.TextField()
    environment = models.TextField()
    runs = models.BigIntegerField()
    spans = models.BigIntegerField()
    llm_calls = models.BigIntegerField()
    tool_calls = models.BigIntegerField()
    errors = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    embedding_tokens = models.BigIntegerField()  # apart: an embedding's input is not a model's
    cost_usd = models.DecimalField(max_digits=24, decimal_places=10)
    unpriced_calls = models.BigIntegerField()
    estimated_calls = models.BigIntegerField()
    # Durations as a histogram in one number: sums of numbers are sums of histograms (tracking.usage.latency).
    latency = models.DecimalField(max_digits=600, decimal_places=0)

    class Meta:
        abstract = True


class UsageDelta(UsageColumns):
    """A change not folded yet. ``period`` is the start of the hour."""

    pk = models.CompositePrimaryKey("team_id", "id")
    id = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "tracking_usage_delta"

    def __str__(self) -> str:
        return f"delta {self.id}"


class Usage(UsageColumns):
    """Sums of one hour or one day (UTC)."""

    class Grain(models.IntegerChoices):
        HOUR = 0
        DAY = 1

    pk = models.CompositePrimaryKey(
        "team_id",
        "grain",
        "slice",
        "period",
        "agent",
        "model",
        "provider",
        "tool",
        "kind",
        "user_id",
        "key_id",
        "environment",
    )
    grain = models.SmallIntegerField(choices=Grain)

    class Meta:
        managed = False
        db_table = "tracking_usage"

    def __str__(self) -> str:
        return f"usage of {self.period}"


class Drop(models.Model):
    """Events that senders said they gave up before they could send them, by reason and day (UTC) they said so."""

    pk = models.CompositePrimaryKey("team_id", "day", "reason")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    day = models.DateField()
    reason = models.CharField(max_length=40)
    events = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.day} {self.reason}: {self.events}"
