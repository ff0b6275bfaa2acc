"""The product with room for few spans that wait to be written: for four batches of an exporter, or a burst and one."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

from django.conf import settings

settings.LIMITS["writer_spans_waiting"] = 2_600

from wflo_site.asgi import application  # noqa: E402

__all__ = ["application"]
