"""Threads of LangGraph in Wflo's store: a log of what was put, in the checkpoints of the run that is named as the thread is.

An entry is JSON: a checkpoint, or the writes of a task that the next checkpoint does not have yet. A process keeps what it
has seen; before it answers it reads what others have added or deleted. Without a server it is this process's alone.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from wflo.client import Client, client
from wflo.errors import CheckpointError, ServerError
from wflo.plain import to_json
from wflo.shelf import BYTES_MAX

THREADS_MAX = 256  # kept in a process that has a server to read them from again
READERS = 8
PAGE = 500
NAME_CHARACTERS_MAX = 128


@dataclass(slots=True)
class Entry:
    """``key`` is the same for the same thing put twice; ``state`` is what is kept of it."""

    key: str
    name: str  # for people
    agent: str
    state: dict[str, Any]


@dataclass(slots=True)
class Thread:
    run: str
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)  # state by the entry's id, in the order of saving
    lock: threading.RLock = field(default_factory=threading.RLock)

    def id_of(self, key: str) -> str:
        return str(uuid5(NAMESPACE_URL, f"wflo/{self.run}/{key}"))


def run_name(thread_id: str) -> str:
    """The run whose checkpoints a thread's are."""
    if 0 < len(thread_id) <= NAME_CHARACTERS_MAX and "\0" not in thread_id:
        return thread_id
    return f"thread-{hashlib.sha256(thread_id.encode('utf-8', 'replace')).hexdigest()}"


class Threads:
    """Of one saver. Raises ServerError where the server is away, CheckpointError for a state that is too large."""

    def __init__(self, server: Client | None = None, *, is_local: bool = False) -> None:
        self._server, self._is_local = server, is_local
        self._kept: OrderedDict[str, Thread] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Threads that this process has seen."""
        with self._lock:
            return list(self._kept)

    def put(self, thread_id: str, *entries: Entry) -> None:
        thread, server = self._thread(thread_id), self._client()
        for entry in entries:
            id = thread.id_of(entry.key)
            if server is not None:
                self._post(server, thread, id, entry)
            with thread.lock:
                thread.entries[id] = entry.state

    def read(self, thread_id: str) -> dict[str, dict[str, Any]]:
        """The states of all its entries by their ids, in the order they were saved."""
        thread, server = self._thread(thread_id), self._client()
        with thread.lock:
            if server is not None:
                self._refresh(server, thread)
            return dict(thread.entries)

    def delete(self, thread_id: str, ids: Iterable[str]) -> None:
        thread, server = self._thread(thread_id), self._client()
        with thread.lock:
            for id in ids:
                if server is not None:
                    server.delete(f"{_path(thread)}/{id}")
                thread.entries.pop(id, None)
            if thread.entries:
                return
        with self._lock:
            self._kept.pop(thread_id, None)

    def _client(self) -> Client | None:
        return None if self._is_local else self._server or client()

    def _thread(self, thread_id: str) -> Thread:
        with self._lock:
            thread = self._kept.setdefault(thread_id, Thread(run_name(thread_id)))
            self._kept.move_to_end(thread_id)
            while len(self._kept) > THREADS_MAX and self._client() is not None:
                self._kept.popitem(last=False)
            return thread

    @staticmethod
    def _post(server: Client, thread: Thread, id: str, entry: Entry) -> None:
        size = len(to_json(entry.state).encode("utf-8", "replace"))
        if size > BYTES_MAX:
            raise CheckpointError(
                f'The state after "{entry.name}" has {size:,} bytes, more than the {BYTES_MAX:,} a checkpoint may have.'
                " Keep less of it in the graph's state."
            )
        told = {"name": entry.name[:200], "agent": entry.agent[:200], "source": "langgraph", "state": entry.state}
        server.post(_path(thread), {"id": id, **told})

    @staticmethod
    def _refresh(server: Client, thread: Thread) -> None:
        """What others have added and deleted since."""
        ids = list(_listed(server, thread))[::-1]
        missing = [id for id in ids if id not in thread.entries]
        if missing:
            with ThreadPoolExecutor(READERS) as readers:
                found = dict(zip(missing, readers.map(lambda id: _state(server, thread, id), missing), strict=True))
        else:
            found = {}
        states = {id: thread.entries.get(id) or found.get(id) for id in ids}
        thread.entries = {id: state for id, state in states.items() if state is not None}


def _path(thread: Thread) -> str:
    return f"/api/v1/runs/{quote(thread.run, safe='')}/checkpoints"


def _listed(server: Client, thread: Thread) -> Iterator[str]:
    """Ids, the newest first."""
    cursor = None
    while True:
        page = server.get(_path(thread), limit=PAGE, cursor=cursor)
        yield from (one["id"] for one in page["checkpoints"] if one["source"] == "langgraph")
        cursor = page.get("next_cursor")
        if cursor is None:
            return


def _state(server: Client, thread: Thread, id: str) -> dict[str, Any] | None:
    try:
        state = server.get(f"{_path(thread)}/{id}").get("state")
    except ServerError as error:
        if error.status == 404:  # deleted meanwhile
            return None
        raise
    return state if isinstance(state, dict) and "langgraph" in state else None
