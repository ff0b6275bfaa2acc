"""manage.py load_prices: bring the bundled price list into the table. Run again, it writes only what changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tracking import pricing


class Command(BaseCommand):
    help = "Load the bundled prices. A changed price holds from now on; earlier days keep theirs."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            loaded = pricing.load_bundled()
        except FileNotFoundError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{loaded.listed} models: {loaded.added} new, {loaded.changed} changed")
