"""Doing a verb: at once through Django's connection, or awaited through a pool.

A verb that met a deadlock, or the same id at the same moment, is done again: its id makes that safe.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, TypeVar

import psycopg
from django.db import DatabaseError, connection, transaction
from psycopg import errors as pg
from psycopg_pool import AsyncConnectionPool

from tracking.ledger.verbs import Commit, Statement
from tracking.sql import statements

T = TypeVar("T")
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_FLUSH = statements("ledger")["flush"]

_RETRIED = (pg.DeadlockDetected, pg.SerializationFailure, pg.UniqueViolation)
_TRIES = 6


def perform(statement: Statement[T]) -> T:
    """Do it and commit; within a transaction of the caller's, it is part of that and is not tried again.

    Raises Django's database errors.
    """
    if connection.in_atomic_block:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.sql, statement.parameters)
            return statement.read(cursor.fetchall())
    attempt = 1
    while True:
        try:
            return _done(statement)
        except DatabaseError as error:
            if not isinstance(error.__cause__, _RETRIED) or attempt == _TRIES:
                raise
        time.sleep(0.003 * 2**attempt)
        attempt += 1


def _done(statement: Statement[T]) -> T:
    with connection.cursor() as cursor:
        cursor.execute(statement.sql, _parameters(statement))
        rows = cursor.fetchall()
        if statement.commit is Commit.AFTER:
            cursor.execute(_FLUSH)
    return statement.read(rows)


def _parameters(statement: Statement[Any]) -> dict[str, Any]:
    """With how it is committed, where it is a transaction of its own."""
    if statement.commit is Commit.FIRST:
        return statement.parameters
    return {**statement.parameters, "commit": "off"}


async def aperform(pool: Pool, statement: Statement[T]) -> T:
    """The same through a pool of autocommit connections. Raises psycopg's errors, and PoolTimeout."""
    parameters = _parameters(statement)
    attempt = 1
    while True:
        try:
            async with pool.connection() as held:
                cursor = await held.execute(statement.sql, parameters)
                rows = await cursor.fetchall()
                if statement.commit is Commit.AFTER:
                    await held.execute(_FLUSH)
            return statement.read(rows)
        except _RETRIED:
            if attempt == _TRIES:
                raise
        await asyncio.sleep(0.003 * 2**attempt)
        attempt += 1
