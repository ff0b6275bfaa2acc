"""What people type on the alert settings. The rules of the values are tracking.alerts'; these only read."""

from __future__ import annotations

from typing import Any, Self

from django import forms
from django.conf import settings

from dashboards.alert_marks import EVENT_WORDS, KINDS, RULE_WORDS, SEVERITY_WORDS
from dashboards.forms import PageForm
from tracking.models import Alert, AlertRule, Destination

_ALERTS = [(kind, KINDS[kind][1]) for kind in Alert.Kind.values]
KIND_NOTES = {
    "email": "e-mail",
    "slack": "Slack",
    "webhook": "webhook, signed",
    "apprise": "another service",
}
_ADDRESS_HELP = (
    "E-mail: addresses with commas between. Slack: the address of an incoming webhook. Webhook: an https address. "
    "Another service: its apprise address, such as tgram://… or ntfys://…. It is stored sealed and not shown again."
)


class DestinationForm(PageForm):
    name = forms.CharField(max_length=120, label="Name", help_text="Who hears there, such as On call.")
    kind = forms.ChoiceField(choices=list(KIND_NOTES.items()), label="Where")
    address = forms.CharField(max_length=2000, label="Address", help_text=_ADDRESS_HELP)
    severity_least = forms.ChoiceField(
        choices=[("low", "of any severity"), ("high", "high or critical"), ("critical", "critical")], label="Alerts"
    )
    alert_kinds = forms.MultipleChoiceField(
        choices=_ALERTS,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label="Only these kinds",
        help_text="None ticked: all kinds, those to come too.",
    )
    without_alerts = forms.BooleanField(required=False, label="No alerts at all, only the events below")
    events = forms.MultipleChoiceField(
        choices=list(EVENT_WORDS.items()), required=False, widget=forms.CheckboxSelectMultiple, label="Also when"
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["without_alerts"].widget.attrs.pop("class", None)
        self.fields["address"].widget.attrs.update({"autocomplete": "off", "spellcheck": "false"})
        kind = self.fields.get("kind")
        if isinstance(kind, forms.ChoiceField) and not settings.WFLO_SMTP_URL:
            kind.choices = [*list(KIND_NOTES.items())[1:], ("email", "e-mail, once there is a mail server")]

    def values(self) -> dict[str, Any]:
        """As the verbs take them."""
        given = self.cleaned_data
        kinds: list[str] | None = given["alert_kinds"] or None
        return {
            "name": given["name"],
            "alert_kinds": [] if given["without_alerts"] else kinds,
            "severity_least": given["severity_least"],
            "events": given["events"],
        }


class ChangeForm(DestinationForm):
    kind = None  # type: ignore[assignment]
    address = forms.CharField(
        max_length=2000, required=False, label="Another address", help_text="Empty: it stays as it is."
    )

    @classmethod
    def showing(cls, destination: Destination) -> Self:
        return cls(
            initial={
                "name": destination.name,
                "severity_least": destination.severity_least,
                "alert_kinds": destination.alert_kinds or [],
                "without_alerts": destination.alert_kinds == [],
                "events": destination.events,
            }
        )


class RuleForm(PageForm):
    kind = forms.ChoiceField(choices=[(kind, words[0]) for kind, words in RULE_WORDS.items()], label="When")
    agent = forms.CharField(max_length=200, required=False, label="Agent")
    over = forms.CharField(max_length=20, label="More than")
    calls_least = forms.IntegerField(min_value=0, max_value=10**9, required=False, label="Calls, at least")
    severity = forms.ChoiceField(choices=list(SEVERITY_WORDS.items()), required=False, label="Severity")
    is_on = forms.BooleanField(required=False, label="On")

    def values(self) -> dict[str, Any]:
        given = self.cleaned_data
        return {**given, "severity": given["severity"] or None}


class AgentRuleForm(PageForm):
    """A rule for one agent. What has no price is told for the whole team."""

    agent = forms.CharField(max_length=200, label="Agent", help_text="Its name, as its runs have it.")
    kind = forms.ChoiceField(
        choices=[(kind, words[0]) for kind, words in RULE_WORDS.items() if kind != AlertRule.Kind.UNPRICED],
        label="When",
    )
    over = forms.CharField(
        max_length=20, label="This much", help_text="Percent of calls, milliseconds, or percent of the usual."
    )
