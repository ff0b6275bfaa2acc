"""WFLO_OIDC_* to allauth's entry of one OpenID Connect server."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


def oidc_server(*, issuer: str, client_id: str, client_secret: str, name: str) -> dict[str, Any] | None:
    """None when none of the three is given; ImproperlyConfigured when only some are."""
    given = {"WFLO_OIDC_ISSUER": issuer, "WFLO_OIDC_CLIENT_ID": client_id, "WFLO_OIDC_CLIENT_SECRET": client_secret}
    missing = [variable for variable, value in given.items() if not value]
    if len(missing) == len(given):
        return None
    if missing:
        raise ImproperlyConfigured(f"Single sign-on needs {' and '.join(missing)} too.")
    return {
        "provider_id": "oidc",
        "name": name,
        "client_id": client_id,
        "secret": client_secret,
        "settings": {"server_url": issuer.rstrip("/"), "oauth_pkce_enabled": True},
    }


def oidc_origin(server: dict[str, Any] | None) -> list[str]:
    """Scheme and host of the issuer, for the content security policy; empty without one."""
    if server is None:
        return []
    parts = urlsplit(server["settings"]["server_url"])
    return [f"{parts.scheme}://{parts.netloc}"]
