"""Agent jobs: work that a worker does, the runs it has, and every step of them that was paid for.

PostgreSQL is the queue of record. A job is claimed for a lease, with a fence number that rises at each claim; whatever is
written for it is written under its fence, so a worker that was thought dead changes nothing.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tracking.models.teams import Team


class AgentJob(models.Model):
    """Work asked of an agent. ``definition`` is the agent as it was then, its members with it."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        WAITING_APPROVAL = "waiting_approval"
        PAUSED_BUDGET = "paused_budget"
        NEEDS_REVIEW = "needs_review"
        COMPLETED = "completed"
        FAILED = "failed"
        CANCELLED = "cancelled"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    id = models.UUIDField()
    agent = models.CharField(max_length=200)
    agent_version = models.IntegerField(null=True)  # None: defined with the job
    definition = models.JSONField()
    input = models.TextField()
    metadata = models.JSONField(default=dict)
    status = models.CharField(max_length=16, choices=Status, default=Status.QUEUED)
    reason = models.CharField(max_length=2_000, blank=True, default="")  # why it waits, or ended as it did
    run = models.CharField(max_length=128)  # its latest
    output = models.JSONField(null=True)
    budget_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)  # of all its runs together
    steps_max = models.IntegerField()
    priority = models.SmallIntegerField(default=0)  # the higher goes first
    run_at = models.DateTimeField()  # not before
    idempotency_key = models.CharField(max_length=255, blank=True, default="")
    schedule_id = models.UUIDField(null=True)
    forked_from = models.CharField(max_length=128, blank=True, default="")  # a run of another job
    created_by = models.CharField(max_length=200)
    key_id = models.CharField(max_length=64, blank=True, default="")  # of who asked, for budgets by key
    user_id = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField()
    fence = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, blank=True, default="")
    lease_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)  # that failed
    losses = models.IntegerField(default=0)  # leases that nobody gave back, since the last step
    position = models.IntegerField(default=0)  # steps that are done in its latest run
    cancel_asked_at = models.DateTimeField(null=True)
    pause = models.JSONField(null=True)  # the budget that could not pay, as it stood

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "idempotency_key"], condition=~models.Q(idempotency_key=""), name="agent_job_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["team", "-created_at", "id"], name="agent_job_latest"),
            models.Index(
                fields=["team", "agent", "-created_at", "id"], name="agent_job_of_agent"
            ),  # and what it came to
            models.Index(  # who is next, team by team
                "team",
                models.F("priority").desc(),
                "run_at",
                "id",
                condition=models.Q(status="queued"),
                name="agent_job_next",
            ),
            models.Index(fields=["lease_until"], condition=models.Q(status="running"), name="agent_job_lease"),
            models.Index(
                fields=["team", "status"],
                condition=~models.Q(status__in=("completed", "failed", "cancelled")),
                name="agent_job_open",
            ),
            models.Index(  # what got done lately
                fields=["team", "ended_at"],
                include=["status"],
                condition=models.Q(ended_at__isnull=False),
                name="agent_job_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent} {self.id}"


class JobRun(models.Model):
    """A run of a job. One that goes on from another has its steps up to ``from_position``."""

    pk = models.CompositePrimaryKey("team_id", "run")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.CharField(max_length=128)
    job_id = models.UUIDField()
    number = models.IntegerField()  # of its job, from 1
    parent = models.CharField(max_length=128, blank=True, default="")
    from_position = models.IntegerField(default=0)
    checkpoint_id = models.UUIDField(null=True)
    reused_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True
    )  # paid by the parent; None: not all is known
    overrides = models.JSONField(default=dict)  # agents: by name model, instructions; messages; undo: keys of steps
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "job_id", "number"], name="job_run_number")]
        indexes: ClassVar = [
            models.Index(fields=["team", "parent"], condition=~models.Q(parent=""), name="job_run_of_parent")
        ]

    def __str__(self) -> str:
        return self.run


class JobStep(models.Model):
    """A model's answer or a tool's result, kept: a run that is done again from its beginning takes it from here.

    ``key`` names its place: whose it is, in which conversation, the how manieth. ``position`` is when it was done among all
    steps of the run; None while it is under way, or when nobody knows its end.
    """

    class Kind(models.TextChoices):
        MODEL = "model"
        TOOL = "tool"

    pk = models.CompositePrimaryKey("team_id", "run", "key")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    run = models.CharField(max_length=128)
    key = models.BinaryField()  # 16 bytes
    position = models.IntegerField(null=True)
    kind = models.CharField(max_length=5, choices=Kind)
    agent = models.CharField(max_length=200)
    name = models.CharField(max_length=200)  # of the model or the tool
    lane = models.BinaryField()  # the conversation, 16 bytes
    ordinal = models.IntegerField()  # among its lane's, from 0
    input_hash = models.BinaryField()
    arguments = models.JSONField(null=True)  # of a tool
    effect = models.CharField(max_length=5, blank=True, default="")  # read, write
    has_undo = models.BooleanField(default=False)
    undone_at = models.DateTimeField(null=True)
    undo_error = models.CharField(max_length=500, blank=True, default="")
    output = models.JSONField(null=True)  # the answer, or what the tool said
    is_error = models.BooleanField(default=False)
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    call_id = models.UUIDField(null=True)  # the gateway's
    span_id = models.CharField(max_length=16, blank=True, default="")
    tries = models.IntegerField(default=1)  # more than one: it was begun again, and may have been paid for twice
    fence = models.BigIntegerField()
    checkpoint_id = models.UUIDField(null=True)
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "run", "position"], name="job_step_position")]

    def __str__(self) -> str:
        return f"{self.run} {self.position}"


class JobSchedule(models.Model):
    """A job that comes again. ``cron`` has five fields, in the team's time zone."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    name = models.CharField(max_length=120)
    agent = models.CharField(max_length=200)
    input = models.TextField()
    cron = models.CharField(max_length=120)
    budget_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    priority = models.SmallIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True)
    last_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "name"], name="job_schedule_name")]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=models.Q(is_active=True), name="job_schedule_due")
        ]

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """A process that does jobs, as it said last."""

    name = models.CharField(max_length=200, primary_key=True)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    jobs = models.IntegerField(default=0)  # under way

    def __str__(self) -> str:
        return self.name
