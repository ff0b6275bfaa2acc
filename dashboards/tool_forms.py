"""What admins type about servers of tools."""

from __future__ import annotations

from django import forms

from dashboards.forms import PageForm

_HEADERS_HELP = "One a line, such as Authorization: Bearer …. They are sealed, and never shown again."


class ServerForm(PageForm):
    name = forms.CharField(label="Name", max_length=60, help_text="Small letters; its tools are called name__tool.")
    url = forms.CharField(
        label="Address", max_length=500, help_text="Where it speaks MCP over streamable HTTP.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "placeholder": "https://tools.example.org/mcp"}),
    )  # fmt: skip
    headers = forms.CharField(
        label="Headers", required=False, max_length=20_000, help_text=_HEADERS_HELP,
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip

    def clean_headers(self) -> dict[str, str]:
        return headers_of(self.cleaned_data["headers"])


class ServerChangeForm(ServerForm):
    name = None  # type: ignore[assignment]
    url = forms.CharField(
        label="Another address", required=False, max_length=500, help_text="Empty: it stays. A new one has no headers but those given here.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip
    headers = forms.CharField(
        label="Other headers", required=False, max_length=20_000, help_text=f"Empty: they stay. {_HEADERS_HELP}",
        widget=forms.Textarea(attrs={"rows": 2, "autocomplete": "off", "spellcheck": "false"}),
    )  # fmt: skip


def headers_of(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise forms.ValidationError("Write a header as name: value, one a line.")
        found[name.strip()] = value.strip()
    return found
