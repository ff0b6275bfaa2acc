"""What people type into the settings pages. The rules of the values are the models'; these only read."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from django import forms
from django.http import HttpRequest

from tracking.errors import WfloServerError
from tracking.models import ApiKey, Membership, Team

LIFETIMES = {"": "never", "7": "in a week", "30": "in 30 days", "90": "in 90 days", "365": "in a year"}
SCOPE_NOTES = {
    "ingest": "send traces",
    "gateway": "call models through Wflo",
    "jobs": "start and steer agent jobs",
    "read": "read runs, spans and costs",
    "admin": "make and revoke keys, set prices",
}
ROLE_NOTES = {
    "viewer": "Viewer: looks",
    "member": "Member: runs and stops agents",
    "admin": "Admin: also members, keys and prices",
}


class PageForm(forms.Form):
    """A form whose verb may find fault too: ``refuse`` shows a domain error where it belongs, in the page's own words."""

    FIELDS: ClassVar[dict[str, str]] = {}  # a verb's name for a field -> the form's, where they differ

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            if not isinstance(field.widget, forms.CheckboxSelectMultiple | forms.CheckboxInput):
                field.widget.attrs["class"] = "field"

    @classmethod
    def of(cls, request: HttpRequest, *, auto_id: str = "id_%s") -> Self:
        """``auto_id`` keeps the ids of two forms on one page apart."""
        return cls(request.POST, auto_id=auto_id)

    def refuse(self, error: WfloServerError) -> None:
        named = error.field or ""
        field = self.FIELDS.get(named, named)
        if field not in self.fields:
            self.add_error(None, error.message)
            return
        label = str(self.fields[field].label or "")
        says_name = error.message.startswith(f"{named} ") and label
        self.add_error(field, f"{label}{error.message.removeprefix(named)}" if says_name else error.message)


class KeyForm(PageForm):
    name = forms.CharField(
        max_length=120, label="Name", help_text="Where it will be used, so that it can be told apart."
    )
    scopes = forms.MultipleChoiceField(
        choices=[(scope, SCOPE_NOTES[scope]) for scope in ApiKey.Scope.values],
        widget=forms.CheckboxSelectMultiple,
        label="May",
        error_messages={"required": "Tick at least one."},
    )
    allowed_models = forms.CharField(
        required=False,
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 2}),
        label="Models it may call",
        help_text="One a line. Empty: every model of the team.",
    )
    lifetime = forms.ChoiceField(choices=list(LIFETIMES.items()), required=False, label="Ends")
    rpm_max = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        label="Calls a minute, at most",
        help_text="Empty: any number.",
    )
    tpm_max = forms.IntegerField(required=False, min_value=1, max_value=2**31 - 1, label="Tokens a minute, at most")
    concurrent_max = forms.IntegerField(
        required=False, min_value=1, max_value=2**31 - 1, label="Calls at once, at most"
    )

    def expires_at(self) -> datetime | None:
        days = self.cleaned_data["lifetime"]
        return datetime.now(UTC) + timedelta(days=int(days)) if days else None

    def models(self) -> list[str]:
        return str(self.cleaned_data["allowed_models"]).split("\n")


class MemberForm(PageForm):
    email = forms.EmailField(max_length=254, label="Mail address")
    name = forms.CharField(max_length=120, required=False, label="Name", help_text="They can change it.")
    role = forms.ChoiceField(
        choices=[(role, ROLE_NOTES[role]) for role in Membership.Role.values], initial="member", label="Role"
    )


class RoleForm(PageForm):
    role = forms.ChoiceField(choices=Membership.Role.choices)


class OwnerForm(PageForm):
    email = forms.EmailField(max_length=254, label="Mail address")


class TeamForm(PageForm):
    name = forms.CharField(max_length=120, label="Name")
    time_zone = forms.ChoiceField(
        choices=[(zone, zone) for zone in sorted(zoneinfo.available_timezones()) if "/" in zone or zone == "UTC"],
        initial="UTC",
        label="Time zone",
        help_text="Days begin at its midnight on every page.",
    )

    @classmethod
    def showing(cls, team: Team) -> Self:
        return cls(initial={"name": team.name, "time_zone": team.time_zone})


class RetentionForm(PageForm):
    retention_days = forms.IntegerField(
        label="Keep runs for", help_text="Days. Older runs and their contents are dropped; costs by day stay."
    )
    redaction = forms.ChoiceField(choices=Team.Redaction.choices, label="Strike out before storing")
    spans_per_day_max = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=10**12,
        label="Spans a day, at most",
        help_text="Empty: no quota. What comes above it is counted and refused.",
    )

    @classmethod
    def showing(cls, team: Team) -> Self:
        names: dict[str, Any] = {name: getattr(team, name) for name in cls.base_fields}
        return cls(initial=names)


class NameForm(PageForm):
    name = forms.CharField(max_length=120, required=False, label="Name")
