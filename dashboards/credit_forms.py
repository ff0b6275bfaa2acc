"""What operators type on the credits page."""

from __future__ import annotations

from typing import Any, Self

from django import forms

from dashboards.forms import PageForm
from tracking.credits import CREDITS_MAX
from tracking.models import CreditAccount, CreditEntry

KINDS = {
    CreditEntry.Kind.ALLOCATION: "given",
    CreditEntry.Kind.ONE_TIME: "paid for once",
    CreditEntry.Kind.SUBSCRIPTION: "paid for by subscription",
    CreditEntry.Kind.ADJUSTMENT: "a correction (may be negative)",
    CreditEntry.Kind.REFUND: "given back for a job",
}


class AddForm(PageForm):
    credits = forms.IntegerField(label="Credits", min_value=-CREDITS_MAX, max_value=CREDITS_MAX)
    kind = forms.ChoiceField(label="They were", choices=list(KINDS.items()))
    paid_usd = forms.DecimalField(
        label="Paid, in dollars", required=False, min_value=0, max_digits=14, decimal_places=2
    )
    reason = forms.CharField(label="Why", required=False, max_length=500)


class AccountForm(PageForm):
    mode = forms.ChoiceField(label="A completed job costs", choices=CreditAccount.Mode.choices)
    credits_per_dollar = forms.DecimalField(label="Credits for a dollar", max_digits=12, decimal_places=4)
    tokens_per_credit = forms.IntegerField(label="Tokens for a credit", min_value=1, max_value=2**31 - 1)
    markup_percent = forms.DecimalField(
        label="Added to what providers take, in percent", max_digits=7, decimal_places=2, min_value=0
    )
    is_unlimited = forms.BooleanField(label="No limit: jobs are never refused, and nothing is charged", required=False)
    has_refill = forms.BooleanField(label="Filled up by itself", required=False)
    refill_amount = forms.IntegerField(label="Credits each time", required=False, min_value=1, max_value=2**31 - 1)
    refill_period = forms.ChoiceField(
        label="How often", required=False, choices=[("", "never"), *CreditAccount.Period.choices]
    )

    @classmethod
    def showing(cls, account: CreditAccount) -> Self:
        names: dict[str, Any] = {name: getattr(account, name) for name in cls.base_fields}
        return cls(initial=names)
