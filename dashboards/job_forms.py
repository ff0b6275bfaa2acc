"""What people type to have a job done, once or by a schedule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

from django import forms

from dashboards.forms import PageForm
from tracking.agents import store as agents
from tracking.errors import NotFound
from tracking.models import AgentJob, Team
from tracking.queue import states


def _usd(label: str, help_text: str) -> forms.DecimalField:
    return forms.DecimalField(label=label, help_text=help_text, required=False, max_digits=20, decimal_places=10)


class JobForm(PageForm):
    FIELDS: ClassVar[dict[str, str]] = {"max_steps": "steps_max"}

    once = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    agent = forms.ChoiceField(label="Agent", required=False)
    version = forms.IntegerField(
        label="Version", required=False, min_value=1, max_value=2**31 - 1, help_text="Empty: the one in use."
    )
    definition = forms.CharField(
        label="Or an agent for this job alone",
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
        help_text='JSON, as POST /api/v1/agents takes it: {"name": "helper", "model": "demo/agent", "tools": ["clock"]}',
    )
    input = forms.CharField(label="What is to be done", widget=forms.Textarea(attrs={"rows": 6}))
    budget_usd = _usd("Budget in USD", "For all its runs together. Empty: only the team's budgets bind it.")
    steps_max = forms.IntegerField(
        label="Steps, at most",
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        help_text="Answers of models and results of tools. Empty: as its agent says.",
    )
    priority = forms.IntegerField(
        label="Priority", required=False, initial=0, help_text="-100 to 100; the higher goes first."
    )
    run_at = forms.DateTimeField(
        label="Not before",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    zone: str = "UTC"

    @classmethod
    def of(cls, team: Team, given: Mapping[str, Any], *, is_sent: bool = False) -> Self:  # type: ignore[override]
        """``given`` as sent; or what a page begins with: ``agent``, and ``job`` whose input it is."""
        names = agents.names(team)
        initial = {} if is_sent else {"once": uuid4().hex, **_begun(team, given, names)}
        form = cls(given if is_sent else None, initial=initial, auto_id="job_%s")
        form.fields["agent"].choices = [("", "one for this job alone"), *((name, name) for name in names)]  # type: ignore[attr-defined]
        form.fields["run_at"].help_text = f"In the team's time zone, {team.time_zone}. Empty: at once."
        form.zone = team.time_zone
        return form

    def clean_definition(self) -> dict[str, Any] | None:
        text = self.cleaned_data["definition"].strip()
        if not text:
            return None
        try:
            found = json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(f"It is no JSON: {error}.") from error
        if not isinstance(found, dict):
            raise forms.ValidationError("It is no JSON object.")
        return found

    def wanted(self) -> dict[str, Any]:
        """Fields of ``submit.Wanted``. The same form sent twice, by a second click, asks for one job."""
        given = dict(self.cleaned_data)
        said = json.dumps(given, sort_keys=True, default=str).encode()
        if given.pop("once"):
            given["idempotency_key"] = f"page:{hashlib.sha256(said).hexdigest()}"
        at: datetime | None = given.pop("run_at")
        given["priority"] = given["priority"] or 0
        if given["agent"]:
            given["definition"] = None
        else:
            given["version"] = None
        return {**given, "run_at": None if at is None else at.replace(tzinfo=ZoneInfo(self.zone)).astimezone(UTC)}


class ScheduleForm(PageForm):
    name = forms.CharField(label="Name", max_length=120)
    agent = forms.CharField(label="Agent", max_length=200, help_text="One that the team defined.")
    input = forms.CharField(label="What is to be done", widget=forms.Textarea(attrs={"rows": 3}))
    cron = forms.CharField(
        label="When",
        max_length=120,
        help_text="Minute, hour, day of month, month, day of week, in the team's time zone: 0 7 * * mon-fri",
    )
    budget_usd = _usd("Budget in USD", "Of each job. Empty: only the team's budgets bind it.")


def _begun(team: Team, given: Mapping[str, Any], names: Mapping[str, int]) -> dict[str, Any]:
    found: dict[str, Any] = {"agent": str(given.get("agent", ""))[:200]}
    try:
        job = states.job_of(team, given.get("job", ""))
    except NotFound:
        return found
    found |= {"input": job.input, "budget_usd": job.budget_usd, "priority": job.priority, "steps_max": job.steps_max}
    if job.agent_version is None or job.agent not in names:  # one that is archived is as good as none
        return {**found, "agent": "", "definition": json.dumps(_asked_for(job), indent=2, ensure_ascii=False)}
    return {
        **found,
        "agent": job.agent,
        "version": None if job.agent_version == names[job.agent] else job.agent_version,
    }


def _asked_for(job: AgentJob) -> dict[str, Any]:
    """Its definition as one may be given: members that are agents by their names alone."""
    body = {name: value for name, value in job.definition.items() if name != "version"}
    body["members"] = [
        {name: value for name, value in member.items() if name != "definition"} for member in body.get("members") or ()
    ]
    return body
