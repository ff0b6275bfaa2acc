"""The rows of a run's steps: read at its beginning, written as each begins and ends. All under the fence of the claim."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

from tracking.checkpoints import packing, store
from tracking.checkpoints.new import NewCheckpoint
from tracking.models import JobRun, StatePart
from tracking.queue.claims import Claim
from tracking.queue.stops import Lost
from tracking.redaction import redactor
from tracking.sql import statements

GONE = "the job was taken over by another worker"


@dataclass(slots=True)
class Kept:
    """A step as it is stored; ``is_inherited``: a run before this one made it."""

    run: str
    key: bytes
    position: int | None
    kind: str
    agent: str
    name: str
    lane: bytes
    ordinal: int
    input_hash: bytes
    arguments: Any
    effect: str
    has_undo: bool
    undone_at: datetime | None
    undo_error: str
    output: Any
    is_error: bool
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    call_id: UUID | None
    span_id: str
    tries: int
    checkpoint_id: UUID | None
    begun_at: datetime
    ended_at: datetime | None
    is_inherited: bool


@dataclass(slots=True, kw_only=True)
class Begin:
    """A step that begins."""

    run: str
    key: bytes
    kind: str
    agent: str
    name: str
    lane: bytes
    ordinal: int
    input_hash: bytes = b""
    arguments: Any = None
    effect: str = ""
    has_undo: bool = False
    call_id: UUID | None = None
    span_id: str = ""


@dataclass(slots=True, kw_only=True)
class Done:
    """How it ended. ``output`` is the message it added to its conversation, which the state after it has too."""

    output: Any
    is_error: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None


def of_run(team_id: int, run: str) -> list[Kept]:
    """All steps a run has, those it goes on from among them, whole, in the order in which they were done."""
    with connection.cursor() as cursor:
        cursor.execute(statements("queue")["steps"], {"team": team_id, "run": run})
        found = [_kept(row) for row in cursor.fetchall()]
    _unpack(team_id, found)
    return found


def edits_of(team_id: int, run: str) -> dict[int, list[dict[str, Any]]]:
    """The messages that people put in place of those after a step, by its position; of the runs it goes on from too."""
    found: dict[int, list[dict[str, Any]]] = {}
    most = None
    while run:
        row = JobRun.objects.get(team=team_id, run=run)
        most = row.from_position if most is None else min(most, row.from_position)
        edited = row.overrides.get("messages")
        if edited and row.from_position == most:
            found.setdefault(row.from_position, edited)
        run = row.parent
    return found


def begin(claim: Claim, step: Begin) -> int:
    """How manieth try it is. Raises Lost."""
    parameters = {
        "team": claim.team_id, "job": claim.job_id, "fence": claim.fence, "run": step.run, "key": step.key, "kind": step.kind,
        "agent": step.agent, "name": step.name, "lane": step.lane, "ordinal": step.ordinal, "input_hash": step.input_hash,
        "arguments": None if step.arguments is None else _json(step.arguments), "effect": step.effect,
        "has_undo": step.has_undo, "call_id": step.call_id, "span_id": step.span_id,
    }  # fmt: skip
    row = _row("begin_step", parameters)
    if row is None:
        raise Lost(GONE)
    return int(row[0])


def end(claim: Claim, step: Begin, done: Done, checkpoint: NewCheckpoint) -> int:
    """Keep what a step gave, and the state after it, in one transaction; its position. Raises Lost, TooLarge."""
    store.checked(checkpoint)
    message = orjson.loads(redactor(checkpoint.redaction).body(orjson.dumps(done.output)))
    output, _ = packing.pack([message])  # its parts are the state's, which has the message too
    with transaction.atomic():
        row = _row("end_step", {
            "team": claim.team_id, "job": claim.job_id, "fence": claim.fence, "run": step.run, "key": step.key,
            "output": _json(output[0]), "is_error": done.is_error, "input_tokens": done.input_tokens,
            "output_tokens": done.output_tokens, "cost_usd": done.cost_usd, "checkpoint": checkpoint.id,
        })  # fmt: skip
        if row is None:
            raise Lost(GONE)
        checkpoint.state["position"] = row[0]
        store.insert(checkpoint, _row_of)
    return int(row[0])


def _unpack(team_id: int, found: Iterable[Kept]) -> None:
    steps = [step for step in found if step.position is not None]

    def load(digests: list[bytes]) -> packing.Parts:
        rows = StatePart.objects.filter(team_id=team_id, digest__in=digests).values_list("digest", "body")
        return {bytes(digest): zlib.decompress(bytes(body)) for digest, body in rows}

    parts = packing.names([step.output for step in steps], load)
    for step in steps:
        step.output = packing.unpack(step.output, parts)


def _kept(row: tuple[Any, ...]) -> Kept:
    step = Kept(*row)
    step.key, step.lane, step.input_hash = bytes(step.key), bytes(step.lane), bytes(step.input_hash)
    for name in ("arguments", "output"):
        value = getattr(step, name)
        if isinstance(value, str):  # Django's cursor gives jsonb as text
            setattr(step, name, orjson.loads(value))
    return step


def _row(name: str, parameters: dict[str, Any]) -> tuple[Any, ...] | None:
    return _row_of(statements("queue")[name], parameters)


def _row_of(sql: str, parameters: Any) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] | None = cursor.fetchone() if cursor.description else None
        return row


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode().replace("\\u0000", "\\ufffd")
