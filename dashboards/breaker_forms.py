"""What admins type about agents that are to be cut off, and into the form that cuts one off by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from django import forms

from dashboards.forms import PageForm
from tracking.agent_breaker import MINUTES_MAX, REASON_CHARACTERS_MAX
from wflo.agent_breaker import COUNT_MAX, BreakerPolicy

MODES = [
    ("off", "nothing: no agent is cut off by itself"),
    ("tell", "tell: an alert, and its calls go on"),
    ("on", "cut it off: its calls through the gateway are refused"),
]


def _count(label: str, help_text: str = "", *, most: int = COUNT_MAX, required: bool = False) -> forms.IntegerField:
    return forms.IntegerField(label=label, help_text=help_text, required=required, min_value=1, max_value=most)


class BreakerForm(PageForm):
    mode = forms.ChoiceField(label="When an agent goes wrong", choices=MODES)
    failures_max = _count("Calls in a row that fail", "Empty: errors alone cut nobody off.")
    speed_max = forms.DecimalField(
        label="Times what it usually spends",
        required=False,
        help_text="In the minutes below, against its own median hour at work. Empty: speed cuts nobody off.",
    )
    speed_minutes = _count("Minutes that are looked at", required=True, most=MINUTES_MAX)
    speed_usd_min = forms.DecimalField(label="Dollars in those minutes, at least", help_text="Less is never too fast.")
    speed_hours_min = _count(
        "Hours it must have been at work before",
        "In the last 28 days: fewer say nothing of what is usual.",
        required=True,
    )
    on_loop = forms.BooleanField(label="A loop cuts it off", required=False)
    hits_max = _count("Times a guardrail steps in", "Empty: guardrails cut nobody off.")
    hits_minutes = _count("In so many minutes", required=True, most=MINUTES_MAX)
    rest_minutes = _count(
        "Minutes it rests", "Then one call tries whether all is well.", required=True, most=MINUTES_MAX
    )
    needs_approval = forms.BooleanField(
        label="It is not tried before somebody approves that, however long it rests", required=False
    )

    @classmethod
    def showing(cls, policy: BreakerPolicy) -> Self:
        return cls(initial={name: getattr(policy, name) for name in cls.base_fields}, auto_id="breaker_%s")


class CutOffForm(PageForm):
    circuit = forms.ChoiceField(label="Agent")
    reason = forms.CharField(
        label="Why", max_length=REASON_CHARACTERS_MAX, help_text="Its callers are told, and it stays in the log."
    )
    minutes = _count("For so many minutes", "Empty: until somebody lets it be tried.", most=MINUTES_MAX)

    def __init__(self, *args: Any, names: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["circuit"].choices = [(f"agent:{name}", name) for name in names]  # type: ignore[attr-defined]
