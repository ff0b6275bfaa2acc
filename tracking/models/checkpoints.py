"""States of runs: what was saved, in parts that are stored once a team; and who asked to go back to one."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from tracking.models.teams import Team


class Checkpoint(models.Model):
    """One saved state of a run, by the name its caller gives the run. ``manifest`` names the parts of the state."""

    class Source(models.TextChoices):
        SDK = "sdk"
        LANGGRAPH = "langgraph"
        QUEUE = "queue"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    id = models.UUIDField()
    run = models.CharField(max_length=128)
    version = models.IntegerField()  # rises by one in its run
    name = models.CharField(max_length=200)
    agent = models.CharField(max_length=200)
    step = models.CharField(max_length=200)
    span_id = models.CharField(max_length=16)
    source = models.CharField(max_length=9, choices=Source)
    created_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True)  # the run went back behind it
    size_bytes = models.IntegerField()  # of the state as JSON
    lossy_paths = models.JSONField()
    manifest = models.BinaryField()  # JSON, compressed

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "run", "version"], name="checkpoint_version")]
        indexes: ClassVar = [models.Index(fields=["created_at"], name="checkpoint_old")]  # clearing away

    def __str__(self) -> str:
        return f"{self.run} {self.version}"


class StatePart(models.Model):
    """A part of states. ``used_at`` is when one was last saved that has it: no state that is kept is older."""

    pk = models.CompositePrimaryKey("team_id", "digest")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    digest = models.BinaryField()  # SHA-256 of the part as JSON
    body = models.BinaryField()  # JSON, compressed
    used_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["used_at"], name="state_part_old")]

    def __str__(self) -> str:
        return bytes(self.digest).hex()


class Rollback(models.Model):
    """A wish that a run goes on from a checkpoint, and what became of it. Of a job's run it is taken at once; another's process answers."""

    class Status(models.TextChoices):
        REQUESTED = "requested"
        TAKEN = "taken"
        REFUSED = "refused"
        WITHDRAWN = "withdrawn"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)
    id = models.UUIDField()
    run = models.CharField(max_length=128)
    checkpoint_id = models.UUIDField()
    checkpoint_version = models.IntegerField()
    checkpoint_name = models.CharField(max_length=200)
    status = models.CharField(max_length=9, choices=Status, default=Status.REQUESTED)
    reason = models.CharField(max_length=500)
    overrides = models.JSONField(default=dict)
    budget_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    answer = models.CharField(max_length=500, blank=True, default="")  # why it was refused
    new_run = models.CharField(max_length=128, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "run", "checkpoint_id"], condition=models.Q(status="requested"), name="rollback_once"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["team", "run", "-requested_at"], name="rollback_of_run"),
            models.Index(fields=["team", "new_run"], condition=~models.Q(new_run=""), name="rollback_to_run"),
        ]

    def __str__(self) -> str:
        return f"{self.run} to {self.checkpoint_version}"
