"""What can go wrong, once, with a code and a status; each door renders it in its own dialect.

WfloServerError
 ├── Unauthenticated      401  no key, or a key nobody knows
 ├── NotAllowed           403  a good key or person without the right
 ├── NotFound             404  nothing of that name in this team
 ├── Invalid              400  a field is wrong; names it
 ├── TooLarge             413
 ├── QuotaReached         429
 └── Unavailable          503  PostgreSQL away, queue full: try again soon
      └── TooSlow         503  a question that took longer than it may: ask for less
"""

from __future__ import annotations


class WfloServerError(Exception):
    """The server could not do that."""

    code = "internal"
    status = 500

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.field = field
        super().__init__(self.message)


class Unauthenticated(WfloServerError):
    """No usable API key came with the request. Send it as "Authorization: Bearer <key>"."""

    code = "unauthenticated"
    status = 401


class NotAllowed(WfloServerError):
    """This key or person may not do that."""

    code = "not_allowed"
    status = 403


class NotFound(WfloServerError):
    """There is nothing of that name in this team."""

    code = "not_found"
    status = 404


class Invalid(WfloServerError):
    """A field of the request is wrong."""

    code = "invalid"
    status = 400


class TooLarge(WfloServerError):
    """The request is larger than the limit."""

    code = "too_large"
    status = 413


class QuotaReached(WfloServerError):
    """The team's ingest quota for today is used up; what came was counted and not stored."""

    code = "quota_reached"
    status = 429


class Unavailable(WfloServerError):
    """The store is away or busy. Nothing was kept: send it again in a moment."""

    code = "unavailable"
    status = 503
    retry_after_s = 2


class TooSlow(Unavailable):
    """This question took longer than it may. Ask for a shorter time range."""

    code = "too_slow"
