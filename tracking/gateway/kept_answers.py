"""Idempotency keys: the same request again is answered with what it was answered before, and costs nothing.

A key is a team's. The first request with it makes the call; the same request meanwhile waits a little for its answer,
and is told to come back when there is none yet. Only answers are kept, for LIMITS["kept_answer_hours"]: a call that
failed or was refused frees its key. A stream is kept whole, and only when it came to its own end.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.conf import settings

from tracking import sealed
from tracking.errors import KeyInUse, KeyReused, Unavailable
from tracking.gateway import finish, pool
from tracking.gateway.asked import Asked
from tracking.ledger.verbs import Statement
from tracking.sql import statements

LOOK_AGAIN_SECONDS = 0.05
_PIECE = "latin-1"  # sealed text is of characters: one a byte

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer given before, byte for byte."""

    status: int
    headers: Headers
    body: bytes


@dataclass(slots=True)
class Tape:
    """What a stream says, as long as it may be kept."""

    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, data: bytes) -> None:
        self.size += len(data)
        if self.size <= settings.LIMITS["kept_answer_bytes"]:
            self.pieces.append(data)

    def whole(self) -> bytes | None:
        """None: it is too long to be kept."""
        return b"".join(self.pieces) if self.size <= settings.LIMITS["kept_answer_bytes"] else None


_live: dict[UUID, dict[str, Any]] = {}  # calls of this process with a key -> by which the store knows their rows
_renewing: asyncio.Task[None] | None = None


async def claim(asked: Asked) -> Kept | None:
    """What the key was answered with; None without a key, and for the first request with it.

    Raises KeyReused, KeyInUse, Unavailable.
    """
    if not asked.idempotency_key:
        return None
    until, pause_s = time.monotonic() + settings.LIMITS["kept_wait_ms"] / 1000, LOOK_AGAIN_SECONDS
    request = _hash(asked)
    while True:
        rows: list[Any] = await pool.do(_claim(asked, request))
        for is_ours, started_at, request_hash, status, headers, body in rows:
            if is_ours:
                _keep_alive(asked, started_at)
                return None
            if bytes(request_hash) != request:
                raise KeyReused(field="Idempotency-Key")
            if status is not None:
                return Kept(status, _read_headers(headers), sealed.unseal(bytes(body)).encode(_PIECE))
        if time.monotonic() > until:
            raise KeyInUse()
        await asyncio.sleep(pause_s)
        pause_s *= 1.5


async def keep(asked: Asked, headers: Headers, body: bytes) -> None:
    """Before the answer is handed over, so that whoever asks next finds it."""
    if asked.id not in _live:
        return
    if len(body) > settings.LIMITS["kept_answer_bytes"]:
        give_up(asked)
        return
    parameters = _live[asked.id] | {
        "headers": orjson.dumps(
            [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
        ).decode(),
        "body": sealed.seal(body.decode(_PIECE)),
        "hours": settings.LIMITS["kept_answer_hours"],
    }
    try:
        await pool.do(Statement(statements("kept_answers")["keep"], parameters, len))
    except Unavailable:
        finish.log.warning("an answer with an idempotency key could not be kept")
    finally:
        _live.pop(asked.id, None)


def tape(asked: Asked) -> Tape | None:
    return Tape() if asked.id in _live else None


def keep_tape(asked: Asked, taped: Tape | None, headers: Headers, *, is_whole: bool) -> None:
    """Behind a stream's end."""
    if taped is None:
        return
    said = taped.whole() if is_whole else None
    if said is not None:
        finish.behind(keep(asked, headers, said))
    else:
        give_up(asked)


def give_up(asked: Asked) -> None:
    """There is no answer: the key is free for another try."""
    if asked.id in _live:
        finish.behind(pool.do(Statement(statements("kept_answers")["free"], _live.pop(asked.id), len)))


def _hash(asked: Asked) -> bytes:
    said = orjson.dumps([asked.dialect.name, asked.body], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(said).digest()


def _claim(asked: Asked, request: bytes) -> Statement[list[Any]]:
    parameters = {
        "team": asked.caller.team_id, "key": asked.idempotency_key, "hash": request,
        "lease": settings.LIMITS["kept_lease_seconds"],
    }  # fmt: skip
    return Statement(statements("kept_answers")["claim"], parameters, list)


def _read_headers(headers: Any) -> Headers:
    found = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return [*found, (b"idempotent-replayed", b"true")]


def _keep_alive(asked: Asked, started_at: Any) -> None:
    """The key of a process that died is free again soon; that of a long call is not."""
    global _renewing
    _live[asked.id] = {"team": asked.caller.team_id, "key": asked.idempotency_key, "started_at": started_at}
    if _renewing is None or _renewing.done():
        _renewing = asyncio.get_running_loop().create_task(_renew())


async def _renew() -> None:
    lease_s = settings.LIMITS["kept_lease_seconds"]
    while True:
        await asyncio.sleep(lease_s / 4)
        for mine in list(_live.values()):
            try:
                await pool.do(Statement(statements("kept_answers")["renew"], mine | {"lease": lease_s}, len))
            except Unavailable:
                finish.log.warning("an idempotency key could not be held on to; it is tried again")
