"""Operators' tables of customers' credits and of jobs. Accounts are changed by the verbs of tracking.credits; credits come
and go on the team's credits page, where each is entered with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from tracking import credits
from tracking.admin import FirstPages, ReadOnly, operator_of
from tracking.models import CreditAccount, CreditEntry, JobRow

if TYPE_CHECKING:  # generic to the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
    RowForm = forms.ModelForm[Any]
else:
    ModelAdmin, RowForm = admin.ModelAdmin, forms.ModelForm

_TERMS = ("mode", "credits_per_dollar", "tokens_per_credit", "markup_percent", "is_unlimited")
_REFILL = ("has_refill", "refill_amount", "refill_period")


class AccountForm(RowForm):
    refill_amount = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    allocated = forms.IntegerField(
        required=False, min_value=0, max_value=credits.CREDITS_MAX, help_text="to begin with"
    )

    class Meta:
        model = CreditAccount
        fields = ("team", "allocated", *_TERMS, *_REFILL)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("has_refill"):
            for name in ("refill_amount", "refill_period"):
                if not given.get(name):
                    self.add_error(name, "A refill needs it.")
        return given


@admin.register(CreditAccount)
class CreditAccounts(ModelAdmin):
    form = AccountForm
    list_display = (
        "team",
        "allocated",
        "used",
        "left",
        "is_unlimited",
        "mode",
        "markup_percent",
        "has_refill",
        "refill_at",
    )
    list_filter = ("mode", "is_unlimited", "has_refill", "team__organization")
    search_fields = ("team__name", "team__slug")
    list_select_related = ("team",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("team", "allocated")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Its entries stay; a team that is not to be charged is set without limit."""
        return False

    def save_model(self, request: HttpRequest, row: CreditAccount, form: forms.ModelForm[Any], change: bool) -> None:
        given, actor = form.cleaned_data, operator_of(request)
        if not change:
            credits.open_account(row.team, allocated=given["allocated"] or 0, actor=actor)
        refill = {**{name: given[name] for name in _REFILL}, "refill_period": given["refill_period"] or None}
        credits.set_terms(row.team, actor=actor, **refill, **{name: given[name] for name in _TERMS})


@admin.register(CreditEntry)
class CreditEntries(ReadOnly):
    list_display = (
        "id",
        "created_at",
        "team",
        "kind",
        "amount",
        "before",
        "after",
        "shortfall",
        "paid_usd",
        "actor",
        "reason",
    )
    list_filter = ("kind", "team")
    search_fields = ("=job_id", "=actor")
    ordering = ("-id",)
    paginator = FirstPages
    show_full_result_count = False


@admin.register(JobRow)
class Jobs(ReadOnly):
    """A job is ended by who drives it, or on the page of its run."""

    list_display = ("id", "created_at", "team", "job_type", "status", "user_id", "credit_applied", "completed_at")
    list_filter = ("status", "team")
    search_fields = ("=id", "=external_task_id", "=user_id")
    ordering = ("-created_at",)
    paginator = FirstPages
    show_full_result_count = False
