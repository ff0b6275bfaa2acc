"""postgresql://user:password@host:port/name?option=value to Django's DATABASES entry."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def database(url: str, *, pool_size: int, statement_timeout_ms: int) -> dict[str, Any]:
    """Raises ImproperlyConfigured with one sentence when the address is not one of PostgreSQL."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ImproperlyConfigured(
            f"WFLO_DATABASE_URL begins with {parts.scheme or 'nothing'!r}: give postgresql://user:password@host:port/name."
        )
    try:
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured("WFLO_DATABASE_URL has a port that is not a number.") from None
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("WFLO_DATABASE_URL names no database: end it with /name.")
    query = dict(parse_qsl(parts.query))
    options: dict[str, Any] = {
        **{key: value for key, value in query.items() if key != "host"},
        "pool": {"min_size": 0, "max_size": pool_size, "timeout": 10},
        "options": f"-c statement_timeout={statement_timeout_ms} -c lock_timeout=10000"
        " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
    }
    return {
        "ENGINE": "wflo_site.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or query.get("host", ""),
        "PORT": str(port or ""),
        "OPTIONS": options,
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"NAME": f"{name}_test"},
    }
