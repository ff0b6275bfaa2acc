"""Who is here: people, the organizations and teams they belong to, and the keys programs call with."""

from __future__ import annotations

import re
import uuid
import zoneinfo
from typing import Any, ClassVar

from django.contrib.auth.base_user import BaseUserManager
from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

RETENTION_DAYS_MAX = 3650

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def one_line(value: str) -> None:
    """Validator of names: page, admin and API refuse the same."""
    if _CONTROL.search(value):
        raise ValidationError("Give a name in one line, without control characters.")


def known_time_zone(value: str) -> None:
    if value not in zoneinfo.available_timezones():
        raise ValidationError("Give a time zone by its name, such as Europe/Berlin.")


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)


class User(AbstractUser):
    """A person, known by mail address. ``is_superuser`` is an operator of this installation."""

    username = None  # type: ignore[assignment]
    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True, validators=[one_line])

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects = UserManager()  # type: ignore[misc,assignment]

    def clean(self) -> None:
        """Addresses are kept in lower case, so that one person has one account."""
        super().clean()
        self.email = self.email.lower()

    def __str__(self) -> str:
        return self.name or self.email


class Organization(models.Model):
    """Groups teams; its owners answer for all of them."""

    name = models.CharField(max_length=120, validators=[one_line])
    slug = models.SlugField(max_length=60, unique=True)
    owners: models.ManyToManyField[User, Any] = models.ManyToManyField(
        User, related_name="owned_organizations", blank=True
    )
    metadata = models.JSONField(default=dict, blank=True)  # whoever made it says what they like
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    """The tenant. Everything an agent sends belongs to exactly one team."""

    class Redaction(models.TextChoices):
        SECRETS_AND_PERSONAL = "secrets_and_personal", "secrets, card numbers and mail addresses"
        SECRETS = "secrets", "secrets only"
        OFF = "off", "nothing"

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"  # for a while: callers may come back
        SUSPENDED = "suspended"

    class LoopAction(models.TextChoices):
        OFF = "off", "look away"
        WARN = "warn", "warn"
        BLOCK = "block", "refuse the call"
        KILL = "kill", "refuse the call and stop the run"

    class Guard(models.TextChoices):
        OFF = "off", "let through"
        LOG = "log", "let through and note it"
        MASK = "mask", "mask"
        BLOCK = "block", "refuse"

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="teams")
    name = models.CharField(max_length=120, validators=[one_line])
    slug = models.SlugField(max_length=60, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[known_time_zone])
    retention_days = models.PositiveIntegerField(
        default=90, validators=[MinValueValidator(1), MaxValueValidator(RETENTION_DAYS_MAX)]
    )
    redaction = models.CharField(max_length=24, choices=Redaction, default=Redaction.SECRETS_AND_PERSONAL)
    spans_per_day_max = models.PositiveBigIntegerField(null=True, blank=True)  # None: no quota
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    loop_action = models.CharField(max_length=5, choices=LoopAction, default=LoopAction.KILL)
    loop_policy = models.JSONField(default=dict, blank=True)  # fields of wflo.loops.LoopPolicy that differ; "workflows"
    guard = models.CharField(max_length=5, choices=Guard, default=Guard.OFF)  # of secrets in prompts and answers
    breaker = models.JSONField(
        default=dict, blank=True
    )  # of agents: fields of wflo.agent_breaker.BreakerPolicy that differ
    run_steps_max = models.PositiveIntegerField(null=True, blank=True)
    run_minutes_max = models.PositiveIntegerField(null=True, blank=True)
    run_idle_minutes_max = models.PositiveIntegerField(null=True, blank=True)
    rpm_max = models.PositiveIntegerField(null=True, blank=True)  # calls of all keys a minute
    metadata = models.JSONField(default=dict, blank=True)
    is_demo = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in a team."""

    class Role(models.TextChoices):
        VIEWER = "viewer"
        MEMBER = "member"
        ADMIN = "admin"

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role, default=Role.VIEWER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["team", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.team}"


class ApiKey(models.Model):
    """A key a program calls with. Only its SHA-256 is kept; the text is shown once, when it is made."""

    class Scope(models.TextChoices):
        INGEST = "ingest"
        GATEWAY = "gateway"
        JOBS = "jobs"
        READ = "read"
        ADMIN = "admin"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=120, validators=[one_line])
    prefix = models.CharField(max_length=24)
    digest = models.BinaryField(unique=True)
    scopes: ArrayField[list[str], list[str]] = ArrayField(models.CharField(max_length=12, choices=Scope))
    allowed_models: ArrayField[list[str], list[str]] = ArrayField(
        models.CharField(max_length=200), default=list, blank=True
    )
    is_operator = models.BooleanField(default=False)  # may do what an operator may, such as say where a deployment is
    rpm_max = models.PositiveIntegerField(null=True, blank=True)
    tpm_max = models.PositiveIntegerField(null=True, blank=True)
    concurrent_max = models.PositiveIntegerField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["team", "-created_at"], name="api_key_by_team")]  # settings page

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEntry(models.Model):
    """One change by one actor. Appended only (a trigger refuses the rest); each entry seals the one before it."""

    id = models.BigAutoField(primary_key=True)
    team = models.ForeignKey(
        Team, null=True, blank=True, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False
    )
    at = models.DateTimeField()
    actor_kind = models.CharField(max_length=12)  # person, key, system
    actor_id = models.CharField(max_length=64, blank=True)
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    object_kind = models.CharField(max_length=60)
    object_id = models.CharField(max_length=200, blank=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    request_id = models.CharField(max_length=64, blank=True)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["team", "-id"], name="audit_by_team"),  # settings page
            models.Index(fields=["team", "-id"], condition=models.Q(object_kind="circuit"), name="audit_of_circuits"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor_name}: {self.action} {self.object_kind} {self.object_id}"
