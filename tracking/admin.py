"""Operators' tables in Django's admin. Every change is in the audit log; values are checked as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse

from tracking import audit, keys
from tracking.audit import Actor
from tracking.models import ApiKey, AuditEntry, Membership, Organization, Price, Team, User

if TYPE_CHECKING:  # generic to the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
    PeopleAdmin = UserAdmin[User]
    NewUser = AdminUserCreationForm[User]
else:
    ModelAdmin, PeopleAdmin, NewUser = admin.ModelAdmin, UserAdmin, AdminUserCreationForm

admin.site.site_header = admin.site.site_title = "Wflo"
admin.site.index_title = "Operators' tables"
admin.site.unregister(Group)  # roles are memberships


class Audited(ModelAdmin):
    """Writes what was changed to the audit log, in the transaction of the change."""

    def save_model(self, request: HttpRequest, row: Model, form: forms.ModelForm[Any], change: bool) -> None:
        before = {name: form.initial.get(name) for name in form.changed_data} if change else {}
        super().save_model(request, row, form, change)
        after = {name: form.cleaned_data.get(name) for name in form.changed_data}
        self._record(request, row, "change" if change else "create", before, after)

    def delete_model(self, request: HttpRequest, row: Model) -> None:
        self._record(request, row, "delete", {"name": str(row)}, {})
        super().delete_model(request, row)

    def delete_queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        with transaction.atomic():
            for row in rows:
                self.delete_model(request, row)

    def _record(
        self, request: HttpRequest, row: Model, verb: str, before: dict[str, Any], after: dict[str, Any]
    ) -> None:
        kind = row._meta.model_name or ""
        audit.record(
            _operator(request),
            _team_of(row),
            f"{kind}.{verb}",
            kind,
            row.pk,
            before=_shown(before),
            after=_shown(after),
        )


class ReadOnly(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _operator(request: HttpRequest) -> Actor:
    if not isinstance(request.user, User):
        raise PermissionError("Only operators reach these tables.")
    return Actor.of(request.user, request_id=str(getattr(request, "id", "")))


def _team_of(row: Model) -> Team | None:
    return row if isinstance(row, Team) and row.pk else getattr(row, "team", None)


def _shown(values: dict[str, Any]) -> dict[str, Any]:
    """Values as text; passwords by nothing but that they were set."""
    return {
        "sign_in" if "password" in name else name: "set" if "password" in name else _text(value)
        for name, value in values.items()
    }


def _text(value: Any) -> Any:
    if isinstance(value, QuerySet | list):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Model) else value


class NewUserForm(NewUser):
    class Meta:
        model = User
        fields = ("email", "name")


@admin.register(User)
class Users(Audited, PeopleAdmin):
    add_form = NewUserForm
    list_display = ("email", "name", "is_superuser", "is_active", "last_login")
    list_filter = ("is_superuser", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("email", "name", "password")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "name", "usable_password", "password1", "password2")}),)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Django's own view saves the password without ``save_model``."""
        with transaction.atomic():
            response = super().user_change_password(request, id, form_url)
            if request.method == "POST" and response.status_code == 302:
                self._record(request, User.objects.get(pk=id), "change", {}, {"password": "set"})
        return response


@admin.register(Organization)
class Organizations(Audited):
    list_display = ("name", "slug", "created_at")
    search_fields = ("name",)
    filter_horizontal = ("owners",)


@admin.register(Team)
class Teams(Audited):
    list_display = ("name", "organization", "retention_days", "redaction", "spans_per_day_max", "is_demo", "created_at")
    list_filter = ("organization", "is_demo")
    search_fields = ("name", "slug")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Spans and usage know their team by number alone: deleting its row would leave them behind."""
        return False


@admin.register(Membership)
class Memberships(Audited):
    list_display = ("user", "team", "role", "created_at")
    list_filter = ("role", "team")
    autocomplete_fields = ("user", "team")


@admin.register(ApiKey)
class ApiKeys(ReadOnly):
    """Looked at and revoked here; made where their text can be shown, on the settings page."""

    list_display = ("name", "prefix", "team", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("team",)
    search_fields = ("name", "prefix")
    exclude = ("digest",)
    actions = ("revoke",)

    @admin.action(description="Revoke the chosen keys")
    def revoke(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for key in rows.select_related("team"):
            keys.revoke(key, actor=_operator(request))


@admin.register(AuditEntry)
class AuditEntries(ReadOnly):
    list_display = ("at", "team", "actor_name", "action", "object_kind", "object_id")
    list_filter = ("team", "object_kind")
    search_fields = ("actor_name", "object_id", "request_id")
    exclude = ("previous_hash", "hash")


@admin.register(Price)
class Prices(ReadOnly):
    """Dated and never changed: a new price is set on the page /prices."""

    list_display = ("model", "team", "source", "valid_from")
    search_fields = ("model",)
