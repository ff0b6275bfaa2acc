"""Django's own queries from an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from django.db import InterfaceError, InternalError, OperationalError, close_old_connections

from tracking.errors import Unavailable
from tracking.store_errors import store_trouble

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """Do ``work`` in a thread. Raises what it raises, and Unavailable when PostgreSQL is away."""

    def done() -> T:
        try:
            return work()
        except (InterfaceError, InternalError, OperationalError) as error:
            raise store_trouble(error) or Unavailable() from error
        finally:
            close_old_connections()

    return await asyncio.to_thread(done)
