"""What people type on the budget pages. The rules of the values are tracking.ledger.terms'; these only read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from django import forms

from dashboards.budget_words import usual_name
from dashboards.forms import PageForm
from tracking.ledger.budgets import tonight, zone_of
from tracking.models import Budget, Team

SCOPES = {
    "team": "The whole team",
    "agent": "Each agent",
    "user": "Each end user",
    "key": "Each key",
    "model": "Each model",
    "job": "Each job",
    "organization": "All teams",
}
WINDOWS = {"day": "a day", "week": "a week", "month": "a month", "run": "a run", "total": "in all"}
MODES = {"strict": "Strict: never over", "elastic": "Elastic: over by a slice at most", "soft": "Soft: alerts only"}
PRESETS = ("10", "50", "200", "1000")
ENDS = {"tonight": "until tonight", "hour": "for an hour", "day": "for 24 hours", "week": "for a week"}
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


class _TermsForm(PageForm):
    FIELDS: ClassVar[dict[str, str]] = {"scope.kind": "scope_kind", "scope.id": "scope_id"}

    name = forms.CharField(max_length=120, required=False, label="Name")
    limit_usd = forms.CharField(max_length=40, required=False, label="Limit in USD")
    limit_tokens = forms.CharField(max_length=40, required=False, label="Limit in tokens")
    mode = forms.ChoiceField(choices=list(MODES.items()), required=False, label="Mode")
    alert_at = forms.CharField(
        max_length=400,
        required=False,
        initial="50, 75, 90, 100",
        label="Alert at",
        help_text="Percents of the limit, such as 50, 75, 90, 100. Empty: none.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in ("limit_usd", "limit_tokens"):
            self.fields[name].widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}

    def _terms(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "name": given["name"],
            "limit_usd": _amount(given["limit_usd"]),
            "limit_tokens": _amount(given["limit_tokens"]),
            "mode": given["mode"] or "strict",
            "alert_at": _percents(given["alert_at"]),
        }


class NewBudgetForm(_TermsForm):
    """``preset`` is the limit whose button was pressed."""

    scope_kind = forms.ChoiceField(choices=list(SCOPES.items()), initial="team", label="Over")
    scope_id = forms.CharField(
        max_length=200, required=False, label="Only one", help_text="A name: of an agent, a user, a key, a model."
    )
    window = forms.ChoiceField(choices=list(WINDOWS.items()), initial="month", label="For")
    preset = forms.CharField(max_length=40, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, rules_organization: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        scope = self.fields["scope_kind"]
        if isinstance(scope, forms.ChoiceField) and not rules_organization:
            scope.choices = [(kind, word) for kind, word in SCOPES.items() if kind != "organization"]

    def values(self) -> dict[str, Any]:
        given = self.cleaned_data
        terms = self._terms()
        if given["preset"]:
            terms["limit_usd"] = given["preset"]
        if "alert_at" not in self.data:
            terms["alert_at"] = None  # the usual ones
        kind, id, window = given["scope_kind"], given["scope_id"], given["window"]
        terms["name"] = terms["name"] or usual_name(kind, id, window)[:120]
        return {"scope_kind": kind, "scope_id": id, "window": window, **terms}


class ChangeBudgetForm(_TermsForm):
    def values(self) -> dict[str, Any]:
        return self._terms()

    @classmethod
    def showing(cls, budget: Budget) -> Self:
        usd = None if budget.limit_usd is None else f"{budget.limit_usd.normalize():f}"
        return cls(
            initial={
                "name": budget.name,
                "limit_usd": usd,
                "limit_tokens": budget.limit_tokens,
                "mode": budget.mode,
                "alert_at": ", ".join(map(str, budget.alert_at)),
            },
            auto_id="change_%s",
        )


class RaiseForm(PageForm):
    FIELDS: ClassVar[dict[str, str]] = {"until": "ends"}

    usd = forms.CharField(max_length=40, required=False, label="More USD")
    tokens = forms.CharField(max_length=40, required=False, label="More tokens")
    ends = forms.ChoiceField(choices=list(ENDS.items()), initial="tonight", label="How long")

    def values(self, budget: Budget, team: Team) -> dict[str, Any]:
        given, now = self.cleaned_data, datetime.now(UTC)
        length = _LENGTHS.get(given["ends"])
        ends = now + length if length else tonight(zone_of(budget, team), now)
        return {"usd": _amount(given["usd"]), "tokens": _amount(given["tokens"]), "until": ends}


class AdjustForm(PageForm):
    subject = forms.CharField(max_length=400, required=False, label="Of whom")
    usd = forms.CharField(
        max_length=40, required=False, label="USD", help_text="Below 0 gives back: \N{MINUS SIGN}1.50."
    )
    tokens = forms.CharField(max_length=40, required=False, label="Tokens")
    reason = forms.CharField(max_length=500, required=False, label="Why", help_text="It stands in the ledger for ever.")

    def values(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {
            "usd": _amount(given["usd"]),
            "tokens": _amount(given["tokens"]),
            "reason": given["reason"],
            "subject": given["subject"],
        }


def _amount(text: str) -> str:
    """People write $1,500 and a real minus; the rule reads 1500 and -."""
    return text.strip().replace("$", "").replace(",", "").replace("\N{MINUS SIGN}", "-")


def _percents(text: str) -> list[str]:
    return text.replace("%", " ").replace(",", " ").split()
