"""What admins type about model groups, and operators about providers' keys."""

from __future__ import annotations

import re
from typing import Any, Self

from django import forms

from dashboards.forms import PageForm
from tracking.models import ModelGroup

_LINE = re.compile(r"(\S+)(?:\s+weight\s+(\d{1,4}))?", re.IGNORECASE)
LINES_MAX = 50


class GroupForm(PageForm):
    name = forms.CharField(label="Name that callers use", max_length=120)
    models = forms.CharField(
        label="Models, the first is tried first",
        max_length=8000,
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="One a line, such as openai/gpt-4o-mini. Lines with = before them share calls with the line above;"
        ' "weight 3" gives one a larger share.',
    )

    cache_seconds = forms.IntegerField(
        label="Keep answers for, in seconds",
        required=False,
        min_value=0,
        max_value=30 * 86_400,
        help_text="The same question of the team gets the same answer, for nothing. Empty: none is kept.",
    )

    @classmethod
    def showing(cls, group: ModelGroup, *, auto_id: str) -> Self:
        return cls(
            initial={"name": group.name, "models": _written(group), "cache_seconds": group.cache_seconds or None},
            auto_id=auto_id,
        )

    def clean_models(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        priority = -1
        for line in self.cleaned_data["models"].splitlines():
            text = line.strip()
            if not text:
                continue
            priority += not text.startswith("=") or not found
            match = _LINE.fullmatch(text.lstrip("= "))
            if match is None:
                raise forms.ValidationError(f'"{text[:80]}" is no line such as: openai/gpt-4o-mini weight 3')
            found.append({"model": match[1], "priority": priority, "weight": int(match[2] or 1)})
        if not 0 < len(found) <= LINES_MAX:
            raise forms.ValidationError(f"Give 1 to {LINES_MAX} models.")
        return found

    def deployments(self, group: ModelGroup | None) -> list[dict[str, Any]]:
        """As the catalogue takes them: a model that is there already keeps its key, address and limits."""
        there = {} if group is None else {one.model: str(one.pk) for one in group.deployments.all()}
        return [
            {**item, **({"id": id} if (id := there.pop(item["model"], None)) is not None else {})}
            for item in self.cleaned_data["models"]
        ]


class CredentialForm(PageForm):
    provider = forms.CharField(label="Provider", max_length=60, help_text='As in the first word of "openai/gpt-4o".')
    api_key = forms.CharField(
        label="Key", max_length=5000, widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="It is sealed, and never shown again but for its last characters.",
    )  # fmt: skip


def _written(group: ModelGroup) -> str:
    lines, before = [], None
    for one in group.deployments.all():
        share = "= " if one.priority == before else ""
        lines.append(f"{share}{one.model}{f' weight {one.weight}' if one.weight != 1 else ''}")
        before = one.priority
    return "\n".join(lines)
