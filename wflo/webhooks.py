"""Signed requests, as the Standard Webhooks specification (standardwebhooks.com, version 1) has them.

Wflo signs what it sends to a team's webhook; whoever receives it checks::

    from wflo.webhooks import verify
    verify(secret, request.headers, body)   # raises ValueError, saying what is wrong

A program in which agents run has what was decided of them take effect at once, before its next message would hear of it::

    from wflo.webhooks import receive
    event = receive(request.headers, body, secret)

A request carries ``webhook-id`` (the same however often it is tried: skip what you have seen), ``webhook-timestamp``
(seconds) and ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from wflo import runs

TOLERANCE_SECONDS = 300
_PREFIX = "whsec_"


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, message_id: str, body: bytes, *, at: float) -> dict[str, str]:
    """The headers of a request. ``at`` is in seconds since 1970."""
    timestamp = str(int(at))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(secret, message_id, timestamp, body)}",
    }


def verify(secret: str, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """The message's id. ``now`` is in seconds since 1970, the present by default.

    Raises ValueError for a signature that does not fit, and for a request more than TOLERANCE_SECONDS old or ahead:
    somebody may have kept it to send it again.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, timestamp, signatures = (given[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError as missing:
        raise ValueError(f"The header {missing.args[0]} is missing.") from None
    if not timestamp.isdecimal() or not timestamp.isascii():
        raise ValueError("webhook-timestamp is a whole number of seconds.")
    expected = _signature(secret, message_id, timestamp, body)
    fitting = [hmac.compare_digest(f"v1,{expected}".encode(), one.encode()) for one in signatures.split(" ")]
    if not any(fitting):
        raise ValueError("The signature does not fit: another secret, or the body was changed.")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECONDS:
        raise ValueError(f"The request is more than {TOLERANCE_SECONDS} seconds old or ahead.")
    return message_id


def receive(headers: Mapping[str, str], body: bytes, secret: str) -> dict[str, Any]:
    """The event (``id, type, timestamp, team, data``) of a request that is signed; what it says of this process's agents is
    done: a run that was stopped or is to go back makes no more calls, a question that was answered is waited for no longer.
    The same request again changes nothing.

    Raises ValueError as ``verify`` does, and for a body that is no event.
    """
    verify(secret, headers, body)
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("The body is no JSON.") from None
    data = event.get("data") if isinstance(event, dict) else None
    if not isinstance(data, dict) or not isinstance(event.get("type"), str):
        raise ValueError("The body is no event: it has no type and data.")
    _apply(event["type"], data)
    return dict(event)


def _apply(kind: str, data: Mapping[str, Any]) -> None:
    run = str(data.get("run_id") or "")
    if kind == "run.killed":
        runs.told(run, {"status": "killed", "kill_reason": data.get("reason") or ""})
    elif kind == "run.rollback" and isinstance(data.get("rollback"), dict):
        runs.told(run, {"rollback": data["rollback"]})
    elif kind == "approval.decided" and data.get("approval_id"):
        told = {name: data.get(name) or "" for name in ("status", "decided_by", "comment", "action")}
        runs.decided(str(data["approval_id"]), told)


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("A webhook's secret is whsec_ and base64.") from None
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
