"""What admins type about loops and runs; how it is kept is the team's ``loop_policy``."""

from __future__ import annotations

from typing import Any, Self

from django import forms

from dashboards.forms import PageForm
from tracking.models import Team

_OF_WORKFLOW = {"off": {"is_on": False}, **{word: {"strongest": word} for word in ("warn", "block", "kill")}}
_WHOLE = 10**9


class LimitForm(PageForm):
    loop_action = forms.ChoiceField(
        label="When a run goes round in circles",
        choices=Team.LoopAction.choices,
        help_text="What a loop costs goes on until somebody or something stops it.",
    )
    spans = forms.ChoiceField(
        label="When spans tell of one",
        choices=[("warn", "tell"), ("kill", "tell, and stop the run")],
        help_text="Of runs whose calls do not pass through the gateway: their programs hear of it with their next message.",
    )
    repeats = forms.IntegerField(
        label="Like requests that pass",
        required=False,
        min_value=1,
        max_value=9,
        help_text="The next one is a loop. Empty: 2.",
    )
    iterations = forms.IntegerField(
        label="Calls of one agent, at most",
        required=False,
        min_value=1,
        max_value=_WHOLE,
        help_text="Empty: any number.",
    )
    exempt_tools = forms.CharField(
        label="Tools that may repeat",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One a line, such as a tool that waits for something.",
    )
    workflows = forms.CharField(
        label="Other rules for some workflows",
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="One a line: name = off, warn, block or kill.",
    )
    guard = forms.ChoiceField(
        label="Secrets and personal data in prompts and answers",
        choices=Team.Guard.choices,
        help_text="Keys, tokens, passwords in addresses, mail addresses, card numbers. A call may ask for more with"
        " X-DLP-Mode, never for less.",
    )
    run_steps_max = forms.IntegerField(label="Calls of a run, at most", required=False, min_value=1, max_value=_WHOLE)
    run_minutes_max = forms.IntegerField(
        label="Minutes of a run, at most", required=False, min_value=1, max_value=_WHOLE
    )
    run_idle_minutes_max = forms.IntegerField(
        label="Minutes a run may be quiet",
        required=False,
        min_value=1,
        max_value=_WHOLE,
        help_text="Then it begins anew.",
    )
    rpm_max = forms.IntegerField(
        label="Calls a minute, all keys together",
        required=False,
        min_value=1,
        max_value=_WHOLE,
        help_text="Empty: any number.",
    )

    @classmethod
    def showing(cls, team: Team) -> Self:
        policy = dict(team.loop_policy)
        workflows = policy.get("workflows") or {}
        named: dict[str, Any] = {name: getattr(team, name) for name in cls.base_fields if hasattr(team, name)}
        named |= {
            "spans": policy.get("spans", "warn"),
            "repeats": policy.get("exact_repeats_max"),
            "iterations": policy.get("iterations_max"),
            "exempt_tools": "\n".join(policy.get("exempt_tools") or ()),
            "workflows": "\n".join(f"{name} = {_word(rule)}" for name, rule in workflows.items()),
        }
        return cls(initial=named)

    def clean_workflows(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for line in self.cleaned_data["workflows"].splitlines():
            name, _, word = line.rpartition("=")
            if not line.strip():
                continue
            if not name.strip() or word.strip().lower() not in _OF_WORKFLOW:
                raise forms.ValidationError(f'"{line.strip()[:80]}" is no line such as: nightly batch = warn')
            found[name.strip()] = _OF_WORKFLOW[word.strip().lower()]
        return found

    def policy(self, before: dict[str, Any]) -> dict[str, Any]:
        """The team's loop policy, with what this form says of it; the rest stays."""
        given = self.cleaned_data
        tools = [line.strip() for line in given["exempt_tools"].splitlines() if line.strip()]
        said = {
            "spans": "kill" if given["spans"] == "kill" else None,
            "exact_repeats_max": given["repeats"],
            "iterations_max": given["iterations"],
            "exempt_tools": tools or None,
            "workflows": given["workflows"] or None,
        }
        return {name: value for name, value in {**before, **said}.items() if value is not None}


def _word(rule: Any) -> str:
    if not isinstance(rule, dict):
        return "off"
    return "off" if rule.get("is_on") is False else str(rule.get("strongest", "kill"))
