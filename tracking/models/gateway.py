"""What callers may name as a model, what it resolves to, and what the gateway remembers between calls.

Groups, deployments and credentials are rows that people make. Run controls, circuits and kept answers are written by
the gateway's own SQL (tracking/sql/gateway.sql).
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tracking.models.teams import Organization, Team, one_line


class ModelGroup(models.Model):
    """A name callers use for a model, and the deployments behind it. ``team`` None: the installation's, for ``teams``."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="model_groups")
    teams: models.ManyToManyField[Team, models.Model] = models.ManyToManyField(
        Team, related_name="granted_groups", blank=True
    )
    name = models.CharField(max_length=120, validators=[one_line])
    display_name = models.CharField(max_length=120, blank=True, validators=[one_line])
    description = models.TextField(blank=True, max_length=2000)
    cache_seconds = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(30 * 86_400)])  # 0: keeps none
    fallback_on_auth = models.BooleanField(default=False)  # a refused provider key is a reason to try the next one
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="model_group_name", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.name


class ModelAlias(models.Model):
    """Another name for a group or a model; it is looked for before both. ``team`` None: the installation's, for all."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="model_aliases")
    name = models.CharField(max_length=120, validators=[one_line])
    target = models.CharField(max_length=200, validators=[one_line])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "model aliases"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="model_alias_name", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return f"{self.name} is {self.target}"


class Deployment(models.Model):
    """One model at one address. Lower ``priority`` is tried first; among equals ``weight`` shares the calls out."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.ForeignKey(ModelGroup, on_delete=models.CASCADE, related_name="deployments")
    model = models.CharField(max_length=200, validators=[one_line])  # "openai/gpt-4o-mini"
    api_base = models.CharField(max_length=500, blank=True)  # '': the provider's own
    sealed_key = models.BinaryField(null=True, blank=True)  # None: the credential of its provider
    key_end = models.CharField(max_length=4, blank=True, default="", editable=False)  # all that is ever shown of it
    priority = models.PositiveSmallIntegerField(default=0)
    weight = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1)])
    rpm = models.PositiveIntegerField(null=True, blank=True)
    tpm = models.PositiveIntegerField(null=True, blank=True)
    timeout_seconds = models.PositiveIntegerField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["priority", "created_at"]

    def __str__(self) -> str:
        return self.model


class ProviderCredential(models.Model):
    """A provider's key, sealed, for deployments without their own. ``organization`` None: for all."""

    organization = models.ForeignKey(
        Organization, null=True, blank=True, on_delete=models.CASCADE, related_name="credentials"
    )
    provider = models.CharField(max_length=60, validators=[one_line])  # as in "openai/gpt-4o"
    api_base = models.CharField(max_length=500, blank=True)
    sealed_key = models.BinaryField()
    key_end = models.CharField(max_length=4, blank=True, default="", editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "provider"], name="credential_once", nulls_distinct=False)
        ]

    def __str__(self) -> str:
        return self.provider


class RunControl(models.Model):
    """What every process must know of a run before its next call: killed or not, how far, what its turns looked like."""

    pk = models.CompositePrimaryKey("team_id", "run")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+", db_index=False)  # the key begins with it
    run = models.CharField(max_length=128)  # as its callers name it; the root run where a sub-agent calls
    steps = models.IntegerField(default=0)
    cost_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)
    tokens = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    last_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    killed_at = models.DateTimeField(null=True)
    kill_reason = models.CharField(max_length=500, blank=True, default="")
    killed_by = models.CharField(max_length=200, blank=True, default="")
    loop_state = models.JSONField(null=True)
    version = models.IntegerField(default=0)  # of loop_state: who saw an older one looks again

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_at"], name="run_control_old")]  # clearing away

    def __str__(self) -> str:
        return self.run


class Circuit(models.Model):
    """A breaker that all processes share. The rule is ``wflo.circuits``."""

    class State(models.TextChoices):
        CLOSED = "closed"
        OPEN = "open"
        HALF_OPEN = "half_open"

    pk = models.CompositePrimaryKey("team_id", "name")
    team_id = models.BigIntegerField()  # 0: of a deployment that teams share
    name = models.CharField(max_length=220)
    state = models.CharField(max_length=9, choices=State, default=State.CLOSED)
    failures = models.IntegerField(default=0)  # in a row
    successes = models.IntegerField(default=0)  # of probes
    calls = models.IntegerField(default=0)  # since window_at, as errors, tokens and hits
    errors = models.IntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    hits = models.IntegerField(default=0)  # of a guardrail
    window_at = models.DateTimeField(null=True)
    opened_at = models.DateTimeField(null=True)
    retry_at = models.DateTimeField(null=True)
    probe = models.UUIDField(null=True)
    probe_until = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=500, blank=True, default="")
    why = models.CharField(max_length=500, blank=True, default="")  # it is not closed
    is_held = models.BooleanField(default=False)  # until a person lets it be tried
    approval = models.UUIDField(null=True)  # the question that person was asked
    changed_at = models.DateTimeField()
    version = models.IntegerField(default=0)  # who read an older one reads again

    class Meta:
        indexes: ClassVar = [
            models.Index(  # what every process looks at
                fields=["state"],
                condition=~models.Q(state="closed") | models.Q(failures__gt=0),
                name="circuit_not_whole",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} is {self.state}"


class KeptAnswer(models.Model):
    """What an idempotency key was answered with, so that the same request again costs nothing."""

    pk = models.CompositePrimaryKey("team_id", "key")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.BinaryField()
    status = models.SmallIntegerField(null=True)  # None: under way
    headers = models.JSONField(default=dict)
    body = models.BinaryField(null=True)
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="kept_answer_old")]  # clearing away

    def __str__(self) -> str:
        return self.key


class StoredResponse(models.Model):
    """An answer that a provider keeps, by whose id a later call may go on from it: whose it is, and where it lies."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    id = models.CharField(max_length=200)  # the provider's
    model = models.CharField(max_length=200)  # as it was asked for
    deployment = models.CharField(max_length=300)  # the route that keeps it
    tokens = models.BigIntegerField()  # of a later prompt, which it becomes a part of
    made_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["made_at"], name="stored_response_old")]  # clearing away

    def __str__(self) -> str:
        return self.id


class CacheDay(models.Model):
    """What the answer cache saved on a day (UTC)."""

    pk = models.CompositePrimaryKey("team_id", "day", "model")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    model = models.CharField(max_length=200)  # the group or model asked for
    hits = models.BigIntegerField(default=0)
    misses = models.BigIntegerField(default=0)
    saved_usd = models.DecimalField(max_digits=20, decimal_places=10, default=0)

    def __str__(self) -> str:
        return f"{self.model} on {self.day}"


class Refusal(models.Model):
    """A call the gateway did not make, and why: what "why was I blocked?" is answered from."""

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    id = models.UUIDField()  # of the call: the answer told it
    at = models.DateTimeField()
    code = models.CharField(max_length=40)
    status = models.SmallIntegerField()
    message = models.TextField()
    details = models.JSONField(default=dict)
    key_id = models.CharField(max_length=64, blank=True)
    run = models.CharField(max_length=128, blank=True)
    agent = models.CharField(max_length=200, blank=True)
    end_user = models.CharField(max_length=256, blank=True)
    model = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "-at"], name="refusal_by_team"),  # gateway page
            models.Index(fields=["at"], name="refusal_old"),  # clearing away
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.id}"
