"""State that the agents of a run share: versions, so that nobody overwrites what they have not read.

state = SharedState()
state.update("plan", lambda plan: [*(plan or []), "write the outline"])
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wflo import context
from wflo.client import Client, client
from wflo.errors import ServerError, WfloError
from wflo.runs import Run
from wflo.states import decode, encode

MERGES = ("last", "error", "merge", "append")
TRIES = 20
RUNS_MAX = 1_000  # whose values this process keeps; the oldest go first
Merge = str | Callable[[Any, Any], Any]


class ConflictError(WfloError):
    """Somebody else wrote meanwhile. ``present`` is what they wrote, ``version`` its version."""

    code = "conflict"

    def __init__(self, key: str, present: Any, version: int) -> None:
        super().__init__(f'"{key}" was changed meanwhile (version {version}). Read it again, or say how to merge.')
        self.key, self.present, self.version = key, present, version


@dataclass(slots=True)
class Versioned:
    value: Any
    version: int = 0  # 0: it is not there


class SharedState:
    """Of ``run``, the current one by default: on the server where there is one, else in this process."""

    _here: dict[str, dict[str, Versioned]] = {}
    _lock = threading.Lock()

    def __init__(self, run: Run | str | None = None) -> None:
        found = run or context.current_run()
        if found is None:
            raise ValueError("run: none was given, and we are in none")
        self.run_id = found if isinstance(found, str) else found.id

    def read(self, key: str) -> Versioned:
        """The value and its version. Raises ServerError, as all of these do."""
        server = client()
        if server is None:
            with self._lock:
                kept = self._here.get(self.run_id, {}).get(key, Versioned(None))
                return Versioned(decode(kept.value), kept.version)
        try:
            found = server.get(self._path(key))
        except ServerError as error:
            if error.status == 404:
                return Versioned(None)
            raise
        return Versioned(decode(found.get("value")), int(found.get("version") or 0))

    def get(self, key: str, default: Any = None) -> Any:
        found = self.read(key)
        return found.value if found.version else default

    def set(self, key: str, value: Any, *, version: int | None = None, on_conflict: Merge = "error") -> int:
        """Write; the new version. With ``version`` (0: it must not be there) somebody else's writing meanwhile is a conflict:
        ``error`` raises ConflictError, ``last`` overwrites, ``merge`` lays dicts one over the other, ``append`` adds lists, and
        a function makes one of (theirs, ours). Raises ValueError for another word."""
        _check(on_conflict)
        for _ in range(TRIES):
            try:
                return self._write(key, value, version)
            except ConflictError as conflict:
                if on_conflict == "error":
                    raise
                value, version = _merged(on_conflict, conflict.present, value), conflict.version
        raise ConflictError(key, value, version or 0)

    def update(self, key: str, change: Callable[[Any], Any]) -> Any:
        """Write what ``change`` makes of the value (None where it is not there), again while others write too; the new value."""
        for _ in range(TRIES):
            found = self.read(key)
            value = change(found.value)
            try:
                self._write(key, value, found.version)
            except ConflictError:
                continue
            return value
        raise ConflictError(key, found.value, found.version)

    def delete(self, key: str) -> None:
        server = client()
        if server is not None:
            server.delete(self._path(key))
            return
        with self._lock:
            self._here.get(self.run_id, {}).pop(key, None)

    def _write(self, key: str, value: Any, version: int | None) -> int:
        told, server = encode(value).value, client()
        if server is not None:
            return self._put(server, key, told, version)
        with self._lock:
            if self.run_id not in self._here:
                while len(self._here) >= RUNS_MAX:
                    self._here.pop(next(iter(self._here)))
            kept = self._here.setdefault(self.run_id, {})
            present = kept.get(key, Versioned(None))
            if version is not None and present.version != version:
                raise ConflictError(key, decode(present.value), present.version)
            kept[key] = Versioned(told, present.version + 1)
            return present.version + 1

    def _put(self, server: Client, key: str, told: Any, version: int | None) -> int:
        body = {"value": told} if version is None else {"value": told, "version": version}
        try:
            return int(server.put(self._path(key), body).get("version") or 0)
        except ServerError as error:
            if error.status != 409:
                raise
        found = self.read(key)
        raise ConflictError(key, found.value, found.version)

    def _path(self, key: str) -> str:
        return f"/api/v1/runs/{quote(self.run_id, safe='')}/state/{quote(key, safe='')}"


def _check(merge: Merge) -> None:
    if not callable(merge) and merge not in MERGES:
        raise ValueError(f"on_conflict: {', '.join(MERGES)}, or a function of (theirs, ours)")


def _merged(how: Merge, theirs: Any, ours: Any) -> Any:
    if callable(how):
        return how(theirs, ours)
    if how == "merge" and isinstance(theirs, dict) and isinstance(ours, dict):
        return {**theirs, **ours}
    if how == "append" and isinstance(theirs, list) and isinstance(ours, list):
        return [*theirs, *(one for one in ours if one not in theirs)]
    return ours
