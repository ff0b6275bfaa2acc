"""Operators' tables of what callers may name as a model, changed by the catalogue's own verbs. No key is ever shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from tracking import catalog
from tracking.catalog import Hand
from tracking.catalog.fields import model_of, secret_of
from tracking.errors import Invalid, NotAllowed
from tracking.gateway import reach
from tracking.models import Deployment, ModelAlias, ModelGroup, ProviderCredential, User

if TYPE_CHECKING:  # generic to the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
    Inline = admin.TabularInline[Any, Any]
    RowForm = forms.ModelForm[Any]
else:
    ModelAdmin, Inline, RowForm = admin.ModelAdmin, admin.TabularInline, forms.ModelForm

_NUMBERS = ("priority", "weight", "rpm", "tpm", "timeout_seconds", "is_active")


class KeyForm(RowForm):
    """A key may be given and is never filled in again. Address and key are checked as the API checks them."""

    api_key = forms.CharField(
        required=False, widget=forms.PasswordInput, help_text="left empty: as it is", strip=True, max_length=4_000
    )
    forgets_key = forms.BooleanField(required=False, label="forget the key")

    def clean_api_key(self) -> str:
        key: str = self.cleaned_data.get("api_key") or ""
        return self._checked("api_key", secret_of, key) if key else ""

    def clean_api_base(self) -> str:
        address: str = self.cleaned_data.get("api_base") or ""
        return self._checked("api_base", reach.read_base, address) if address else ""

    def _checked(self, field: str, check: Any, value: str) -> str:
        try:
            found: str = check(value, field=field)
        except Invalid as error:
            raise forms.ValidationError(error.message) from None
        return found


class DeploymentForm(KeyForm):
    class Meta:
        model = Deployment
        fields = ("model", "api_base", *_NUMBERS)

    def clean_model(self) -> str:
        return self._checked("model", model_of, self.cleaned_data.get("model") or "")

    def given(self) -> dict[str, Any]:
        """As the catalogue's verbs take a deployment."""
        data = self.cleaned_data
        found = {name: data[name] for name in ("model", "api_base", *_NUMBERS)}
        if not self.instance._state.adding:
            found["id"] = str(self.instance.pk)
        if data.get("api_key") or data.get("forgets_key"):
            found["api_key"] = data["api_key"] or None
        return found


class Deployments(Inline):
    model = Deployment
    form = DeploymentForm
    extra = 0
    min_num = 1
    readonly_fields = ("key_end",)


class Acting(ModelAdmin):
    """What a verb refuses only while writing is said on the list."""

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (Invalid, NotAllowed) as error:
            self.message_user(request, error.message, level="error")
            return HttpResponseRedirect(reverse(f"admin:tracking_{self.opts.model_name}_changelist"))

    def delete_queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        for row in rows:
            self.delete_model(request, row)


@admin.register(ModelGroup)
class ModelGroups(Acting):
    list_display = ("name", "team", "display_name", "cache_seconds", "fallback_on_auth", "is_active", "created_at")
    list_filter = ("is_active", "team")
    search_fields = ("name", "display_name")
    filter_horizontal = ("teams",)
    fields = ("name", "team", "teams", "display_name", "description", "cache_seconds", "fallback_on_auth", "is_active")
    inlines = (Deployments,)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("team",) if obj.team_id is None else ("team", "teams")

    def save_model(self, request: HttpRequest, row: ModelGroup, form: forms.ModelForm[Any], change: bool) -> None:
        """Waits for the deployments: a group is nothing without."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        data = form.cleaned_data
        given = {name: data[name] for name in ("name", "display_name", "description", "fallback_on_auth", "is_active")}
        given["cache"] = {"ttl": data["cache_seconds"]}
        given["deployments"] = _kept(formsets[0])
        team = form.instance.team if change else data["team"]
        if team is None:
            given["teams"] = [granted.slug for granted in data["teams"]]
        if change:
            catalog.change_group(ModelGroup.objects.get(pk=form.instance.pk), given, hand=_hand(request))
        else:
            form.instance.pk = catalog.make_group(team, given, hand=_hand(request)).pk
        for formset in formsets:
            formset.new_objects, formset.changed_objects, formset.deleted_objects = [], [], []

    def delete_model(self, request: HttpRequest, row: ModelGroup) -> None:
        catalog.delete_group(row, hand=_hand(request))


def _kept(formset: Any) -> list[dict[str, Any]]:
    return [form.given() for form in formset.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]


@admin.register(ModelAlias)
class ModelAliases(Acting):
    """``team`` empty: for every team."""

    list_display = ("name", "target", "team", "created_at")
    list_filter = ("team",)
    search_fields = ("name", "target")
    fields = ("name", "target", "team")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("name", "team")

    def save_model(self, request: HttpRequest, row: ModelAlias, form: forms.ModelForm[Any], change: bool) -> None:
        made = catalog.make_alias(
            row.team, name=row.name, target=row.target, is_shared=row.team is None, hand=_hand(request)
        )
        row.pk = made.pk

    def delete_model(self, request: HttpRequest, row: ModelAlias) -> None:
        catalog.delete_alias(row.team, row.name, hand=_hand(request))


class CredentialForm(KeyForm):
    forgets_key = None  # type: ignore[assignment]  # a credential is its key

    class Meta:
        model = ProviderCredential
        fields = ("provider", "organization", "api_base", "is_active")


@admin.register(ProviderCredential)
class ProviderCredentials(Acting):
    """``organization`` empty: for all."""

    form = CredentialForm
    list_display = ("provider", "organization", "api_base", "key_end", "is_active", "created_at")
    list_filter = ("is_active", "organization")
    search_fields = ("provider",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("provider", "organization", "key_end")

    def save_model(
        self, request: HttpRequest, row: ProviderCredential, form: forms.ModelForm[Any], change: bool
    ) -> None:
        data, hand = form.cleaned_data, _hand(request)
        given = {"api_base": data["api_base"], "is_active": data["is_active"]}
        if data["api_key"] or not change:
            given["api_key"] = data["api_key"]
        if change:
            catalog.change_credential(catalog.credential_of(row.pk, hand=hand), given, hand=hand)
            return
        organization = None if row.organization is None else row.organization.slug
        row.pk = catalog.add_credential({**given, "provider": row.provider, "organization": organization}, hand=hand).pk

    def delete_model(self, request: HttpRequest, row: ProviderCredential) -> None:
        catalog.delete_credential(row, hand=_hand(request))


def _hand(request: HttpRequest) -> Hand:
    if not isinstance(request.user, User):
        raise PermissionError("Only operators reach these tables.")
    return Hand.of(request.user, request_id=str(getattr(request, "id", "")))
