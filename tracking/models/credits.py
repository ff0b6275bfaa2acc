"""What a customer has paid for and used up: credits, charged when a job is completed."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from tracking.models.teams import Team


class CreditAccount(models.Model):
    """A team's credits. A team without one is not billed in credits. ``allocated - used`` are left."""

    class Mode(models.TextChoices):
        JOB = "job_based", "one a job"
        USD = "consumption_usd", "by what its calls cost"
        TOKENS = "consumption_tokens", "by tokens"

    class Period(models.TextChoices):
        DAILY = "daily"
        WEEKLY = "weekly"
        MONTHLY = "monthly"

    team = models.OneToOneField(Team, on_delete=models.CASCADE, primary_key=True, related_name="credits")
    allocated = models.BigIntegerField(default=0)
    used = models.BigIntegerField(default=0)
    is_unlimited = models.BooleanField(default=False)
    mode = models.CharField(max_length=20, choices=Mode, default=Mode.JOB)
    credits_per_dollar = models.DecimalField(
        max_digits=12, decimal_places=4, default=Decimal(10), validators=[MinValueValidator(Decimal("0.0001"))]
    )
    tokens_per_credit = models.PositiveIntegerField(default=10_000, validators=[MinValueValidator(1)])
    markup_percent = models.DecimalField(
        max_digits=7, decimal_places=2, default=Decimal(0), validators=[MinValueValidator(0), MaxValueValidator(10_000)]
    )
    has_refill = models.BooleanField(default=False)
    refill_amount = models.PositiveIntegerField(null=True)
    refill_period = models.CharField(max_length=7, choices=Period, blank=True, default="")
    refill_at = models.DateTimeField(null=True)  # the next one
    refilled_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["refill_at"], condition=models.Q(has_refill=True), name="credit_refill_due")
        ]

    def __str__(self) -> str:
        return f"{self.left} credits of {self.team}"

    @property
    def left(self) -> int:
        return self.allocated - self.used


class CreditEntry(models.Model):
    """Credits that came or went. Appended only, by the verbs of tracking.credits."""

    class Kind(models.TextChoices):
        DEDUCTION = "deduction", "job"
        ALLOCATION = "allocation"
        REFUND = "refund"
        ADJUSTMENT = "adjustment"
        SUBSCRIPTION = "subscription_payment", "subscription payment"
        ONE_TIME = "one_time_payment", "one-time payment"

    id = models.BigAutoField(primary_key=True)
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    amount = models.BigIntegerField()  # how many; a deduction's went
    before = models.BigIntegerField()
    after = models.BigIntegerField()
    shortfall = models.BigIntegerField(default=0)  # what a completed job cost more than there was
    paid_usd = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    reason = models.CharField(max_length=500, blank=True)
    job_id = models.UUIDField(null=True)
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "credit entries"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["team", "job_id"], condition=models.Q(kind="deduction"), name="credit_once_a_job"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["team", "-id"], name="credit_entry_by_team")]  # the page

    def __str__(self) -> str:
        return f"{self.kind} {self.amount}: {self.before} to {self.after}"
