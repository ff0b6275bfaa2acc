"""Errors as the callers of /v1 read them: OpenAI's ``error``, and the same under ``detail`` for AgentWall's clients."""

from __future__ import annotations

import math
from typing import Any

from tracking.errors import InvalidCall, KeyMissing, Refused, UpstreamFailed, WfloServerError

RETRY_AFTER_S_MAX = 60

# The word for each of our codes in the dialects' ``type``; ``code`` is ours.
_TYPES = {
    "unauthenticated": "authentication_error",
    "not_allowed": "permission_error",
    "model_not_allowed": "permission_error",
    "team_not_active": "permission_error",
    "invalid_request": "validation_error",
    "invalid": "invalid_request_error",
    "too_large": "invalid_request_error",
    "model_not_found": "invalid_request_error",
    "model_unpriced": "invalid_request_error",
    "unavailable": "server_error",
    "internal": "internal_error",
}
_AGENTWALL = {
    "budget_exceeded": "agentwall_budget",
    "loop_detected": "agentwall_loop",
    "run_killed": "agentwall_killed",
    "run_limit_exceeded": "agentwall_limit",
}


def error_of(error: WfloServerError) -> dict[str, Any]:
    """message, type, code, param, and the error's own facts."""
    code = "missing_api_key" if isinstance(error, KeyMissing) else error.code
    code = "invalid_api_key" if code == "unauthenticated" else code
    found: dict[str, Any] = {
        "message": error.message,
        "type": _TYPES.get(error.code, error.code),
        "code": code,
        "param": error.field,
    }
    if error.code in _AGENTWALL:
        found["agentwall_code"] = _AGENTWALL[error.code]
    if isinstance(error, Refused):
        found |= error.details
        if error.call_id:
            found["request_id"] = error.call_id
    if isinstance(error, InvalidCall):
        found["details"] = [{"field": error.field, "message": error.message}]
    if isinstance(error, UpstreamFailed):
        found["code"] = f"{error.provider}_error" if error.provider else "upstream_error"
        found["upstream_status"] = error.upstream_status
    return found


def headers_of(error: WfloServerError) -> list[tuple[bytes, bytes]]:
    """Clients try a 429 again by themselves; what governance refused must not be (OpenAI's client reads this)."""
    wait_s = getattr(error, "retry_after_s", None)
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, Refused) and not error.may_retry:
        headers.append((b"x-should-retry", b"false"))
    elif wait_s is not None:
        headers.append((b"retry-after", b"%d" % min(max(math.ceil(wait_s), 1), RETRY_AFTER_S_MAX)))
    if isinstance(error, Refused) and error.call_id:
        headers.append((b"x-wflo-call-id", error.call_id.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="wflo"'))
    if error.status == 405:
        headers.append((b"allow", b"POST"))
    return headers
