"""Answers kept for an agent: in memory, in a file, in Redis. Of one agent: nothing of LiteLLM's process is touched.

A cache that fails is as one that has nothing: the call is made.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from wflo.agents.model import Answer, Request
from wflo.usage import Usage

TTL_SECONDS = 3600
ANSWERS_MAX = 1_000  # in memory
_NOT_ASKED = ("api_key", "timeout", "num_retries", "metadata", "user")  # they change nothing of an answer

log = logging.getLogger("wflo.agents")


class Store(Protocol):
    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str) -> None: ...


class MemoryStore:
    def __init__(self, ttl: float = TTL_SECONDS) -> None:
        self._ttl = ttl
        self._kept: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def get(self, key: str) -> str | None:
        until, value = self._kept.get(key, (0.0, ""))
        return value if until > time.monotonic() else None

    def put(self, key: str, value: str) -> None:
        self._kept[key] = (time.monotonic() + self._ttl, value)
        self._kept.move_to_end(key)
        if len(self._kept) > ANSWERS_MAX:
            self._kept.popitem(last=False)


class DiskStore:
    """One SQLite file, which several processes may share."""

    def __init__(self, directory: str = "./llm_cache", ttl: float = TTL_SECONDS) -> None:
        self._ttl = ttl
        self._path = Path(directory) / "answers.sqlite3"

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        found = sqlite3.connect(self._path, timeout=2)
        found.execute(
            "CREATE TABLE IF NOT EXISTS answer (key TEXT PRIMARY KEY, until REAL NOT NULL, value TEXT NOT NULL)"
        )
        return found

    def get(self, key: str) -> str | None:
        with self._open() as connection:
            row = connection.execute(
                "SELECT value FROM answer WHERE key = ? AND until > ?", (key, time.time())
            ).fetchone()
        connection.close()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        with self._open() as connection:
            connection.execute("DELETE FROM answer WHERE until <= ?", (time.time(),))
            connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", (key, time.time() + self._ttl, value))
        connection.close()


class RedisStore:
    """Through LiteLLM's own class, without its global cache."""

    def __init__(self, host: str = "localhost", port: int = 6379, ttl: float = TTL_SECONDS, **more: Any) -> None:
        self._where: dict[str, Any] = {"host": host, "port": port, **more}
        self._ttl = int(ttl)
        self._client: Any = None

    def _open(self) -> Any:
        if self._client is None:
            from wflo.agents.litellm_model import litellm_module

            self._client = litellm_module().caching.caching.RedisCache(**self._where)
        return self._client

    def get(self, key: str) -> str | None:
        found = self._open().get_cache(key)
        return found if isinstance(found, str) or found is None else json.dumps(found)

    def put(self, key: str, value: str) -> None:
        self._open().set_cache(key, value, ttl=self._ttl)


class AnswerCache:
    """What an agent asks first. Keyed by the whole request but who pays for it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hits = 0

    def find(self, request: Request) -> Answer | None:
        try:
            found = self._store.get(key_of(request))
        except Exception as error:  # a cache that is away is none
            log.warning("the cache could not be read: %s", error)
            return None
        if found is None:
            return None
        self.hits += 1
        kept = json.loads(found)
        return Answer(
            message=kept["message"],
            usage=Usage(**kept["usage"]),
            model=kept["model"],
            finish_reason=kept["finish_reason"],
        )

    def keep(self, request: Request, answer: Answer) -> None:
        usage = answer.usage or Usage()
        kept = {
            "message": answer.message, "model": answer.model, "finish_reason": answer.finish_reason,
            "usage": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
        }  # fmt: skip
        try:
            self._store.put(key_of(request), json.dumps(kept, default=str))
        except Exception as error:  # a cache that is away is none
            log.warning("an answer could not be kept: %s", error)


def key_of(request: Request) -> str:
    options = {name: value for name, value in request.options.items() if name not in _NOT_ASKED}
    asked = [request.model, request.messages, request.tools, request.tool_choice, request.response_format, options]
    return f"wflo:answer:{hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()}"


def cache_of(config: dict[str, Any] | None) -> AnswerCache | None:
    """Of ``{enabled, type: memory | disk | redis, ttl, host, port, directory}``. Raises ValueError for another type."""
    given = dict(config or {})
    if not given.pop("enabled", bool(config)):
        return None
    kind, ttl = given.pop("type", "memory"), given.pop("ttl", TTL_SECONDS)
    if kind in ("memory", "local"):
        return AnswerCache(MemoryStore(ttl))
    if kind == "disk":
        return AnswerCache(DiskStore(given.get("directory", "./llm_cache"), ttl))
    if kind == "redis":
        return AnswerCache(RedisStore(given.pop("host", "localhost"), given.pop("port", 6379), ttl, **given))
    raise ValueError(f'"{kind}" is no cache: memory, disk or redis.')
