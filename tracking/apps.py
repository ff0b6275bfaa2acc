from __future__ import annotations

from django.apps import AppConfig


class TrackingConfig(AppConfig):
    name = "tracking"
    verbose_name = "Wflo"

    def ready(self) -> None:
        from tracking import checks  # noqa: F401  registers the system checks
