"""System checks: wrong deployments are told at start, in a sentence that says what to do."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.db import connection


@register(deploy=False)
def database_is_postgresql(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if connection.vendor != "postgresql":
        return [
            Error("Wflo stores in PostgreSQL only. Set WFLO_DATABASE_URL to a postgresql:// address.", id="wflo.E001")
        ]
    return []
