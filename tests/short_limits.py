"""The product with little patience and little room, so that tests of slow and many senders need neither."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

from django.conf import settings

settings.LIMITS["body_seconds"] = 1
settings.LIMITS["bodies_in_flight_bytes"] = 3 * 2**20
settings.LIMITS["gateway_answer_seconds"] = 1
settings.LIMITS["gateway_idle_seconds"] = 1
settings.LIMITS["circuit_rest_seconds"] = 1

from wflo_site.asgi import application  # noqa: E402

__all__ = ["application"]
