"""GET /jobs/{id}/live?token=…: what happens to a job, as server-sent events: ``changed`` when the page should look again, ``words`` of an
answer on its way, ``ended`` at the end. The token says which job, and is good for half a day: the page it is in was given to a person
who may look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import orjson
from django.conf import settings
from django.core import signing

from tracking.errors import NotAllowed, QuotaReached, Unavailable, WfloServerError
from tracking.gateway import pool
from tracking.ingest import answers
from tracking.ingest.answers import MethodNotAllowed, send_bytes
from tracking.ingest.body import Receive, Scope, Send
from tracking.ledger.verbs import Statement
from tracking.queue import live
from tracking.sql import statements

LOOK_SECONDS = 0.5
BEAT_SECONDS = 15.0
TOKEN_SECONDS = 12 * 3_600
_SALT = "tracking.queue.live"
_open = 0
_is_ending = False  # the server; it waits for answers under way, and these have no end of their own


def token_of(team_id: int, job_id: object) -> str:
    return signing.dumps([team_id, str(job_id)], salt=_SALT)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Ends with the job, when the reader leaves, and with the server. Refused when too many read at once."""
    global _open
    try:
        if scope["method"] != "GET":
            raise MethodNotAllowed
        team_id, job_id = _asked(scope)
        if _open >= settings.LIMITS["live_streams"]:
            raise QuotaReached("Too many pages are live at once; this one looks by itself every few seconds.")
    except WfloServerError as error:
        await send_bytes(
            send, error.status, b"application/problem+json", answers.problem(error), answers.headers_of(error)
        )
        return
    _open += 1
    gone = asyncio.create_task(_left(receive))
    try:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _told(send, team_id, job_id, gone)
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()
        _open -= 1


def end_all() -> None:
    """Pages ask again, wherever a server is by then."""
    global _is_ending
    _is_ending = True


async def _told(send: Send, team_id: int, job_id: str, gone: asyncio.Task[None]) -> None:
    seen, quiet = "", 0.0
    said: dict[str, str] = {}
    while not (gone.done() or _is_ending):
        row = await _looked(team_id, job_id)
        if row is None:
            return
        run, mark, is_over = row
        words = {} if is_over else await live.words_of(team_id, run)
        if mark != seen:
            seen, quiet = mark, 0.0
            await _event(send, "changed", {"mark": mark})
        if words != said:
            said, quiet = words, 0.0
            await _event(send, "words", words)
        if is_over:
            await _event(send, "ended", {})
            return
        quiet += LOOK_SECONDS
        if quiet >= BEAT_SECONDS:
            quiet = 0.0
            await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
        await asyncio.wait([gone], timeout=LOOK_SECONDS)


async def _looked(team_id: int, job_id: str) -> tuple[str, str, bool] | None:
    statement = Statement(
        statements("queue")["mark"], {"team": team_id, "job": job_id}, lambda rows: tuple(rows[0]) if rows else None
    )
    try:
        return await pool.do(statement)
    except Unavailable:
        return None


async def _event(send: Send, name: str, data: Any) -> None:
    body = b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _asked(scope: Scope) -> tuple[int, str]:
    """Raises WfloServerError."""
    given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
    try:
        team_id, job_id = signing.loads(given, salt=_SALT, max_age=TOKEN_SECONDS)
    except (signing.BadSignature, ValueError, TypeError):
        team_id, job_id = 0, ""
    if not job_id or scope["path"] != f"/jobs/{job_id}/live":
        raise NotAllowed("The page is old: load it again.")
    return int(team_id), str(job_id)


def door_of(path: str) -> Callable[[Scope, Receive, Send], Awaitable[None]] | None:
    """The door of ``/jobs/{id}/live``; None for other addresses."""
    return stream if path.startswith("/jobs/") and path.endswith("/live") else None
