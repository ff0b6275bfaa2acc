"""The product with room for two live pages and little patience, so that tests of the live door need neither many nor long."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

from django.conf import settings

settings.LIMITS["live_streams"] = 2

from wflo_site.asgi import application  # noqa: E402, I001 - models can be imported from here on
from tracking.queue import live_door  # noqa: E402

live_door.BEAT_SECONDS = 1.0

__all__ = ["application"]
