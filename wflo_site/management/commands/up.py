"""Everything Wflo needs, in one terminal."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Start PostgreSQL, Redis, web, worker and beat; Ctrl-C stops them. Address: WFLO_HOST, WFLO_PORT."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Becomes the supervisor, which does without Django and so stays small."""
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "wflo_site.supervisor"])
