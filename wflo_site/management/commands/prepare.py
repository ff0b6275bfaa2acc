"""Make the database ready for this version: migrations, and what a first start creates."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import redis
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from wflo_site.store_troubles import database_trouble, redis_trouble

# Any number: two machines that start at once migrate one after the other.
LOCK = 7_310_552


class Command(BaseCommand):
    help = "Check PostgreSQL and Redis, migrate, create what a first start needs; says as JSON what it created."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        trouble = database_trouble(settings.WFLO_DATABASE_URL) or redis_trouble(settings.WFLO_REDIS_URL)
        if trouble:
            self._refuse(trouble)
        Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)  # its absence would be warned of
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            self._migrate()
            call_command("bootstrap", stdout=self.stdout)
        except CommandError as error:
            self._refuse(str(error))
        except (DatabaseError, redis.RedisError) as error:
            self._refuse(f"The stores refused what a start needs: {str(error).strip()}")
        finally:
            connection.close()

    def _refuse(self, sentence: str) -> NoReturn:
        self.stderr.write(sentence)
        raise SystemExit(1)

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if plan:
            self.stdout.write(f"Applying {len(plan)} migrations.")
            call_command("migrate", interactive=False, verbosity=0)
