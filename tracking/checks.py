"""System checks: wrong deployments are told at start, in a sentence that says what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.db import connection

from tracking.alerts.addresses import mail_server


@register(deploy=False)
def database_is_postgresql(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if connection.vendor != "postgresql":
        return [
            Error("Wflo stores in PostgreSQL only. Set WFLO_DATABASE_URL to a postgresql:// address.", id="wflo.E001")
        ]
    return []


@register()
def mail_server_can_be_read(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.WFLO_SMTP_URL:
        try:
            mail_server(settings.WFLO_SMTP_URL)
        except ValueError as error:
            return [Error(str(error), id="wflo.E002")]
    return []
