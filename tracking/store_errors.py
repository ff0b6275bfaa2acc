"""What the store failed with, as an error of ours."""

from __future__ import annotations

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError
from psycopg.errors import QueryCanceled

from tracking.errors import TooSlow, Unavailable


def store_trouble(error: BaseException | None) -> Unavailable | None:
    """None when the store is not to blame: a statement it refuses is a fault of ours."""
    if not isinstance(error, OperationalError | InterfaceError | InternalError):  # the last: it only reads for now
        return None
    if isinstance(error.__cause__, QueryCanceled):
        seconds = settings.LIMITS["statement_ms"] // 1000
        return TooSlow(f"This question took longer than {seconds} s. Ask for a shorter time range.")
    return Unavailable("The store is away or busy: try again in a moment.")
