"""What can go wrong, once, with a code and a status; each door renders it in its own dialect.

WfloServerError
 ├── Unauthenticated      401  a key nobody knows
 │    └── KeyMissing      401  no key
 ├── NotAllowed           403  a good key or person without the right
 ├── NotFound             404  nothing of that name in this team
 ├── Invalid              400  a field is wrong; names it
 ├── TooLarge             413
 ├── QuotaReached         429
 ├── Refused              a call the gateway does not make; ``details`` say why
 │    ├── InvalidCall      422  a field of the call is wrong
 │    ├── Unpriced         400  a money budget, and nobody knows what the model costs
 │    ├── GuardRefused     400  the prompt or the answer holds a secret
 │    ├── ModelNotAllowed  403
 │    ├── TeamNotActive    403 or 429
 │    ├── OutOfCredits     403
 │    ├── JobEnded         409
 │    ├── BudgetExceeded   429
 │    ├── LoopDetected     429
 │    ├── RunKilled        429
 │    ├── RunLimitExceeded 429
 │    ├── RateLimited      429  may be tried again after ``retry_after_s``
 │    ├── KeyInUse         409  the idempotency key's first request is under way
 │    ├── KeyReused        422  the idempotency key came with another request before
 │    └── CircuitOpen      503
 │         └── AgentCutOff 429
 ├── UpstreamFailed       the provider's status, or 502, 504
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


class KeyMissing(Unauthenticated):
    """No API key came with the request. Send it as "Authorization: Bearer <key>"; one in the address is not read."""


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


class Conflict(WfloServerError):
    """It is not any more what the request takes it for."""

    code = "conflict"
    status = 409


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


class Refused(WfloServerError):
    """The gateway does not make this call."""

    code = "refused"
    status = 429
    may_retry = False  # governance: the same again would be refused again
    retry_after_s: float | None = None
    call_id = ""  # by which a person finds out why

    def __init__(self, message: str | None = None, *, field: str | None = None, **details: object) -> None:
        super().__init__(message, field=field)
        self.details = details


class InvalidCall(Refused):
    """A field of the call is wrong."""

    code = "invalid_request"
    status = 422


class Unpriced(Refused):
    """The model has no price, and a budget in money applies."""

    code = "model_unpriced"
    status = 400


class GuardRefused(Refused):
    """The text holds what this team's guard does not let through."""

    code = "dlp_violation"
    status = 400


class ModelNotAllowed(Refused):
    """This key may not call that model."""

    code = "model_not_allowed"
    status = 403


class TeamNotActive(Refused):
    """The team is suspended."""

    code = "team_not_active"
    status = 403


class OutOfCredits(Refused):
    """Insufficient credits."""

    code = "insufficient_credits"
    status = 403


class JobEnded(Refused):
    """The job has ended; nothing more is done in it."""

    code = "job_ended"
    status = 409


class BudgetExceeded(Refused):
    """A budget cannot pay for this call."""

    code = "budget_exceeded"


class LoopDetected(Refused):
    """The run repeats itself."""

    code = "loop_detected"


class RunKilled(Refused):
    """The run was stopped; no more calls are made for it."""

    code = "run_killed"


class RunLimitExceeded(Refused):
    """The run has reached one of its limits."""

    code = "run_limit_exceeded"


class RateLimited(Refused):
    """Too many calls at once."""

    code = "rate_limit_exceeded"
    may_retry = True
    retry_after_s = 1.0


class KeyInUse(Refused):
    """The first request with this idempotency key is still under way."""

    code = "idempotency_key_in_use"
    status = 409
    may_retry = True
    retry_after_s = 1.0


class KeyReused(Refused):
    """This idempotency key came with another request before."""

    code = "idempotency_key_reused"
    status = 422


class CircuitOpen(Refused):
    """Every deployment of this model failed lately and is given a rest."""

    code = "circuit_open"
    status = 503
    may_retry = True
    retry_after_s = 5.0


class AgentCutOff(CircuitOpen):
    """The agent's breaker is open: it makes no calls until one may try."""

    status = 429
    may_retry = False


class UpstreamFailed(WfloServerError):
    """The provider did not answer as it should."""

    code = "upstream_error"
    status = 502

    def __init__(
        self,
        message: str | None = None,
        *,
        status: int = 502,
        provider: str = "",
        upstream_status: int | None = None,
        body: bytes | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.provider = provider
        self.upstream_status = upstream_status
        self.body = body  # what the provider said, in its own dialect
        self.retry_after_s = retry_after_s
