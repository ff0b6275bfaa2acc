"""Values that the agents of a run share, whichever process they are in: nobody overwrites what they have not read."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connection, transaction

from tracking.errors import Conflict, Invalid, NotFound
from tracking.models import SharedValue, Team
from tracking.steering.payloads import kept
from tracking.store_time import store_now


def read(team: Team, run: str, key: str) -> SharedValue:
    found = SharedValue.objects.filter(team=team, run=run, key=key).first()
    if found is None:
        raise NotFound(f'The run "{run}" has no value "{key}".')
    return found


def of_run(team: Team, run: str) -> list[SharedValue]:
    return list(SharedValue.objects.filter(team=team, run=run).order_by("key"))


def write(team: Team, run: str, key: str, value: Any, *, version: int | None) -> SharedValue:
    """With ``version`` only if the value still has it (0: it is not there). Raises Conflict, Invalid, TooLarge."""
    if not 0 < len(key) <= 200 or not 0 < len(run) <= 128:
        raise Invalid("A key has 1 to 200 characters, a run's name 1 to 128.", field="key")
    value = kept(team, value, field="value", most=settings.LIMITS["shared_value_bytes"])
    with transaction.atomic():
        with connection.cursor() as cursor:  # one writer at a time for each run: the first one of a key too
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 8))", [f"{team.pk}:{run}"])
        found = SharedValue.objects.filter(team=team, run=run, key=key).first()
        present = 0 if found is None else found.version
        if version is not None and version != present:
            raise Conflict(f'"{key}" was changed meanwhile: its version is {present}, not {version}.', field="version")
        if found is None:
            most = settings.LIMITS["shared_values_per_run"]
            if SharedValue.objects.filter(team=team, run=run).count() >= most:
                raise Invalid(f"A run has at most {most} shared values.", field="key")
            found = SharedValue(team=team, run=run, key=key)
        found.value, found.version, found.changed_at = value, present + 1, store_now()
        found.save(force_insert=present == 0, force_update=present > 0)
    return found


def delete(team: Team, run: str, key: str) -> None:
    SharedValue.objects.filter(team=team, run=run, key=key).delete()
