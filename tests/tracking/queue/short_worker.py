"""The worker with other limits, so that tests of what takes long take short: ``SHORT_LIMITS`` is JSON, ``CLOCK_OFF_SECONDS`` puts this
process's clock off."""

from __future__ import annotations

import json
import os
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wflo_site.settings")

from django.conf import settings

settings.LIMITS.update(json.loads(os.environ.get("SHORT_LIMITS", "{}")))
if "CLOCK_OFF_SECONDS" in os.environ:
    _right, _off = time.time, float(os.environ["CLOCK_OFF_SECONDS"])
    time.time = lambda: _right() + _off

from wflo_site.celery import app  # noqa: E402

__all__ = ["app"]
