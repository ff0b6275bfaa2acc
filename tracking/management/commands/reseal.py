"""manage.py reseal: seal every stored secret under the present WFLO_SECRET_KEY, so that the old keys can go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import models, transaction

from tracking.models import Deployment, Destination, McpServer, ProviderCredential
from tracking.sealed import CannotUnseal, is_current, seal, unseal

SEALED: tuple[tuple[type[models.Model], tuple[str, ...]], ...] = (
    (Destination, ("address", "signing")),
    (Deployment, ("sealed_key",)),
    (ProviderCredential, ("sealed_key",)),
    (McpServer, ("sealed_headers",)),
)


class Command(BaseCommand):
    help = "Seal stored secrets under the present WFLO_SECRET_KEY. Afterwards WFLO_OLD_SECRET_KEYS can be emptied."

    def handle(self, *args: Any, **options: Any) -> None:
        counts = [_reseal(model, fields) for model, fields in SEALED]
        sealed, lost = (sum(numbers) for numbers in zip(*counts, strict=True))
        self.stdout.write(f"{sealed} sealed anew")
        if lost:
            raise CommandError(f"{lost} cannot be read with any of the keys: enter them again.")


def _reseal(model: type[models.Model], fields: tuple[str, ...]) -> tuple[int, int]:
    """How many were sealed anew, and how many cannot be read."""
    sealed = lost = 0
    for key in model._default_manager.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            row = model._default_manager.select_for_update().get(pk=key)
            for field in fields:
                value = getattr(row, field)
                if value is None or is_current(value):
                    continue
                try:
                    setattr(row, field, seal(unseal(value)))
                except CannotUnseal:
                    lost += 1
                else:
                    sealed += 1
            row.save(update_fields=fields)
    return sealed, lost
