"""PostgreSQL connections of this process's event loop, autocommit, with the same settings as Django's."""

from __future__ import annotations

from typing import Any

import psycopg
from django.conf import settings
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from tracking.errors import Unavailable
from tracking.ledger.perform import Pool, aperform
from tracking.ledger.verbs import Statement, T

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
_pool: Pool | None = None


async def do(statement: Statement[T]) -> T:
    """Do a statement and commit. Raises Unavailable when PostgreSQL is away, within LIMITS["gateway_store_seconds"]."""
    try:
        return await aperform(await _opened(), statement)
    except _AWAY as error:
        raise Unavailable("The store is away, so no call was made. Try again in a moment.") from error


async def close() -> None:
    global _pool
    pool, _pool = _pool, None
    if pool is not None:
        await pool.close()


async def _opened() -> Pool:
    global _pool
    if _pool is None:
        config = settings.DATABASES["default"]
        options: dict[str, Any] = {key: value for key, value in config["OPTIONS"].items() if key != "pool"}
        connect = {
            "dbname": config["NAME"], "user": config["USER"], "password": config["PASSWORD"], "host": config["HOST"],
            "port": config["PORT"] or None, "autocommit": True, "connect_timeout": 2, "prepare_threshold": 2, **options,
        }  # fmt: skip
        _pool = AsyncConnectionPool(
            kwargs=connect,
            min_size=1,
            max_size=settings.LIMITS["gateway_connections"],
            timeout=settings.LIMITS["gateway_store_seconds"],
            open=False,
        )
        await _pool.open()
    return _pool
