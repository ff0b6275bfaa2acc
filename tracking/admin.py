"""Operators' tables in Django's admin. Every change is in the audit log; values are checked as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminUserCreationForm
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property

from tracking import audit, keys
from tracking.audit import Actor
from tracking.errors import Invalid
from tracking.ledger import budgets
from tracking.ledger.budgets import Hand
from tracking.ledger.terms import TERMS, Terms, read_scope
from tracking.models import ApiKey, AuditEntry, Budget, LedgerRow, Membership, Organization, Price, Team, User

if TYPE_CHECKING:  # generic to the type checker alone
    ModelAdmin = admin.ModelAdmin[Any]
    PeopleAdmin = UserAdmin[User]
    NewUser = AdminUserCreationForm[User]
    RowForm = forms.ModelForm[Any]
    Pages = Paginator[Any]
else:
    ModelAdmin, PeopleAdmin, NewUser = admin.ModelAdmin, UserAdmin, AdminUserCreationForm
    RowForm, Pages = forms.ModelForm, Paginator

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
            operator_of(request),
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


def operator_of(request: HttpRequest) -> Actor:
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

    def save_model(self, request: HttpRequest, row: Model, form: forms.ModelForm[Any], change: bool) -> None:
        """Another time zone opens budgets' windows anew, as on the settings page."""
        moves = isinstance(row, Team) and change and "time_zone" in form.changed_data
        if moves:
            Team.objects.select_for_update(no_key=True).get(pk=row.pk)
            budgets.lock_alone([row.pk])
        super().save_model(request, row, form, change)
        if isinstance(row, Team) and moves:
            budgets.reopen(row, _hand(request))

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
            keys.revoke(key, actor=operator_of(request))


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


# --- money -----------------------------------------------------------------------------------------------------------

_FORM_FIELDS = {"scope.kind": "scope_kind", "scope.id": "scope_id"}


class BudgetForm(RowForm):
    """Checked by the rules of the API and the page; they also say what is wrong."""

    class Meta:
        model = Budget
        fields = ("team", "organization", "scope_kind", "scope_id", "window", *TERMS)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        try:
            Terms.read({name: given[name] for name in TERMS if name in given})
            if self.instance._state.adding:
                given["scope_id"] = self._scope_id(given)
        except Invalid as error:
            field = _FORM_FIELDS.get(error.field or "", error.field)
            self.add_error(field if field in self.fields else None, error.message)
        return given

    def _scope_id(self, given: dict[str, Any]) -> str:
        is_above = given.get("scope_kind") == Budget.Scope.ORGANIZATION
        team = budget_team(given.get("team"), given.get("organization"))
        if team is None or is_above == (given.get("team") is not None):
            raise Invalid("Give the team; for a budget of the whole organization leave it empty.", field="team")
        if team.organization != given.get("organization"):
            raise Invalid("The team is of another organization.", field="organization")
        return read_scope(team, given.get("scope_kind"), given.get("scope_id"), given.get("window")).id


def budget_team(team: Team | None, organization: Organization | None) -> Team | None:
    """In whose log a change is written: the budget's team's, or that of the organization's first."""
    return team if team is not None or organization is None else organization.teams.order_by("pk").first()


@admin.register(Budget)
class Budgets(ModelAdmin):
    """Made, changed and archived by the same verbs as everywhere; what it is about never changes."""

    form = BudgetForm
    list_display = ("name", "organization", "team", "scope_kind", "scope_id", "window", "mode", "limit_usd", "limit_tokens", "archived_at")  # fmt: skip
    list_filter = ("mode", "window", "scope_kind", "organization", "team")
    search_fields = ("name", "scope_id")
    actions = ("archive",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("team", "organization", "scope_kind", "scope_id", "window")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return (obj is None or obj.archived_at is None) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries know their budget by number alone; one given up is archived."""
        return False

    def save_model(self, request: HttpRequest, row: Budget, form: forms.ModelForm[Any], change: bool) -> None:
        hand, team = _hand(request), budget_team(row.team, row.organization)
        if team is None:
            raise Invalid("The organization has no team yet.", field="organization")
        if change:
            changes = {name: form.cleaned_data[name] for name in form.changed_data}
            budgets.change(row, team, hand, changes)
        else:
            scope = {name: form.cleaned_data[name] for name in ("scope_kind", "scope_id", "window")}
            row.pk = budgets.create(team, hand, **scope, **{name: form.cleaned_data[name] for name in TERMS}).budget.pk

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """What only shows while writing (too many budgets) is said on the list."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except Invalid as error:
            self.message_user(request, error.message, level="error")
            return HttpResponseRedirect(reverse("admin:tracking_budget_changelist"))

    @admin.action(description="Archive the chosen budgets")
    def archive(self, request: HttpRequest, rows: QuerySet[Budget]) -> None:
        for budget in rows.select_related("team", "organization").order_by("pk"):
            team = budget_team(budget.team, budget.organization)
            if team is not None:
                budgets.archive(budget, team, _hand(request))


def _hand(request: HttpRequest) -> Hand:
    return Hand(operator_of(request), rules_organization=True)


class FirstPages(Pages):
    """A table of millions is not counted to be looked at."""

    ROWS_MAX = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[: self.ROWS_MAX].count())


@admin.register(LedgerRow)
class LedgerRows(ReadOnly):
    """Never changed: a mistake is put right by an adjustment, on the budget's page."""

    list_display = ("id", "at", "team", "kind", "usd", "tokens", "agent", "model", "run", "actor", "reason")
    list_filter = ("kind", "team")
    search_fields = ("=run", "=agent", "=id")
    ordering = ("-id",)
    paginator = FirstPages
    show_full_result_count = False
