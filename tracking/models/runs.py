"""What agents did: runs, their spans, and the payloads the spans came with.

A run's spans and payloads all live in the partition of the run's ``day``: the day it began, fixed when it is first
seen. So one run is read from one partition, a span's key is unique whatever its times say, and retention is a
dropped partition. Tables are partitioned by hand in the first migration (``tracking/sql/span_tables.sql``).
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Coalesce, NullIf

from tracking.models.teams import Team


class Agent(models.Model):
    """A name that costs are charged to, and the colour it keeps on every page (2..8)."""

    pk = models.CompositePrimaryKey("team_id", "name")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    name = models.CharField(max_length=200)
    colour = models.PositiveSmallIntegerField()
    first_seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class Run(models.Model):
    """One execution of an agent or workflow: a tree of spans, with live totals."""

    class Status(models.TextChoices):
        RUNNING = "running"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"
        KILLED = "killed"

    class Origin(models.TextChoices):
        OTLP = "otlp"
        SDK = "sdk"
        GATEWAY = "gateway"
        JOBS_API = "jobs_api"
        QUEUE = "queue"

    # What was asked, else what the first step is called.
    TITLE: ClassVar = Coalesce(NullIf("title", models.Value("")), "name")

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    trace_id = models.UUIDField()
    external_id = models.CharField(max_length=128, null=True)
    day = models.DateField()
    origin = models.CharField(max_length=12, choices=Origin)
    name = models.CharField(max_length=300)
    title = models.CharField(max_length=300)  # first words of what was asked
    title_rank = models.BigIntegerField()  # whose words the title is: the lowest wins (tracking.ingest.story)
    output = models.CharField(max_length=300)  # first words of what was answered
    output_rank = models.BigIntegerField()  # the highest wins
    status = models.CharField(max_length=12, choices=Status)
    error = models.CharField(max_length=500, null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    last_seen_at = models.DateTimeField()
    is_idle_closed = models.BooleanField(default=False)  # nobody said it ended; it went quiet

    session_id = models.CharField(max_length=200, null=True)
    user_id = models.CharField(max_length=200, null=True)
    environment = models.CharField(max_length=100, null=True)
    release = models.CharField(max_length=100, null=True)
    service = models.CharField(max_length=200, null=True)
    key_id = models.UUIDField(null=True)
    tags: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=100), default=list)
    metadata = models.JSONField(default=dict)
    entry_agent = models.CharField(max_length=200, null=True)  # the agent that starts the run
    agents: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=200), default=list)
    model_names: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=200), default=list)

    span_count = models.PositiveIntegerField(default=0)
    llm_calls = models.PositiveIntegerField(default=0)
    tool_calls = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    input_tokens = models.PositiveBigIntegerField(default=0)
    output_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    cache_write_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    embedding_tokens = models.PositiveBigIntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    unpriced_calls = models.PositiveIntegerField(default=0)
    estimated_calls = models.PositiveIntegerField(default=0)

    is_hidden = models.BooleanField(default=False)  # declares an agent, or has contents only: no work to show
    loop_detected = models.BooleanField(default=False)
    budget_exceeded = models.BooleanField(default=False)
    parent_run_id = models.UUIDField(null=True)
    job_id = models.UUIDField(null=True)
    linked_trace_ids: ArrayField[list[str], list[str]] = ArrayField(models.UUIDField(), default=list)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "trace_id"], name="run_by_trace"),  # ingest; any of the three ids
            models.UniqueConstraint(fields=["team", "external_id"], name="run_by_external_id"),
            models.CheckConstraint(condition=models.Q(cost_usd__gte=0, cost_usd__lt=10**10), name="run_cost_is_money"),
        ]
        indexes: ClassVar = [
            # the runs list, and every filter of it: newest first within a team
            models.Index(
                "team_id",
                models.F("started_at").desc(),
                models.F("id").desc(),
                name="run_list",
                condition=models.Q(is_hidden=False),
            ),
            # running now: home page, closing idle runs
            models.Index(fields=["team", "last_seen_at"], name="run_running", condition=models.Q(status="running")),
            models.Index(
                fields=["team", "session_id", "started_at"],
                name="run_session",
                condition=models.Q(session_id__isnull=False),
            ),
            models.Index(
                fields=["team", "user_id", "started_at"], name="run_user", condition=models.Q(user_id__isnull=False)
            ),
            # "what did it cost most": sort by cost
            models.Index(
                "team_id",
                models.F("cost_usd").desc(nulls_last=True),
                name="run_cost",
                condition=models.Q(is_hidden=False),
            ),
            # an agent's page: what the runs it starts cost, newest first
            models.Index(
                "team_id",
                "entry_agent",
                models.F("started_at").desc(),
                name="run_starter",
                condition=models.Q(is_hidden=False, entry_agent__isnull=False),
            ),
            models.Index(fields=["day"], name="run_day"),  # retention
            # runs that link to this one's trace: one piece of work sent as many traces
            GinIndex(fields=["linked_trace_ids"], name="run_links", condition=~models.Q(linked_trace_ids=[])),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Span(models.Model):
    """One step, narrow: what lists, trees and sums need. Everything else is in its payload chunk."""

    class CostStatus(models.IntegerChoices):
        NONE = 0  # owns no cost: not a model call, or counted elsewhere
        KNOWN = 1
        UNKNOWN = 2
        ESTIMATED = 3

    pk = models.CompositePrimaryKey("team_id", "day", "trace_id", "span_id")
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    day = models.DateField()
    trace_id = models.UUIDField()
    span_id = models.BigIntegerField()
    parent_id = models.BigIntegerField(null=True)
    kind = models.SmallIntegerField()  # place in tracking.codes.KINDS
    status = models.SmallIntegerField()  # 0 unset, 1 ok, 2 error, as in OTLP
    convention = models.CharField(max_length=24)
    name = models.CharField(max_length=300)
    own_agent = models.CharField(max_length=200, null=True)
    agent = models.CharField(max_length=200, null=True)
    tool_name = models.CharField(max_length=200, null=True)
    model = models.CharField(max_length=200, null=True)
    requested_model = models.CharField(max_length=200, null=True)
    provider = models.CharField(max_length=100, null=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    first_token_ms = models.FloatField(null=True)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cached_tokens = models.BigIntegerField(null=True)
    cache_write_tokens = models.BigIntegerField(null=True)
    reasoning_tokens = models.BigIntegerField(null=True)
    usage_detail = models.JSONField(null=True)  # the rarer buckets of wflo.Usage
    is_aggregate = models.BooleanField()
    is_declaration = models.BooleanField()
    counted = models.BooleanField()
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    reported_cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    cost_status = models.SmallIntegerField(choices=CostStatus)
    response_key = models.BigIntegerField(null=True)  # hash of the provider's response id
    finish_reason = models.CharField(max_length=60, null=True)
    purpose = models.CharField(max_length=120, null=True)
    attempt = models.SmallIntegerField(null=True)
    error = models.CharField(max_length=500, null=True)
    chunk = models.BigIntegerField()
    chunk_position = models.SmallIntegerField()
    digest = models.BigIntegerField()  # of what was sent: tells a retry from a change

    class Meta:
        managed = False
        db_table = "tracking_span"

    def __str__(self) -> str:
        return f"{self.name} {self.span_id:016x}"


class Payload(models.Model):
    """What spans (or log records) of one run came with in one batch: zstd-compressed JSON, a list of objects."""

    class Kind(models.IntegerChoices):
        SPANS = 0
        LOGS = 1

    pk = models.CompositePrimaryKey("team_id", "day", "trace_id", "chunk")
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    day = models.DateField()
    trace_id = models.UUIDField()
    chunk = models.BigIntegerField()
    kind = models.SmallIntegerField(choices=Kind)
    body = models.BinaryField()

    class Meta:
        managed = False
        db_table = "tracking_payload"

    def __str__(self) -> str:
        return f"{self.trace_id} {self.chunk}"
