"""System checks: wrong deployments are told at start, in a sentence that says what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register(deploy=False)
def production_has_a_secret(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.WFLO_ENV == "production" and not settings.SECRET_KEY_IS_GIVEN:
        return [Error("WFLO_SECRET_KEY is not set. In production give it 50 random characters.", id="wflo.E001")]
    return []


@register(deploy=False)
def database_is_postgresql(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        return [Error("Wflo stores in PostgreSQL only. Set WFLO_DATABASE_URL to a postgresql:// address.", id="wflo.E002")]
    return []
