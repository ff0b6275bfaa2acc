"""Dead letters: what was given up after its last try, kept with what it was called with, so that somebody may send it again.

With a server they are kept there and shown with a button; else in this process. Who registered a handler for a name has the
letters whose retry was wanted, when it asks for them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from wflo import context, recording
from wflo.client import client
from wflo.context import Scope
from wflo.errors import ServerError
from wflo.plain import plain

log = logging.getLogger("wflo")
KEPT_MAX = 1_000
PAYLOAD_CHARACTERS = 200_000
Handler = Callable[[dict[str, Any]], Any]


@dataclass(slots=True)
class DeadLetter:
    """``name`` is of the function that failed, ``payload`` its arguments."""

    name: str
    error: str
    attempts: int
    payload: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid4()))
    run: str = ""
    agent: str = ""
    at: float = field(default_factory=time.time)


_kept: deque[DeadLetter] = deque(maxlen=KEPT_MAX)
_handlers: dict[str, Handler] = {}
_lock = threading.Lock()


def bury(
    name: str, error: BaseException | str, *, attempts: int, payload: Mapping[str, Any], scope: Scope | None = None
) -> DeadLetter:
    """Keep what could not be done. Never raises: with the server away it is kept in this process, and logged."""
    scope = scope or context.current()
    words = error if isinstance(error, str) else recording.words_of(error)
    letter = DeadLetter(name, words, attempts, plain(dict(payload), PAYLOAD_CHARACTERS))
    if scope is not None:
        letter.run, letter.agent = scope.run.id, scope.agent
    if not _told(letter):
        _kept.append(letter)
    return letter


def dead_letters(name: str | None = None) -> list[DeadLetter]:
    """Those this process keeps, the oldest first; of one name if it is given."""
    return [letter for letter in _kept if name in (None, letter.name)]


def on_dead_letter(name: str) -> Callable[[Handler], Handler]:
    """Register who takes letters of that name again: a function of the payload."""

    def register(handler: Handler) -> Handler:
        with _lock:
            _handlers[name] = handler
        return handler

    return register


def take_dead_letters(limit: int = 20) -> int:
    """Run the handlers for the letters whose retry is wanted: those asked for on the server, else all this process keeps. Gives
    how many went well; one that fails again is told so, and stays. Raises ServerError when the server cannot be asked."""
    server = client()
    if server is None:
        return sum(_taken_here(letter) for letter in list(_kept)[:limit])
    done = 0
    for name in list(_handlers):
        for letter in server.get("/api/v1/dead-letters/wanted", name=name, limit=limit).get("dead_letters", []):
            failure = _failure(name, letter.get("payload") or {})
            done += failure is None
            answer = {"status": "retried"} if failure is None else {"status": "failed", "error": failure}
            server.post(f"/api/v1/dead-letters/{letter['id']}/done", answer)
    return done


def _taken_here(letter: DeadLetter) -> bool:
    if letter.name not in _handlers:
        return False
    failure = _failure(letter.name, letter.payload)
    if failure is None:
        _kept.remove(letter)
        return True
    letter.error, letter.attempts = failure, letter.attempts + 1
    return False


def _failure(name: str, payload: dict[str, Any]) -> str | None:
    try:
        _handlers[name](payload)
    except Exception as error:
        log.warning("a dead letter of %s failed again: %s", name, error)
        return recording.words_of(error)
    return None


def _told(letter: DeadLetter) -> bool:
    server = client()
    if server is None:
        return False
    body = {
        "id": letter.id, "source": "sdk", "run": letter.run, "agent": letter.agent, "name": letter.name,
        "error": letter.error, "attempts": letter.attempts, "payload": letter.payload,
    }  # fmt: skip
    try:
        server.post("/api/v1/dead-letters", body)
    except ServerError as error:
        log.warning("a dead letter of %s is kept in this process alone: %s", letter.name, error)
        return False
    return True
