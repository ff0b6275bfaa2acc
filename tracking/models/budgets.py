"""What may be spent, what is held for calls under way, and what was spent.

Only budgets are rows that Django writes. Periods, reservations and entries are written by the ledger's functions in
PostgreSQL (tracking/sql/ledger_functions.sql); the classes here read them.
"""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tracking.models.teams import Organization, Team, User, one_line


def usual_thresholds() -> list[int]:
    return [50, 75, 90, 100]


class Budget(models.Model):
    """A limit on what a scope may spend in a window. Kept for ever: one given up is archived, its entries stay."""

    class Scope(models.TextChoices):
        ORGANIZATION = "organization"
        TEAM = "team"
        KEY = "key"
        AGENT = "agent"
        MODEL = "model"
        USER = "user", "end user"
        RUN = "run"
        JOB = "job"

    class Window(models.TextChoices):
        RUN = "run", "each run"
        DAY = "day"
        WEEK = "week"
        MONTH = "month"
        TOTAL = "total"

    class Mode(models.TextChoices):
        STRICT = "strict"  # never over: the worst case is held, and the answer cut to what can be paid
        ELASTIC = "elastic"  # the hold grows as an answer streams; over by a slice at most
        SOFT = "soft"  # alerts only

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="budgets")
    team = models.ForeignKey(Team, null=True, blank=True, on_delete=models.CASCADE, related_name="budgets")
    name = models.CharField(max_length=120, validators=[one_line])
    scope_kind = models.CharField(max_length=12, choices=Scope)
    scope_id = models.CharField(max_length=200, blank=True, validators=[one_line])  # '': each one of its kind
    window = models.CharField(max_length=5, choices=Window)
    mode = models.CharField(max_length=7, choices=Mode, default=Mode.STRICT)
    limit_usd = models.DecimalField(
        max_digits=20, decimal_places=10, null=True, blank=True, validators=[MinValueValidator(0)]
    )
    limit_tokens = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])
    alert_at: ArrayField[list[int], list[int]] = ArrayField(
        models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(100)]),
        default=usual_thresholds,
        blank=True,
    )
    raised_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True, blank=True)
    raised_tokens = models.BigIntegerField(null=True, blank=True)
    raised_until = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(limit_usd__isnull=False) | models.Q(limit_tokens__isnull=False),
                name="budget_has_a_limit",
            ),
            models.CheckConstraint(
                condition=models.Q(limit_usd__isnull=True) | models.Q(limit_usd__gte=0, limit_usd__lt=10**10),
                name="budget_limit_is_money",
            ),
            models.CheckConstraint(
                condition=models.Q(scope_kind="organization", team__isnull=True)
                | (~models.Q(scope_kind="organization") & models.Q(team__isnull=False)),
                name="budget_of_team_or_organization",
            ),
        ]
        indexes: ClassVar = [
            # ledger_scopes, at every call
            models.Index(fields=["team"], condition=models.Q(archived_at=None), name="budget_in_force"),
            models.Index(fields=["organization"], condition=models.Q(archived_at=None, team=None), name="budget_above"),
        ]

    def __str__(self) -> str:
        return self.name


class BudgetPeriod(models.Model):
    """Running sums of one budget, subject and window. ``subject`` is '' where the budget has but one."""

    pk = models.CompositePrimaryKey("team_id", "budget_id", "subject", "starts_at")
    team_id = models.BigIntegerField()  # 0: of the organization
    budget = models.ForeignKey(Budget, on_delete=models.DO_NOTHING, related_name="periods", db_constraint=False)
    subject = models.TextField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    spent_usd = models.DecimalField(max_digits=24, decimal_places=10)
    held_usd = models.DecimalField(max_digits=24, decimal_places=10)
    spent_tokens = models.BigIntegerField()
    held_tokens = models.BigIntegerField()
    told_percent = models.SmallIntegerField()
    touched_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "tracking_budget_period"

    def __str__(self) -> str:
        return f"{self.budget_id} {self.subject} from {self.starts_at}"


class Reservation(models.Model):
    """Money held for one call on every budget the call falls under."""

    class State(models.IntegerChoices):
        HELD = 0
        SETTLED = 1
        RELEASED = 2
        EXPIRED = 3

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    id = models.UUIDField()
    state = models.SmallIntegerField(choices=State)
    key_id = models.TextField()
    run = models.TextField()
    agent = models.TextField()
    model = models.TextField()
    end_user = models.TextField()
    held_usd = models.DecimalField(max_digits=20, decimal_places=10)
    held_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    actual_usd = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    actual_tokens = models.BigIntegerField(null=True)
    is_estimated = models.BooleanField()
    budgets: ArrayField[list[uuid.UUID], list[uuid.UUID]] = ArrayField(models.UUIDField())
    detail = models.JSONField()
    created_at = models.DateTimeField()
    dispatched_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "tracking_reservation"

    def __str__(self) -> str:
        return f"{self.held_usd} USD for {self.id}"


class LedgerEntry(models.Model):
    """Money moved, once and for ever. ``usd`` below 0 gives back."""

    class Kind(models.TextChoices):
        DEBIT = "debit"  # a held call's cost
        CHARGE = "charge"  # of a call seen only afterwards
        CORRECTION = "correction"  # the cost became known after an estimate
        OPENING = "opening"  # what was spent in the window before there was a budget
        ADJUSTMENT = "adjustment"  # by a person
        REPRICE = "reprice"

    pk = models.CompositePrimaryKey("team_id", "id")
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    id = models.BigIntegerField()
    at = models.DateTimeField()
    kind = models.TextField(choices=Kind)
    reservation_id = models.UUIDField(null=True)
    usd = models.DecimalField(max_digits=20, decimal_places=10)
    tokens = models.BigIntegerField()
    key_id = models.TextField()
    run = models.TextField()
    agent = models.TextField()
    model = models.TextField()
    end_user = models.TextField()
    is_estimated = models.BooleanField()
    budgets: ArrayField[list[uuid.UUID], list[uuid.UUID]] = ArrayField(models.UUIDField())
    subjects: ArrayField[list[str], list[str]] = ArrayField(models.TextField())
    actor = models.TextField()
    reason = models.TextField()
    detail = models.JSONField()

    class Meta:
        managed = False
        db_table = "tracking_ledger_entry"

    def __str__(self) -> str:
        return f"{self.kind} {self.usd} USD"


class LedgerRow(models.Model):
    """The same entries for Django's admin, which knows no key of two columns; ids are of one sequence for all teams."""

    id = models.BigIntegerField(primary_key=True)
    team = models.ForeignKey(Team, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False)
    at = models.DateTimeField()
    kind = models.TextField(choices=LedgerEntry.Kind)
    usd = models.DecimalField(max_digits=20, decimal_places=10)
    tokens = models.BigIntegerField()
    key_id = models.TextField()
    run = models.TextField()
    agent = models.TextField()
    model = models.TextField()
    end_user = models.TextField()
    is_estimated = models.BooleanField()
    reservation_id = models.UUIDField(null=True)
    budgets: ArrayField[list[uuid.UUID], list[uuid.UUID]] = ArrayField(models.UUIDField())
    subjects: ArrayField[list[str], list[str]] = ArrayField(models.TextField())
    actor = models.TextField()
    reason = models.TextField()
    detail = models.JSONField()

    class Meta:
        managed = False
        db_table = "tracking_ledger_entry"
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger entries"

    def __str__(self) -> str:
        return f"{self.kind} {self.usd} USD"
