"""The wiring as a Django app: its commands, and the Celery app known to every process."""

from __future__ import annotations

from django.apps import AppConfig


class WfloSiteConfig(AppConfig):
    name = "wflo_site"

    def ready(self) -> None:
        import wflo_site.celery  # noqa: F401  a task sent from here goes to our broker
