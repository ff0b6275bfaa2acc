"""How a provider fails, and what that means for the call: who may try again, and who may be billed."""

from __future__ import annotations

import orjson

from tracking.errors import UpstreamFailed
from tracking.gateway.routing import Route

RETRY_AFTER_S_MAX = 60.0
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_AUTH = frozenset({401, 403})
_CONTEXT_WORDS = ("context_length_exceeded", "maximum context length", "prompt is too long", "context window")


class UpstreamTimeout(UpstreamFailed):
    """The provider did not answer in time."""

    code = "upstream_timeout"

    def __init__(self, route: Route, seconds: float) -> None:
        message = f'The provider of "{route.model}" did not answer within {seconds:g} seconds.'
        super().__init__(message, status=504, provider=route.provider)


class UpstreamUnclear(UpstreamFailed):
    """The request was sent, and what became of it cannot be known."""

    code = "upstream_unclear"

    def __init__(self, route: Route, kind: str) -> None:
        super().__init__(f'The answer of "{route.model}" could not be read ({kind}).', provider=route.provider)


def is_retryable(error: UpstreamFailed, *, on_auth: bool = False) -> bool:
    """Whether another deployment may answer: the fault was the provider's, or this model's window was too small.

    ``on_auth``: a key that the provider refuses counts as its fault too.
    """
    status = error.upstream_status
    if status is None or status in RETRIED or status >= 500 or (on_auth and status in _AUTH):
        return True
    return status in (400, 413) and any(
        word in (error.body or b"").decode("utf-8", "replace").lower() for word in _CONTEXT_WORDS
    )


def may_have_cost(error: UpstreamFailed) -> bool:
    """Whether the provider may bill for a call it did not answer: the request was sent and the outcome is unknown."""
    return error.upstream_status is None and error.code in (UpstreamTimeout.code, UpstreamUnclear.code)


def said(body: bytes) -> str:
    """The message of a provider's error, in any of the usual forms; '' when it is in none."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if isinstance(found, list) and found:  # Gemini's
        found = found[0]
    if not isinstance(found, dict):
        return ""
    error = found.get("error", found.get("message"))
    message = error.get("message") if isinstance(error, dict) else error
    return message[:1000] if isinstance(message, str) else ""


def retry_after(value: str | None) -> float | None:
    """Seconds, within reason; a date or nonsense is none (reliability B42)."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(seconds, RETRY_AFTER_S_MAX) if 0 <= seconds < float("inf") else None
