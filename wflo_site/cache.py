"""The cache in Redis; while Redis is away, each process keeps its own, so that people can still sign in."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import TimeoutError as RedisSlow


class _Json:
    """Values as JSON: whoever can write to Redis must not be able to run code here, as with pickles."""

    def dumps(self, obj: Any) -> bytes:
        return json.dumps(obj).encode()

    def loads(self, data: Any) -> Any:
        return json.loads(data)


class _Client:
    def __init__(self, servers: list[str], **options: Any) -> None:
        self._redis = RedisCacheClient(servers, serializer=_Json, **options)
        self._local = LocMemCache("wflo", {})

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        """Both have the same verbs with the same arguments."""

        def call(*args: Any) -> Any:
            try:
                return getattr(self._redis, verb)(*args)
            except (RedisAway, RedisSlow):
                return getattr(self._local, verb)(*args)

        return call


class SharedCache(RedisCache):
    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = _Client
