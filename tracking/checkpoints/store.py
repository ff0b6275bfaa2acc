"""Saving states and reading them back. A run is named as its caller names it; its own row may come later."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection, transaction

from tracking.checkpoints import packing
from tracking.checkpoints.new import NewCheckpoint
from tracking.checkpoints.packing import Parts
from tracking.errors import Conflict, Invalid, NotFound, TooLarge
from tracking.models import Checkpoint, StatePart, Team
from tracking.redaction import redactor
from tracking.sql import statements

LOSSY_PATHS_MAX = 200
LEVEL = 6

Execute = Callable[[str, Mapping[str, Any]], tuple[Any, ...] | None]  # a statement's only row


def checked(new: NewCheckpoint) -> NewCheckpoint:
    """Redacted, and with its size. Raises TooLarge, Invalid."""
    raw = orjson.dumps(new.state, option=orjson.OPT_NON_STR_KEYS)
    raw = redactor(new.redaction).body(raw)
    most = settings.LIMITS["checkpoint_bytes"]
    if len(raw) > most:
        raise TooLarge(
            f'The state of "{new.name}" has {len(raw):,} bytes, more than the {most:,} a checkpoint may have. Save less of it.',
            field="state",
        )
    if not 0 < len(new.run) <= 128:
        raise Invalid("A run's name has 1 to 128 characters.", field="run")
    new.size_bytes = len(raw)
    new.state = orjson.loads(raw)
    new.lossy_paths = [str(path)[:500] for path in new.lossy_paths[:LOSSY_PATHS_MAX]]
    return new


@dataclass(frozen=True, slots=True)
class Saved:
    id: UUID
    run: str
    version: int
    created_at: datetime
    is_new: bool


def insert(new: NewCheckpoint, execute: Execute) -> Saved:
    """Save a checked state in the caller's transaction, by its way of executing. The same id again changes nothing."""
    manifest, parts = packing.pack(new.state)
    parameters = {
        "team": new.team_id, "id": new.id, "run": new.run, "name": new.name[:200], "agent": new.agent[:200],
        "step": new.step[:200], "span_id": new.span_id[:16], "source": new.source, "size": new.size_bytes,
        "lossy": orjson.dumps(new.lossy_paths).decode(), "manifest": zlib.compress(orjson.dumps(manifest), LEVEL),
        "digests": list(parts), "bodies": [zlib.compress(part, LEVEL) for part in parts.values()],
    }  # fmt: skip
    row = execute(statements("checkpoints")["save"], parameters)
    assert row is not None
    return Saved(new.id, *row)


def save(new: NewCheckpoint) -> Saved:
    """Save a state of its own. Raises TooLarge, Invalid, and Conflict for an id that another run has."""
    checked(new)
    with transaction.atomic():
        saved = insert(new, _execute)
    if saved.run != new.run:
        raise Conflict(f'The checkpoint {new.id} is there already, of the run "{saved.run}".', field="id")
    return saved


def warnings_of(size_bytes: int, lossy_paths: list[str]) -> list[str]:
    """What a person should know of a saved state."""
    found = []
    if size_bytes > settings.LIMITS["checkpoint_warn_bytes"]:
        most = settings.LIMITS["checkpoint_bytes"]
        found.append(f"The state has {size_bytes:,} bytes; above {most:,} a checkpoint is refused.")
    if lossy_paths:
        found.append(f"Parts that could not be kept as they were: {', '.join(lossy_paths[:5])}.")
    return found


def of_run(team: Team, run: str, *, limit: int, before: int | None = None) -> list[Checkpoint]:
    """The newest first, those below version ``before``; without their states."""
    rows = Checkpoint.objects.filter(team=team, run=run).defer("manifest").order_by("-version")
    return list((rows if before is None else rows.filter(version__lt=before))[:limit])


def latest_version(team: Team, run: str) -> int | None:
    """Of those that were not superseded; None where there is none."""
    rows = Checkpoint.objects.filter(team=team, run=run, superseded_at=None).order_by("-version")
    return rows.values_list("version", flat=True).first()


def find(team: Team, run: str, reference: str) -> Checkpoint:
    """By id, version, or ``latest``: the newest that was not superseded. Raises NotFound."""
    rows = Checkpoint.objects.filter(team=team, run=run)
    found: Checkpoint | None = None
    if reference == "latest":
        found = rows.filter(superseded_at=None).order_by("-version").first()
    elif reference.isascii() and reference.isdecimal() and len(reference) < 10:
        found = rows.filter(version=int(reference)).first()
    else:
        try:
            found = rows.filter(id=UUID(reference)).first()
        except ValueError:
            found = None
    if found is None:
        raise NotFound(f'The run "{run}" has no checkpoint "{reference[:64]}".')
    return found


def count_later(checkpoint: Checkpoint) -> int:
    """How many would be superseded if the run went back to this one."""
    later = Checkpoint.objects.filter(team_id=checkpoint.team_id, run=checkpoint.run, version__gt=checkpoint.version)
    return later.filter(superseded_at=None).count()


def remove(team: Team, run: str, reference: str) -> None:
    """Forget a checkpoint of LangGraph's, whose saver may delete what it put. Raises NotFound, and Conflict for one of
    another source: their history stays until its time is over. Parts go as those of old checkpoints do."""
    found = find(team, run, reference)
    if found.source != Checkpoint.Source.LANGGRAPH:
        raise Conflict(f"Only checkpoints of LangGraph's saver are deleted; this one is of {found.source}.", field="id")
    Checkpoint.objects.filter(team=team, id=found.id).delete()


def state_of(checkpoint: Checkpoint) -> Any:
    """The state as it was saved."""
    manifest = orjson.loads(zlib.decompress(bytes(checkpoint.manifest)))
    team_id = checkpoint.team_id

    def load(digests: list[bytes]) -> Parts:
        rows = StatePart.objects.filter(team_id=team_id, digest__in=digests).values_list("digest", "body")
        return {bytes(digest): zlib.decompress(bytes(body)) for digest, body in rows}

    return packing.unpack(manifest, packing.names(manifest, load))


def clear_old() -> int:
    """Forget what is older than its team keeps; how many checkpoints."""
    most, gone = settings.LIMITS["checkpoints_cleared_at_once"], 0
    for statement in ("clear_checkpoints", "clear_parts"):
        while True:
            with connection.cursor() as cursor:
                cursor.execute(statements("checkpoints")[statement], {"limit": most})
                cleared: int = cursor.rowcount
            gone += cleared if statement == "clear_checkpoints" else 0
            if cleared < most:
                break
    return gone


def _execute(sql: str, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row
