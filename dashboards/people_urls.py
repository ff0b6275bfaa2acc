"""Addresses of sign-in and settings."""

from __future__ import annotations

from allauth.socialaccount.providers.openid_connect.views import callback
from django.urls import path, re_path

from dashboards.views import (
    account,
    settings,
    settings_alerts,
    settings_data,
    settings_keys,
    settings_limits,
    settings_tools,
)

urlpatterns = [
    path("login", account.sign_in, name="account_login"),
    path("logout", account.sign_out, name="account_logout"),
    path("account/inactive", account.inactive, name="account_inactive"),
    path("account/password-chosen", account.password_chosen, name="account_reset_password_from_key_done"),
    re_path(
        r"^account/password/(?P<uidb36>[0-9A-Za-z]{1,20})-(?P<key>[0-9A-Za-z-]{1,200})$",
        account.choose_password,
        name="account_reset_password_from_key",
    ),
    path("account/not-let-in", account.not_let_in, name="socialaccount_login_cancelled"),
    path("account/<slug:provider_id>/login", account.to_issuer, name="openid_connect_login"),
    path("account/<slug:provider_id>/callback", callback, name="openid_connect_callback"),
    path("settings", settings.index, name="settings"),
    path("settings/members", settings.members, name="settings_members"),
    path("settings/members/add", settings.add_member, name="settings_members_add"),
    path("settings/members/<int:membership_id>/role", settings.change_role, name="settings_members_role"),
    path("settings/members/<int:membership_id>/remove", settings.remove_member, name="settings_members_remove"),
    path("settings/members/<int:membership_id>/link", settings.make_link, name="settings_members_link"),
    path("settings/owners/add", settings.add_owner, name="settings_owners_add"),
    path("settings/owners/<int:user_id>/remove", settings.remove_owner, name="settings_owners_remove"),
    path("settings/team", settings.team, name="settings_team"),
    path("settings/team/change", settings.change_team, name="settings_team_change"),
    path("settings/team/create", settings.create_team, name="settings_team_create"),
    path("settings/keys", settings_keys.listed, name="settings_keys"),
    path("settings/keys/make", settings_keys.make, name="settings_keys_make"),
    path("settings/keys/<uuid:key_id>/revoke", settings_keys.revoke, name="settings_keys_revoke"),
    path("settings/keys/<uuid:key_id>/rotate", settings_keys.rotate, name="settings_keys_rotate"),
    path("settings/alerts", settings_alerts.listed, name="settings_alerts"),
    path("settings/alerts/add", settings_alerts.add, name="settings_alerts_add"),
    path("settings/alerts/rules/set", settings_alerts.set_rule, name="settings_alerts_rule_set"),
    path("settings/alerts/rules/preview", settings_alerts.preview, name="settings_alerts_rule_preview"),
    path(
        "settings/alerts/rules/<uuid:rule_id>/remove", settings_alerts.remove_rule, name="settings_alerts_rule_remove"
    ),
    path("settings/alerts/<uuid:destination_id>", settings_alerts.one, name="settings_alerts_one"),
    path("settings/alerts/<uuid:destination_id>/change", settings_alerts.change, name="settings_alerts_change"),
    path("settings/alerts/<uuid:destination_id>/test", settings_alerts.test, name="settings_alerts_test"),
    path("settings/alerts/<uuid:destination_id>/mute", settings_alerts.mute, name="settings_alerts_mute"),
    path("settings/alerts/<uuid:destination_id>/secret", settings_alerts.new_secret, name="settings_alerts_secret"),
    path("settings/alerts/<uuid:destination_id>/remove", settings_alerts.remove, name="settings_alerts_remove"),
    path("settings/tools", settings_tools.page, name="settings_tools"),
    path("settings/tools/add", settings_tools.add, name="settings_tools_add"),
    path("settings/tools/<uuid:server_id>/change", settings_tools.change, name="settings_tools_change"),
    path("settings/tools/<uuid:server_id>/test", settings_tools.test, name="settings_tools_test"),
    path("settings/tools/<uuid:server_id>/remove", settings_tools.remove, name="settings_tools_remove"),
    path("settings/limits", settings_limits.limits, name="settings_limits"),
    path("settings/limits/change", settings_limits.change_limits, name="settings_limits_change"),
    path("settings/retention", settings_data.retention, name="settings_retention"),
    path("settings/retention/change", settings_data.change_retention, name="settings_retention_change"),
    path("settings/audit", settings_data.audit_log, name="settings_audit"),
    path("settings/account", account.account, name="settings_account"),
    path("settings/account/name", account.change_name, name="settings_account_name"),
    path("settings/account/password", account.change_password, name="settings_account_password"),
]
